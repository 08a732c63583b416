// Where an agent writes: a reply to the client, or a note that the client never gets. What could not be sent stays
// in the field.

import { api } from "./api.js";
import { CannedAnswers } from "./canned.js";
import { config, say } from "./config.js";
import { setAttributes, setText } from "./dom.js";
import { calm } from "./notices.js";

const TYPING_EVERY = 3000; // milliseconds
const MOST_LINES = 8;

/** A name for one sending, so that trying again after a lost answer says nothing twice. */
function newKey() {
    // crypto.randomUUID is missing on plain http.
    return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(16).padStart(8, "0")).join("");
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
    #canned;
    #mode = "reply";
    #id = null;
    #drafts = new Map(); // of all dialogs, until the page is left
    #keys = new Map();
    #sending = new Set();
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
        this.#complain("");
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
        this.#busy();
        if (hadFocus && writable && !this.#form.contains(document.activeElement)) {
            this.#field.focus();
        }
    }

    #drawGate(row) {
        const name = row.agentName || row.agent;
        const reasons = { waiting: "gateWaiting", open: "gateOthers", closed: "gateClosed" };
        setText(this.#gateText, say(reasons[row.state], { agent: name, client: row.clientId }));
        const label = row.state === "waiting" ? "take" : row.state === "closed" ? "takeAgain" : "takeOver";
        setText(this.#gateButton.querySelector("span"), say(label));
        this.#gateButton.querySelector("kbd").hidden = row.state !== "waiting";
        this.#gateButton.hidden = row.state === "open" && !config.superuser;
    }

    #changed() {
        const { value } = this.#field;
        this.#drafts.set(this.#place, value);
        this.#keys.delete(this.#place);
        this.#grow();
        this.#busy();
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

    async #submit() {
        const place = this.#place;
        const [id, mode] = [this.#id, this.#mode];
        const text = this.#field.value;
        if (!text.trim() || this.#sending.has(place) || id === null) {
            return;
        }
        const key = this.#keys.get(place) ?? newKey();
        this.#keys.set(place, key);
        this.#sending.add(place);
        this.#complain("");
        this.#busy();
        try {
            const sent = mode === "note" ? await api.note(id, text) : await api.send(id, text, key);
            this.#drafts.delete(place);
            this.#keys.delete(place);
            this.#sending.delete(place);
            calm();
            if (place === this.#place) {
                this.#fill();
                this.#typedAt = 0;
            }
            this.#onSent(id, mode, sent);
        } catch (error) {
            this.#sending.delete(place);
            if (place === this.#place) {
                this.#complain(say("notSent", { reason: error.message }));
            }
        }
        this.#busy();
    }

    #complain(text) {
        setText(this.#reason, text);
        this.#reason.hidden = !text;
        setAttributes(this.#field, { "aria-invalid": text ? "true" : null });
    }

    #busy() {
        const busy = this.#sending.has(this.#place);
        this.#field.readOnly = busy;
        setAttributes(this.#send, { "aria-disabled": String(busy || !this.#field.value.trim()) });
    }
}
