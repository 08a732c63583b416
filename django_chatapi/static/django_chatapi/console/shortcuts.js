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

    /** Of the row that the keyboard is on, or else of the open dialog. */
    const take = () => {
        const id = document.activeElement.closest(".console-row[data-id]")?.dataset.id;
        const row = id ? store.row(Number(id)) : dialog.row;
        if (!row) {
            return false;
        }
        acts.take(row);
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
        } else if (narrow.matches) {
            head.focus();
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
        x: withDialog((row) => acts.transfer(row)),
        c: withDialog((row) => acts.close(row)),
        i: withDialog(() => panel.toggle()),
        "/": () => search.focus(),
        "?": () => void showKeys(),
        Escape: escape,
    };
}
