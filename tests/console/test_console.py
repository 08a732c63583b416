"""A day at the console: clients come, are answered, given away and closed."""

import time
from functools import partial

import pytest

from django_chatapi.agents.live import NOT_AN_AGENT
from django_chatapi.models import Dialog, Message
from tests.agents.conftest import dialog_of, events_for_bot, kinds, work
from tests.events.conftest import texts
from tests.events.test_streams import open_stream

from .browser import expect, until
from .test_fallback import knowing_sockets

pytestmark = pytest.mark.django_db(transaction=True)

#: What the issue asks for, in seconds.
SOON = 2


def test_who_asks_for_a_person_appears_without_a_reload(desk, ann):
    desk.page.evaluate("window.sameLoad = true")
    expect(desk.page.get_by_text("Nobody waits.")).to_be_visible()
    ann.ask_for_a_person()
    expect(desk.row("ann")).to_be_visible()
    expect(desk.row("ann")).to_contain_text("human")
    expect(desk.row("ann")).to_contain_text("Shop")
    desk.counts("waiting", 1)
    assert desk.page.evaluate("window.sameLoad")


def test_what_a_client_says_is_there_within_two_seconds(desk, ann):
    desk.serve(ann)
    desk.page.evaluate("window.sameLoad = true")
    took = []
    for number in range(3):  # the machine may be busy for a moment
        begun = time.monotonic()
        ann.send(f"message {number}")
        expect(desk.said(f"message {number}")).to_be_visible()
        took.append(time.monotonic() - begun)
    assert min(took) < SOON
    # By the socket: neither a reload nor a poll.
    expect(desk.status).to_have_attribute("data-state", "live")
    assert desk.page.evaluate("window.sameLoad")


def test_an_agents_reply_reaches_a_held_poll_and_an_event_stream(desk, ann):
    desk.serve(ann)
    held = ann.start(cid="phone")
    with open_stream(ann.base, cid="tablet") as stream:
        assert not held.done()
        desk.reply("How can I help?")
        assert texts(held.result(timeout=20)) == [("humanResponse", "How can I help?")]
        assert stream.event()[1] == "How can I help?"


def test_taking_a_client_shows_at_all_desks(desk, lou, sit_down, ann):
    other = sit_down(lou).live()
    desk.serve(ann)
    expect(desk.entries).to_contain_text("Taken by Kim Lee")
    expect(desk.tab("mine")).to_have_attribute("aria-selected", "true")
    expect(desk.row("ann")).to_be_visible()
    desk.counts("waiting", 0)
    other.counts("waiting", 0)
    other.look_at("others")
    expect(other.row("ann")).to_contain_text("Kim Lee")
    other.open("ann")
    expect(other.gate).to_contain_text("Kim Lee has this dialog.")
    expect(other.field).to_be_hidden()
    assert kinds("ann") == ["handedOver", "agentJoined"]


def test_what_was_found_shows_how_it_goes_on(desk, lou, sit_down, ann):
    ann.ask_for_a_person()
    desk.page.get_by_role("searchbox").fill("ann")
    chip = desk.page.locator("#console-results .console-chip")
    expect(chip).to_have_text("Waiting")
    other = sit_down(lou).live()
    other.open("ann")
    other.take()
    expect(chip).to_have_text("Open")
    expect(chip).to_have_attribute("data-state", "open")


def test_a_transfer_to_a_colleague(desk, lou, sit_down, ann):
    other = sit_down(lou).live()
    desk.serve(ann)
    desk.transfer("Lou Park")
    expect(desk.gate).to_contain_text("Lou Park has this dialog.")
    expect(desk.entries).to_contain_text("Transferred to Lou Park by Kim Lee")
    desk.counts("mine", 0)
    other.look_at("mine")
    expect(other.page).to_have_title("(1) Agents' console | Django site admin")
    other.open("ann")
    other.reply("Lou here.")
    expect(desk.said("Lou here.")).to_be_visible()
    assert dialog_of("ann").agent == lou


def test_a_transfer_to_a_group_takes_the_dialog_from_who_is_not_in_it(desk, shop, hire, lou, sit_down, ann):
    pat = sit_down(hire(shop, "pat", "Pat Roy", groups=("Returns",))).live()
    desk.serve(ann)
    other = sit_down(lou, place=f"#dialog-{dialog_of('ann').pk}").live()
    other.shows("ann")
    pat.counts("waiting", 0)
    desk.transfer("Returns")
    expect(other.complaint).to_contain_text("This dialog went to agents of another group.")
    for page in (desk, other):
        expect(page.page.locator("#console-nothing")).to_be_visible()
        for name in ("waiting", "mine", "others"):
            page.counts(name, 0)
    expect(desk.complaint).to_be_empty()
    expect(pat.row("ann")).to_contain_text("Returns")
    pat.open("ann")
    pat.take()
    pat.reply("Returns, hello.")
    assert kinds("ann") == ["handedOver", "agentJoined", "agentLeft", "transferred", "agentJoined"]


