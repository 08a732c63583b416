// Canned answers: a list over the reply field, which keeps the focus. Typing "/" at the start offers them.

import { api } from "./api.js";
import { say } from "./config.js";
import { make, setAttributes } from "./dom.js";
import { announce } from "./notices.js";

const KEPT_FOR = 60_000; // milliseconds

export class CannedAnswers {
    #field;
    #list = document.getElementById("console-canned");
    #button = document.getElementById("console-canned-button");
    #channel;
    #onChosen;
    #onUnknown;
    #cache = new Map(); // by channel: promises of answers
    #offered = [];
    #at = 0;
    #byButton = false;
    #beginning = "";
    #asked = 0;
    #isPending = false;
    #entered = false; // before the answers were there
    #failed = false; // they could not be loaded

    /** ``channel`` says whose answers; ``onChosen`` follows every insertion, ``onUnknown`` Enter on no shortcut. */
    constructor({ field, channel, onChosen, onUnknown }) {
        this.#field = field;
        this.#channel = channel;
        this.#onChosen = onChosen;
        this.#onUnknown = onUnknown;
        this.#button.addEventListener("click", () => {
            const open = this.isOpen;
            this.#field.focus();
            if (open) {
                this.close();
            } else {
                this.#offer("", true);
            }
        });
        field.addEventListener("input", () => this.#follow());
        field.addEventListener("blur", () => this.close());
        // A press would take the focus from the field, and close the list before the click.
        for (const node of [this.#list, this.#button]) {
            node.addEventListener("mousedown", (event) => event.preventDefault());
        }
        this.#list.addEventListener("click", (event) => {
            const option = event.target.closest("[role=option]");
            if (option) {
                this.#insert(this.#offered[Number(option.dataset.index)]);
            }
        });
    }

    get isOpen() {
        return !this.#list.hidden;
    }

    /** Whether the key was meant for the list. */
    key(event) {
        if (this.#isPending && event.key === "Enter" && !event.shiftKey) {
            this.#entered = true;
            return true;
        }
        if (!this.isOpen) {
            return false;
        }
        if (this.#failed && event.key === "Enter" && !event.shiftKey) {
            this.#offer(this.#beginning, this.#byButton);
            this.#entered = true;
            return true;
        }
        const last = this.#offered.length - 1;
        switch (event.key) {
            case "ArrowDown":
                this.#point(this.#at === last ? 0 : this.#at + 1);
                return true;
            case "ArrowUp":
                this.#point(this.#at === 0 ? last : this.#at - 1);
                return true;
            case "Enter":
            case "Tab":
                if (this.#offered.length && !event.shiftKey) {
                    this.#insert(this.#offered[this.#at]);
                    return true;
                }
                return false;
            case "Escape":
                this.close();
                return true;
            default:
                return false;
        }
    }

    /** So that they are there before the first shortcut is typed. */
    load() {
        this.#answers().catch(() => {}); // Asked for again with the first shortcut.
    }

    close() {
        this.#asked += 1;
        this.#isPending = false;
        this.#list.hidden = true;
        this.#byButton = false;
        this.#button.setAttribute("aria-expanded", "false");
        this.#field.removeAttribute("aria-activedescendant");
    }

    #follow() {
        const { value } = this.#field;
        if (/^\/[^\s/]*$/u.test(value)) {
            this.#offer(value.slice(1), false);
        } else if (this.isOpen || this.#isPending) {
            this.close();
        }
    }

    async #offer(beginning, byButton) {
        const asked = (this.#asked += 1);
        this.#isPending = true;
        this.#entered = this.#failed = false;
        this.#byButton = byButton;
        this.#beginning = beginning;
        let answers = [];
        let failed = false;
        try {
            answers = await this.#answers();
        } catch {
            failed = true; // The reply can be typed all the same.
        }
        if (asked !== this.#asked) {
            return;
        }
        this.#isPending = false;
        this.#failed = failed;
        const wanted = beginning.toLowerCase();
        const starts = answers.filter((answer) => answer.shortcut.toLowerCase().startsWith(wanted));
        // One letter is in almost every text.
        const holds = answers.filter(
            (answer) =>
                wanted.length > 1 && !starts.includes(answer) && answer.text.toLowerCase().includes(wanted),
        );
        this.#offered = [...starts, ...holds];
        // Who asked for the list wants to see it.
        if (this.#entered && !failed && !byButton) {
            this.#enter();
        } else if (!this.#offered.length && !byButton && answers.length) {
            this.close();
        } else {
            this.#show();
        }
    }

    /** What Enter does that came before the answers. */
    #enter() {
        if (this.#offered.length) {
            this.#insert(this.#offered[0]);
        } else {
            this.close();
            this.#onUnknown();
        }
    }

    #answers() {
        const channel = this.#channel();
        const known = this.#cache.get(channel);
        if (known && Date.now() - known.at < KEPT_FOR) {
            return known.answers;
        }
        const answers = api.cannedAnswers(channel).then((body) => body.cannedAnswers);
        this.#cache.set(channel, { at: Date.now(), answers });
        answers.catch(() => this.#cache.delete(channel));
        return answers;
    }

    #show() {
        const options = this.#offered.map((answer, index) =>
            make(
                "li",
                { role: "option", id: `console-canned-${index}`, "data-index": index, "aria-selected": "false" },
                make("kbd", {}, `/${answer.shortcut}`),
                make("span", { dir: "auto" }, answer.text),
            ),
        );
        const nothing = say(this.#failed ? "cannedFailed" : "noCanned");
        const none = make("li", { class: "console-hollow" }, nothing);
        this.#list.replaceChildren(...(options.length ? options : [none]));
        this.#list.hidden = false;
        this.#button.setAttribute("aria-expanded", "true");
        announce(options.length ? say("cannedCount", { count: options.length }) : nothing);
        if (options.length) {
            this.#point(0);
        }
    }

    #point(index) {
        this.#at = index;
        [...this.#list.children].forEach((option, number) => {
            setAttributes(option, { "aria-selected": String(number === index) });
        });
        const option = this.#list.children[index];
        this.#field.setAttribute("aria-activedescendant", option.id);
        option.scrollIntoView({ block: "nearest" });
    }

    #insert(answer) {
        const byButton = this.#byButton;
        this.close();
        if (this.#field.readOnly) {
            return;
        }
        if (byButton) {
            this.#field.setRangeText(answer.text, this.#field.selectionStart, this.#field.selectionEnd, "end");
        } else {
            this.#field.value = answer.text;
        }
        this.#onChosen();
    }
}
