// Calls an agent back who looks elsewhere: a sound, and a number in the page's title.

import { say } from "./config.js";
import { announce } from "./notices.js";
import { parseTime, serverNow } from "./times.js";

const MUTED = "chatapi-console-muted";
const AT_MOST_EVERY = 1500; // milliseconds between two sounds

/** Two short notes, made here so that there is no file to load. Browsers want a gesture before the first sound. */
class Sound {
    #context = null;
    #last = -Infinity;

    constructor() {
        const wake = () => {
            this.#context ??= new AudioContext();
            this.#context.resume();
        };
        for (const gesture of ["pointerdown", "keydown"]) {
            addEventListener(gesture, wake, { once: true, capture: true });
        }
    }

    play() {
        const now = performance.now();
        if (this.#context?.state !== "running" || now - this.#last < AT_MOST_EVERY) {
            return;
        }
        this.#last = now;
        this.#note(660, 0);
        this.#note(880, 0.12);
    }

    #note(frequency, delay) {
        const start = this.#context.currentTime + delay;
        const tone = this.#context.createOscillator();
        const volume = this.#context.createGain();
        tone.frequency.value = frequency;
        volume.gain.setValueAtTime(0, start);
        volume.gain.linearRampToValueAtTime(0.12, start + 0.015);
        volume.gain.exponentialRampToValueAtTime(0.001, start + 0.25);
        tone.connect(volume).connect(this.#context.destination);
        tone.start(start);
        tone.stop(start + 0.3);
    }
}

export class Alerts {
    #sound = new Sound();
    #store;
    #openId;
    #isOwn;
    #begun = Infinity;
    #pending = new Set();
    #seen = new Map(); // by dialog: when what the agent has seen last was said
    #title = document.title;
    #button;

    /** ``isOwn`` tells whether a change of a row is of this page's doing. */
    constructor({ store, openId, isOwn, button }) {
        this.#store = store;
        this.#openId = openId;
        this.#isOwn = isOwn;
        this.#button = button;
        this.#showMuted();
        button.addEventListener("click", () => {
            localStorage.setItem(MUTED, this.muted ? "" : "1");
            this.#showMuted();
        });
        store.listen((changes) => changes.forEach(([before, after]) => this.#consider(before, after)));
        document.addEventListener("visibilitychange", () => this.looked());
    }

    get muted() {
        return Boolean(localStorage.getItem(MUTED));
    }

    /** From now on changes are news; what the first lists hold is not. */
    begin() {
        if (this.#begun === Infinity) {
            this.#begun = serverNow();
        }
    }

    /** What is said in this row was read, whatever the server still says until it knows. */
    saw({ id, lastMessageAt }) {
        this.#seen.set(id, lastMessageAt);
    }

    /** The reader may have come to see what was announced. */
    looked() {
        if (this.#inView(this.#openId())) {
            this.#pending.delete(this.#openId());
        }
        this.#showCount();
    }

    #inView(id) {
        return document.visibilityState === "visible" && id !== null && id === this.#openId();
    }

    #consider(before, after) {
        const id = (after ?? before).id;
        if (!after || !["waiting", "mine"].includes(this.#store.listOf(after))) {
            this.#pending.delete(id);
        } else if (this.#begun !== Infinity && !this.#inView(id) && !this.#isOwn(after)) {
            this.#tell(this.#newsOf(before, after), after);
        }
        this.looked();
    }

    #tell(news, { id, clientId }) {
        if (news) {
            this.#pending.add(id);
            announce(say(news, { client: clientId }));
            if (!this.muted) {
                this.#sound.play();
            }
        }
    }

    /** The name of the text that says what is new, "" when nothing is. */
    #newsOf(before, after) {
        const list = this.#store.listOf(after);
        // A row that was not known may only have been on a later page.
        const came = before ? this.#store.listOf(before) !== list : this.#store.page(list)?.hasMore === false;
        if (list === "waiting") {
            return came || (!before && this.#isLater(after.waitingSince)) ? "newWaiting" : "";
        }
        if (came) {
            return "newMine";
        }
        const known = before ? before.unread : this.#isLater(after.lastMessageAt) ? 0 : Infinity;
        const unread = this.#wasSeen(after) ? 0 : after.unread;
        return unread > (this.#wasSeen(before) ? 0 : known) ? "newMessage" : "";
    }

    #wasSeen(row) {
        return row !== undefined && row.lastMessageAt <= (this.#seen.get(row.id) ?? "");
    }

    #isLater(wire) {
        return Boolean(wire) && parseTime(wire).getTime() >= this.#begun - 1000;
    }

    #showCount() {
        const count = this.#pending.size;
        const title = count ? `(${count}) ${this.#title}` : this.#title;
        if (document.title !== title) {
            document.title = title;
        }
    }

    #showMuted() {
        this.#button.setAttribute("aria-pressed", String(!this.muted));
        this.#button.title = say(this.muted ? "soundOff" : "soundOn");
    }
}
