"""A shift without a mouse: every key by which the console is worked."""

import re

import pytest

from django_chatapi.models import CannedAnswer, DialogNote
from tests.agents.conftest import dialog_of, kinds

from .browser import expect

pytestmark = pytest.mark.django_db(transaction=True)


def test_all_of_it_with_the_keyboard(shop, kim, lou, sit_down, visit):
    CannedAnswer.objects.create(channel=shop, shortcut="hi", text="Hello, how can I help?")
    CannedAnswer.objects.create(shortcut="thanks", text="Thank you for writing.")
    visitors = {name: visit(name) for name in ("ann", "bob", "cyd", "dan")}
    visitors["dan"].send("only the bot heard this")
    for name in ("ann", "bob", "cyd"):
        visitors[name].ask_for_a_person()
    desk = sit_down(kim).live()
    press, typed = desk.page.keyboard.press, desk.page.keyboard.type

    # Moving: the longest wait first.
    expect(desk.rows).to_have_count(3)
    press("j")
    expect(desk.row("ann")).to_be_focused()
    press("j")
    expect(desk.row("bob")).to_be_focused()
    press("ArrowDown")
    expect(desk.row("cyd")).to_be_focused()
    press("k")
    press("ArrowUp")
    expect(desk.row("ann")).to_be_focused()

    # Taking and replying.
    press("t")
    desk.shows("ann")
    expect(desk.field).to_be_focused()
    typed("Hello Ann")
    press("Shift+Enter")
    typed("and welcome")
    press("Enter")
    expect(desk.entries).to_contain_text("Hello Ann\nand welcome", use_inner_text=True)
    expect(desk.field).to_have_value("")

    # A canned answer.
    typed("/")
    canned = desk.page.get_by_role("listbox", name="Canned answers")
    expect(canned.get_by_role("option")).to_have_count(2)
    typed("h")
    expect(canned.get_by_role("option")).to_have_text(["/hiHello, how can I help?"])
    press("Enter")
    expect(canned).to_be_hidden()
    expect(desk.field).to_have_value("Hello, how can I help?")
    press("Enter")
    expect(desk.said("Hello, how can I help?")).to_be_visible()
    typed("/")
    press("ArrowDown")
    press("Tab")
    expect(desk.field).to_have_value("Thank you for writing.")
    press("Control+a")
    press("Delete")

    # A note: Escape leads out of the field, where letters are keys again.
    press("Escape")
    expect(desk.row("ann")).to_be_focused()
    press("n")
    expect(desk.page.get_by_role("textbox", name="Internal note")).to_be_focused()
    typed("Asks about mugs")
    press("Control+Enter")
    expect(desk.entries.locator(".console-note")).to_contain_text("Asks about mugs")
    press("Escape")
    press("r")
    expect(desk.page.get_by_role("textbox", name="Reply to the client")).to_be_focused()
    press("Escape")

    # Transferring.
    desk.stand_still()
    press("x")
    target = desk.page.get_by_role("radio", name="Lou Park")
    expect(target).to_be_focused()
    desk.pass_time(600)  # a space that comes at once is a sentence's
    press("Space")
    press("Enter")
    expect(desk.gate).to_contain_text("Lou Park has this dialog.")

    # Another one, closed.
    press("1")
    expect(desk.tab("waiting")).to_have_attribute("aria-selected", "true")
    expect(desk.rows).to_have_count(2)
    press("j")
    expect(desk.row("bob")).to_be_focused()
    press("Enter")
    desk.shows("bob")
    press("t")
    expect(desk.field).to_be_focused()
    press("Escape")
    press("c")
    expect(desk.page.get_by_role("button", name="Close the dialog")).to_be_focused()
    press("Enter")
    expect(desk.gate).to_contain_text("bob is with the bot")

    # Searching a client whom nobody handed over, and taking them.
    press("/")
    expect(desk.page.get_by_role("searchbox")).to_be_focused()
    typed("da")
    found = desk.page.get_by_role("button", name=re.compile("^dan.*Take.*with the bot"))
    expect(found).to_be_visible()
    press("ArrowDown")
    expect(found).to_be_focused()
    press("Enter")
    expect(desk.field).to_be_focused()
    desk.shows("dan")
    typed("Hello Dan")
    press("Enter")
    expect(desk.said("Hello Dan")).to_be_visible()
    press("Escape")
    expect(desk.row("dan")).to_be_focused()

    assert dialog_of("ann").agent == lou
    assert [note.text for note in DialogNote.objects.all()] == ["Asks about mugs"]
    assert kinds("bob") == ["handedOver", "agentJoined", "agentLeft", "closed"]
    assert (dialog_of("dan").agent, dialog_of("dan").state) == (kim, "open")
    assert dialog_of("cyd").state == "waiting"
    assert [one["event"]["data"]["answer"] for one in visitors["dan"].poll()["events"]] == ["Hello Dan"]


