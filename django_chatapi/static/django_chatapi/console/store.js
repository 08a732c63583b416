// The dialogs that this page knows of. One map of rows; which list a row belongs to follows from the row itself,
// so that no row can stand in two lists or, after a change, in the wrong one.

const latestFirst = (name) => (one, other) =>
    (other[name] ?? "").localeCompare(one[name] ?? "") || other.id - one.id;

/** Each list: what it is called in the API, and its order. */
export const LISTS = {
    waiting: {
        state: "waiting",
        order: (one, other) =>
            (one.waitingSince ?? "").localeCompare(other.waitingSince ?? "") || one.id - other.id,
    },
    mine: { state: "mine", order: latestFirst("lastMessageAt") },
    others: { state: "open", order: latestFirst("lastMessageAt") },
    closed: { state: "closed", order: latestFirst("closedAt") },
};

const MOST_CLOSED = 100; // rows; what is closed while the page is open piles up

export class Store {
    #me;
    #rows = new Map();
    #listed = new Set();
    #changedAt = new Map(); // by id, in ticks of #tick
    #tick = 0;
    #listeners = [];
    #pages = {};

    constructor(me) {
        this.#me = me;
    }

    /** ``listener`` gets pairs of a row before and after, either of which may be missing. */
    listen(listener) {
        this.#listeners.push(listener);
    }

    row(id) {
        return this.#rows.get(id);
    }

    listOf(row) {
        if (row.state === "open") {
            return row.agent === this.#me ? "mine" : "others";
        }
        return row.state === "waiting" ? "waiting" : "closed";
    }

    rows(list) {
        const rows = [...this.#listed].map((id) => this.#rows.get(id)).filter((row) => this.listOf(row) === list);
        return rows.sort(LISTS[list].order);
    }

    /** What is known of a list's pages: ``hasMore`` and ``cursor``; undefined before the first one came. */
    page(list) {
        return this.#pages[list];
    }

    /** A moment to name when an answer arrives: what changed since is newer than the answer. */
    moment() {
        return this.#tick;
    }

    /** Takes rows over. ``listed`` false: found by a search, so not part of a list's page. */
    put(rows, { listed = true, asked = this.#tick } = {}) {
        const changes = [];
        this.#tick += 1;
        for (const row of rows) {
            if ((this.#changedAt.get(row.id) ?? 0) > asked) {
                continue;
            }
            const before = this.#rows.get(row.id);
            this.#rows.set(row.id, row);
            this.#changedAt.set(row.id, this.#tick);
            if (listed) {
                this.#listed.add(row.id);
            }
            changes.push([before, row]);
        }
        this.#bound();
        this.#tell(changes);
    }

    /** ``asked``: for an answer that lacks them. Another answer to a question of then may know where they went. */
    remove(ids, asked) {
        this.#tick += 1;
        const changes = [];
        for (const id of ids) {
            const row = this.#rows.get(id);
            if (row) {
                this.#rows.delete(id);
                this.#listed.delete(id);
                this.#changedAt.set(id, asked ?? this.#tick);
                changes.push([row, undefined]);
            }
        }
        this.#tell(changes);
    }

    /** The beginning of a list, asked for at ``asked``: rows that should be in it and are not have left it. */
    begin(list, page, asked) {
        const present = new Set(page.dialogs.map((row) => row.id));
        const last = page.dialogs.at(-1);
        const known = this.#pages[list];
        const furtherOn = page.hasMore && known?.paged;
        // What closed rows stand further down comes again with the next page.
        const all = list === "closed" ? !furtherOn : !page.hasMore;
        const left = this.rows(list).filter(
            (row) =>
                !present.has(row.id) &&
                (this.#changedAt.get(row.id) ?? 0) <= asked &&
                (all || LISTS[list].order(row, last) < 0),
        );
        this.put(page.dialogs, { asked });
        this.#pages[list] = furtherOn ? known : { hasMore: page.hasMore, cursor: page.cursor, paged: false };
        this.remove(
            left.map((row) => row.id),
            asked,
        );
    }

    /** The next page of a list. */
    continue(list, page, asked) {
        this.put(page.dialogs, { asked });
        this.#pages[list] = { hasMore: page.hasMore, cursor: page.cursor, paged: true };
    }

    /** Lets the oldest of the closed rows go, unless somebody paged to them. */
    #bound() {
        const page = this.#pages.closed;
        const over = page && !page.paged ? this.rows("closed").slice(MOST_CLOSED) : [];
        for (const { id } of over) {
            this.#rows.delete(id);
            this.#listed.delete(id);
            this.#changedAt.delete(id);
        }
        if (over.length) {
            this.#pages.closed = { hasMore: true, cursor: null, paged: false };
        }
    }

    #tell(changes) {
        this.#listeners.forEach((listener) => listener(changes));
    }
}
