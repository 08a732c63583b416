"""A day at the console: clients come, are answered, given away and closed."""

import time

import pytest

from django_chatapi.constants import PresenceState
from django_chatapi.dialog_selectors import presence_of
from django_chatapi.models import Dialog, Message
from tests.agents.conftest import dialog_of, events_for_bot, kinds, work
from tests.events.conftest import texts
from tests.events.test_streams import open_stream
from tests.servers import wait_until

from .browser import Desk, expect, until

pytestmark = pytest.mark.django_db(transaction=True)

#: What the issue asks for, in seconds.
SOON = 2


def served(ann, desk):
    """The client waits, the agent takes them."""
    ann.ask_for_a_person()
    desk.open(ann.client_id)
    desk.take()
    return desk


@pytest.fixture
def desk(kim, sit_down):
    return sit_down(kim).live()


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
    served(ann, desk)
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
    served(ann, desk)
    held = ann.start(cid="phone")
    with open_stream(ann.base, cid="tablet") as stream:
        assert not held.done()
        desk.reply("How can I help?")
        assert texts(held.result(timeout=20)) == [("humanResponse", "How can I help?")]
        assert stream.event()[1] == "How can I help?"


def test_taking_a_client_shows_at_all_desks(desk, lou, sit_down, ann):
    other = sit_down(lou).live()
    served(ann, desk)
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


def test_a_transfer_to_a_colleague(desk, lou, sit_down, ann):
    other = sit_down(lou).live()
    served(ann, desk)
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


def test_a_transfer_to_a_group_takes_the_dialog_from_who_is_not_in_it(desk, shop, hire, sit_down, ann):
    pat = sit_down(hire(shop, "pat", "Pat Roy", groups=("Returns",))).live()
    served(ann, desk)
    pat.counts("waiting", 0)
    desk.transfer("Returns")
    expect(desk.complaint).to_contain_text("another group")
    expect(desk.page.locator("#console-nothing")).to_be_visible()
    for name in ("waiting", "mine", "others"):
        desk.counts(name, 0)
    expect(pat.row("ann")).to_contain_text("Returns")
    pat.open("ann")
    pat.take()
    pat.reply("Returns, hello.")
    assert kinds("ann") == ["handedOver", "agentJoined", "agentLeft", "transferred", "agentJoined"]


def test_a_note_is_for_agents_only(desk, lou, sit_down, ann):
    served(ann, desk)
    other = sit_down(lou, place=f"#dialog-{dialog_of('ann').pk}").live()
    other.shows("ann")
    held = ann.start(cid="phone", all="true", cursor=ann.poll(all="true", cid="phone")["cursor"])
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
    served(ann, desk)
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
    served(ann, desk)
    desk.close()
    desk.gate.get_by_role("button", name="Take the client again").click()
    expect(desk.field).to_be_focused()
    desk.shows("ann")
    desk.reply("One more thing.")
    assert Dialog.objects.filter(client__client_id="ann").count() == 2


@pytest.mark.parametrize("phrase", ["bye", " BYE "])
def test_a_client_closes_with_a_phrase(desk, ann, phrase):
    served(ann, desk)
    desk.reply("Anything else?")
    ann.send(phrase)
    expect(desk.entries).to_contain_text("Closed by the client")
    expect(desk.gate).to_contain_text("This dialog is closed")
    expect(desk.field).to_be_hidden()
    expect(desk.page.locator("#console-close")).to_be_hidden()
    desk.counts("mine", 0)
    assert dialog_of("ann").state == "closed"
    assert events_for_bot("ann") == [("livechatFinished", {"closedBy": "client", "agentJoined": True})]
    assert ("botResponse", "You talk with the bot again.") in texts(ann.poll(cid="phone"))


def test_the_presence_switch(desk, kim, lou, sit_down, ann):
    presence = desk.page.get_by_role("switch", name="I take clients")
    expect(presence).to_have_attribute("aria-checked", "true")
    expect(presence).to_contain_text("Online")
    presence.click()
    expect(presence).to_have_attribute("aria-checked", "false")
    expect(presence).to_contain_text("Away")
    assert presence_of(kim) == PresenceState.AWAY

    # A colleague who wants to give a client away is told.
    other = sit_down(lou).live()
    served(ann, other)
    other.page.locator("#console-transfer").click()
    target = other.page.locator("#console-targets label").filter(has_text="Kim Lee")
    expect(target).to_contain_text("Away")

    presence.click()
    expect(presence).to_have_attribute("aria-checked", "true")
    assert presence_of(kim) == PresenceState.ONLINE


