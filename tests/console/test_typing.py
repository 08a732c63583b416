"""What is typed for a reply does nothing else, wherever the field has gone meanwhile."""

import pytest

from django_chatapi.models import AgentGroup, CannedAnswer, DialogNote
from tests.agents.conftest import dialog_of

from .browser import expect, hold, until

pytestmark = pytest.mark.django_db(transaction=True)

#: Every letter of it is a key, or a number of a list; and spaces and ends of lines press buttons.
SENTENCE = "ok, can next 1 2 3 4 try it / ? "


@pytest.fixture
def posts(desk):
    """What the page asks the server to do, but for what it does by itself."""
    asked = []

    def note(request):
        path = request.url.rpartition("chatapi-agents/")[2]
        if request.method == "POST" and not path.endswith(("typing", "read", "presence")):
            asked.append(path)

    desk.page.on("request", note)
    return asked


def type_on(desk):
    for _ in range(2):
        desk.page.keyboard.type(SENTENCE)
        desk.page.keyboard.press("Enter")


def nothing_happened(desk, posts):
    expect(desk.page.locator("dialog[open]")).to_have_count(0)
    expect(desk.tab("mine")).to_have_attribute("aria-selected", "true")
    assert posts == []


@pytest.fixture
def chief(sit_down, django_user_model):
    """The console of somebody who may do everything."""
    return sit_down(django_user_model.objects.create_superuser("chief")).live()


@pytest.fixture
def writing(desk, visit, ann):
    """Kim writes to Ann, while Bob is theirs too and Cyd waits."""
    desk.serve(visit("bob"))
    desk.serve(ann)
    visit("cyd").ask_for_a_person()
    desk.counts("waiting", 1)
    desk.page.keyboard.type("Yes, ")
    expect(desk.field).to_have_value("Yes, ")
    return desk


@pytest.mark.parametrize("way", ["phrase", "takeover"])
def test_the_field_of_who_writes_goes_away(writing, posts, ann, chief, way):
    desk = writing
    posts.clear()
    if way == "phrase":
        ann.send("bye")
        expect(desk.gate).to_contain_text("This dialog is closed")
        told = "This dialog is closed; ann is with the bot."
    else:
        chief.look_at("others")
        chief.open("ann")
        chief.gate.get_by_role("button", name="Take over").click()
        told = "chief has this dialog."
    expect(desk.gate).to_contain_text(told)
    type_on(desk)
    nothing_happened(desk, posts)
    desk.hears(told)
    desk.shows("ann")
    # What was written can be read and copied, and the keyboard goes on from there.
    expect(desk.field).to_have_value("Yes, ")
    expect(desk.field).to_be_visible()
    expect(desk.field).not_to_be_editable()
    desk.page.keyboard.press("Escape")
    desk.page.keyboard.press("1")
    expect(desk.tab("waiting")).to_have_attribute("aria-selected", "true")


def test_the_dialog_of_who_writes_goes_away(writing, posts, shop, chief):
    desk = writing
    AgentGroup.objects.create(channel=shop, name="Returns")
    posts.clear()
    desk.stand_still()
    chief.look_at("others")
    chief.open("ann")
    chief.transfer("Returns")
    expect(desk.complaint).to_contain_text("This dialog went to agents of another group.")
    type_on(desk)
    nothing_happened(desk, posts)
    expect(desk.page.locator("#console-nothing")).to_be_focused()
    desk.page.keyboard.press("Escape")
    desk.page.keyboard.press("j")
    expect(desk.row("bob")).to_be_focused()
    desk.page.keyboard.press("Enter")
    desk.shows("bob")


@pytest.mark.parametrize("place", ["search", "row"])
def test_the_open_dialog_of_who_is_in_the_lists_goes_away(desk, visit, shop, chief, place):
    for name in ("bob", "cyd", "ann"):
        desk.serve(visit(name))
    AgentGroup.objects.create(channel=shop, name="Returns")
    search = desk.page.get_by_role("searchbox")
    if place == "search":
        search.click()
        desk.page.keyboard.type("bo")
        expect(desk.page.locator("#console-results .console-row")).to_have_count(1)
    else:
        desk.row("bob").focus()
    chief.look_at("others")
    chief.open("ann")
    chief.transfer("Returns")
    expect(desk.complaint).to_contain_text("This dialog went to agents of another group.")
    if place == "search":
        desk.page.keyboard.type("b")
        expect(search).to_have_value("bob")
    else:
        desk.counts("mine", 2)
        expect(desk.row("bob")).to_be_focused()


