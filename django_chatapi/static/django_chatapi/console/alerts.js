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
    #begun = Infinity;
    #pending = new Set();
    #title = document.title;
    #button;

    constructor({ store, openId, button }) {
        this.#store = store;
        this.#openId = openId;
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
        this.#begun = serverNow();
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
        } else if (this.#begun !== Infinity && this.#isNews(before, after) && !this.#inView(id)) {
            this.#pending.add(id);
            const name = this.#store.listOf(after) === "waiting" ? "newWaiting" : "newMessage";
            announce(say(name, { client: after.clientId }));
            if (!this.muted) {
                this.#sound.play();
            }
        }
        this.looked();
    }

    #isNews(before, after) {
        if (this.#store.listOf(after) === "waiting") {
            // A row that was not known may only have been on a later page.
            return before ? before.state !== "waiting" : this.#isLater(after.waitingSince);
        }
        if (!before) {
            return this.#isLater(after.lastMessageAt) && after.unread > 0;
        }
        const given = before.agent !== after.agent && before.state === "open";
        return given || after.unread > before.unread;
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
