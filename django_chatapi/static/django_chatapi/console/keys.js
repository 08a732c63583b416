// The keyboard. Single keys do nothing while somebody types, nor in a box that asks back, and can be turned off:
// people who dictate would trigger them. What is typed for a field that is gone, or not there yet, does nothing.

import { isAsking } from "./dialogs.js";

const OFF = "chatapi-console-no-keys";
const PAUSE = 2000; // milliseconds; who did not type for so long is not in the middle of a sentence

function isTyping(target) {
    return target.isContentEditable || target.matches?.("input, textarea, select, audio");
}

let held = false;
let timer = null; // while they are held only until nobody types

/** From now on letters do nothing, until they go into a field or somebody leaves on purpose: Escape, Tab, a click. */
export function holdKeys() {
    held = true;
    clearTimeout(timer);
    timer = null;
}

/** The field does not come: letters do something again when nobody types. */
export function releaseKeys() {
    clearTimeout(timer);
    timer = setTimeout(() => (held = false), PAUSE);
}

/** Whether this key was meant for a field. */
function isHeld(event) {
    if (isTyping(event.target) || ["Escape", "Tab"].includes(event.key)) {
        held = false;
    }
    if (held && timer !== null) {
        releaseKeys();
    }
    return held;
}

/** ``actions``: what each key does; a function that returns false leaves the key to the browser. */
export function listenForKeys(actions) {
    const toggle = document.getElementById("console-keys-on");
    toggle.checked = !localStorage.getItem(OFF);
    toggle.addEventListener("change", () => localStorage.setItem(OFF, toggle.checked ? "" : "1"));

    addEventListener("pointerdown", () => (held = false), { capture: true });
    for (const type of ["keydown", "keyup"]) {
        addEventListener(
            type,
            (event) => {
                if (isHeld(event)) {
                    event.stopPropagation();
                    if (event.key === "Enter" || event.key === " ") {
                        event.preventDefault(); // They would press what has the focus now.
                    }
                }
            },
            { capture: true },
        );
    }

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
