"""Who cannot see well, or does without a mouse, gets on with it: names, contrast, focus.

A small part of what axe looks for, so that the tests need nothing from the network.
"""

import re

import pytest

from django_chatapi.models import CannedAnswer

from .browser import expect, hold, until

pytestmark = pytest.mark.django_db(transaction=True)

CONTROLS = "a[href], button, input, textarea, select, summary, audio, [role=tab], [role=switch], [role=option]"

#: The contrast of each text that is shown with what is painted behind it: those below 4.5, with their place.
#: WCAG 2.2, success criterion 1.4.3, which lets out what is disabled.
CONTRAST = """
() => {
    const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    // Any colour that CSS knows, as red, green, blue (0 to 255) and alpha (0 to 1).
    const read = (colour) => {
        pixel.clearRect(0, 0, 1, 1);
        pixel.fillStyle = colour;
        pixel.fillRect(0, 0, 1, 1);
        const [red, green, blue, alpha] = pixel.getImageData(0, 0, 1, 1).data;
        return [red, green, blue, alpha / 255];
    };
    const over = (top, below) => {
        const alpha = top[3];
        return [0, 1, 2].map((i) => top[i] * alpha + below[i] * (1 - alpha)).concat(1);
    };
    const light = (colour) => {
        const [red, green, blue] = colour.slice(0, 3).map((value) => {
            const part = value / 255;
            return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const painted = (element) => {
        const layers = [];
        for (let node = element; node; node = node.parentElement) {
            const style = getComputedStyle(node);
            if (style.backgroundImage !== "none") {
                throw new Error(`${node.className}: a background that this check cannot read`);
            }
            layers.push(read(style.backgroundColor));
            if (layers.at(-1)[3] === 1) {
                break;
            }
        }
        return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
    };
    const opacity = (element) => {
        let all = 1;
        for (let node = element; node; node = node.parentElement) {
            all *= Number(getComputedStyle(node).opacity);
        }
        return all;
    };
    const found = [];
    let looked = 0;
    const look = (element, text, colour) => {
        const box = element.getBoundingClientRect();
        if (!element.checkVisibility({ visibilityProperty: true }) || box.width <= 2 || box.height <= 2) {
            return;
        }
        if (element.closest(":disabled, [aria-disabled=true], .console-unseen")) {
            return;
        }
        looked += 1;
        const behind = painted(element);
        const seen = read(colour);
        seen[3] *= opacity(element);
        const [one, other] = [light(over(seen, behind)), light(behind)].sort((a, b) => b - a);
        const ratio = (one + 0.05) / (other + 0.05);
        if (ratio < 4.5) {
            found.push(`${ratio.toFixed(2)} ${element.tagName} .${element.className} “${text.slice(0, 40)}”`);
        }
    };
    for (const root of document.querySelectorAll("#chatapi-console, dialog[open]")) {
        const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
            const text = texts.currentNode.textContent.trim();
            const element = texts.currentNode.parentElement;
            if (text && !element.closest("svg, audio")) {
                look(element, text, getComputedStyle(element).color);
            }
        }
        for (const field of root.querySelectorAll("input[placeholder], textarea")) {
            look(field, field.placeholder, getComputedStyle(field, "::placeholder").color);
            look(field, "(typed)", getComputedStyle(field).color);
        }
    }
    return [looked, found];
}
"""

#: How the focused control differs from itself without the focus, its frames included.
FOCUS = """
() => {
    const node = document.activeElement;
    const style = (element) => {
        const { outlineStyle, outlineWidth, outlineColor, boxShadow, borderColor, backgroundColor } =
            getComputedStyle(element);
        const outline = outlineStyle === "none" || outlineWidth === "0px" ? "none" : outlineWidth + outlineColor;
        return [outline, boxShadow, borderColor, backgroundColor].join(" / ");
    };
    const frames = [node, node.parentElement, node.parentElement.parentElement, node.nextElementSibling];
    const looks = () => frames.filter(Boolean).map(style).join(" | ");
    const name = `${node.tagName}#${node.id}.${node.className}`;
    const inside = node.closest("#chatapi-console, dialog") !== null;
    const box = node.getBoundingClientRect();
    const focused = looks();
    node.blur();
    const plain = looks();
    node.focus({ focusVisible: true, preventScroll: true });
    return { name, inside, seen: focused !== plain && box.width > 0 && box.height > 0 };
}
"""


@pytest.fixture
def busy(shop, kim, lou, sit_down, visit):
    """A console with something of everything on it; the arguments are Playwright's."""

    def begin(**options):
        CannedAnswer.objects.get_or_create(shortcut="hi", text="Hello, how can I help?")
        for name in ("bob", "cyd"):
            visit(name).ask_for_a_person()
        ann = visit("ann")
        ann.send("Where is my parcel? https://example.com/parcels/7", cid="app", data={"page": 7})
        ann.save_state({"basket": ["mug"]})
        desk = sit_down(kim, **options).live()
        desk.serve(ann)
        desk.reply("Let me look.")
        desk.note("Third time this week.")
        desk.serve(visit("dan"))
        ann.send("And?")
        ann.send("Hello?")
        expect(desk.badge("ann")).to_have_text("2")
        desk.open("ann")
        desk.open("dan")
        ann.send("Anybody?")
        expect(desk.badge("ann")).to_have_text("1")
        return desk

    return begin


