// The top of the open dialog: who it is, where it stands, and what can be done with it.

import { config, say } from "./config.js";
import { make, setAttributes, setText } from "./dom.js";
import { paintAvatar, shownId } from "./rows.js";

/** Whether the API would let this agent transfer or close it. */
export function mayHandle(row) {
    if (row.state === "closed") {
        return false;
    }
    return row.state === "waiting" || row.agent === config.username || mayTakeOver(row);
}

/** Whether a colleague's dialog may be taken from them: by superusers, and by all when they work here no more. */
export function mayTakeOver(row) {
    return config.superuser || row.agentGone;
}

export class Head {
    #avatar = document.getElementById("console-head-avatar");
    #title = document.getElementById("console-head-title");
    #facts = document.getElementById("console-head-facts");
    #buttons = Object.fromEntries(
        ["take", "transfer", "close"].map((name) => [name, document.getElementById(`console-${name}`)]),
    );

    show(row) {
        paintAvatar(this.#avatar, row.clientId);
        setText(this.#title.firstElementChild, shownId(row.clientId));
        const facts = [
            make("span", { class: "console-chip", "data-state": row.state }, say(`state_${row.state}`)),
            row.agent && row.agent !== config.username ? make("bdi", {}, row.agentName || row.agent) : null,
            make("bdi", {}, row.channel),
            row.group ? make("bdi", {}, row.group) : null,
            row.oneTime ? make("span", {}, say("oneTime")) : null,
        ].filter(Boolean);
        const spelled = facts.map((fact) => fact.textContent).join("\n");
        if (this.#facts.dataset.spelled !== spelled) {
            this.#facts.dataset.spelled = spelled;
            this.#facts.replaceChildren(...facts);
        }
        const handles = mayHandle(row);
        this.#offer("take", row.state === "waiting");
        this.#offer("transfer", handles);
        this.#offer("close", handles);
    }

    focus() {
        this.#title.focus({ preventScroll: true });
    }

    /** A button that goes away must not take the focus with it. */
    #offer(name, offered) {
        const button = this.#buttons[name];
        if (!offered && document.activeElement === button) {
            this.focus();
        }
        setAttributes(button, { hidden: !offered });
    }
}
