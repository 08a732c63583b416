// Where an agent writes: a reply to the client, or a note that the client never gets. The field is free for the
// next message at once; what could not be sent comes back to it, with the reason.

import { api } from "./api.js";
import { CannedAnswers } from "./canned.js";
import { config, say } from "./config.js";
import { setAttributes, setText } from "./dom.js";
import { mayTakeOver } from "./head.js";
import { calm, complain } from "./notices.js";

const TYPING_EVERY = 3000; // milliseconds
const MOST_LINES = 8;

/** A name for one sending, so that trying again after a lost answer says nothing twice. */
function newKey() {
    // crypto.randomUUID is missing on plain http.
    return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) =>
        part.toString(16).padStart(8, "0"),
    ).join("");
}

export class Composer {
    #dialog;
    #onSent;
    #form = document.getElementById("console-composer");
    #field = document.getElementById("console-reply");
    #gate = document.getElementById("console-gate");
    #gateText = document.getElementById("console-gate-text");
    #gateButton = document.getElementById("console-gate-button");
    #modes = [...document.querySelectorAll("#console-modes button")];
    #reason = document.getElementById("console-reason");
    #send = document.getElementById("console-send");
    #sending = document.getElementById("console-sending");
    #canned;
    #mode = "reply";
    #id = null;
    #drafts = new Map(); // of all dialogs, until the page is left
    #outbox = new Map(); // by dialog: what is being sent, oldest first
    #returned = new Map(); // by place: what came back, and why
    #typedAt = 0;

