// The replies of an answer, by their types. Bots decide what a reply holds, so nothing is taken for granted: what
// has not the shape that its type promises is shown as the JSON that it is.

import { say } from "./config.js";
import { make } from "./dom.js";

class OtherShape extends Error {}

const URLS = /https?:\/\/[^\s<>"'«»“”]+/giu;
const STOPS = ".,;:!?)]}";

/** The address if it leads to the web and nowhere else: no ``javascript:``, no ``data:``. */
export function webAddress(value) {
    if (typeof value !== "string" || !/^https?:\/\//i.test(value)) {
        return null;
    }
    try {
        return new URL(value).href;
    } catch {
        return null;
    }
}

/** A link that tells its target nothing of this page; mere text when it is not safe to follow. */
function link(value, label) {
    const address = webAddress(value);
    if (!address) {
        return make("bdi", {}, label && label !== value ? `${label} (${value})` : value);
    }
    const attributes = {
        href: address,
        target: "_blank",
        rel: "noopener noreferrer",
        referrerpolicy: "no-referrer",
    };
    return make("a", attributes, make("bdi", {}, label || value));
}

/**
 * A full stop behind an address belongs to the sentence. Deliberately no expression that ends in $: on thousands of
 * dots, with which a client could hold the page up, it begins anew at each.
 */
function withoutStops(address) {
    let end = address.length;
    while (end > 0 && STOPS.includes(address[end - 1])) {
        end -= 1;
    }
    return address.slice(0, end);
}

/** Text as it was written, its addresses made links. */
export function prose(value) {
    const parts = [];
    let end = 0;
    for (const found of value.matchAll(URLS)) {
        const address = withoutStops(found[0]);
        parts.push(value.slice(end, found.index), link(address));
        end = found.index + address.length;
    }
    return make("p", { class: "console-prose", dir: "auto" }, ...parts, value.slice(end));
}

/** A JSON value, folded. */
export function folded(label, value) {
    const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
    const shown = make("pre", { class: "console-json", dir: "auto", tabindex: "0" }, text);
    return make("details", { class: "console-folded" }, make("summary", {}, label), shown);
}

export function showReply(reply) {
    const kind = typeof reply?.type === "string" ? reply.type : "";
    const show = Object.hasOwn(SHOW, kind) ? SHOW[kind] : null;
    if (show) {
        try {
            return show(reply);
        } catch (error) {
            if (!(error instanceof OtherShape)) {
                throw error;
            }
        }
    }
    return [folded(kind || say("unknownReply"), reply)];
}

const SHOW = {
    text: (reply) => [prose(string(reply, "text"))],
    buttons: (reply) => [
        make(
            "ul",
            { class: "console-buttons", "aria-label": say("buttons") },
            ...objects(reply, "buttons").map((button) => make("li", { dir: "auto" }, string(button, "text"))),
        ),
    ],
    inlineButtons: (reply) => [
        make(
            "ul",
            { class: "console-buttons", "aria-label": say("buttons") },
            ...objects(reply, "buttons").map((button) =>
                make("li", {}, link(string(button, "url"), string(button, "text"))),
            ),
        ),
    ],
    image: (reply) => {
        const url = string(reply, "imageUrl");
        const text = string(reply, "text", "");
        return [picture(url, text || say("image")), text ? prose(text) : null];
    },
    audio: (reply) => {
        const url = string(reply, "audioUrl");
        const name = string(reply, "audioName", "") || say("audio");
        const address = webAddress(url);
        // Nothing is loaded before somebody wants to hear it.
        const player =
            address && make("audio", { controls: true, preload: "none", src: address, "aria-label": name });
        return [player, make("p", {}, link(url, name))];
    },
    file: (reply) => {
        const kind = string(reply, "mimeType", "");
        const name = string(reply, "fileName");
        return [
            make(
                "p",
                { class: "console-file" },
                link(string(reply, "fileUrl"), name),
                kind ? make("small", {}, kind) : null,
            ),
        ];
    },
    location: (reply) => {
        if (typeof reply.lat !== "number" || typeof reply.lon !== "number") {
            throw new OtherShape();
        }
        return [make("p", {}, say("location", { place: `${reply.lat}, ${reply.lon}` }))];
    },
    carousel: (reply) => {
        const text = string(reply, "text", "");
        const cards = objects(reply, "content").map((card) => {
            const image = string(card, "image", "");
            const url = string(card, "url", "");
            const title = string(card, "title", "");
            return make(
                "li",
                {},
                webAddress(image) ? picture(image, say("image")) : null,
                make("strong", { dir: "auto" }, title),
                make("p", { dir: "auto" }, string(card, "description", "")),
                url ? make("p", {}, link(url, string(card, "btnText", ""))) : null,
            );
        });
        return [
            text ? prose(text) : null,
            make("ul", { class: "console-cards", "aria-label": say("cards"), tabindex: "0" }, ...cards),
        ];
    },
    switch: ({ type, ...details }) => [folded(say("handOver"), details)],
};

/** A picture that is also a link to itself. One that cannot be loaded leaves the link. */
function picture(url, label) {
    const address = webAddress(url);
    if (!address) {
        return make("p", {}, link(url, label));
    }
    const image = make("img", {
        alt: label,
        loading: "lazy",
        decoding: "async",
        referrerpolicy: "no-referrer",
        src: address,
    });
    const attributes = {
        href: address,
        target: "_blank",
        rel: "noopener noreferrer",
        referrerpolicy: "no-referrer",
    };
    const frame = make("a", { class: "console-picture", ...attributes }, image);
    image.addEventListener("error", () => frame.replaceChildren(make("bdi", {}, label)));
    return frame;
}

function string(item, key, fallback) {
    const value = item[key] ?? fallback;
    if (typeof value !== "string") {
        throw new OtherShape();
    }
    return value;
}

function objects(item, key) {
    const values = item[key];
    if (!Array.isArray(values) || !values.every((value) => value && typeof value === "object")) {
        throw new OtherShape();
    }
    return values;
}