@pytest.mark.parametrize("on_send", [True, False])
def test_from_a_field_that_went_away_tab_leads_to_the_button(desk, ann, posts, on_send):
    desk.serve(ann)
    if on_send:
        desk.page.locator("#console-send").focus()
    desk.stand_still()
    ann.send("bye")
    expect(desk.gate).to_contain_text("This dialog is closed")
    expect(desk.page.locator("#console-gate-text") if on_send else desk.field).to_be_focused()
    expect(desk.field).to_have_accessible_description("")  # nothing is unsent in it
    posts.clear()
    type_on(desk)
    nothing_happened(desk, posts)
    desk.page.keyboard.press("Tab")
    expect(desk.gate.get_by_role("button")).to_be_focused()
    desk.page.keyboard.press("Enter")
    expect(desk.field).to_be_focused()
    expect(desk.field).to_be_editable()


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("by", ["key", "click"])
def test_what_is_typed_before_the_client_is_taken(desk, posts, visit, ann, taken, by):
    desk.serve(visit("bob"))
    ann.ask_for_a_person()
    desk.look_at("waiting")
    desk.open("ann")
    desk.row("ann").focus()
    held = hold(desk.page, "**/take")
    posts.clear()
    if by == "key":
        desk.page.keyboard.press("t")
    else:
        desk.page.locator("#console-take").click()
    until(desk.page, lambda: held, "the page's call")
    type_on(desk)
    expect(desk.page.locator("dialog[open]")).to_have_count(0)
    expect(desk.tab("waiting")).to_have_attribute("aria-selected", "true")
    expect(desk.row("ann")).to_be_visible()
    if taken:
        held.pop().continue_()
        expect(desk.field).to_be_focused()
        desk.page.keyboard.type("hello")
        expect(desk.field).to_have_value("hello")
    else:
        desk.stand_still()
        held.pop().abort()
        expect(desk.complaint).to_contain_text("could not be reached")
        type_on(desk)
        expect(desk.page.locator("dialog[open]")).to_have_count(0)
        # Who has paused means the keys again.
        box = desk.page.get_by_role("dialog", name="Keys")
        until(desk.page, lambda: desk.pass_time(1100) or press(desk, "?", box), "a key")
    assert [path.rpartition("/")[2] for path in posts] == ["take"]
    assert not held


def press(desk, key, box):
    desk.page.keyboard.press(key)
    return box.is_visible()


def test_a_sentence_confirms_no_closing(desk, ann):
    desk.serve(ann)
    box = desk.page.get_by_role("dialog", name="Close this dialog?")
    desk.stand_still()
    desk.page.keyboard.press("Escape")
    for rest in (" ", "lose it all\n"):
        desk.page.keyboard.press("c")
        desk.page.keyboard.type(rest)
        expect(box).to_be_visible()
        desk.page.keyboard.press("Escape")
        expect(box).to_be_hidden()
    assert dialog_of("ann").state == "open"
    desk.page.keyboard.press("c")
    expect(box).to_be_visible()
    desk.pass_time(600)
    desk.page.keyboard.press("Space")
    expect(desk.entries).to_contain_text("Closed by Kim Lee")


@pytest.mark.parametrize("typed", ["basic", "max is ok", "x is ok, "])
def test_a_sentence_beside_the_field_does_nothing(desk, lou, ann, posts, typed):
    desk.serve(ann)
    desk.page.locator("#console-transcript").click()
    posts.clear()
    desk.stand_still()
    desk.page.keyboard.type(typed)
    if typed.startswith("x"):
        expect(desk.page.get_by_role("radio", name="Lou Park")).to_be_focused()
        desk.page.keyboard.type("max is ok")
        expect(desk.page.get_by_role("radio", name="Lou Park")).not_to_be_checked()
    desk.page.keyboard.press("Enter")
    desk.page.wait_for_timeout(200)
    desk.page.keyboard.press("Escape")
    assert posts == []
    assert dialog_of("ann").state == "open"