    /** ``onSent`` follows a message or note; ``onGate`` is what the button in the field's place does. */
    constructor({ dialog, onSent, onGate }) {
        this.#dialog = dialog;
        this.#onSent = onSent;
        this.#canned = new CannedAnswers({
            field: this.#field,
            channel: () => dialog.row?.channelId,
            onChosen: () => this.#changed(),
        });
        this.#gateButton.addEventListener("click", () => onGate());
        for (const button of this.#modes) {
            button.addEventListener("click", () => this.#choose(button.dataset.mode, true));
        }
        this.#field.addEventListener("input", () => this.#changed());
        this.#field.addEventListener("keydown", (event) => this.#key(event));
        this.#form.addEventListener("submit", (event) => {
            event.preventDefault();
            this.#submit();
        });
    }

    /** Another dialog, or the same with another agent or state. */
    show() {
        const { row } = this.#dialog;
        if (!row) {
            this.#id = null;
            return;
        }
        if (row.id !== this.#id) {
            this.#id = row.id;
            this.#mode = "reply";
            this.#fill();
        }
        this.#draw(row);
    }

    /** Whether something would be lost with the page: a reply on its way, or a draft. */
    get isBusy() {
        const written = [...this.#drafts.values()].some((text) => text.trim());
        return written || [...this.#outbox.values()].some((waiting) => waiting.length);
    }

    /** To the field, in this mode; to the button in its place where there is one. */
    focus(mode) {
        this.#choose(mode, true);
    }

    get #place() {
        return `${this.#id}:${this.#mode}`;
    }

    #choose(mode, focus) {
        if (mode !== this.#mode) {
            this.#mode = mode;
            this.#fill();
        }
        const { row } = this.#dialog;
        if (row) {
            this.#draw(row);
        }
        if (focus) {
            const target = this.#gate.hidden ? this.#field : this.#gateButton.hidden ? null : this.#gateButton;
            target?.focus();
        }
    }

    #fill() {
        this.#canned.close();
        this.#field.value = this.#drafts.get(this.#place) ?? "";
        this.#showReason();
        this.#grow();
    }

    #draw(row) {
        const note = this.#mode === "note";
        const mine = row.state === "open" && row.agent === config.username;
        const writable = note || mine;
        const hadFocus = this.#form.contains(document.activeElement);
        setAttributes(this.#form, { "data-mode": this.#mode, "data-gated": writable ? null : "" });
        for (const button of this.#modes) {
            setAttributes(button, { "aria-pressed": String(button.dataset.mode === this.#mode) });
        }
        this.#gate.hidden = writable;
        document.getElementById("console-writing").hidden = !writable;
        document.getElementById("console-canned-button").hidden = note;
        const label = say(note ? "noteLabel" : "replyLabel");
        setAttributes(this.#field, { "aria-label": label, placeholder: say(note ? "noteHint" : "replyHint") });
        setText(this.#send.querySelector("span"), say(note ? "addNote" : "send"));
        this.#drawGate(row);
        this.#showSending();
        if (hadFocus && writable && !this.#form.contains(document.activeElement)) {
            this.#field.focus();
        }
    }

    #drawGate(row) {
        const name = row.agentName || row.agent;
        const open = row.agentGone ? "gateGone" : "gateOthers";
        const reasons = { waiting: "gateWaiting", open, closed: "gateClosed" };
        setText(this.#gateText, say(reasons[row.state], { agent: name, client: row.clientId }));
        const label = row.state === "waiting" ? "take" : row.state === "closed" ? "takeAgain" : "takeOver";
        setText(this.#gateButton.querySelector("span"), say(label));
        this.#gateButton.querySelector("kbd").hidden = row.state !== "waiting";
        this.#gateButton.hidden = row.state === "open" && !mayTakeOver(row);
    }

    #changed() {
        const { value } = this.#field;
        this.#drafts.set(this.#place, value);
        this.#grow();
        this.#showSending();
        if (this.#mode === "reply" && value.trim() && !value.startsWith("/")) {
            this.#sayTyping();
        }
    }

    #sayTyping() {
        const now = Date.now();
        if (now - this.#typedAt >= TYPING_EVERY) {
            this.#typedAt = now;
            api.typing(this.#id).catch(() => {}); // A nicety: what is wrong shows when the reply is sent.
        }
    }

    /** As many lines as the text has: by attribute, where the style sheet cannot do it alone. */
    #grow() {
        const lines = this.#field.value.split("\n").length;
        this.#field.rows = Math.min(MOST_LINES, Math.max(2, lines));
    }

    #key(event) {
        if (event.isComposing || event.keyCode === 229) {
            return; // Enter chooses a word here, in Japanese for one.
        }
        if (this.#canned.key(event)) {
            event.preventDefault();
            event.stopPropagation();
        } else if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
            event.preventDefault();
            this.#submit();
        }
    }

    #submit() {
        const [id, mode, place] = [this.#id, this.#mode, this.#place];
        const text = this.#field.value;
        if (!text.trim() || id === null || !this.#gate.hidden) {
            return;
        }
        // The same text again after a lost answer is the same message.
        const again = this.#returned.get(place);
        const key = again?.text === text ? again.key : newKey();
        this.#returned.delete(place);
        this.#drafts.delete(place);
        this.#typedAt = 0;
        this.#fill();
        const waiting = this.#outbox.get(id) ?? [];
        this.#outbox.set(id, waiting);
        waiting.push({ mode, place, text, key });
        if (waiting.length === 1) {
            this.#deliver(id, waiting);
        }
        this.#showSending();
    }

    /** One after the other, so that they arrive in order; when one fails, those behind it come back too. */
    async #deliver(id, waiting) {
        while (waiting.length) {
            const { mode, text, key } = waiting[0];
            try {
                await (mode === "note" ? api.note(id, text, key) : api.send(id, text, key));
                waiting.shift();
                calm();
                this.#onSent(id, mode);
            } catch (error) {
                this.#giveBack(waiting.splice(0), error);
            }
            this.#showSending();
        }
    }

    #giveBack(items, error) {
        const reason = say("notSent", { reason: error.message });
        for (const place of new Set(items.map((item) => item.place))) {
            const back = items.filter((item) => item.place === place);
            const text = back.map((item) => item.text).join("\n");
            // Joined, they are another message than the first, which may have arrived.
            const key = back.length === 1 ? back[0].key : newKey();
            this.#returned.set(place, { text, key, reason });
            this.#drafts.set(place, [text, this.#drafts.get(place)].filter(Boolean).join("\n"));
            if (place === this.#place) {
                this.#fill();
            } else {
                complain(new Error(reason));
            }
        }
    }

    #showReason() {
        const reason = this.#returned.get(this.#place)?.reason ?? "";
        setText(this.#reason, reason);
        this.#reason.hidden = !reason;
        setAttributes(this.#field, { "aria-invalid": reason ? "true" : null });
    }

    #showSending() {
        this.#sending.hidden = !this.#outbox.get(this.#id)?.length;
        setAttributes(this.#send, { "aria-disabled": String(!this.#field.value.trim()) });
    }
}
