// Finding a client by the beginning of its id: in any list, or still with the bot.

import { api } from "./api.js";
import { say } from "./config.js";
import { make, setAttributes, setText } from "./dom.js";
import { complain } from "./notices.js";
import { avatar, makeRow, shownId, updateRow } from "./rows.js";

const WAIT = 250; // milliseconds after the last letter
const STATES = ["waiting", "open", "closed"];
const SHOWN = 20;

export class Search {
    #store;
    #openId;
    #onClient;
    #field = document.getElementById("console-search");
    #lists = document.getElementById("console-lists");
    #results = document.getElementById("console-results");
    #status = document.getElementById("console-search-status");
    #timer = null;
    #running = null;

    constructor({ store, openId, onClient }) {
        this.#store = store;
        this.#openId = openId;
        this.#onClient = onClient;
        this.#field.addEventListener("input", () => this.#later());
        this.#field.addEventListener("keydown", (event) => this.#key(event));
        store.listen(() => this.refresh());
    }

    get hasFocus() {
        return document.activeElement === this.#field;
    }

    focus() {
        this.#field.focus();
        this.#field.select();
    }

    clear() {
        this.#field.value = "";
        this.#later();
    }

    /** Shows what was found as it is now, and marks the open dialog. */
    refresh() {
        for (const node of this.#results.querySelectorAll("li[data-row]")) {
            const row = this.#store.row(Number(node.dataset.row));
            if (row) {
                this.#update(node, row);
            }
        }
    }

    #key(event) {
        if (event.isComposing) {
            return;
        }
        if (event.key === "Escape" && this.#field.value) {
            event.preventDefault();
            event.stopPropagation();
            this.clear();
        } else if (event.key === "ArrowDown" || event.key === "Enter") {
            const first = this.#results.querySelector(".console-row");
            if (first && !this.#results.hidden) {
                event.preventDefault();
                first.focus();
            }
        }
    }

    #later() {
        clearTimeout(this.#timer);
        this.#running?.abort();
        const wanted = this.#field.value.trim();
        this.#lists.hidden = Boolean(wanted);
        this.#results.hidden = !wanted;
        if (!wanted) {
            this.#results.replaceChildren();
            this.#status.textContent = "";
            return;
        }
        this.#timer = setTimeout(() => this.#ask(wanted), WAIT);
    }

    async #ask(search) {
        const running = (this.#running = new AbortController());
        const asked = this.#store.moment();
        this.#results.setAttribute("aria-busy", "true");
        try {
            const [clients, ...pages] = await Promise.all([
                api.clients({ search }, running.signal),
                ...STATES.map((state) => api.dialogs({ state, search, limit: SHOWN }, running.signal)),
            ]);
            const rows = pages.flatMap((page) => page.dialogs);
            this.#store.put(rows, { listed: false, asked });
            this.#show(
                rows,
                clients.clients.filter((client) => client.state === "bot"),
            );
        } catch (error) {
            if (!running.signal.aborted) {
                complain(error);
            }
        } finally {
            if (running === this.#running) {
                this.#results.removeAttribute("aria-busy");
            }
        }
    }

    #show(rows, clients) {
        const parts = [];
        if (rows.length) {
            const list = make("ul", { class: "console-list", "aria-label": say("foundDialogs") });
            for (const row of rows) {
                const node = makeRow(row);
                node.dataset.row = row.id;
                node.firstElementChild.append(make("span", { class: "console-chip" }));
                this.#update(node, this.#store.row(row.id) ?? row); // There may be news of it by now.
                list.append(node);
            }
            parts.push(make("h2", { class: "console-found" }, say("foundDialogs")), list);
        }
        if (clients.length) {
            const list = make("ul", { class: "console-list", "aria-label": say("foundClients") });
            list.append(...clients.map((client) => this.#client(client)));
            parts.push(make("h2", { class: "console-found" }, say("foundClients")), list);
        }
        if (!parts.length) {
            parts.push(make("p", { class: "console-hollow" }, say("foundNothing")));
        }
        this.#results.replaceChildren(...parts);
        this.#results.querySelector(".console-row")?.setAttribute("tabindex", "0");
        this.#status.textContent = say("foundCount", { count: rows.length + clients.length });
    }

    #update(node, row) {
        updateRow(node, row, this.#openId());
        const chip = node.firstElementChild.lastElementChild;
        setAttributes(chip, { "data-state": row.state });
        setText(chip, say(`state_${row.state}`));
    }

    #client(client) {
        const button = make(
            "button",
            { type: "button", class: "console-row", tabindex: "-1", "data-state": "bot" },
            avatar(client.clientId),
            make("span", { class: "console-row-name" }, make("bdi", {}, shownId(client.clientId))),
            make("span", { class: "console-row-time console-link" }, say("takeClient")),
            make("span", { class: "console-row-text" }, say("withBot")),
            make("span", { class: "console-row-badge" }),
            make("span", { class: "console-row-where" }, client.channel),
        );
        button.addEventListener("click", () => this.#onClient(client));
        return make("li", {}, button);
    }
}
