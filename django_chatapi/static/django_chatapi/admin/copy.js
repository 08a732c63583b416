"use strict";
// Copies what stands in a button's data-copy. The status element behind the button says how it went, to screen
// readers as well.
{
    const SHOWN_FOR = 2000; // milliseconds
    const timers = new WeakMap();

    // navigator.clipboard is missing on plain http.
    const copyBySelection = (text) => {
        const field = document.createElement("textarea");
        field.value = text;
        field.readOnly = true;
        field.className = "chatapi-offscreen";
        const focused = document.activeElement;
        document.body.append(field);
        field.select();
        try {
            return document.execCommand("copy");
        } finally {
            field.remove();
            focused.focus();
        }
    };

    const copy = async (text) => {
        try {
            await navigator.clipboard.writeText(text);
            return true;
        } catch {
            return copyBySelection(text);
        }
    };

    document.addEventListener("click", async (event) => {
        const button = event.target.closest("button.chatapi-copy");
        if (!button) {
            return;
        }
        const { copy: text, copied, failed } = button.dataset;
        const status = button.nextElementSibling;
        // Emptied first, so that a second click is read out like the first.
        status.textContent = "";
        clearTimeout(timers.get(status));
        status.textContent = (await copy(text)) ? copied : failed;
        timers.set(status, setTimeout(() => (status.textContent = ""), SHOWN_FOR));
    });
}
