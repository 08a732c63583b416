// What is known of the client beside what was said: always in view where there is room, folded where not.

import { say } from "./config.js";
import { make } from "./dom.js";
import { shownId } from "./rows.js";
import { briefTime, fullTime, hour, parseTime } from "./times.js";

const WIDE = matchMedia("(min-width: 1120px)");

export class Panel {
    #details = document.getElementById("console-details");
    #body = document.getElementById("console-details-body");
    #shown = "";

    constructor() {
        const follow = () => (this.#details.open = WIDE.matches);
        follow();
        WIDE.addEventListener("change", follow);
    }

    toggle() {
        if (!WIDE.matches) {
            this.#details.open = !this.#details.open;
            this.#details.querySelector("summary").focus();
        }
    }

    clear() {
        this.#shown = "";
        this.#body.replaceChildren();
        this.#details.open = WIDE.matches;
    }

    /** Drawn again only when something in it changed: a selection in it survives. */
    show(detail) {
        const known = [detail.clientInfo, detail.attributes, detail.firstMessage, detail.clientStateText];
        const dialog = [
            detail.state,
            detail.agent,
            detail.group,
            detail.channel,
            detail.createdAt,
            detail.closedAt,
        ];
        const spelled = JSON.stringify([detail.id, known, dialog]);
        if (spelled !== this.#shown) {
            this.#shown = spelled;
            const parts = [client(detail), attributes(detail), stay(detail), state(detail)];
            this.#body.replaceChildren(...parts.filter(Boolean));
        }
    }
}

function section(title, ...children) {
    return make("section", {}, make("h3", {}, title), ...children);
}

/** Pairs of a name and what stands for it; pairs without a value are left out. */
function pairs(rows) {
    const given = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
    return make(
        "dl",
        {},
        given.map(([name, value]) =>
            make(
                "div",
                {},
                make("dt", {}, make("bdi", {}, name)),
                make("dd", {}, typeof value === "string" ? make("bdi", {}, value) : value),
            ),
        ),
    );
}

function moment(wire) {
    if (!wire) {
        return null;
    }
    const brief = briefTime(wire);
    const text = brief === hour(wire) ? brief : `${brief}, ${hour(wire)}`;
    return make("time", { datetime: parseTime(wire).toISOString(), title: fullTime(wire) }, text);
}

function client({ clientId, clientInfo }) {
    const info = clientInfo ?? {};
    const connections = info.connections ?? [];
    return section(
        say("client"),
        pairs([
            [say("clientId"), shownId(clientId)],
            [say("firstSeen"), moment(info.firstSeen)],
            [say("lastActivity"), moment(info.lastActivityAt)],
            [say("session"), scalar(info.session)],
            [say("connections"), connections.length ? list(connections) : null],
        ]),
    );
}

function attributes(detail) {
    const given = Object.entries(detail.attributes ?? {});
    return given.length
        ? section(say("attributes"), pairs(given.map(([name, value]) => [name, scalar(value)])))
        : null;
}

function stay(detail) {
    return section(
        say("stay"),
        pairs([
            [say("stateLabel"), say(`state_${detail.state}`)],
            [say("agent"), detail.agentName || detail.agent],
            [say("channel"), detail.channel],
            [say("group"), detail.group],
            [say("handedOverAt"), moment(detail.createdAt)],
            [say("closedAt"), moment(detail.closedAt)],
            [say("firstMessage"), detail.firstMessage],
        ]),
    );
}

function state({ clientStateText: text }) {
    return text
        ? section(say("savedState"), make("pre", { class: "console-json", dir: "auto", tabindex: "0" }, text))
        : null;
}

function list(values) {
    return make(
        "ul",
        {},
        values.map((value) => make("li", {}, make("bdi", {}, String(value)))),
    );
}

function scalar(value) {
    return value !== null && typeof value === "object"
        ? JSON.stringify(value)
        : value === null
          ? "–"
          : String(value ?? "");
}