@pytest.mark.parametrize("left", ["row", "button"])
def test_nobody_is_taken_from_the_bot_by_going_on(desk, ann, posts, left):
    desk.serve(ann)
    desk.page.keyboard.press("Escape")
    if left == "row":
        desk.page.keyboard.press("c")
    else:
        desk.page.locator("#console-close").focus()
        desk.page.keyboard.press("Enter")
    desk.page.keyboard.press("Enter")
    expect(desk.gate).to_contain_text("This dialog is closed")
    posts.clear()
    for key in ("Enter", "Enter", "Space", "r", "Space", "Enter"):
        desk.page.keyboard.press(key)
    assert posts == []
    expect(desk.page.locator("#console-gate-text")).to_be_focused()
    desk.page.keyboard.press("Tab")
    expect(desk.gate.get_by_role("button", name="Take the client again")).to_be_focused()
    desk.page.keyboard.press("t")
    expect(desk.field).to_be_focused()
    until(desk.page, lambda: dialog_of("ann").state == "open", "the take")


def test_a_closed_dialog_from_its_list_is_only_opened(desk, ann, posts):
    desk.serve(ann)
    desk.close()
    desk.page.locator("#console-back").evaluate("(node) => node.click()")
    desk.look_at("closed")
    desk.row("ann").focus()  # there as soon as the server has closed it
    posts.clear()
    for _ in range(2):
        desk.page.keyboard.press("Enter")
        desk.shows("ann")
        desk.page.wait_for_timeout(50)
    desk.page.keyboard.press("Enter")
    expect(desk.page.locator("#console-gate-text")).to_be_focused()
    assert posts == []
    assert dialog_of("ann").state == "closed"


@pytest.fixture
def slow_answers(desk):
    """Holds the page's questions for canned answers."""
    CannedAnswer.objects.create(shortcut="hello", text="Hello, how can I help?")
    held = []
    desk.page.route("**/canned-answers*", lambda route: held.append(route))
    return held


def test_a_shortcut_waits_for_its_answer(desk, ann, slow_answers, posts):
    desk.serve(ann)
    until(desk.page, lambda: slow_answers, "the question for canned answers")  # before anything is typed
    posts.clear()
    desk.page.keyboard.type("/he")
    desk.page.keyboard.press("Enter")
    expect(desk.field).to_have_value("/he")
    slow_answers.pop().continue_()
    expect(desk.field).to_have_value("Hello, how can I help?")
    assert (posts, slow_answers) == ([], [])
    desk.page.keyboard.press("Enter")
    expect(desk.said("Hello, how can I help?")).to_be_visible()


@pytest.mark.parametrize(("typed", "fate"), [("/nothing", "sent"), ("/he", "kept"), ("/he ", "changed")])
def test_what_is_no_shortcut_is_a_reply(desk, ann, slow_answers, posts, typed, fate):
    desk.serve(ann)
    until(desk.page, lambda: slow_answers, "the question for canned answers")
    posts.clear()
    desk.page.keyboard.type(typed.strip())
    desk.page.keyboard.press("Enter")
    desk.page.keyboard.type(typed[len(typed.strip()) :])
    answer = slow_answers.pop()
    if fate == "kept":
        answer.abort()
        desk.page.evaluate("new Promise((done) => setTimeout(done, 100))")
    else:
        answer.continue_()
    if fate == "sent":
        expect(desk.said("/nothing")).to_be_visible()
    else:
        expect(desk.field).to_have_value(typed)
        assert posts == []


@pytest.mark.parametrize("place", ["composer", "transcript"])
def test_a_click_while_the_client_is_taken(desk, ann, place):
    ann.ask_for_a_person()
    desk.open("ann")
    held = hold(desk.page, "**/take")
    desk.page.locator("#console-take").click()
    until(desk.page, lambda: held, "the page's call")
    # As voice control does it, without a pointer.
    desk.page.locator(f"#console-{place}").evaluate("(node) => node.click()")
    desk.page.keyboard.press("c")
    desk.page.keyboard.press("2")
    chosen = "waiting" if place == "composer" else "mine"
    expect(desk.tab(chosen)).to_have_attribute("aria-selected", "true")
    held.pop().continue_()
    expect(desk.field).to_be_focused()