def walk(desk, look):
    """Look at each face of the page."""
    look()  # a dialog of mine, unread messages of another
    desk.field.fill("/")
    expect(desk.page.get_by_role("option")).to_have_count(1)
    look()
    desk.field.fill("")
    desk.open("ann")
    expect(desk.entries.locator(".console-note")).to_be_visible()
    look()
    desk.page.locator("#console-modes [data-mode=note]").click()
    look()
    for button in ("#console-transfer", "#console-close", "#console-help"):
        desk.page.locator(button).click()
        expect(desk.page.locator("dialog[open]")).to_be_visible()
        if button == "#console-transfer":
            expect(desk.page.get_by_role("radio", name="Lou Park")).to_be_visible()
        look()
        desk.page.keyboard.press("Escape")
        expect(desk.page.locator("dialog[open]")).to_have_count(0)
    desk.look_at("waiting")
    desk.open("bob")
    look()
    held = hold(desk.page, "**/take", times=1)
    desk.page.locator("#console-take").click()
    expect(desk.pending).to_contain_text("bob")
    look()
    until(desk.page, lambda: held, "the click")
    held.pop().abort()
    expect(desk.complaint).to_contain_text("could not be reached")
    look()
    desk.look_at("closed")
    look()
    desk.page.get_by_role("searchbox").fill("a")
    expect(desk.page.locator("#console-results .console-row").first).to_be_visible()
    look()
    desk.page.get_by_role("switch").click()
    expect(desk.page.get_by_role("switch")).to_contain_text("Away")
    look()


def test_every_control_has_a_name(busy):
    desk = busy()
    known, names = set(), set()

    def look():
        for place in ("#chatapi-console", "dialog[open]"):
            controls = desk.page.locator(place).locator(CONTROLS).filter(visible=True)
            spelled = controls.evaluate_all("(nodes) => nodes.map((node) => node.outerHTML)")
            for control, html in zip(controls.all(), spelled, strict=True):
                if html not in known:
                    expect(control).to_have_accessible_name(re.compile(r"\S"))
                    names.add(control.evaluate("(node) => node.id || node.className"))
                    known.add(html)

    walk(desk, look)
    some = {"console-presence", "console-sound", "console-search", "console-reply", "console-send", "console-row"}
    assert some <= names


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(busy, scheme):
    desk = busy(color_scheme=scheme, reduced_motion="reduce")
    faint = {}

    def look():
        # Colours fade over: what counts is where they come to rest.
        desk.page.wait_for_function("document.getAnimations().every((one) => one.playState === 'finished')")
        looked, found = desk.page.evaluate(CONTRAST)
        assert looked > 20
        faint.update(dict.fromkeys(found))

    walk(desk, look)
    assert list(faint) == []
    background = desk.page.evaluate("getComputedStyle(document.querySelector('#chatapi-console')).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_the_contrast_check_finds_what_is_faint(desk):
    desk.page.evaluate("document.querySelector('#console-tab-mine').style.color = '#bbb'")
    _, found = desk.page.evaluate(CONTRAST)
    assert [text for text in found if "Mine" in text] != []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_focus_is_always_visible(busy, scheme):
    desk = busy(color_scheme=scheme, reduced_motion="reduce")
    desk.open("ann")
    desk.page.get_by_role("switch").focus()
    for key in ("Shift+Tab", "Tab"):  # by the keyboard: browsers show no focus that came otherwise
        desk.page.keyboard.press(key)
    expect(desk.page.get_by_role("switch")).to_be_focused()
    seen = {}
    for _ in range(60):
        focused = desk.page.evaluate(FOCUS)
        if not focused["inside"]:
            break
        seen[focused["name"]] = focused["seen"]
        desk.page.keyboard.press("Tab")
    else:
        raise AssertionError("Tab leads nowhere")
    assert len(seen) >= 10
    assert [name for name, visible in seen.items() if not visible] == []


def test_where_closing_leaves_the_focus_is_visible(desk, ann):
    desk.serve(ann)
    desk.page.locator("#console-transfer").focus()
    for key in ("Tab", "Enter", "Enter"):
        desk.page.keyboard.press(key)
    expect(desk.gate).to_contain_text("This dialog is closed")
    expect(desk.title).to_be_focused()
    assert desk.page.evaluate(FOCUS)["seen"]
    desk.page.keyboard.press("Enter")
    expect(desk.page.locator("#console-gate-text")).to_be_focused()
    assert desk.page.evaluate(FOCUS)["seen"]


def test_writing_notes_is_plain_to_see_and_to_hear(desk, ann):
    desk.serve(ann)
    mark = desk.page.locator("#console-composer").get_by_text("Internal note: only agents see this")
    expect(mark).to_be_hidden()
    desk.page.keyboard.press("Escape")
    desk.page.keyboard.press("n")
    for text in ("one", "two"):  # as long as nobody chooses to reply
        expect(desk.field).to_be_focused()
        expect(desk.field).to_have_accessible_name("Internal note")
        expect(desk.field).to_have_accessible_description(re.compile("^Enter adds the note"))
        expect(desk.field).to_have_attribute("placeholder", "Write an internal note")
        expect(mark).to_be_visible()
        desk.page.keyboard.type(text)
        desk.page.keyboard.press("Enter")
        expect(desk.entries.locator(".console-note").get_by_text(text)).to_be_visible()
        expect(desk.page.locator("#console-news")).to_contain_text("Note added; you go on writing notes")
    assert "humanResponse" not in [message["type"] for message in ann.history()]
    desk.page.keyboard.press("Escape")
    desk.page.keyboard.press("r")
    expect(mark).to_be_hidden()
    expect(desk.field).to_have_accessible_name("Reply to the client")
    expect(desk.field).to_have_accessible_description(re.compile("^Enter sends"))


def test_screen_readers_hear_of_new_messages(desk, ann):
    desk.serve(ann)
    ann.send("Can you hear me?")
    news = desk.page.locator("#console-news")
    expect(news).to_have_attribute("aria-live", "polite")
    expect(news).to_contain_text("ann: Can you hear me?")
