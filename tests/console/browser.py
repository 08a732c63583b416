"""The browser, and the console in it as its agent sees it.

Whoever imports this is skipped where there is no Playwright or no Chromium.
"""

import re
import shutil
import time
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="the console's tests need Playwright: pip install playwright")

from playwright.sync_api import APIResponse, Locator, Page, Playwright, Route, TimeoutError, expect

#: Debian's own browser: Playwright's downloads are not needed.
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("the console's tests need Chromium: apt-get install chromium", allow_module_level=True)

__all__ = ["ARGUMENTS", "CHROMIUM", "CONSOLE", "Desk", "Locator", "Page", "Playwright", "Route", "TimeoutError"]
__all__ += ["expect", "hold", "late", "until"]

#: As root there is no sandbox; and the browser shall talk to nobody but the tests' server.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A page that a test put in the server's place may open the server's socket.
    "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets",
]
CONSOLE = "/admin/django_chatapi/console/"
#: Long enough for a machine that is busy with other tests, in milliseconds.
PATIENCE = 30_000

expect.set_options(timeout=PATIENCE)

#: Writes down what must not happen, and what nobody would hear or see in a test: runs before the page's scripts.
INIT = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) =>
    window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
window.news = [];
addEventListener("DOMContentLoaded", () => {
    const region = document.getElementById("console-news");
    const note = () => window.news.push(region.textContent);
    region && new MutationObserver(note).observe(region, { childList: true });
});
window.tones = 0;
window.AudioContext = class {
    state = "suspended";
    currentTime = 0;
    destination = {};
    async resume() { this.state = "running"; }
    createOscillator() {
        return { frequency: {}, connect: (node) => node, start: () => { window.tones += 1; }, stop() {} };
    }
    createGain() {
        const gain = { setValueAtTime() {}, linearRampToValueAtTime() {}, exponentialRampToValueAtTime() {} };
        return { gain, connect: (node) => node };
    }
};
const shown = Object.getOwnPropertyDescriptor(Document.prototype, "visibilityState").get;
Object.defineProperty(Document.prototype, "visibilityState", {
    configurable: true,
    get() { return window.lookedAway ? "hidden" : shown.call(this); },
});
"""


def until(page: Page, condition: Callable[[], object], what: str) -> None:
    """Wait for a condition outside the page, which goes on meanwhile: its routes are served."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not hold")
        page.wait_for_timeout(20)


def hold(page: Page, url: str, times: int | None = None) -> list[Route]:
    """Hold the page's POSTs to these addresses until the test lets them go."""
    held: list[Route] = []

    def catch(route: Route) -> None:
        if route.request.method == "POST":
            held.append(route)
        else:
            route.continue_()

    page.route(url, catch, times=times)
    return held


def late(page: Page, url: "str | re.Pattern[str]") -> list[tuple[Route, APIResponse]]:
    """Take the server's answers to these questions at once, and hold them until the test lets them go."""
    held: list[tuple[Route, APIResponse]] = []
    page.route(url, lambda route: held.append((route, route.fetch())))
    return held