def test_a_note_is_for_agents_only(desk, lou, sit_down, ann):
    desk.serve(ann)
    other = sit_down(lou, place=f"#dialog-{dialog_of('ann').pk}").live()
    other.shows("ann")
    held = ann.start(cid="phone", all="true", cursor=ann.poll(all="true", cid="before")["cursor"])
    with open_stream(ann.base, cid="tablet") as stream:
        desk.note("Pays late, be careful.")
        expect(other.entries.locator(".console-note")).to_contain_text("Pays late, be careful.")
        expect(other.entries.locator(".console-note")).to_contain_text("Kim Lee")
        desk.reply("Hello Ann.")
        # What came first is the reply: the note was no event.
        assert texts(held.result(timeout=20)) == [("humanResponse", "Hello Ann.")]
        assert stream.event()[1] == "Hello Ann."
    everything = [str(ann.history()), str(ann.poll(all="true", cid="new")), ann.ask(all="true", cid="newer").text]
    assert all("Hello Ann." in text and "Pays late" not in text for text in everything)
    assert "Pays late" not in str(list(Message.objects.values()))


def test_closing_gives_the_client_back_to_the_bot(desk, ann):
    desk.serve(ann)
    desk.close()
    desk.counts("mine", 0)
    expect(desk.entries).to_contain_text("Closed by Kim Lee")
    expect(desk.gate).to_contain_text("ann is with the bot")
    desk.look_at("closed")
    expect(desk.row("ann")).to_be_visible()

    assert kinds("ann") == ["handedOver", "agentJoined", "agentLeft", "closed"]
    assert events_for_bot("ann") == [("livechatFinished", {"closedBy": "agent", "agentJoined": True})]
    work("ann")
    assert texts(ann.poll(cid="phone")) == [("botResponse", "The agent has left.")]
    assert ann.send("hello?")["data"]["answer"] == "The bot says hello."


def test_a_closed_client_can_be_taken_again(desk, ann):
    desk.serve(ann)
    desk.close()
    desk.gate.get_by_role("button", name="Take the client again").click()
    expect(desk.field).to_be_focused()
    desk.shows("ann")
    desk.reply("One more thing.")
    assert Dialog.objects.filter(client__client_id="ann").count() == 2


#: What the page keeps of 300 dialogs that were closed one after the other, and of 300 that are open.
KEPT = """
async () => {
    const { Store } = await import("/static/django_chatapi/console/store.js");
    const store = new Store("kim");
    const row = (id, state) => ({ id, state, agent: "kim", closedAt: String(1000 + id) });
    const page = (...dialogs) => ({ dialogs, hasMore: dialogs.length > 0, cursor: "next" });
    for (const list of ["mine", "closed"]) {
        store.begin(list, page(), store.moment());
    }
    for (let id = 1; id <= 300; id++) {
        store.put([row(id, "closed"), row(1000 + id, "open")]);
    }
    const kept = store.rows("closed");
    const { hasMore } = store.page("closed");
    store.begin("closed", page(row(300, "closed"), row(299, "closed")), store.moment());
    return [kept.length, kept[0].id, hasMore, store.rows("closed").length, store.rows("mine").length];
}
"""


def test_what_is_closed_does_not_pile_up(desk):
    assert desk.page.evaluate(KEPT) == [100, 300, True, 2, 300]


@pytest.mark.parametrize("phrase", ["bye", " BYE "])
def test_a_client_closes_with_a_phrase(desk, ann, phrase):
    desk.serve(ann)
    desk.reply("Anything else?")
    ann.send(phrase)
    expect(desk.entries).to_contain_text("Closed by the client")
    expect(desk.gate).to_contain_text("This dialog is closed")
    expect(desk.field).not_to_be_editable()
    expect(desk.page.locator("#console-close")).to_be_hidden()
    desk.counts("mine", 0)
    assert dialog_of("ann").state == "closed"
    assert events_for_bot("ann") == [("livechatFinished", {"closedBy": "client", "agentJoined": True})]
    assert ("botResponse", "You talk with the bot again.") in texts(ann.poll(cid="phone"))


