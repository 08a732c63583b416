// The only way in which the console makes and changes elements. Texts become text nodes, never markup: most of
// what is shown here was written by strangers.

/** An element with attributes and children; strings among the children become text, null and "" nothing. */
export function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    setAttributes(node, attributes);
    node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
    return node;
}

/** Sets what differs, so that observers and screen readers hear of nothing that stayed the same. */
export function setAttributes(node, attributes) {
    for (const [name, value] of Object.entries(attributes)) {
        if (value === null || value === undefined || value === false) {
            node.removeAttribute(name);
        } else {
            const spelled = value === true ? "" : String(value);
            if (node.getAttribute(name) !== spelled) {
                node.setAttribute(name, spelled);
            }
        }
    }
}

/** Replaces a text only when it differs: a selection inside survives. */
export function setText(node, value) {
    if (node.textContent !== value) {
        node.textContent = value;
    }
}

/** A drawing from the sheet in the page; what it means stands beside it as text. */
export function icon(name) {
    const space = "http://www.w3.org/2000/svg";
    const drawing = document.createElementNS(space, "svg");
    setAttributes(drawing, { class: "console-icon", "aria-hidden": "true", focusable: "false" });
    const use = document.createElementNS(space, "use");
    use.setAttribute("href", `#console-icon-${name}`);
    drawing.append(use);
    return drawing;
}

/** Text for those who do not see the mark beside it. */
export function unseen(value) {
    return make("span", { class: "console-unseen" }, value);
}

const kept = new WeakMap();

/**
 * Makes the children of an element follow a list. An item's element is found again by its key and stays the same
 * element, so that focus, selection and scroll position survive.
 */
export function reconcile(parent, items, { key, create, update = () => {} }) {
    const old = kept.get(parent) ?? new Map();
    const current = new Map();
    for (const item of items) {
        const name = key(item);
        if (current.has(name)) {
            continue;
        }
        const node = old.get(name) ?? create(item);
        update(node, item);
        current.set(name, node);
    }
    const focused = parent.contains(document.activeElement) ? document.activeElement : null;
    for (const [name, node] of old) {
        if (!current.has(name)) {
            node.remove();
        }
    }
    let place = parent.firstElementChild;
    for (const node of current.values()) {
        if (node === place) {
            place = place.nextElementSibling;
        } else if (node.isConnected && parent.moveBefore) {
            parent.moveBefore(node, place);
        } else {
            parent.insertBefore(node, place);
        }
    }
    // Moving an element takes the focus from it where moveBefore is unknown.
    if (focused?.isConnected && document.activeElement !== focused) {
        focused.focus({ preventScroll: true });
    }
    kept.set(parent, current);
}
