// What an agent does with a dialog: take it, give it away, close it. Each leaves the lists as the answer says.

import { api } from "./api.js";
import { config, say } from "./config.js";
import { chooseTarget, confirmClosing, isAsking } from "./dialogs.js";
import { mayHandle } from "./head.js";
import { holdKeys, releaseKeys } from "./keys.js";
import { calm, complain, complaintsSoFar, waitFor } from "./notices.js";
import { shownId } from "./rows.js";

export class Acts {
    #store;
    #openId;
    #onTaken;
    #refresh;
    #taking = 0; // takes whose answer is not there yet
    #last = Promise.resolve();
    #current = null; // the client that something is being done with
    #given = null; // the id of the dialog that was given away last

    /**
     * ``onTaken`` gets the row of a dialog that is now this agent's, what it was taken by, and the dialog that was
     * open then; ``refresh`` looks again after a failure.
     */
    constructor({ store, openId, onTaken, refresh }) {
        this.#store = store;
        this.#openId = openId;
        this.#onTaken = onTaken;
        this.#refresh = refresh;
    }

    /** Whether a change of this client may be of this page's own doing. */
    concerns({ channelId, clientId }) {
        return this.#current?.clientId === clientId && this.#current.channelId === channelId;
    }

    /** Whether a field is about to come, where a box would stand in its way. */
    get isTaking() {
        return this.#taking > 0;
    }

    /** Whether it was this page that gave the dialog away. */
    gave(id) {
        return id === this.#given;
    }

    /** Who waits, or is with the bot again. */
    async take(row) {
        if (row.state === "waiting") {
            await this.#take(row, () => api.take(row.id));
        } else if (row.state === "closed") {
            await this.takeClient(row);
        }
    }

    /** A client that nobody handed over, or whose last dialog is closed. */
    takeClient(client) {
        return this.#take(client, () => api.takeClient(client.channelId, client.clientId));
    }

    /** A colleague's dialog, where ``mayTakeOver`` says so. */
    takeOver(row) {
        return this.#take(row, () => api.transfer(row.id, { agent: config.username }));
    }

    /** Whoever takes a client may go on typing at once, before there is a field. */
    async #take(client, call) {
        const openId = this.#openId();
        holdKeys();
        this.#taking += 1;
        await this.#do(client, call, (row) => this.#onTaken(row, client, openId));
        this.#taking -= 1;
        if (!this.#taking) {
            releaseKeys();
        }
    }

    async transfer(row) {
        if (mayHandle(row) && !isAsking()) {
            const target = await chooseTarget(row);
            if (target) {
                await this.#do(row, () => {
                    this.#given = row.id;
                    return api.transfer(row.id, target);
                });
            }
        }
    }

    async close(row) {
        if (mayHandle(row) && !isAsking() && (await confirmClosing(row))) {
            await this.#do(row, () => api.close(row.id));
        }
    }

    /** One after the other: who takes a dialog and closes it at once means both, in this order. */
    #do(client, call, then = () => {}) {
        const begun = complaintsSoFar();
        this.#last = this.#last.then(() => this.#step(client, call, then, begun));
        return this.#last;
    }

    async #step(client, call, then, begun) {
        this.#current = client;
        this.#given = null;
        try {
            const row = await waitFor(call(), say("notAnswered", { client: shownId(client.clientId) }));
            calm(begun);
            this.#store.put([row]);
            then(row);
        } catch (error) {
            this.#given = null;
            complain(error);
        } finally {
            this.#current = null;
        }
        // Also after a failure: somebody else was faster, and the page should show it.
        this.#refresh().catch(() => {});
    }
}
