// The agents' console: puts the parts together. What is open stands in the address (#dialog-7), so that the
// browser's own back button leads from a dialog to the list.

import { Acts } from "./acts.js";
import { Alerts } from "./alerts.js";
import { api } from "./api.js";
import { Composer } from "./composer.js";
import { config, say } from "./config.js";
import { OpenDialog } from "./dialog.js";
import { showKeys } from "./dialogs.js";
import { setAttributes, setText } from "./dom.js";
import { Head } from "./head.js";
import { holdKeys, listenForKeys, releaseKeys } from "./keys.js";
import { Live } from "./live.js";
import { announce, calm, complain } from "./notices.js";
import { Panel } from "./panel.js";
import { Presence } from "./presence.js";
import { Queue } from "./queue.js";
import { shownId } from "./rows.js";
import { Search } from "./search.js";
import { shortcuts } from "./shortcuts.js";
import { LISTS, Store } from "./store.js";
import { Transcript } from "./transcript.js";

const PAGE = 50;
const LOOK_AGAIN = 20_000; // milliseconds; receipts of what was sent, and the presence
const NARROW = matchMedia("(max-width: 759.98px), (max-height: 479.98px)");

const byId = (id) => document.getElementById(id);
const root = byId("chatapi-console");
const openId = () => dialog.id;

const store = new Store(config.username);
const dialog = new OpenDialog({ store, onChange: dialogChanged });
const head = new Head();
const panel = new Panel();
const presence = new Presence();
const alerts = new Alerts({ store, openId, isOwn: (row) => acts.concerns(row), button: byId("console-sound") });
const acts = new Acts({ store, openId, onTaken: taken, refresh: () => Promise.all([refreshLists(), refreshDialog()]) });
const transcript = new Transcript({ onEarlier: () => dialog.earlier().catch(complain) });
const composer = new Composer({ store, dialog, onSent: sent, onGate: passGate });
const queue = new Queue({
    store,
    openId,
    onList: (list) => beginList(list).catch(complain),
    onMore: continueList,
});
const search = new Search({ store, openId, onClient: (client) => acts.takeClient(client) });
const live = new Live(config.socket, { onMessage: heard, refresh, onState: showState });

let lastHeard = null; // the client's last message, to tell what is new
let listBefore = ""; // the list that was shown when the dialog was opened
let readPosted = ""; // what was last reported as read
let refused = false; // and a complaint says why

// Lists

async function beginList(list) {
    const asked = store.moment();
    store.begin(list, await api.dialogs({ state: LISTS[list].state, limit: PAGE }), asked);
}

async function continueList(list) {
    const asked = store.moment();
    const { cursor } = store.page(list);
    try {
        const page = await api.dialogs({ state: LISTS[list].state, limit: PAGE, cursor });
        store.continue(list, page, asked);
    } catch (error) {
        complain(error);
    }
}

function refreshLists() {
    // What is closed changes nobody's work: it is asked for once, and while it is looked at.
    const wanted = Object.keys(LISTS).filter(
        (list) => list !== "closed" || queue.list === list || !store.page(list),
    );
    return Promise.all(wanted.map(beginList));
}

// The connection

async function refresh() {
    const { attempts } = live;
    try {
        await Promise.all([refreshLists(), refreshDialog()]);
    } catch (error) {
        // An answer from before somebody came back, and may have logged in again, says nothing of now.
        if (error.final && attempts === live.attempts) {
            refuse(error);
        }
        throw error;
    }
    alerts.begin();
}

function refuse(error) {
    refused = true;
    live.refuse();
    composer.lock(error.code !== "logged_out"); // Who logs in again meanwhile goes on writing.
    complain(error);
}

function heard({ type, agent, dialogs = [], ids = [] }) {
    if (type === "hello" && agent !== config.username) {
        refuse(new Error(say("otherAgent", { agent })));
    } else if (type === "dialogs") {
        store.put(dialogs);
        if (dialogs.some((row) => row.id === dialog.id)) {
            refreshDialog().catch(() => {}); // Told again with the next change, and by the clock.
        }
    } else if (type === "gone") {
        if (ids.includes(dialog.id)) {
            lose(new Error(say("gone")));
        }
        store.remove(ids);
    }
}

function showState(state) {
    if (["live", "polling"].includes(state)) {
        if (refused) {
            refused = false;
            composer.lock(false);
            calm();
        }
        presence.refresh();
    }
    setAttributes(byId("console-status"), { "data-state": state });
    setText(byId("console-status-text"), say(`connection_${state}`));
}

// The open dialog

/** The agent no longer sees the open dialog: no surprise to who gave it away. */
function lose(error) {
    if (!acts.gave(dialog.id)) {
        complain(error);
    }
    const wasWriting = composer.hasFocus;
    leave(true);
    if (wasWriting) {
        byId("console-nothing").focus();
        holdKeys();
        releaseKeys();
    }
}

/** Asks for the open dialog again; one that this agent no longer sees is left. */
async function refreshDialog() {
    const { id } = dialog;
    try {
        await dialog.refresh();
    } catch (error) {
        if (dialog.id !== id) {
            return; // Who else asked has left it already.
        }
        if (error.status === 404) {
            lose(dialog.detail ? new Error(say("gone")) : error); // What was here went to others.
        } else if (error.final || !dialog.detail) {
            throw error;
        }
    }
}

