// The agents' API, one method for each call. Nothing else here knows addresses, headers or error bodies.

import { config, say } from "./config.js";
import { learnClock } from "./times.js";

const PATIENCE = 20_000; // milliseconds

/** What a call came to instead of an answer. ``code`` is the API's, or "unreachable" or "logged_out". */
export class ApiError extends Error {
    constructor(status, code, message, args = {}) {
        super(message);
        this.status = status;
        this.code = code;
        this.args = args;
    }

    /** Nothing that the same call could change in a while. */
    get final() {
        return this.code === "logged_out" || this.code === "permission_denied";
    }
}

/** The cookie first: it is renewed when somebody logs in again in another tab, and the page's field is not. */
function csrfToken() {
    const start = `${config.csrfCookie}=`;
    const cookie = document.cookie.split("; ").find((one) => one.startsWith(start));
    return cookie?.slice(start.length) || document.querySelector("#console-csrf input")?.value || "";
}

function sentence(status, body) {
    const { error: code, message, args = {} } = body;
    if (code === "already_taken" && (args.agentName || args.agent)) {
        return say("alreadyTaken", { agent: args.agentName || args.agent });
    }
    if (code === "not_your_dialog" && (args.agentName || args.agent)) {
        return say("notYours", { agent: args.agentName || args.agent });
    }
    return message || body.detail || say("failed", { status });
}

async function errorOf(response) {
    let body;
    try {
        body = await response.json();
    } catch {
        body = {};
    }
    const { status } = response;
    // A host may send people to its login page instead of answering 401.
    if (response.type === "opaqueredirect" || status === 401 || body.error === "not_authenticated") {
        return new ApiError(status, "logged_out", say("loggedOut"));
    }
    const code = body.error ?? (status === 403 ? "permission_denied" : "failed");
    return new ApiError(status, code, sentence(status, body), body.args);
}

async function call(method, path, { query = {}, body, signal, idempotencyKey } = {}) {
    const given = Object.entries(query).filter(
        ([, value]) => value !== undefined && value !== null && value !== "",
    );
    const search = given.length ? `?${new URLSearchParams(given)}` : "";
    const headers = { Accept: "application/json" };
    if (method !== "GET") {
        headers[config.csrfHeader] = csrfToken();
        headers["Content-Type"] = "application/json";
    }
    if (idempotencyKey) {
        headers["Idempotency-Key"] = idempotencyKey;
    }
    const patience = AbortSignal.timeout(PATIENCE);
    let response;
    try {
        response = await fetch(config.api + path + search, {
            method,
            headers,
            body: method === "GET" ? undefined : JSON.stringify(body ?? {}),
            credentials: "same-origin",
            redirect: "manual",
            cache: "no-store",
            signal: signal ? AbortSignal.any([signal, patience]) : patience,
        });
    } catch (error) {
        if (signal?.aborted) {
            throw error;
        }
        throw new ApiError(0, "unreachable", say("unreachable"));
    }
    learnClock(response.headers.get("Date"));
    if (!response.ok) {
        throw await errorOf(response);
    }
    return response.status === 204 ? null : response.json();
}

const get = (path, options) => call("GET", path, options);
const post = (path, body) => call("POST", path, { body });
const one = (id, action) => `dialogs/${id}/${action}`;

export const api = {
    dialogs: (query, signal) => get("dialogs", { query, signal }),
    dialog: (id, query, signal) => get(`dialogs/${id}`, { query, signal }),
    takeClient: (channelId, clientId) => post("dialogs", { channelId, clientId }),
    take: (id) => post(one(id, "take")),
    transfer: (id, target) => post(one(id, "transfer"), target),
    close: (id) => post(one(id, "close")),
    send: (id, text, idempotencyKey) => call("POST", one(id, "messages"), { body: { text }, idempotencyKey }),
    note: (id, text, idempotencyKey) => call("POST", one(id, "notes"), { body: { text }, idempotencyKey }),
    typing: (id) => post(one(id, "typing")),
    read: (id, upTo) => post(one(id, "read"), { upTo }),
    targets: (id) => get(one(id, "targets")),
    clients: (query, signal) => get("clients", { query, signal }),
    presence: () => get("presence"),
    setPresence: (state) => post("presence", { state }),
    cannedAnswers: (channelId) => get("canned-answers", { query: { channelId } }),
};
