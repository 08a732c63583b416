// The boxes that ask back: closing, transferring, the keys. Native dialogs keep the focus in, and give it back.

import { api } from "./api.js";
import { config, say } from "./config.js";
import { make, setText } from "./dom.js";
import { shownId } from "./rows.js";

const byId = (id) => document.getElementById(id);

const ORDER = { online: 0, away: 1, offline: 2 };

/** Opens a box; resolves to its button's value, "" when it was dismissed. */
function ask(box) {
    box.returnValue = "";
    box.showModal();
    return new Promise((resolve) => box.addEventListener("close", () => resolve(box.returnValue), { once: true }));
}

for (const box of document.querySelectorAll(".console-box")) {
    for (const button of box.querySelectorAll("[data-dismiss]")) {
        button.addEventListener("click", () => box.close(""));
    }
    // Beside the box.
    box.addEventListener("click", (event) => event.target === box && box.close(""));
}

export const isAsking = () => document.querySelector("dialog[open]") !== null;

export const SENTENCE = 500; // milliseconds between two letters of one

/**
 * Somebody who goes on typing where a box came up does not confirm it with a space, nor with the sentence's end, nor
 * choose anything in it.
 */
function confirmOnPurpose(box) {
    const confirmedAfter = { " ": performance.now() + SENTENCE, Enter: 0 };
    box.onkeydown = box.onkeyup = (event) => {
        const now = performance.now();
        const isEarly = now < confirmedAfter[event.key] && !event.target.matches("#console-closing [data-dismiss]");
        if (isEarly) {
            event.preventDefault();
        }
        if (event.type === "keydown" && (/^\S$/u.test(event.key) || (isEarly && event.key === " "))) {
            confirmedAfter[" "] = confirmedAfter.Enter = now + SENTENCE;
        }
    };
}

export async function confirmClosing(row) {
    const box = byId("console-closing");
    confirmOnPurpose(box);
    setText(byId("console-closing-text"), say("closingText", { client: shownId(row.clientId) }));
    return (await ask(box)) === "close";
}

export function showKeys() {
    return ask(byId("console-keys"));
}

/** Lets an agent say who is next; resolves to what the API wants, null when nothing is chosen. */
export async function chooseTarget(row) {
    const box = byId("console-transferring");
    const choices = byId("console-targets");
    const reason = byId("console-transfer-reason");
    const submit = box.querySelector("[value=transfer]");
    choices.replaceChildren(make("p", { class: "console-hollow" }, say("loading")));
    setText(byId("console-transferring-text"), say("transferText", { client: shownId(row.clientId) }));
    setText(reason, "");
    submit.disabled = true;
    confirmOnPurpose(box);
    const answer = ask(box);
    try {
        // When the box is dismissed first, it may ask about somebody else by the time they come.
        const targets = await Promise.race([api.targets(row.id), answer.then(() => null)]);
        if (targets === null) {
            return null;
        }
        const offered = [...agents(targets, row), ...groups(targets, row)];
        choices.replaceChildren(
            ...(offered.length ? offered : [make("p", { class: "console-hollow" }, say("noTargets"))]),
        );
        submit.disabled = offered.length === 0;
        confirmOnPurpose(box);
        choices.querySelector("input")?.focus();
    } catch (error) {
        choices.replaceChildren();
        setText(reason, error.message);
    }
    const chosen = (await answer) === "transfer" ? choices.querySelector("input:checked") : null;
    return chosen ? { [chosen.dataset.kind]: chosen.value } : null;
}

function agents({ agents: all }, row) {
    const others = all.filter((agent) => agent.username !== row.agent);
    others.sort((one, other) => ORDER[one.state] - ORDER[other.state] || one.name.localeCompare(other.name));
    const options = others.map((agent) => {
        const name =
            agent.username === config.username ? say("you", { name: agent.name || agent.username }) : agent.name;
        const presence = make("small", { class: "console-presence", "data-state": agent.state }, say(agent.state));
        return option("agent", agent.username, make("bdi", {}, name || agent.username), presence);
    });
    return options.length ? [fieldset(say("agents"), options)] : [];
}

function groups({ groups: all }, row) {
    const options = all.map((name) => {
        const current = name === row.group && row.state === "waiting";
        return option(
            "group",
            name,
            make("bdi", {}, name),
            current ? make("small", {}, say("currentGroup")) : null,
        );
    });
    return options.length ? [fieldset(say("groups"), options)] : [];
}

function fieldset(title, options) {
    return make("fieldset", {}, make("legend", {}, title), ...options);
}

function option(kind, value, ...label) {
    const input = make("input", { type: "radio", name: "target", value, "data-kind": kind, required: true });
    return make("label", {}, input, ...label);
}
