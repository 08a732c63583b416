// What the server wrote into the page: addresses, who is here, and every text that the scripts show.

export const config = JSON.parse(document.getElementById("chatapi-console-config").textContent);

/**
 * A text in the reader's language. The places in it are spelled as in Python, %(name)s, because that is where the
 * translators meet it.
 */
export function say(name, args = {}) {
    const template = config.texts[name] ?? name;
    return template.replace(/%\((\w+)\)s/g, (place, key) => (key in args ? String(args[key]) : place));
}
