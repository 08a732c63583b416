// What an agent does with a dialog: take it, give it away, close it. Each leaves the lists as the answer says.

import { api } from "./api.js";
import { config } from "./config.js";
import { chooseTarget, confirmClosing, isAsking } from "./dialogs.js";
import { mayHandle } from "./head.js";
import { calm, complain } from "./notices.js";

export class Acts {
    #store;
    #onTaken;
    #refresh;
    #last = Promise.resolve();

    /** ``onTaken`` gets the row of a dialog that is now this agent's; ``refresh`` looks again after a failure. */
    constructor({ store, onTaken, refresh }) {
        this.#store = store;
        this.#onTaken = onTaken;
        this.#refresh = refresh;
    }

    take(row) {
        if (row.state !== "waiting") {
            return Promise.resolve();
        }
        return this.#do(() => api.take(row.id), this.#onTaken);
    }

    /** A client that nobody handed over, or whose last dialog is closed. */
    takeClient({ channelId, clientId }) {
        return this.#do(() => api.takeClient(channelId, clientId), this.#onTaken);
    }

    /** What a superuser may do with a colleague's dialog. */
    takeOver(row) {
        return this.#do(() => api.transfer(row.id, { agent: config.username }), this.#onTaken);
    }

    async transfer(row) {
        if (mayHandle(row) && !isAsking()) {
            const target = await chooseTarget(row);
            if (target) {
                await this.#do(() => api.transfer(row.id, target));
            }
        }
    }

    async close(row) {
        if (mayHandle(row) && !isAsking() && (await confirmClosing(row))) {
            await this.#do(() => api.close(row.id));
        }
    }

    /** One after the other: who takes a dialog and closes it at once means both, in this order. */
    #do(call, then = () => {}) {
        this.#last = this.#last.then(() => this.#step(call, then));
        return this.#last;
    }

    async #step(call, then) {
        try {
            const row = await call();
            calm();
            this.#store.put([row]);
            then(row);
        } catch (error) {
            complain(error);
        }
        // Also after a failure: somebody else was faster, and the page should show it.
        this.#refresh().catch(() => {});
    }
}
