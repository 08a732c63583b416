// Keeps the page up to date: over a socket where there is one, by asking again every few seconds where not.

const PING_EVERY = 30_000; // milliseconds; also keeps the agent's presence
const PONG_WITHIN = 10_000;
const POLL_EVERY = 3_000;
const FIRST_DELAY = 1_000;
const LONGEST_DELAY = 30_000;

/**
 * Calls ``onMessage`` with what the socket says, ``refresh`` when everything may have changed (on connecting, and
 * at every poll), and ``onState`` with "connecting", "live", "polling", "unreachable" or "refused".
 */
export class Live {
    #url;
    #handlers;
    #socket = null;
    #state = "";
    #failures = 0;
    attempts = 0; // times that somebody came back and found it not live
    #timers = {};
    #polling = false;

    constructor(path, handlers) {
        this.#url = new URL(path, location.href);
        this.#url.protocol = this.#url.protocol === "https:" ? "wss:" : "ws:";
        this.#handlers = handlers;
    }

    start() {
        this.#become("connecting");
        this.#connect();
        this.#poll();
        const hurry = () => document.visibilityState === "visible" && this.#hurry();
        addEventListener("online", hurry);
        addEventListener("focus", hurry); // Back from another window, where this one stayed in view.
        document.addEventListener("visibilitychange", hurry);
    }

    /** The server said that this person has no business here: no more attempts, until somebody comes to look. */
    refuse() {
        this.#become("refused");
        Object.values(this.#timers).forEach(clearTimeout);
        const socket = this.#socket;
        this.#socket = null;
        socket?.close();
    }

    #become(state) {
        if (this.#state !== state) {
            this.#state = state;
            this.#handlers.onState(state);
        }
    }

    #connect() {
        let socket;
        try {
            socket = new WebSocket(this.#url);
        } catch {
            this.#lost(); // A page's policy may forbid sockets.
            return;
        }
        this.#socket = socket;
        socket.addEventListener("message", (event) => socket === this.#socket && this.#heard(socket, event.data));
        // Also when the server refuses it: the session may only have been renewed. The next poll tells.
        socket.addEventListener("close", () => socket === this.#socket && this.#lost());
    }

    #heard(socket, data) {
        let message;
        try {
            message = JSON.parse(data);
        } catch {
            return;
        }
        clearTimeout(this.#timers.pong);
        if (message.type === "hello") {
            this.#handlers.onMessage(message);
            if (socket !== this.#socket) {
                return; // Refused.
            }
            this.#failures = 0;
            clearTimeout(this.#timers.poll);
            this.#become("live");
            this.#ping();
            this.#catchUp();
        } else if (message.type !== "pong") {
            this.#handlers.onMessage(message);
        }
    }

    /** What happened while nobody listened. Again until that is known: nothing polls beside a socket. */
    #catchUp() {
        this.#handlers.refresh().catch(() => {
            if (this.#state === "live") {
                clearTimeout(this.#timers.poll);
                this.#timers.poll = setTimeout(() => this.#catchUp(), POLL_EVERY);
            }
        });
    }

    #ping() {
        clearTimeout(this.#timers.ping);
        this.#timers.ping = setTimeout(() => {
            this.#socket.send(JSON.stringify({ type: "ping" }));
            // A connection can die without a word.
            this.#timers.pong = setTimeout(() => this.#drop(), PONG_WITHIN);
            this.#ping();
        }, PING_EVERY);
    }

    #drop() {
        const socket = this.#socket;
        this.#lost();
        socket?.close();
    }

    #lost() {
        this.#socket = null;
        for (const name of ["ping", "pong", "retry"]) {
            clearTimeout(this.#timers[name]);
        }
        if (this.#state === "refused") {
            return;
        }
        const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures++);
        // Half of it at random, so that the pages of a restarted server do not come back all at once.
        this.#timers.retry = setTimeout(() => this.#connect(), delay * (0.5 + Math.random() / 2));
        if (this.#state === "live") {
            this.#become("polling");
        }
        this.#poll();
    }

    /** There may be a connection now, or the person may have logged in again in another tab. */
    #hurry() {
        if (this.#state === "live") {
            return;
        }
        this.attempts += 1;
        if (this.#socket === null) {
            clearTimeout(this.#timers.retry);
            this.#failures = 0;
            if (this.#state === "refused") {
                this.#become("connecting");
            }
            this.#connect();
            this.#poll();
        }
    }

    async #poll() {
        if (this.#polling || this.#state === "live" || this.#state === "refused") {
            return;
        }
        clearTimeout(this.#timers.poll);
        this.#polling = true;
        try {
            await this.#handlers.refresh();
            this.#polled("polling");
        } catch {
            this.#polled("unreachable");
        } finally {
            this.#polling = false;
        }
        if (this.#state !== "live" && this.#state !== "refused") {
            this.#timers.poll = setTimeout(() => this.#poll(), POLL_EVERY);
        }
    }

    /** How a poll went, unless something better or worse happened meanwhile. */
    #polled(state) {
        if (this.#state !== "live" && this.#state !== "refused") {
            this.#become(state);
        }
    }
}
