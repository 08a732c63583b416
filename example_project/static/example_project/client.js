// A client of the Chat API, as small as can be: it sends with POST, and listens with long polls by cursor.

const api = document.body.dataset.api;
const messages = document.querySelector("#messages");
const note = document.querySelector("#note");
const form = document.querySelector("#form");
const field = document.querySelector("#text");

// The browser is the client, each page of it a connection: what a page asked for itself does not come as an event.
const clientId = (localStorage.chatClient ??= `web-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`);
const cid = crypto.getRandomValues(new Uint32Array(2)).join("-");
const types = "botResponse,humanResponse,agentJoined,agentLeft,agentTyping";

document.querySelector("#about").textContent = `You are ${clientId}.`;

function show(side, text, name) {
    const item = document.createElement("li");
    item.className = side;
    if (name) {
        const who = document.createElement("b");
        who.textContent = name;
        item.append(who);
    }
    item.append(text);
    messages.append(item);
    item.scrollIntoView({ block: "end" });
}

function showReplies(side, data, name) {
    for (const reply of data?.replies ?? []) {
        if (reply.type === "text") {
            show(side, reply.text, name);
        } else if (reply.type === "buttons") {
            const item = document.createElement("li");
            item.className = "buttons";
            for (const { text } of reply.buttons) {
                const button = document.createElement("button");
                button.type = "button";
                button.textContent = text;
                button.addEventListener("click", () => send(text));
                item.append(button);
            }
            messages.append(item);
        } else if (reply.type !== "switch") {
            show(side, `[${reply.type}] ${reply.imageUrl ?? reply.text ?? ""}`, name);
        }
    }
    messages.lastElementChild?.scrollIntoView({ block: "end" });
}

async function send(query) {
    show("client", query);
    try {
        const response = await fetch(api, {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: JSON.stringify({ clientId, cid, query }),
        });
        const body = await response.json();
        if (!response.ok) {
            throw new Error(body.message);
        }
        note.textContent = body.data.handedOver ? "A person will answer." : "";
        showReplies("bot", body.data);
    } catch (error) {
        note.textContent = error.message;
    }
}

const showEvent = {
    botResponse: (event) => showReplies("bot", event.data),
    humanResponse: (event) => showReplies("agent", event.data),
    agentJoined: (event) => (note.textContent = `${event.agent ?? "A person"} is here.`),
    agentLeft: () => (note.textContent = ""),
    agentTyping(event) {
        const before = note.textContent;
        note.textContent = `${event.agent ?? "The agent"} is typing…`;
        setTimeout(() => note.textContent.endsWith("typing…") && (note.textContent = before), 4000);
    },
};

/** What was said before, so that a page that is loaded again goes on. Events go on behind it. */
async function recall() {
    const response = await fetch(`${api}/client/${encodeURIComponent(clientId)}/history`);
    const { cursor, messages } = await response.json();
    for (const { type, event } of messages.slice(-100)) {
        if (type === "request") {
            if (event.query !== null) {
                show("client", event.query);
            }
        } else {
            showReplies(type === "humanResponse" ? "agent" : "bot", event.data);
        }
    }
    return cursor;
}

async function listen() {
    let cursor;
    try {
        cursor = await recall();
    } catch {
        note.textContent = "What was said before could not be read.";
    }
    let pause = 500;
    for (;;) {
        try {
            // Without a history to go on behind, from now on.
            const from = cursor ? { cursor } : { ts: Date.now() };
            const query = new URLSearchParams({ clientId, cid, types, ...from });
            const response = await fetch(`${api}/events?${query}`);
            if (!response.ok) {
                throw new Error(response.status);
            }
            const body = await response.json();
            cursor = body.cursor;
            for (const { type, event } of body.events) {
                showEvent[type]?.(event);
            }
            pause = 500;
        } catch {
            // Not all at once when the server is back.
            await new Promise((done) => setTimeout(done, pause * (0.5 + Math.random())));
            pause = Math.min(pause * 2, 15000);
        }
    }
}

form.addEventListener("submit", (event) => {
    event.preventDefault();
    const query = field.value.trim();
    field.value = "";
    if (query) {
        send(query);
    }
});

listen();