def test_statuses_follow_what_the_client_reports(desk, ann):
    desk.serve(ann)
    desk.reply("Hello Ann.")
    mark = desk.mark("Hello Ann.")
    expect(mark).to_have_attribute("data-status", "NOT_SENT")
    drawing = mark.locator("use")
    drawings = {drawing.get_attribute("href")}
    (event,) = ann.poll(cid="phone")["events"]
    expect(mark).to_have_attribute("data-status", "SENT")
    drawings.add(drawing.get_attribute("href"))
    for status, words in [("DELIVERED", "Delivered"), ("READ", "Read")]:
        ann.report(event["event"]["questionId"], status)
        expect(mark).to_have_attribute("data-status", status)
        expect(mark).to_have_text(words)
        drawings.add(drawing.get_attribute("href"))
    assert len(drawings) == 4  # to be told apart without colours
    for href in drawings:
        expect(desk.page.locator(f"symbol{href}")).to_have_count(1)


def test_who_asks_for_the_agents_events_gets_them(desk, ann):
    types = "agentJoined,agentLeft,agentTyping"
    ann.ask_for_a_person()
    desk.open("ann")
    held = ann.start(cid="phone", types=types, cursor=ann.poll(cid="before", types=types)["cursor"])
    plain = ann.start(cid="old app")  # which does not know these types
    desk.take()
    joined = held.result(timeout=20)
    assert [(one["type"], one["event"]["agent"]) for one in joined["events"]] == [("agentJoined", "Kim Lee")]
    held = ann.start(cid="another", types=types, cursor=joined["cursor"])
    desk.field.press_sequentially("Hel")
    (typing,) = held.result(timeout=20)["events"]
    assert (typing["type"], typing["event"]["agent"]) == ("agentTyping", "Kim Lee")
    desk.reply("Hello")
    assert texts(plain.result(timeout=20)) == [("humanResponse", "Hello")]


def test_what_is_known_of_the_client_stands_beside_the_dialog(desk, ann):
    ann.send("before", cid="shop-page-1")
    ann.save_state({"basket": ["blue mug"], "page": 7})
    ann.ask_for_a_person()
    desk.open("ann")
    for text in ("Plan", "Gold", "Orders", "shop-page-1", '"blue mug"', "Waiting"):
        expect(desk.details).to_contain_text(text)
    # The bot let the agents see what was said before.
    expect(desk.said("before")).to_be_visible()
    expect(desk.said("The bot says hello.")).to_be_visible()


def test_earlier_messages_come_page_by_page(desk, ann):
    for number in range(60):
        ann.send(f"message {number}")
    ann.ask_for_a_person()
    desk.open("ann")
    expect(desk.said("human")).to_be_in_viewport()
    expect(desk.said("message 0")).to_have_count(0)
    for _ in range(2):
        before = desk.entries.locator("> li").count()
        desk.page.get_by_role("button", name="Earlier messages").click()
        until(desk.page, lambda: desk.entries.locator("> li").count() > before, "another page")  # noqa: B023
    expect(desk.said("message 0")).to_be_visible()
    expect(desk.page.get_by_role("button", name="Earlier messages")).to_be_hidden()
    for number in range(60):
        expect(desk.said(f"message {number}")).to_have_count(1)


def test_a_superuser_takes_over(desk, ann, sit_down, django_user_model):
    chief = sit_down(django_user_model.objects.create_superuser("chief")).live()
    desk.serve(ann)
    chief.look_at("others")
    chief.open("ann")
    chief.gate.get_by_role("button", name="Take over").click()
    expect(chief.field).to_be_visible()
    expect(desk.gate).to_contain_text("chief has this dialog.")


def test_a_client_of_an_agent_who_left_is_taken_over(desk, lou, sit_down, ann, kim):
    desk.serve(ann)
    other = sit_down(lou).live()
    other.look_at("others")
    other.open("ann")
    expect(other.gate.get_by_role("button")).to_be_hidden()

    kim.is_active = False
    kim.save()
    other.page.reload()
    expect(other.gate).to_contain_text("works here no more")
    other.gate.get_by_role("button", name="Take over").click()

    expect(other.field).to_be_visible()


def test_who_is_no_agent_sees_no_console(kim, sit_down):
    kim.user_permissions.clear()
    desk = sit_down(kim)
    expect(desk.page.locator("body")).to_contain_text("403")


def test_who_may_no_longer_answer_is_told(kim, sit_down, ann):
    sockets = []
    desk = sit_down(kim, before=knowing_sockets(sockets)).live()
    desk.serve(ann)
    kim.user_permissions.clear()
    desk.write("Hello")
    expect(desk.reason).to_contain_text("Not sent: You may not do this")
    expect(desk.field).to_have_value("Hello")
    sockets[0].close(code=NOT_AN_AGENT)  # as the server does at the next ping
    expect(desk.status).to_have_attribute("data-state", "refused")
    expect(desk.complaint).to_contain_text("You may not do this")
    expect(desk.field).not_to_be_editable()
    expect(desk.field).to_have_value("Hello")  # to be copied
    assert "humanResponse" not in [message["type"] for message in ann.history()]


