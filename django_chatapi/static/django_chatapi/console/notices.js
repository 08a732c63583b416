// What the page says aloud: errors in a bar that stays until it is dismissed or overtaken, what the server has not
// answered yet, and news in a quiet region that only screen readers notice.

import { make, setText } from "./dom.js";
import { say } from "./config.js";

const GATHER_FOR = 800; // milliseconds; several messages at once are one announcement

const SLOW = 700; // milliseconds; what is answered sooner needs no word

const bar = document.getElementById("console-errors");
const pending = document.getElementById("console-pending");
const quiet = document.getElementById("console-news");
let complaints = 0;
let gathered = [];
let timer = null;

/** Says what went wrong, to everybody. */
export function complain(error) {
    const dismiss = make("button", { type: "button", class: "console-plain", "aria-label": say("dismiss") }, "×");
    dismiss.addEventListener("click", () => calm());
    complaints += 1;
    bar.replaceChildren(make("p", { dir: "auto" }, error.message || String(error)), dismiss);
    bar.dataset.shown = "";
}

/** How many complaints there were, for ``calm``. */
export const complaintsSoFar = () => complaints;

/** Takes the last complaint back, when something worked; not one that nobody had heard when that was ``begun``. */
export function calm(begun = complaints) {
    if (begun === complaints) {
        bar.replaceChildren();
        delete bar.dataset.shown;
    }
}

/** Says that the server has not answered yet, when that takes long. Returns, or throws, what it answers. */
export async function waitFor(answer, text) {
    const timer = setTimeout(() => setText(pending, text), SLOW);
    try {
        return await answer;
    } finally {
        clearTimeout(timer);
        setText(pending, "");
    }
}

/** Says something to screen readers, soon, and not on top of what is being read out. */
export function announce(text) {
    gathered.push(text);
    timer ??= setTimeout(() => {
        setText(quiet, "");
        setText(quiet, gathered.slice(-3).join(". "));
        gathered = [];
        timer = null;
    }, GATHER_FOR);
}
