// Shows what was said. What is on the page already stays the same elements; the view sticks to the bottom only
// while the reader is there.

import { say } from "./config.js";
import { icon, make, reconcile, setAttributes, unseen } from "./dom.js";
import { entriesOf } from "./entries.js";
import { folded, prose, showReply } from "./replies.js";
import { day, fullTime, hour, parseTime } from "./times.js";

const NEAR = 48; // pixels; closer to the bottom than this counts as there
const MARKS = { SENT: "sent", DELIVERED: "delivered", READ: "read", NOT_SENT: "unsent" };

export class Transcript {
    #view = document.getElementById("console-transcript");
    #list = document.getElementById("console-entries");
    #earlier = document.getElementById("console-earlier");
    #below = document.getElementById("console-below");
    #loading = document.getElementById("console-loading");
    #sticks = true;

    constructor({ onEarlier }) {
        this.#earlier.addEventListener("click", () => onEarlier());
        this.#below.addEventListener("click", () => {
            this.#toBottom();
            this.#view.focus({ preventScroll: true });
        });
        this.#view.addEventListener("scroll", () => {
            const { scrollHeight, scrollTop, clientHeight } = this.#view;
            this.#sticks = scrollHeight - scrollTop - clientHeight < NEAR;
            if (this.#sticks) {
                this.#below.hidden = true;
            }
        });
        // Pictures arrive late and the reply field grows: whoever was at the bottom stays there.
        const observer = new ResizeObserver(() => this.#sticks && this.#toBottom());
        observer.observe(this.#list);
        observer.observe(this.#view);
    }

    /** An empty transcript, on the way to another dialog. */
    clear() {
        reconcile(this.#list, [], { key: () => "", create: () => null });
        this.#earlier.hidden = this.#below.hidden = true;
        this.#loading.hidden = false;
        this.#sticks = true;
    }

    show(dialog) {
        this.#loading.hidden = true;
        const entries = entriesOf(dialog);
        const last = this.#list.lastElementChild;
        const anchor = this.#anchor();
        reconcile(this.#list, entries, { key: (entry) => entry.key, create: makeEntry, update: updateEntry });
        if (this.#earlier.hidden === dialog.hasMore) {
            this.#hideEarlier(!dialog.hasMore);
        }
        if (this.#sticks) {
            this.#toBottom();
        } else {
            this.#restore(anchor);
            if (last && this.#list.lastElementChild !== last) {
                this.#below.hidden = false;
            }
        }
    }

    /** For keys that scroll. */
    focus() {
        this.#view.focus({ preventScroll: true });
    }

    /** The agent said something: the reader follows it. */
    follow() {
        this.#sticks = true;
        this.#toBottom();
    }

    #hideEarlier(hidden) {
        const focused = document.activeElement === this.#earlier;
        this.#earlier.hidden = hidden;
        if (hidden && focused) {
            this.focus();
        }
    }

    /** The first entry in view, and where it stands: messages put above it must not push it away. */
    #anchor() {
        const top = this.#view.getBoundingClientRect().top;
        // Days move: the first of a day's messages may be among those that come.
        const said = this.#list.querySelectorAll(":scope > :not(.console-day)");
        const node = [...said].find((child) => child.getBoundingClientRect().bottom > top);
        return node && { node, at: node.getBoundingClientRect().top };
    }

    #restore(anchor) {
        if (anchor?.node.isConnected) {
            this.#view.scrollTop += anchor.node.getBoundingClientRect().top - anchor.at;
        }
    }

    #toBottom() {
        this.#view.scrollTop = this.#view.scrollHeight;
        this.#below.hidden = true;
    }
}

function makeEntry(entry) {
    switch (entry.kind) {
        case "day":
            return make("li", { class: "console-day" }, day(entry.at));
        case "note":
            return makeNote(entry);
        case "change":
            return makeChange(entry);
        default:
            return makeMessage(entry);
    }
}

/** Only these change once a message is there. */
function updateEntry(node, entry) {
    if (entry.kind !== "message") {
        return;
    }
    setAttributes(node, { "data-joined": entry.joined ? "" : null });
    const status = node.querySelector(".console-status");
    if (status) {
        showStatus(status, entry.event.status);
    }
}

function when(wire) {
    return make("time", { datetime: parseTime(wire).toISOString(), title: fullTime(wire) }, hour(wire));
}

function makeNote({ name, at, text }) {
    return make(
        "li",
        { class: "console-note" },
        make(
            "p",
            { class: "console-who" },
            icon("lock"),
            make("strong", {}, say("internalNote")),
            " ",
            make("bdi", {}, name),
        ),
        make(
            "div",
            { class: "console-bubble" },
            make("div", { class: "console-said" }, prose(text)),
            make("p", { class: "console-foot" }, when(at)),
        ),
    );
}

function makeChange({ text, at, quote }) {
    const line = make("p", {}, make("bdi", {}, text), " · ", when(at));
    return make(
        "li",
        { class: "console-change" },
        line,
        quote ? make("blockquote", { dir: "auto" }, quote) : null,
    );
}

function makeMessage({ side, name, at, event }) {
    const status = side === "client" ? null : make("span", { class: "console-status" });
    return make(
        "li",
        { class: "console-turn", "data-side": side },
        make("p", { class: "console-who" }, make("bdi", {}, name)),
        make(
            "div",
            { class: "console-bubble" },
            make("div", { class: "console-said" }, ...(side === "client" ? asked(event) : answered(event))),
            make("p", { class: "console-foot" }, when(at), status),
        ),
    );
}

function asked({ query, event, data }) {
    const parts = [];
    if (event !== null && event !== undefined) {
        parts.push(
            make("p", { class: "console-event" }, icon("event"), make("bdi", {}, say("event", { name: event }))),
        );
    }
    if (query !== null && query !== undefined) {
        parts.push(prose(query));
    }
    if (data && Object.keys(data).length) {
        parts.push(folded(say("data"), data));
    }
    return parts;
}

function answered({ data }) {
    const replies = Array.isArray(data?.replies) ? data.replies : [];
    if (!replies.length) {
        return [make("p", { class: "console-quiet" }, say(data?.error ? "noAnswer" : "noReplies"))];
    }
    return replies.flatMap(showReply).filter(Boolean);
}

/** How far a message got, as a mark and in words. */
function showStatus(node, status) {
    if (node.dataset.status === status) {
        return;
    }
    node.dataset.status = status;
    const words = say(`status_${status}`);
    node.title = words;
    const seen = status === "NOT_SENT" ? make("span", {}, words) : unseen(words);
    node.replaceChildren(icon(MARKS[status] ?? "unsent"), seen);
}