def test_who_may_answer_again_goes_on(kim, sit_down, ann):
    sockets = []
    desk = sit_down(kim, before=knowing_sockets(sockets)).live()
    desk.serve(ann)
    permissions = list(kim.user_permissions.all())
    kim.user_permissions.clear()
    sockets[0].close(code=NOT_AN_AGENT)
    expect(desk.field).not_to_be_editable()
    tools = desk.page.locator("#console-tools")
    expect(tools).to_be_hidden()
    kim.user_permissions.set(permissions)
    desk.page.evaluate("dispatchEvent(new Event('focus'))")
    expect(desk.field).to_be_editable()
    expect(tools).to_be_visible()
    desk.reply("Hello")
    expect(desk.complaint).to_be_empty()


def hold_refusals(page, url, agent):
    """Hold the answers to these GETs from when the agent may do nothing; the list has what lets each go."""
    held = []

    def catch(route):
        if agent.user_permissions.exists():
            route.continue_()
        else:
            held.append(partial(route.fulfill, response=route.fetch()))

    page.route(url, catch)
    return held


def test_a_late_refusal_from_before_does_not_stop_who_may_answer_again(kim, sit_down, ann):
    """One refusal of what the page asks for is enough: that of the open dialog may still be coming."""
    sockets = []
    desk = sit_down(kim, before=knowing_sockets(sockets)).live()
    desk.serve(ann)
    permissions = list(kim.user_permissions.all())
    asked = f"**/dialogs/{dialog_of('ann').pk}?*"
    late = hold_refusals(desk.page, asked, kim)
    kim.user_permissions.clear()
    sockets[0].close(code=NOT_AN_AGENT)
    expect(desk.status).to_have_attribute("data-state", "refused")
    until(desk.page, lambda: late, "a late refusal")

    kim.user_permissions.set(permissions)
    with desk.page.expect_response("**/dialogs?state=mine*"):
        desk.page.evaluate("dispatchEvent(new Event('focus'))")
    with desk.page.expect_response(lambda response: response.url.endswith("?limit=50") and response.ok):
        late.pop()()

    desk.live()
    desk.reply("Hello")
    expect(desk.complaint).to_be_empty()


def test_a_late_refusal_does_not_stop_who_comes_back_while_a_socket_opens(kim, sit_down):
    sockets, asked, answered = [], [], []

    def second_is_silent(socket):
        sockets.append(socket)
        if len(sockets) != 2:
            socket.connect_to_server()

    def prepare(desk):
        desk.page.route_web_socket("**/live", second_is_silent)
        for event, urls in (("request", asked), ("requestfinished", answered)):
            desk.page.on(event, lambda request, urls=urls: "/dialogs?" in request.url and urls.append(request.url))

    def is_at_rest():
        """The lists are there that the page asks for when it opens, and when its socket does: none is refused."""
        lists = [sum(f"state={name}" in url for url in answered) for name in ("waiting", "mine", "open")]
        return min(lists) >= 2 and len(asked) == len(answered)

    desk = sit_down(kim, before=prepare).live()
    until(desk.page, is_at_rest, "the answers to what was asked at first")
    permissions = list(kim.user_permissions.all())
    late = hold_refusals(desk.page, "**/dialogs?state=*", kim)
    kim.user_permissions.clear()
    sockets[0].close()
    until(desk.page, lambda: len(late) >= 3 and len(sockets) == 2, "late refusals of three lists")

    kim.user_permissions.set(permissions)
    desk.page.evaluate("dispatchEvent(new Event('focus'))")
    answers = []
    desk.page.on("response", lambda response: "state=waiting" in response.url and answers.append(response.ok))

    def is_answered():
        while late:
            late.pop()()
        return answers and answers[-1]

    until(desk.page, is_answered, "the next poll")
    sockets[1].close()
    desk.live()
    expect(desk.complaint).to_be_empty()


def test_the_page_works_under_a_strict_policy(kim, sit_down, ann):
    def route(desk):
        desk.page.route("**/admin/django_chatapi/console/", strict)

    def strict(route):
        response = route.fetch()
        headers = {**response.headers, "content-security-policy": "default-src 'self'"}
        route.fulfill(response=response, headers=headers)

    desk = sit_down(kim, before=route).live()  # its violations are looked for at the end, as everywhere
    assert desk.page.evaluate("fetch('data:,').then(() => 'open', () => 'closed')") == "closed"
    assert desk.page.evaluate("window.violations.splice(0).length") == 1  # the policy holds
    desk.serve(ann)
    desk.reply("Hello")
    desk.note("A note")
    ann.send("Thanks")
    expect(desk.said("Thanks")).to_be_visible()
    desk.close()
    expect(desk.entries).to_contain_text("Closed by Kim Lee")