function follow() {
    const id = Number(/^#dialog-(\d+)$/.exec(location.hash)?.[1] ?? NaN);
    if (Number.isNaN(id)) {
        leave();
    } else if (id !== dialog.id) {
        dialog.open(id).catch((error) => {
            complain(error);
            if (error.status === 404) {
                leave(true);
            }
        });
    }
}

function open(id) {
    if (id !== dialog.id) {
        location.hash = `dialog-${id}`;
        follow(); // The event for it comes later.
    }
}

/** ``isLost``: it was not the agent who left; in the lists they go on where they are. */
function leave(isLost = false) {
    if (location.hash) {
        history.replaceState(null, "", location.pathname + location.search);
    }
    if (dialog.id !== null) {
        dialog.leave();
        if (!isLost || !byId("console-side").contains(document.activeElement)) {
            queue.focus();
        }
    }
}

function dialogChanged(what) {
    if (what === "left" || what === "opened") {
        transcript.clear();
        panel.clear();
        readPosted = "";
        lastHeard = null;
    }
    if (what === "opened") {
        listBefore = queue.list;
    }
    root.dataset.view = dialog.id === null ? "lists" : "dialog";
    document.body.classList.toggle("console-reading", dialog.id !== null);
    showRow();
    queue.render();
    search.refresh();
    if (what === "opened" && NARROW.matches) {
        head.focus();
    }
    if (dialog.detail) {
        transcript.show(dialog);
        panel.show(dialog.detail);
    }
    if (what === "loaded" || what === "refreshed") {
        announceClient(what === "refreshed");
    }
    if (what === "loaded" && !byId("console-lists").hidden && queue.list === listBefore) {
        queue.choose(store.listOf(dialog.row)); // Opened by its address, it may stand in another list.
    }
    look();
}

function showRow() {
    const { row } = dialog;
    byId("console-nothing").hidden = dialog.id !== null;
    byId("console-open").hidden = dialog.id === null;
    setAttributes(byId("console-open"), { "data-ready": row ? "" : null });
    if (row) {
        head.show(row);
    }
    composer.show();
}

/** Reads out what the client of the open dialog just said. */
function announceClient(isNews) {
    const last = dialog.messages.findLast((message) => message.type === "request");
    if (isNews && last && last.key !== lastHeard) {
        const { query, event } = last.event;
        const said = query ?? say("event", { name: event });
        announce(`${shownId(dialog.detail.clientId)}: ${said.slice(0, 200)}`);
    }
    lastHeard = last?.key ?? null;
}

/** The agent sees what is open: the unread count and the title follow. */
function look() {
    alerts.looked();
    const { row, detail } = dialog;
    if (!row || !detail || document.visibilityState !== "visible" || !row.unread) {
        return;
    }
    const last = dialog.messages.findLast((message) => message.type === "request");
    const seen = `${row.id}:${last?.key}`;
    // What colleagues and waiting clients have unread stays so: their own agent has not seen it.
    if (row.state === "open" && row.agent === config.username && seen !== readPosted) {
        readPosted = seen;
        alerts.saw(row);
        const asked = store.moment();
        api.read(row.id, last?.event.questionId).then(
            (now) => store.put([now], { asked }),
            () => {
                readPosted = ""; // The next look tries again: the clock's, for one.
            },
        );
    }
}

// What the agent does

function taken(row, client, before) {
    composer.carry(client.id, row.id);
    const { id, row: shown } = dialog;
    const isSame = shown?.clientId === row.clientId && shown.channelId === row.channelId;
    const isElsewhere = id !== null && !isSame && (id !== before || composer.isWriting);
    if (isElsewhere || composer.isNoting || search.hasFocus) {
        // The agent is with somebody else by now, and comes when they like; and the rest of a note, or of what
        // somebody looks for, is no reply.
        announce(say("newMine", { client: shownId(row.clientId) }));
        return;
    }
    queue.choose("mine");
    search.clear();
    open(row.id);
    // At once: what is typed before the transcript is there would be taken for single keys.
    composer.focus("reply");
}

function sent(id, mode) {
    if (id === dialog.id) {
        transcript.follow();
        announce(say(mode === "note" ? "noteAdded" : "messageSent"));
        refreshDialog().catch(() => {});
    }
}

function passGate() {
    const { row } = dialog;
    if (row.state === "open") {
        acts.takeOver(row);
    } else {
        acts.take(row);
    }
}

listenForKeys(shortcuts({ acts, composer, dialog, head, leave, narrow: NARROW, panel, queue, search, store }));

byId("console-help").addEventListener("click", () => showKeys());
byId("console-back").addEventListener("click", () => leave());
byId("console-take").addEventListener("click", () => acts.take(dialog.row));
byId("console-transfer").addEventListener("click", () => acts.transfer(dialog.row));
byId("console-close").addEventListener("click", () => acts.close(dialog.row));
byId("console-side").addEventListener("click", (event) => {
    const row = event.target.closest("a.console-row");
    if (row && Number(row.dataset.id) === dialog.id) {
        event.preventDefault();
        composer.focus("reply");
    }
});

store.listen((changes) => {
    if (changes.some(([before, after]) => (after ?? before).id === dialog.id)) {
        showRow();
        look();
    }
});
addEventListener("hashchange", follow);
addEventListener("beforeunload", (event) => composer.isBusy && event.preventDefault());
document.addEventListener("visibilitychange", () => {
    look();
    if (document.visibilityState === "visible") {
        presence.refresh();
    }
});
setInterval(() => {
    if (document.visibilityState === "visible") {
        refreshDialog().catch(() => {});
        presence.refresh();
    }
}, LOOK_AGAIN);

queue.render();
follow();
live.start();
