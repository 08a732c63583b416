// The four lists, one at a time, and moving in them with the keyboard.

import { say } from "./config.js";
import { reconcile, setAttributes, setText } from "./dom.js";
import { makeRow, tickRow, updateRow } from "./rows.js";

const TICK = 1000; // milliseconds

export class Queue {
    #store;
    #openId;
    #onList;
    #onMore;
    #list = "waiting";
    #tabs;
    #panel = document.getElementById("console-panel");
    #rows = document.getElementById("console-rows");
    #empty = document.getElementById("console-empty-list");
    #more = document.getElementById("console-more");
    #results = document.getElementById("console-results");
    #dirty = false;
    #current = null; // the row that Tab leads to

    constructor({ store, openId, onList, onMore }) {
        this.#store = store;
        this.#openId = openId;
        this.#onList = onList;
        this.#onMore = onMore;
        this.#tabs = [...document.querySelectorAll("#console-tabs [role=tab]")];
        for (const tab of this.#tabs) {
            tab.addEventListener("click", () => this.choose(tab.dataset.list));
        }
        document.getElementById("console-tabs").addEventListener("keydown", (event) => this.#turn(event));
        this.#more.addEventListener("click", () => this.#onMore(this.#list));
        for (const list of [this.#rows, this.#results]) {
            list.addEventListener("focusin", (event) => {
                const row = event.target.closest(".console-row");
                if (row) {
                    this.#makeCurrent(row);
                }
            });
        }
        store.listen(() => this.render());
        setInterval(() => this.#tick(), TICK);
    }

    get list() {
        return this.#list;
    }

    choose(list) {
        if (list !== this.#list) {
            this.#list = list;
            this.#current = null;
            this.#panel.scrollTop = 0;
            this.render();
            this.#onList(list);
        }
    }

    /** Draws once, however many rows changed in one go. */
    render() {
        if (!this.#dirty) {
            this.#dirty = true;
            queueMicrotask(() => {
                this.#dirty = false;
                this.#draw();
            });
        }
    }

    /** Moves the focus to the next row, or the one before. */
    move(step) {
        const rows = this.#shown();
        if (!rows.length) {
            return;
        }
        const at = rows.indexOf(document.activeElement);
        const from = at >= 0 ? at : rows.indexOf(this.#current);
        // Coming from elsewhere, the first step leads to where one was.
        const to = at >= 0 ? at + step : Math.max(from, 0);
        rows[Math.min(Math.max(to, 0), rows.length - 1)].focus();
    }

    /** Back to the list from wherever one was. */
    focus() {
        const rows = this.#shown();
        const open = rows.find((row) => row.getAttribute("aria-current"));
        const target = open ?? (rows.includes(this.#current) ? this.#current : rows[0]);
        (target ?? this.#tabs.find((tab) => tab.tabIndex === 0)).focus();
    }

    /** Whether the list that one would come back to has this dialog. */
    shows(id) {
        return this.#shown().some((row) => row.dataset.id === String(id));
    }

    #shown() {
        const list = this.#results.hidden ? this.#rows : this.#results;
        return [...list.querySelectorAll(".console-row")];
    }

    #makeCurrent(row) {
        this.#current?.setAttribute("tabindex", "-1");
        this.#current = row;
        row?.setAttribute("tabindex", "0");
    }

    #draw() {
        for (const tab of this.#tabs) {
            this.#drawTab(tab);
        }
        setAttributes(this.#panel, { "aria-labelledby": `console-tab-${this.#list}` });
        const rows = this.#store.rows(this.#list);
        const openId = this.#openId();
        const hadFocus = this.#rows.contains(document.activeElement) ? this.#current : null;
        const place = hadFocus ? this.#shown().indexOf(hadFocus) : -1;
        reconcile(this.#rows, rows, {
            key: (row) => row.id,
            create: makeRow,
            update: (node, row) => updateRow(node, row, openId),
        });
        this.#keepFocus(hadFocus, place);
        const page = this.#store.page(this.#list);
        this.#empty.hidden = rows.length > 0;
        setText(this.#empty, say(page ? `empty_${this.#list}` : "loading"));
        this.#more.hidden = !page?.hasMore;
    }

    #drawTab(tab) {
        const { list } = tab.dataset;
        const chosen = list === this.#list;
        setAttributes(tab, { "aria-selected": String(chosen), tabindex: chosen ? "0" : "-1" });
        const page = this.#store.page(list);
        const rows = this.#store.rows(list);
        const count = tab.querySelector(".console-count");
        setText(count, page ? `${rows.length}${page.hasMore ? "+" : ""}` : "–");
        const urgent =
            list === "waiting" ? rows.length > 0 : list === "mine" && rows.some((row) => row.unread > 0);
        setAttributes(tab, { "data-urgent": urgent ? "" : null });
    }

    /** When the focused row left the list, the one in its place gets the focus. */
    #keepFocus(hadFocus, place) {
        const rows = this.#results.hidden ? this.#shown() : [];
        if (hadFocus && !hadFocus.isConnected) {
            this.#makeCurrent(null);
            (rows[Math.min(place, rows.length - 1)] ?? this.#tabs.find((tab) => tab.tabIndex === 0)).focus();
        } else if (!this.#current?.isConnected && rows.length) {
            this.#makeCurrent(rows.find((row) => row.getAttribute("aria-current")) ?? rows[0]);
        }
    }

    #tick() {
        for (const node of this.#rows.children) {
            const row = this.#store.row(Number(node.firstElementChild.dataset.id));
            if (row) {
                tickRow(node, row);
            }
        }
    }

    #turn(event) {
        const at = this.#tabs.indexOf(event.target);
        const rightToLeft = document.documentElement.dir === "rtl";
        const steps = { ArrowRight: rightToLeft ? -1 : 1, ArrowLeft: rightToLeft ? 1 : -1 };
        const last = this.#tabs.length - 1;
        let to = at + (steps[event.key] ?? 0);
        to = event.key === "Home" ? 0 : event.key === "End" ? last : (to + last + 1) % (last + 1);
        if (at >= 0 && to !== at) {
            event.preventDefault();
            this.choose(this.#tabs[to].dataset.list);
            this.#tabs[to].focus();
        }
    }
}