def test_the_state_of_the_switch_is_kept(desk, kim):
    desk.page.get_by_role("switch").click()
    expect(desk.page.get_by_role("switch")).to_have_attribute("aria-checked", "false")
    desk.page.reload()
    desk.live()
    expect(desk.page.get_by_role("switch")).to_have_attribute("aria-checked", "false")


def test_unread_messages_are_counted_until_they_are_looked_at(desk, visit):
    ann, bob = visit("ann"), visit("bob")
    served(ann, desk)
    served(bob, desk)
    ann.send("one")
    ann.send("two")
    expect(desk.badge("ann")).to_have_text("2")
    expect(desk.badge("bob")).to_have_count(0)
    expect(desk.row("ann")).to_contain_text("two")
    expect(desk.tab("mine")).to_have_attribute("data-urgent", "")
    expect(desk.page).to_have_title("(1) Agents' console | Django site admin")
    desk.open("ann")
    expect(desk.said("two")).to_be_visible()
    expect(desk.badge("ann")).to_have_count(0)
    expect(desk.page).to_have_title("Agents' console | Django site admin")
    wait_until(lambda: dialog_of("ann").unread == 0, what="the report that it was read")


def test_an_agent_who_looks_elsewhere_is_called(desk, ann):
    served(ann, desk)
    ann.send("seen")
    expect(desk.said("seen")).to_be_visible()
    assert desk.page.evaluate("window.tones") == 0  # it was in view
    desk.look_away()
    ann.send("not seen")
    expect(desk.page).to_have_title("(1) Agents' console | Django site admin")
    assert desk.page.evaluate("window.tones") == 2  # two notes
    assert dialog_of("ann").unread == 1
    desk.look_back()
    expect(desk.page).to_have_title("Agents' console | Django site admin")
    wait_until(lambda: dialog_of("ann").unread == 0, what="the report that it was read")


def test_a_new_client_in_the_queue_calls_too(desk, ann):
    desk.page.keyboard.press("Shift")  # browsers want a gesture before the first sound
    desk.look_away()
    ann.ask_for_a_person()
    expect(desk.page).to_have_title("(1) Agents' console | Django site admin")
    assert desk.page.evaluate("window.tones") == 2


def test_sound_can_be_switched_off_and_stays_off(desk, ann):
    sound = desk.page.get_by_role("button", name="Sound")
    expect(sound).to_have_attribute("aria-pressed", "true")
    sound.click()
    expect(sound).to_have_attribute("aria-pressed", "false")
    desk.page.reload()
    desk.live()
    expect(sound).to_have_attribute("aria-pressed", "false")
    desk.page.keyboard.press("Shift")
    desk.look_away()
    ann.ask_for_a_person()
    expect(desk.page).to_have_title("(1) Agents' console | Django site admin")
    assert desk.page.evaluate("window.tones") == 0


def test_statuses_follow_what_the_client_reports(desk, ann):
    served(ann, desk)
    desk.reply("Hello Ann.")
    mark = desk.mark("Hello Ann.")
    expect(mark).to_have_attribute("data-status", "NOT_SENT")
    (event,) = ann.poll(cid="phone")["events"]
    expect(mark).to_have_attribute("data-status", "SENT")
    for status, words in [("DELIVERED", "Delivered"), ("READ", "Read")]:
        ann.report(event["event"]["questionId"], status)
        expect(mark).to_have_attribute("data-status", status)
        expect(mark).to_have_text(words)


def test_who_asks_for_the_agents_events_gets_them(desk, ann):
    types = "agentJoined,agentLeft,agentTyping"
    ann.ask_for_a_person()
    desk.open("ann")
    cursor = ann.poll(cid="phone", types=types)["cursor"]
    held = ann.start(cid="phone", types=types, cursor=cursor)
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
    served(ann, desk)
    chief.look_at("others")
    chief.open("ann")
    chief.gate.get_by_role("button", name="Take over").click()
    expect(chief.field).to_be_visible()
    expect(desk.gate).to_contain_text("chief has this dialog.")


def test_who_is_no_agent_sees_no_console(kim, sit_down):
    kim.user_permissions.clear()
    desk = sit_down(kim)
    expect(desk.page.locator("body")).to_contain_text("403")


def test_who_may_no_longer_answer_is_told(desk: Desk, kim, ann):
    kim.user_permissions.clear()
    ann.ask_for_a_person()
    desk.page.reload()
    expect(desk.page.locator("body")).to_contain_text("403")


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
    served(ann, desk)
    desk.reply("Hello")
    desk.note("A note")
    ann.send("Thanks")
    expect(desk.said("Thanks")).to_be_visible()
    desk.close()
    expect(desk.entries).to_contain_text("Closed by Kim Lee")
