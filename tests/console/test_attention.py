"""Whether agents are there, and how the page calls them: counts, the title, a sound."""

import re

import pytest

from django_chatapi.actions import dialogs
from django_chatapi.constants import PresenceState
from django_chatapi.dialog_selectors import presence_of
from django_chatapi.models import AgentGroup, Client
from tests.agents.conftest import dialog_of
from tests.servers import wait_until

from .browser import expect, late, until

pytestmark = pytest.mark.django_db(transaction=True)


def silence(desk):
    """Forget the sounds so far, and wait until the next one would be heard: two are some time apart."""
    quiet = desk.page.evaluate("() => { window.tones = 0; return performance.now() + 2000; }")
    desk.page.wait_for_function("(quiet) => performance.now() > quiet", arg=quiet)


def test_the_presence_switch(desk, kim, lou, sit_down, ann):
    presence = desk.page.get_by_role("switch", name="I take clients")
    expect(presence).to_have_attribute("aria-checked", "true")
    expect(presence).to_have_accessible_name("I take clients: Online")
    presence.click()
    expect(presence).to_have_attribute("aria-checked", "false")
    expect(presence).to_have_accessible_name("I take clients: Away")
    assert presence_of(kim) == PresenceState.AWAY

    # A colleague who wants to give a client away is told.
    other = sit_down(lou).live()
    other.serve(ann)
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


@pytest.mark.parametrize("back", ["look", "connection", "clock"])
def test_a_presence_that_has_run_out_shows_and_one_click_renews_it(kim, sit_down, back):
    sockets = []

    def before(desk):
        desk.page.clock.install()
        desk.page.route_web_socket("**/live", lambda socket: (sockets.append(socket), socket.connect_to_server()))

    desk = sit_down(kim, before=before).live()
    presence = desk.page.get_by_role("switch")
    expect(presence).to_contain_text("Online")

    renewed = []

    def run_out(route):
        if route.request.method == "POST":
            renewed.append(route)
        if renewed:
            route.continue_()
        else:
            route.fulfill(json={"state": "offline"})

    desk.page.route("**/presence", run_out)
    if back == "look":
        desk.look_back()
    elif back == "clock":
        desk.page.clock.run_for(20_000)
    else:
        sockets[0].close()
        until(desk.page, lambda: desk.page.clock.run_for(500) or len(sockets) == 2, "another socket")
    expect(presence).to_contain_text("Offline")
    expect(presence).to_have_attribute("aria-checked", "false")
    presence.press("Space")
    expect(presence).to_contain_text("Online")
    assert presence_of(kim) == PresenceState.ONLINE


def test_unread_messages_are_counted_until_they_are_looked_at(desk, visit):
    ann, bob = visit("ann"), visit("bob")
    desk.serve(ann)
    desk.serve(bob)
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


def test_a_report_that_was_lost_is_made_again(desk, ann):
    desk.serve(ann)
    lost = []
    desk.page.route("**/read", lambda route: (lost.append(route), route.abort()), times=1)
    ann.send("one")
    until(desk.page, lambda: lost, "the report that it was read")
    until(desk.page, lambda: desk.look_back() or dialog_of("ann").unread == 0, "another report")


def test_an_agent_who_looks_elsewhere_is_called(desk, ann):
    desk.serve(ann)
    silence(desk)
    ann.send("seen")
    expect(desk.said("seen")).to_be_visible()
    assert desk.page.evaluate("window.tones") == 0  # it was in view
    wait_until(lambda: dialog_of("ann").unread == 0, what="the report that it was read")
    desk.look_away()
    ann.send("not seen")
    expect(desk.page).to_have_title("(1) Agents' console | Django site admin")
    assert desk.page.evaluate("window.tones") == 2  # two notes
    assert dialog_of("ann").unread == 1
    desk.look_back()
    expect(desk.page).to_have_title("Agents' console | Django site admin")
    wait_until(lambda: dialog_of("ann").unread == 0, what="the report that it was read")


def test_an_agent_who_has_just_read_is_called_to_what_follows(kim, sit_down, ann):
    """One more unread message than none, though the page has not heard yet that the one before was read."""

    def block(desk):
        desk.page.route_web_socket("**/live", lambda socket: socket.close())

    desk = sit_down(kim, before=block).in_state("polling")
    desk.serve(ann)
    reports = late(desk.page, "**/read")
    ann.send("seen")
    until(desk.page, lambda: reports, "the report that it was read")
    desk.look_away()
    ann.send("not seen")
    expect(desk.page).to_have_title("(1) Agents' console | Django site admin")
    [(route, answer)] = reports
    with desk.page.expect_response("**/read"):
        route.fulfill(response=answer)
    assert desk.page.title().startswith("(1)")


def test_a_new_client_in_the_queue_calls_too(desk, ann):
    desk.page.keyboard.press("Shift")  # browsers want a gesture before the first sound
    desk.page.wait_for_function("performance.now() > 2000")  # see the next test
    desk.look_away()
    ann.ask_for_a_person()
    expect(desk.page).to_have_title("(1) Agents' console | Django site admin")
    assert desk.page.evaluate("window.tones") == 2