def answer(desk, held):
    """Let the call that is held go on, and wait until the page has dealt with the answer: it looks again then."""
    with desk.page.expect_request(lambda request: "state=waiting&limit" in request.url):
        held.pop().continue_()


@pytest.mark.parametrize("begun", ["", "She is "])
def test_a_note_that_somebody_writes_while_the_client_is_taken_stays_one(desk, ann, posts, begun):
    ann.ask_for_a_person()
    desk.open("ann")
    held = hold(desk.page, "**/take")
    desk.page.locator("#console-take").click()
    until(desk.page, lambda: held, "the page's call")
    desk.page.get_by_role("button", name="Note").click()
    desk.page.keyboard.type(begun)
    answer(desk, held)
    desk.page.keyboard.type("angry")
    desk.page.keyboard.press("Enter")
    until(desk.page, DialogNote.objects.exists, "the note")
    assert DialogNote.objects.get().text == f"{begun}angry"
    assert [path.rpartition("/")[2] for path in posts] == ["take", "notes"]
    desk.page.locator("#console-transcript").click()
    desk.page.keyboard.press("r")
    expect(desk.field).to_have_accessible_name("Reply to the client")
    desk.reply("Hello")


def test_who_searches_while_a_client_is_taken_is_left_there(desk, ann):
    ann.ask_for_a_person()
    desk.open("ann")
    held = hold(desk.page, "**/take")
    desk.page.locator("#console-take").click()
    until(desk.page, lambda: held, "the page's call")
    search = desk.page.get_by_role("searchbox")
    search.click()
    desk.page.keyboard.type("bo")
    answer(desk, held)
    desk.page.keyboard.type("b")
    expect(search).to_have_value("bob")
    desk.hears("Now with you: ann")


def test_who_writes_to_somebody_else_is_left_there(desk, visit, ann):
    desk.serve(visit("bob"))
    ann.ask_for_a_person()
    desk.look_at("waiting")
    desk.open("ann")
    held = hold(desk.page, "**/take")
    desk.page.locator("#console-take").click()
    until(desk.page, lambda: held, "the page's call")
    desk.look_at("mine")
    desk.open("bob")
    desk.field.click()
    desk.page.keyboard.type("for B")
    held.pop().continue_()
    desk.counts("mine", 2)
    desk.page.keyboard.type("ob")
    desk.shows("bob")
    expect(desk.field).to_have_value("for Bob")


def test_from_a_field_that_went_away_escape_leads_to_nobody_else(desk, visit, ann):
    desk.serve(visit("bob"))
    desk.serve(ann)
    desk.page.keyboard.type("Yes, ")
    ann.send("bye")
    expect(desk.gate).to_contain_text("This dialog is closed")
    expect(desk.gate.locator("kbd")).to_be_hidden()
    desk.page.keyboard.press("Escape")
    expect(desk.title).to_be_focused()
    expect(desk.gate.locator("kbd")).to_be_visible()
    desk.page.keyboard.press("t")
    # What was written goes on where it can be sent.
    expect(desk.field).to_be_focused()
    expect(desk.field).to_be_editable()
    expect(desk.field).to_have_value("Yes, ")
    desk.shows("ann")


def test_answers_that_cannot_be_loaded_are_asked_for_again(desk, ann, posts, slow_answers):
    desk.serve(ann)
    posts.clear()
    until(desk.page, lambda: slow_answers, "the question for canned answers")
    desk.page.keyboard.type("/he")
    desk.page.keyboard.press("Enter")
    slow_answers.pop().abort()
    expect(desk.page.locator("#console-canned")).to_contain_text("could not be loaded")
    desk.page.keyboard.press("Enter")
    until(desk.page, lambda: slow_answers, "the second question")
    slow_answers.pop().continue_()
    expect(desk.field).to_have_value("Hello, how can I help?")
    assert posts == []


def test_the_list_that_was_asked_for_is_shown_first(desk, ann, slow_answers):
    desk.serve(ann)
    until(desk.page, lambda: slow_answers, "the question for canned answers")
    desk.page.keyboard.type("My own")
    desk.page.locator("#console-canned-button").click()
    desk.page.keyboard.press("Enter")
    slow_answers.pop().continue_()
    expect(desk.page.get_by_role("option")).to_be_visible()
    expect(desk.field).to_have_value("My own")
