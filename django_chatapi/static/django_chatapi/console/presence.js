// Whether this agent takes clients now.

import { api } from "./api.js";
import { say } from "./config.js";
import { setAttributes, setText } from "./dom.js";
import { complain } from "./notices.js";

export class Presence {
    #switch = document.getElementById("console-presence");
    #state = null;
    #changing = false;

    constructor() {
        this.#switch.addEventListener("click", () => this.#set(this.#state === "online" ? "away" : "online"));
    }

    /** It may have been changed elsewhere, or have run out. */
    async refresh() {
        const before = this.#state;
        try {
            const { state } = await api.presence();
            if (!this.#changing && this.#state === before) {
                this.#show(state);
            }
        } catch {
            // Asked again with the next look.
        }
    }

    async #set(state) {
        if (this.#changing) {
            return;
        }
        this.#changing = true;
        try {
            this.#show((await api.setPresence(state)).state);
        } catch (error) {
            complain(error);
        } finally {
            this.#changing = false;
        }
    }

    #show(state) {
        this.#state = state;
        setAttributes(this.#switch, { "aria-checked": String(state === "online"), "data-state": state });
        setText(this.#switch.querySelector(".console-switch-text"), say(state));
        this.#switch.disabled = false;
    }
}