def test_a_client_who_comes_at_once_is_heard(kim, sit_down, ann):
    def hurry(desk):
        desk.page.add_init_script("performance.now = () => 1000")

    desk = sit_down(kim, before=hurry).live()
    desk.page.keyboard.press("Shift")
    desk.look_away()
    ann.ask_for_a_person()
    expect(desk.page).to_have_title("(1) Agents' console | Django site admin")
    assert desk.page.evaluate("window.tones") == 2


def test_an_agent_is_called_though_one_of_the_first_questions_failed(kim, sit_down, ann):
    held = []

    def prepare(desk):
        desk.page.route_web_socket("**/live", lambda socket: None)  # which says nothing
        desk.page.route(re.compile("state=closed"), lambda route: held.append(route), times=1)

    desk = sit_down(kim, before=prepare)
    until(desk.page, lambda: held, "the question that fails")
    desk.counts("waiting", 0)
    held.pop().abort()
    desk.in_state("polling").look_away()
    ann.ask_for_a_person()
    expect(desk.page).to_have_title("(1) Agents' console | Django site admin")


def test_sound_can_be_switched_off_and_stays_off(desk, ann):
    sound = desk.page.get_by_role("button", name="Sound")
    expect(sound).to_have_attribute("aria-pressed", "true")
    sound.click()
    expect(sound).to_have_attribute("aria-pressed", "false")
    desk.page.reload()
    desk.live()
    expect(sound).to_have_attribute("aria-pressed", "false")
    desk.page.keyboard.press("Shift")
    desk.page.wait_for_function("performance.now() > 2000")
    desk.look_away()
    ann.ask_for_a_person()
    expect(desk.page).to_have_title("(1) Agents' console | Django site admin")
    assert desk.page.evaluate("window.tones") == 0


def test_an_agent_who_is_given_a_client_is_called(desk, lou, sit_down, shop, hire, ann, visit):
    # Lou does not see Bob, who is with an agent of another group.
    rita = hire(shop, "rita", "Rita", groups=("Returns",))
    visit("bob").ask_for_a_person()
    returns = AgentGroup.objects.get(name="Returns")
    dialogs.transfer(dialog=dialog_of("bob"), by=lou, group=returns)
    dialogs.take(dialog=dialog_of("bob"), agent=rita)
    other = sit_down(lou).live()
    other.page.keyboard.press("Shift")
    ann.ask_for_a_person()
    other.open("ann")
    other.page.keyboard.press("Escape")
    other.look_away()
    for number, client_id in enumerate(("ann", "bob"), start=1):
        if client_id == "bob":
            desk = sit_down(rita).live()
            desk.look_at("mine")
        silence(other)
        desk.open(client_id)
        desk.transfer("Lou Park")
        expect(other.page).to_have_title(f"({number}) Agents' console | Django site admin")
        expect(other.page.locator("#console-news")).to_contain_text(f"Now with you: {client_id}")
        assert other.page.evaluate("window.tones") == 2


#: Notes what the page's sockets have heard, when the page has dealt with it.
HEARING = """
window.heard = [];
window.WebSocket = class extends WebSocket {
    constructor(url) {
        super(url);
        this.addEventListener("message", ({ data }) => setTimeout(() => window.heard.push(JSON.parse(data))));
    }
};
"""
HEARD = "(state) => window.heard.some(({ dialogs = [] }) => dialogs.some((row) => row.state === state))"


def test_what_an_agent_does_themselves_is_no_news(kim, sit_down, visit):
    desk = sit_down(kim, before=lambda desk: desk.page.add_init_script(HEARING)).live()
    for name in ("ann", "bob"):
        desk.serve(visit(name))
    desk.look_at("mine")
    desk.open("ann")
    desk.row("bob").focus()
    desk.page.keyboard.press("x")
    desk.page.get_by_role("radio", name="Sales").check()
    desk.page.evaluate("window.heard = []")
    desk.page.keyboard.press("Enter")
    desk.counts("waiting", 1)
    desk.page.wait_for_function(HEARD, arg="waiting")
    desk.row("ann").focus()
    desk.page.keyboard.press("c")
    desk.page.keyboard.press("Enter")
    desk.counts("closed", 1)
    desk.page.wait_for_function(HEARD, arg="closed")
    expect(desk.page).to_have_title("Agents' console | Django site admin")


def test_what_stands_on_a_later_page_is_no_news(kim, shop, sit_down):
    for number in range(51):
        client = Client.objects.create(channel=shop, client_id=f"client{number}")
        dialogs.take_client(client=client, agent=kim)
    desk = sit_down(kim).live()
    desk.look_at("mine")
    expect(desk.rows).to_have_count(50)
    desk.page.get_by_role("button", name="More").click()
    expect(desk.rows).to_have_count(51)
    expect(desk.page).to_have_title("Agents' console | Django site admin")