def test_the_keys_are_explained_and_can_be_switched_off(desk, ann):
    ann.ask_for_a_person()
    expect(desk.row("ann")).to_be_visible()
    desk.page.keyboard.press("?")
    box = desk.page.get_by_role("dialog", name="Keys")
    expect(box).to_be_visible()
    expect(box.get_by_role("button", name="Done")).to_be_focused()
    desk.page.keyboard.press("Shift+Tab")
    expect(box.get_by_role("checkbox", name="Single keys work")).to_be_focused()
    desk.page.keyboard.press("Space")
    desk.page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    desk.row("ann").focus()
    desk.page.keyboard.press("t")
    desk.page.keyboard.press("ArrowDown")
    desk.page.keyboard.press("Enter")  # opens: it is a link, whatever single keys do
    desk.shows("ann")
    expect(desk.page.locator("#console-take")).to_be_visible()
    assert dialog_of("ann").state == "waiting"


def test_tab_leads_through_the_page_and_arrows_through_the_lists(desk, ann):
    ann.ask_for_a_person()
    expect(desk.row("ann")).to_be_visible()
    desk.page.get_by_role("searchbox").focus()
    desk.page.keyboard.press("Tab")
    expect(desk.tab("waiting")).to_be_focused()
    for name in ("mine", "others", "closed", "waiting"):
        desk.page.keyboard.press("ArrowRight")
        expect(desk.tab(name)).to_be_focused()
        expect(desk.tab(name)).to_have_attribute("aria-selected", "true")
    desk.page.keyboard.press("Tab")
    expect(desk.row("ann")).to_be_focused()
    desk.page.keyboard.press("Enter")
    desk.shows("ann")


def test_keys_act_on_the_row_that_has_the_focus(desk, lou, visit):
    visit("dan").send("only the bot heard this")
    visit("cyd").ask_for_a_person()
    for name in ("ann", "bob"):
        desk.serve(visit(name))
    desk.look_at("mine")
    desk.open("ann")
    press = desk.page.keyboard.press

    desk.row("bob").focus()
    press("c")
    box = desk.page.get_by_role("dialog", name="Close this dialog?")
    expect(box).to_contain_text("bob goes back to the bot.")
    press("Escape")
    desk.row("bob").focus()
    press("x")
    box = desk.page.get_by_role("dialog", name="Transfer this dialog")
    expect(box).to_have_accessible_description("bob goes to:")
    box.get_by_role("radio", name="Lou Park").check()
    press("Enter")
    desk.counts("others", 1)
    assert dialog_of("bob").agent == lou
    assert dialog_of("ann").agent_id != lou.pk

    # A client with the bot, while one who waits is open.
    desk.look_at("waiting")
    desk.open("cyd")
    desk.page.get_by_role("searchbox").fill("dan")
    expect(desk.page.locator("#console-results .console-row")).to_have_count(1)
    press("ArrowDown")
    for key in ("x", "c"):
        press(key)
        expect(desk.page.locator("dialog[open]")).to_have_count(0)
    press("t")
    desk.shows("dan")
    expect(desk.field).to_be_focused()
    assert (dialog_of("cyd").state, dialog_of("dan").state) == ("waiting", "open")
