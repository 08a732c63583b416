// The keyboard. Single keys do nothing while somebody types, nor in a box that asks back, and can be turned off:
// people who dictate would trigger them.

import { isAsking } from "./dialogs.js";

const OFF = "chatapi-console-no-keys";

function isTyping(target) {
    return target.isContentEditable || target.matches?.("input, textarea, select, audio");
}

/** ``actions``: what each key does; a function that returns false leaves the key to the browser. */
export function listenForKeys(actions) {
    const toggle = document.getElementById("console-keys-on");
    toggle.checked = !localStorage.getItem(OFF);
    toggle.addEventListener("change", () => localStorage.setItem(OFF, toggle.checked ? "" : "1"));

    document.addEventListener("keydown", (event) => {
        if (event.defaultPrevented || event.isComposing || isAsking()) {
            return;
        }
        if (event.ctrlKey || event.metaKey || event.altKey) {
            return;
        }
        const typing = isTyping(event.target);
        if (event.key !== "Escape" && (typing || (!toggle.checked && event.key.length === 1))) {
            return;
        }
        const act = Object.hasOwn(actions, event.key) ? actions[event.key] : undefined;
        if (act && act(event, typing) !== false) {
            event.preventDefault();
        }
    });
}
