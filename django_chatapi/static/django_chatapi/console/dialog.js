// The dialog that is open: its row, its messages page by page, its notes. Asks again when it is told to, and never
// twice at once.

import { api } from "./api.js";

const PAGE = 50;

/** A key that stays the same whatever else is loaded: a request and its answers share a questionId. */
function keyed(messages) {
    const seen = new Map();
    return messages.map((message) => {
        const name = `${message.type}:${message.event.questionId}:${message.event.timestamp}`;
        const number = seen.get(name) ?? 0;
        seen.set(name, number + 1);
        return { key: number ? `${name}:${number}` : name, ...message };
    });
}

export class OpenDialog {
    id = null;
    detail = null;
    messages = [];
    hasMore = false;
    #cursor = null;
    #store;
    #onChange;
    #turn = 0; // of opening: answers for a dialog that was left are dropped
    #running = null;
    #next = null; // begins when #running ends

    constructor({ store, onChange }) {
        this.#store = store;
        this.#onChange = onChange;
    }

    /** The dialog as its list shows it; newer than the details, which are on their way. */
    get row() {
        const row = this.id === null ? null : (this.#store.row(this.id) ?? this.detail);
        // Lists do not tell whether an agent works here no more.
        return row ? { ...row, agentGone: row.agent === this.detail?.agent && this.detail.agentGone } : undefined;
    }

    async open(id) {
        this.leave();
        this.id = id;
        this.#onChange("opened");
        await this.refresh();
    }

    leave() {
        this.#turn += 1;
        this.id = this.detail = this.#cursor = this.#running = this.#next = null;
        this.messages = [];
        this.hasMore = false;
        this.#onChange("left");
    }

    /**
     * Asks for the latest page. What is on its way was asked for before, and may know nothing of why the caller
     * asks: they get the next answer, one for all who ask meanwhile.
     */
    refresh() {
        if (this.id === null) {
            return Promise.resolve();
        }
        if (this.#next === null && this.#running === null) {
            return this.#run();
        }
        const turn = this.#turn;
        const then = () => turn === this.#turn && this.#run();
        this.#next ??= this.#running.then(then, then);
        return this.#next;
    }

    #run() {
        const turn = this.#turn;
        this.#next = null;
        this.#running = this.#fetch().finally(() => {
            if (turn === this.#turn) {
                this.#running = null;
            }
        });
        return this.#running;
    }

    /** Loads the page before the first message. */
    async earlier() {
        const detail = await this.#ask({ before: this.#cursor, limit: PAGE });
        if (detail) {
            const known = new Set(this.messages.map((message) => message.key));
            const older = keyed(detail.messages).filter((message) => !known.has(message.key));
            this.messages = [...older, ...this.messages];
            this.hasMore = detail.hasMore;
            this.#cursor = detail.cursor;
            this.#onChange("earlier");
        }
    }

    /** What the server says of the open dialog; null when that was left meanwhile, also of what went wrong. */
    async #ask(query) {
        const turn = this.#turn;
        try {
            const detail = await api.dialog(this.id, query);
            return turn === this.#turn ? detail : null;
        } catch (error) {
            if (turn === this.#turn) {
                throw error;
            }
            return null;
        }
    }

    async #fetch() {
        const asked = this.#store.moment();
        const detail = await this.#ask({ limit: PAGE });
        if (!detail) {
            return;
        }
        const first = this.detail === null;
        this.detail = detail;
        this.#merge(keyed(detail.messages), detail);
        this.#store.put([rowOf(detail)], { asked });
        this.#onChange(first ? "loaded" : "refreshed");
    }

    /** The latest page takes the place of what it covers. Without an overlap something is missing in between. */
    #merge(latest, { hasMore, cursor }) {
        const fresh = new Set(latest.map((message) => message.key));
        const start = this.messages.findIndex((message) => fresh.has(message.key));
        if (start > 0) {
            this.messages = [...this.messages.slice(0, start), ...latest];
        } else {
            this.messages = latest;
            this.hasMore = hasMore;
            this.#cursor = cursor;
        }
    }
}

const ROW = `id clientId channel channelId state agent agentName group oneTime waitingSince createdAt closedAt
    lastMessageAt unread lastMessage`.split(/\s+/);

function rowOf(detail) {
    return Object.fromEntries(ROW.map((name) => [name, detail[name]]));
}