class Desk:
    """The console of one agent, in a browser of its own."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.asked: list[str] = []  # by alert(), confirm(), …
        page.add_init_script(INIT)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", self._dismiss)
        self.status = page.locator("#console-status")
        self.rows = page.locator("#console-rows .console-row")
        self.title = page.locator("#console-head-title")
        self.pending = page.locator("#console-pending")
        self.entries = page.locator("#console-entries")
        self.field = page.locator("#console-reply")
        self.reason = page.locator("#console-reason")
        self.complaint = page.locator("#console-errors")
        self.gate = page.locator("#console-gate")
        self.details = page.locator("#console-details")

    def _dismiss(self, dialog: Any) -> None:
        self.asked.append(dialog.message)
        dialog.dismiss()

    def check(self) -> None:
        """Nothing happened that never should, whatever a test does."""
        assert self.errors == [], self.errors
        assert self.asked == []
        if not self.page.is_closed():
            assert self.page.evaluate("window.violations ?? []") == []

    def leave(self) -> None:
        """Close the window. What its routes are doing ends without an error, which the next test would get."""
        if not self.page.is_closed():
            self.page.unroute_all(behavior="ignoreErrors")
        self.page.context.close()

    # Where the agent looks

    def live(self) -> "Desk":
        """Wait until the socket is open and the lists are there."""
        return self.in_state("live")

    def in_state(self, state: str) -> "Desk":
        expect(self.status).to_have_attribute("data-state", state)
        # All of them: what comes before the last one is no news to the page.
        for name in ("waiting", "mine", "others", "closed"):
            expect(self.tab(name).locator(".console-count")).not_to_have_text("–")
        return self

    def tab(self, name: str) -> Locator:
        return self.page.locator(f"#console-tab-{name}")

    def look_at(self, name: str) -> None:
        """Choose a list: waiting, mine, others or closed."""
        self.tab(name).click()
        expect(self.tab(name)).to_have_attribute("aria-selected", "true")

    def counts(self, name: str, count: int) -> None:
        expect(self.tab(name).locator(".console-count")).to_have_text(str(count))

    def row(self, client_id: str) -> Locator:
        """The client's row in the list that is chosen."""
        name = self.page.locator(".console-row-name bdi").get_by_text(client_id, exact=True)
        return self.rows.filter(has=name)

    def badge(self, client_id: str) -> Locator:
        """How many messages of the client are unread."""
        return self.row(client_id).locator(".console-row-badge > [aria-hidden]")

    def open(self, client_id: str) -> None:
        self.row(client_id).click()
        self.shows(client_id)

    def shows(self, client_id: str) -> None:
        """Wait until the client's dialog is open, with its transcript."""
        expect(self.title).to_have_text(client_id)
        expect(self.page.locator("#console-loading")).to_be_hidden()

    def look_away(self) -> None:
        self._turn(away=True)

    def look_back(self) -> None:
        self._turn(away=False)

    def _turn(self, *, away: bool) -> None:
        turn = "(away) => { window.lookedAway = away; document.dispatchEvent(new Event('visibilitychange')); }"
        self.page.evaluate(turn, away)

    def said(self, text: str) -> Locator:
        """What somebody said in the open dialog: its bubble."""
        bubbles = self.entries.locator(".console-bubble")
        return bubbles.filter(has=self.page.locator(".console-said").get_by_text(text, exact=True))

    def mark(self, text: str) -> Locator:
        """How far the message with this text got."""
        return self.said(text).locator(".console-status")

    def hears(self, text: str) -> None:
        """Wait until screen readers were told so, whatever they were told since: the next news replace it."""
        self.page.wait_for_function("(text) => window.news.some((news) => news.includes(text))", arg=text)

    # The time between keys

    def stand_still(self) -> None:
        """From now on no time passes on the page's clock, however busy the machine is."""
        self.page.evaluate(
            "() => { window.standing = performance.now(); performance.now = () => window.standing; }"
        )

    def pass_time(self, milliseconds: int) -> None:
        self.page.evaluate("(more) => { window.standing += more; }", milliseconds)

    # What the agent does

    def serve(self, visitor: Any) -> None:
        """The client asks for a person, and the agent takes them."""
        visitor.ask_for_a_person()
        self.look_at("waiting")
        self.open(visitor.client_id)
        self.take()

    def take(self) -> None:
        self.page.locator("#console-take").click()
        # The field may be there before: whoever hears of it first shows it, but the answer brings the focus.
        expect(self.field).to_be_focused()

    def write(self, text: str) -> None:
        self.field.fill(text)
        self.field.press("Enter")

    def reply(self, text: str) -> None:
        """Say something, and wait until the server has it."""
        self.write(text)
        expect(self.said(text)).to_be_visible()

    def note(self, text: str) -> None:
        self.page.locator("#console-modes [data-mode=note]").click()
        self.reply(text)
        self.page.locator("#console-modes [data-mode=reply]").click()

    def transfer(self, name: str) -> None:
        """Give the open dialog to an agent or a group."""
        self.page.locator("#console-transfer").click()
        box = self.page.locator("#console-transferring")
        box.get_by_role("radio", name=name).check()
        box.get_by_role("button", name="Transfer").click()
        expect(box).to_be_hidden()

    def close(self) -> None:
        self.page.locator("#console-close").click()
        box = self.page.locator("#console-closing")
        box.get_by_role("button", name="Close the dialog").click()
        expect(box).to_be_hidden()
