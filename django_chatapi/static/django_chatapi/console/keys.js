// The keyboard. Single keys do nothing while somebody types, nor in a box that asks back, and can be turned off:
// people who dictate would trigger them. What is typed for a field that is gone, or not there yet, does nothing, and
// so does a letter within a sentence.

import { isAsking, SENTENCE } from "./dialogs.js";

const OFF = "chatapi-console-no-keys";
const PAUSE = 1000; // milliseconds for which what was typed for a field goes on doing nothing, when none comes

function isTyping(target) {
    return target.isContentEditable || target.matches?.("input, textarea, select, audio");
}

let heldUntil = 0; // Infinity while the field may come
let typedAt = -Infinity; // the last letter, wherever it went but into a field
let isSentence = false; // and it was no command

/** From now on letters do nothing, until they go into a field or somebody leaves on purpose: Escape, Tab, a click. */
export function holdKeys() {
    heldUntil = Infinity;
}

/** The field does not come: letters do something again soon, when nobody types. */
export function releaseKeys() {
    heldUntil = Math.min(heldUntil, performance.now() + PAUSE);
}

/** Somebody left on purpose. */
function leave() {
    heldUntil = 0;
    isSentence = false;
}

/** Whether a letter follows another that closely. */
const isFast = (now) => now - typedAt < SENTENCE;

/** Whether this key was meant for a field. */
function isHeld(event) {
    if (isTyping(event.target) || ["Escape", "Tab"].includes(event.key)) {
        leave();
    }
    const now = performance.now();
    const isLetter = event.key.length === 1;
    if (now >= heldUntil || !(isLetter || event.key === "Enter")) {
        return false; // Arrows, for one, are in no sentence.
    }
    if (isLetter && event.type === "keydown") {
        if (isFast(now)) {
            heldUntil = Math.max(heldUntil, now + SENTENCE);
        }
        typedAt = now;
        isSentence = true;
    }
    return true;
}

/** Whether this key belongs to a sentence: one that began with a letter that is no command. */
function isWithin(event, isCommand) {
    if (event.key.length !== 1) {
        return false;
    }
    const now = performance.now();
    isSentence = !isCommand || (isSentence && isFast(now));
    typedAt = now;
    return isSentence;
}

/** ``actions``: what each key does; a function that returns false leaves the key to the browser. */
export function listenForKeys(actions) {
    const toggle = document.getElementById("console-keys-on");
    toggle.checked = !localStorage.getItem(OFF);
    toggle.addEventListener("change", () => localStorage.setItem(OFF, toggle.checked ? "" : "1"));

    // Voice control and screen readers send clicks only. Where the field is about to come, nobody leaves it.
    for (const type of ["pointerdown", "click"]) {
        addEventListener(
            type,
            (event) => {
                if (heldUntil !== Infinity || !event.target.closest?.("#console-composer")) {
                    leave();
                }
            },
            { capture: true },
        );
    }
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
        const act = Object.hasOwn(actions, event.key) ? actions[event.key] : undefined;
        const typing = isTyping(event.target);
        if (!typing && isWithin(event, act !== undefined)) {
            return;
        }
        if (event.key !== "Escape" && (typing || (!toggle.checked && event.key.length === 1))) {
            return;
        }
        if (act && act(event, typing) !== false) {
            event.preventDefault();
        }
    });
}
