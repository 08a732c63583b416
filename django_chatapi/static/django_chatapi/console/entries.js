// What a transcript consists of, in order: days, messages, internal notes, and changes of the dialog.

import { say } from "./config.js";
import { dayKey, parseTime } from "./times.js";

const TOGETHER = 5 * 60_000; // milliseconds; messages of one speaker this close stand together
const SIDES = { request: "client", botResponse: "bot", humanResponse: "agent" };

export function entriesOf({ detail, messages, hasMore }) {
    const first = messages[0]?.event.timestamp ?? "";
    // What happened between messages that are not loaded yet has no place yet.
    const placed = (item) => !hasMore || item.timestamp >= first;
    const said = messages.filter(isShown).map((message) => messageEntry(message, detail));
    const aside = [
        ...detail.changes.filter(placed).map((change, number) => changeEntry(change, number, detail)),
        ...detail.notes.filter(placed).map(noteEntry),
    ].filter(Boolean);
    return withDays(
        joined(
            merged(
                said,
                aside.sort((one, other) => compare(one.at, other.at)),
            ),
        ),
    );
}

const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);

/** Messages keep their order, which is the order of commit; the rest finds its place by its time. */
function merged(said, aside) {
    const all = [];
    let next = 0;
    for (const entry of said) {
        while (next < aside.length && aside[next].at < entry.at) {
            all.push(aside[next++]);
        }
        all.push(entry);
    }
    return [...all, ...aside.slice(next)];
}

/** The empty answer that says that a request went to the agents is no news here. */
function isShown({ type, event }) {
    const data = event.data;
    return !(type === "botResponse" && data?.handedOver && !data.replies?.length);
}

function messageEntry({ key, type, event }, detail) {
    const side = SIDES[type] ?? "bot";
    const names = {
        client: detail.clientId,
        bot: say("bot"),
        agent: event.agentName || event.agent || say("agent"),
    };
    return { key, kind: "message", at: event.timestamp, side, name: names[side], event };
}

function noteEntry(note) {
    return {
        key: `note:${note.id}`,
        kind: "note",
        at: note.timestamp,
        name: note.agentName || note.agent,
        text: note.text,
    };
}

function changeEntry(change, number, detail) {
    const text = changeText(change);
    if (!text) {
        return null;
    }
    const key = `change:${change.id ?? `${change.kind}:${change.timestamp}:${number}`}`;
    const quote = change.kind === "handedOver" ? detail.firstMessage : "";
    return { key, kind: "change", at: change.timestamp, text, quote: quote ?? "" };
}

function changeText({ kind, agent, agentName, by, byName, detail }) {
    const args = { agent: agentName || agent, by: byName || by, group: detail };
    switch (kind) {
        case "handedOver":
            return say(detail ? "changeHandedOverTo" : "changeHandedOver", args);
        case "agentJoined":
        case "taken":
            return say(by && by !== agent ? "changeGiven" : "changeTaken", args);
        case "agentLeft":
            return ""; // Always beside another change, which says why.
        case "transferred":
            if (agent) {
                return say("changeGiven", { ...args, by: args.by ?? "–" });
            }
            return say(detail ? "changeToGroup" : "changeToAll", { ...args, by: args.by ?? "–" });
        case "closed":
            return args.by || args.agent
                ? say("changeClosed", { by: args.by || args.agent })
                : say("changeClosedByClient");
        default:
            return [kind, args.agent, detail].filter(Boolean).join(" · ");
    }
}

/** Marks the messages whose speaker is plain from the one above. */
function joined(entries) {
    return entries.map((entry, index) => {
        const above = entries[index - 1];
        const follows =
            entry.kind === "message" &&
            above?.kind === "message" &&
            above.side === entry.side &&
            above.name === entry.name &&
            dayKey(above.at) === dayKey(entry.at) &&
            parseTime(entry.at) - parseTime(above.at) < TOGETHER;
        return { ...entry, joined: follows };
    });
}

function withDays(entries) {
    const all = [];
    let last = "";
    for (const entry of entries) {
        const key = dayKey(entry.at);
        if (key !== last) {
            all.push({ key: `day:${key}`, kind: "day", at: entry.at });
            last = key;
        }
        all.push(entry);
    }
    return all;
}
