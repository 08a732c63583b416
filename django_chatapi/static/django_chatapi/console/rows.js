// One line of a list: who, since when, what about.

import { config, say } from "./config.js";
import { make, setAttributes, setText, unseen } from "./dom.js";
import { briefTime, fullTime, howLong, parseTime, serverNow } from "./times.js";

const HUES = 6;
const LONG = 5 * 60_000; // milliseconds; who waits longer stands out

/** A letter on one of a few colours: the same client has the same everywhere. */
export function avatar(clientId) {
    const node = make("span", { class: "console-avatar", "aria-hidden": "true" });
    paintAvatar(node, clientId);
    return node;
}

export function paintAvatar(node, clientId) {
    let sum = 0;
    for (const letter of clientId) {
        sum = (sum * 31 + letter.codePointAt(0)) % 9973;
    }
    setAttributes(node, { "data-hue": sum % HUES });
    const letter = /[\p{L}\p{N}]/u.exec(clientId)?.[0] ?? "·";
    setText(node, letter.toUpperCase());
}

/** An id of blanks would look like nothing. */
export function shownId(clientId) {
    return clientId.trim() ? clientId : JSON.stringify(clientId);
}

export function makeRow(row) {
    const link = make(
        "a",
        { class: "console-row", href: `#dialog-${row.id}`, "data-id": row.id, tabindex: "-1" },
        avatar(row.clientId),
        make("span", { class: "console-row-name" }, make("bdi", {}, shownId(row.clientId))),
        make("time", { class: "console-row-time" }),
        make("span", { class: "console-row-text" }, make("bdi")),
        make("span", { class: "console-row-badge" }),
        make("span", { class: "console-row-where" }),
    );
    return make("li", {}, link);
}

/** Shows a row as it is now; ``openId`` is the dialog that is open beside the list. */
export function updateRow(node, row, openId) {
    const [link] = node.children;
    const [, , time, text, badge, where] = link.children;
    setAttributes(link, {
        "aria-current": row.id === openId ? "true" : null,
        "data-state": row.state,
        "data-unread": row.unread > 0 && row.state !== "closed" ? "" : null,
    });
    setText(text.firstElementChild, row.lastMessage || "…");
    tickRow(node, row);
    setAttributes(time, { "data-waiting": row.state === "waiting" ? "" : null });
    const unread = row.state === "closed" ? 0 : row.unread;
    if (badge.dataset.count !== String(unread)) {
        badge.dataset.count = unread;
        const count = unread > 99 ? "99+" : String(unread);
        badge.replaceChildren(...(unread ? [make("span", { "aria-hidden": "true" }, count)] : []));
        if (unread) {
            badge.append(unseen(` ${say("unreadCount", { count: unread })} `));
        }
    }
    setText(where, places(row).join(" · "));
}

/** Waiting times grow; the rest of a row changes only with the row. */
export function tickRow(node, row) {
    const time = node.querySelector(".console-row-time");
    const wire =
        row.state === "waiting" ? (row.waitingSince ?? row.createdAt) : (row.closedAt ?? row.lastMessageAt);
    const waiting = row.state === "waiting";
    const shown = waiting ? howLong(wire) : briefTime(wire);
    if (time.dataset.wire !== wire) {
        time.dataset.wire = wire;
        setAttributes(time, {
            datetime: parseTime(wire).toISOString(),
            title: waiting ? say("waitingSince", { time: fullTime(wire) }) : fullTime(wire),
        });
    }
    setText(time, shown);
    setAttributes(time, { "data-long": waiting && serverNow() - parseTime(wire) > LONG ? "" : null });
}

function places(row) {
    const parts = [row.channel];
    if (row.group) {
        parts.push(row.group);
    }
    if (row.agent && row.agent !== config.username) {
        parts.push(row.agentName || row.agent);
    }
    if (row.oneTime) {
        parts.push(say("oneTime"));
    }
    return parts;
}
