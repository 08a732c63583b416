// What each key does.

import { showKeys } from "./dialogs.js";
import { LISTS } from "./store.js";

/** The actions for ``listenForKeys``, on the parts of the page. Those that return false leave the key alone. */
export function shortcuts({ acts, composer, dialog, head, leave, narrow, panel, queue, search, store }) {
    const side = document.getElementById("console-side");
    const writing = document.getElementById("console-composer");

    const withDialog = (act) => () => {
        const { row } = dialog;
        if (!row) {
            return false;
        }
        act(row);
        return true;
    };

    /** On the row that the keyboard is on, or else on the open dialog. */
    const withRow = (act) => () => {
        const focused = document.activeElement.closest(".console-row");
        const row = focused ? store.row(Number(focused.dataset.id)) : dialog.row;
        if (!row) {
            return false;
        }
        act(row);
        return true;
    };

    const take = () => {
        const client = document.activeElement.closest("button.console-row"); // who is with the bot
        if (!client) {
            return withRow((row) => acts.take(row))();
        }
        client.click();
        return true;
    };

    const step = (by) => (event) => {
        const listed = !(narrow.matches && dialog.id !== null);
        const elsewhere = event.target !== document.body && !side.contains(event.target);
        if (!listed || (event.key.startsWith("Arrow") && elsewhere)) {
            return false; // Elsewhere the arrows scroll.
        }
        queue.move(by);
        return true;
    };

    const enter = (event) => {
        if (dialog.id === null || event.target.closest("a, button, summary, details, [role=tab]")) {
            return false;
        }
        composer.focus("reply");
        return true;
    };

    /** One step back: out of the field, then out of the dialog. */
    const escape = (event) => {
        if (event.target.id === "console-search") {
            queue.focus();
        } else if (!writing.contains(event.target)) {
            leave();
        } else if (narrow.matches || (composer.isGated && !queue.shows(dialog.id))) {
            head.focus(); // The list would lead to somebody else.
        } else {
            queue.focus();
        }
    };

    return {
        ...Object.fromEntries(Object.keys(LISTS).map((list, index) => [index + 1, () => queue.choose(list)])),
        j: step(1),
        k: step(-1),
        ArrowDown: step(1),
        ArrowUp: step(-1),
        Enter: enter,
        r: withDialog(() => composer.focus("reply")),
        n: withDialog(() => composer.focus("note")),
        t: take,
        x: withRow((row) => acts.isTaking || acts.transfer(row)),
        c: withRow((row) => acts.isTaking || acts.close(row)),
        i: withDialog(() => panel.toggle()),
        "/": () => search.focus(),
        "?": () => void (acts.isTaking || showKeys()),
        Escape: escape,
    };
}
