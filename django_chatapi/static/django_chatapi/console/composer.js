// Where an agent writes: a reply to the client, or a note that the client never gets. The field is free for the
// next message at once; what could not be sent comes back to it, with the reason.

import { api } from "./api.js";
import { CannedAnswers } from "./canned.js";
import { config, say } from "./config.js";
import { setAttributes, setText } from "./dom.js";
import { mayTakeOver } from "./head.js";
import { holdKeys, releaseKeys } from "./keys.js";
import { announce, calm, complain, complaintsSoFar } from "./notices.js";

const TYPING_EVERY = 3000; // milliseconds
const MOST_LINES = 8;

/** A name for one sending, so that trying again after a lost answer says nothing twice. */
function newKey() {
    // crypto.randomUUID is missing on plain http.
    return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) =>
        part.toString(16).padStart(8, "0"),
    ).join("");
}

/** Replies come from who has the client, notes from all who see the dialog. */
function mayWrite(row, mode) {
    return mode === "note" || (row.state === "open" && row.agent === config.username);
}

export class Composer {
    #store;
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
    #locked = false;
    #mode = "reply";
    #id = null;
    #drafts = new Map(); // of all dialogs, until the page is left
    #outbox = new Map(); // by dialog: what is being sent, oldest first
    #returned = new Map(); // by place: what came back, and why
    #typedAt = 0;

    /** ``onSent`` follows a message or note; ``onGate`` is what the button in the field's place does. */
    constructor({ store, dialog, onSent, onGate }) {
        this.#store = store;
        this.#dialog = dialog;
        this.#onSent = onSent;
        this.#canned = new CannedAnswers({
            field: this.#field,
            channel: () => dialog.row?.channelId,
            onChosen: () => this.#changed(),
            onUnknown: () => this.#submit(),
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

    /** Whether something would be lost with the page: a reply on its way, or a draft that could still be sent. */
    get isBusy() {
        const written = [...this.#drafts].some(([place, text]) => {
            const [id, mode] = place.split(":");
            const row = this.#store.row(Number(id));
            return text.trim() && row && mayWrite(row, mode);
        });
        return written || [...this.#outbox.values()].some((waiting) => waiting.length);
    }

    /** Whether there is no field to write in. */
    get isGated() {
        return !this.#gate.hidden;
    }

    /** Whether somebody is in the middle of a text. */
    get isWriting() {
        return document.activeElement === this.#field && !this.#field.readOnly && this.#field.value.trim() !== "";
    }

    /** Whether somebody is at a note, be it that nothing of it is written yet. */
    get isNoting() {
        return document.activeElement === this.#field && this.#mode === "note";
    }

    /** Of a client that was taken again, the draft goes on where it can be sent. */
    carry(from, to) {
        const [old, current] = [`${from}:reply`, `${to}:reply`];
        if (from && from !== to && this.#drafts.get(old) && !this.#drafts.get(current)) {
            this.#drafts.set(current, this.#drafts.get(old));
            this.#drafts.delete(old);
            this.#returned.delete(old);
            this.#fill();
        }
    }

    get hasFocus() {
        return this.#form.contains(document.activeElement);
    }

    /** To the field, in this mode; or to what says why there is none. */
    focus(mode) {
        this.#choose(mode, true);
    }

    /** Nothing of this agent would arrive. */
    lock(locked) {
        this.#locked = locked;
        if (this.#dialog.row) {
            this.#draw(this.#dialog.row);
        }
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
            this.#enter();
        }
    }

    #enter() {
        (this.#gate.hidden ? this.#field : this.#gateText).focus();
    }

    #fill() {
        this.#canned.close();
        this.#field.value = this.#drafts.get(this.#place) ?? "";
        this.#showReason();
        this.#grow();
    }

    #draw(row) {
        const note = this.#mode === "note";
        const writable = mayWrite(row, this.#mode);
        const focused = this.hasFocus ? document.activeElement : null;
        const isLosing = !writable && focused === this.#field && !this.#field.readOnly;
        setAttributes(this.#form, { "data-mode": this.#mode });
        for (const button of this.#modes) {
            setAttributes(button, { "aria-pressed": String(button.dataset.mode === this.#mode) });
        }
        this.#gate.hidden = writable;
        // A field that somebody writes in stays under their fingers, and a text where it can be copied.
        const isKept = writable || focused === this.#field || this.#field.value;
        document.getElementById("console-writing").hidden = !isKept;
        document.getElementById("console-tools").hidden = !writable || this.#locked;
        document.getElementById("console-unsent").hidden = writable || !this.#field.value;
        document.getElementById("console-canned-button").hidden = note;
        const hint = writable ? "console-sending-hint" : this.#field.value ? "console-unsent" : "";
        setAttributes(this.#field, {
            "aria-describedby": `console-reason ${hint}`.trim(),
            "aria-label": say(note ? "noteLabel" : "replyLabel"),
            placeholder: writable ? say(note ? "noteHint" : "replyHint") : null,
            readonly: !writable || this.#locked,
        });
        setText(document.getElementById("console-enter-does"), say(note ? "addsNote" : "sends"));
        setText(this.#send.querySelector("span"), say(note ? "addNote" : "send"));
        this.#drawGate(row);
        this.#showSending();
        if (!writable || this.#locked) {
            this.#canned.close();
        } else if (!note) {
            this.#canned.load();
        }
        if (isLosing) {
            announce(this.#gateText.textContent);
        } else if (focused && !focused.checkVisibility()) {
            holdKeys();
            this.#enter();
            releaseKeys();
        }
    }

    #drawGate(row) {
        const name = row.agentName || row.agent;
        const open = row.agentGone ? "gateGone" : "gateOthers";
        const reasons = { waiting: "gateWaiting", open, closed: "gateClosed" };
        setText(this.#gateText, say(reasons[row.state], { agent: name, client: row.clientId }));
        const label = row.state === "waiting" ? "take" : row.state === "closed" ? "takeAgain" : "takeOver";
        setText(this.#gateButton.querySelector("span"), say(label));
        this.#gateButton.querySelector("kbd").hidden = row.state === "open";
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
        if (!text.trim() || id === null || this.#field.readOnly) {
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
        waiting.push({ mode, place, text, key, begun: complaintsSoFar() });
        if (waiting.length === 1) {
            this.#deliver(id, waiting);
        }
        this.#showSending();
    }

    /** One after the other, so that they arrive in order; when one fails, those behind it come back too. */
    async #deliver(id, waiting) {
        while (waiting.length) {
            const { mode, text, key, begun } = waiting[0];
            try {
                await (mode === "note" ? api.note(id, text, key) : api.send(id, text, key));
                waiting.shift();
                calm(begun);
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
                this.show();
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
        const isReady = this.#field.value.trim() && !this.#field.readOnly;
        setAttributes(this.#send, { "aria-disabled": String(!isReady) });
    }
}
