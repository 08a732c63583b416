"""When something between the page and the server fails: nothing is lost, and nothing is said twice."""

import contextlib
import re
import time
from functools import partial

import httpx
import pytest
from django.conf import settings
from django.contrib.sessions.models import Session

from django_chatapi.actions import requests
from django_chatapi.agents.live import NOT_AN_AGENT
from django_chatapi.models import DialogNote
from tests.servers import free_port, process, wait_until

from .browser import expect, hold, until
from .conftest import ENVIRONMENT, session_of

pytestmark = pytest.mark.django_db(transaction=True)

#: What the issue asks for where there is no socket, in seconds.
POLLED = 5


@contextlib.contextmanager
def server_at(port, valkey, *options):
    """A server at a port of the test's choice, so that it can come back there."""
    command = ("uvicorn", "example_project.asgi:application", "--port", str(port), *options)
    with process(*command, REDIS_URL=valkey.connection_url, **ENVIRONMENT) as running:

        def answers():
            assert running.poll() is None, "the server ended"
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"http://127.0.0.1:{port}/chatapi/", timeout=5).status_code == 404
            return False

        wait_until(answers, what="the server's start")
        yield


@pytest.fixture
def server(valkey):
    """Starts and stops a server of the test's own; ``address`` stays the same."""

    class Server:
        def __init__(self):
            self.port = free_port()
            self.address = f"http://127.0.0.1:{self.port}"
            self._running = contextlib.ExitStack()

        def start(self, *options):
            self._running.enter_context(server_at(self.port, valkey, *options))

        def stop(self):
            self._running.close()

    server = Server()
    yield server
    server.stop()


def replies(visitor):
    """What agents said to the client, as the client's history has it."""
    return [one["event"]["data"]["answer"] for one in visitor.history() if one["type"] == "humanResponse"]


def delay(visitor, desk, text):
    """How soon a message is there, in seconds."""
    begun = time.monotonic()
    visitor.send(text)
    expect(desk.said(text)).to_be_visible()
    return time.monotonic() - begun


def appears_soon(visitor, desk):
    """On a machine with other work any message may be later."""
    return any(delay(visitor, desk, f"message {number}") < POLLED for number in range(6))


def test_a_restarted_server_is_found_again(server, kim, shop, sit_down, visit):
    server.start()
    ann = visit("ann", address=server.address)
    desk = sit_down(kim, address=server.address).live()
    desk.page.evaluate("window.sameLoad = true")
    desk.serve(ann)

    server.stop()
    expect(desk.status).not_to_have_attribute("data-state", "live")
    expect(desk.status).to_have_attribute("data-state", "unreachable")
    expect(desk.status).to_contain_text("trying again")
    # A message cannot be sent: it stays in the field, with the reason.
    desk.write("Are you there?")
    expect(desk.reason).to_contain_text("Not sent: The server could not be reached")
    expect(desk.field).to_have_value("Are you there?")
    expect(desk.said("Are you there?")).to_have_count(0)
    # Meanwhile another process heard the client.
    requests.accept(channel=shop, client_id="ann", query="said while it was down")

    server.start()
    expect(desk.status).to_have_attribute("data-state", "live", timeout=60_000)
    expect(desk.said("said while it was down")).to_be_visible()
    expect(desk.field).to_have_value("Are you there?")
    desk.field.press("Enter")
    expect(desk.said("Are you there?")).to_be_visible()
    expect(desk.field).to_have_value("")
    expect(desk.reason).to_be_hidden()
    ann.send("Yes!")
    expect(desk.said("Yes!")).to_be_visible()
    assert replies(ann) == ["Are you there?"]
    assert desk.page.evaluate("window.sameLoad")


def lose_answers(desk, url, arrived):
    """Have the page not hear of its next two calls, which the server hears of or not; gives their keys."""
    lost = []

    def lose(route):
        if arrived:
            assert route.fetch().status == 200
        lost.append(route.request.headers["idempotency-key"])
        route.abort()

    desk.page.route(url, lose, times=2)
    return lost


@pytest.mark.parametrize("arrived", [True, False])
def test_a_message_whose_answer_was_lost_is_said_once(desk, ann, arrived):
    desk.serve(ann)
    lost = lose_answers(desk, "**/messages", arrived)
    for count in (1, 2):
        if count == 1:
            desk.field.fill("Once only")
        desk.field.press("Enter")
        expect(desk.reason).to_contain_text("Not sent: The server could not be reached")
        expect(desk.field).to_have_value("Once only")
    desk.field.press("Enter")
    expect(desk.field).to_have_value("")
    expect(desk.reason).to_be_hidden()
    expect(desk.said("Once only")).to_have_count(1)
    assert len(set(lost)) == 1
    assert replies(ann) == ["Once only"]
    # The same words later are another message.
    desk.reply("Something else")
    desk.write("Once only")
    expect(desk.said("Once only")).to_have_count(2)
    assert replies(ann) == ["Once only", "Something else", "Once only"]


@pytest.mark.parametrize("arrived", [True, False])
def test_a_note_whose_answer_was_lost_is_kept_once(desk, ann, arrived):
    desk.serve(ann)
    lost = lose_answers(desk, "**/notes", arrived)
    desk.page.get_by_role("button", name="Note").click()
    desk.field.fill("Careful")
    for _ in range(2):
        desk.field.press("Enter")
        expect(desk.reason).to_contain_text("Not sent: The server could not be reached")
        expect(desk.field).to_have_value("Careful")
    desk.field.press("Enter")
    expect(desk.field).to_have_value("")
    expect(desk.reason).to_be_hidden()
    until(desk.page, DialogNote.objects.exists, "the note")
    assert len(set(lost)) == 1
    assert [note.text for note in DialogNote.objects.all()] == ["Careful"]


def test_that_the_server_has_not_answered_is_said_until_it_has(kim, sit_down, ann):
    ann.ask_for_a_person()
    desk = sit_down(kim, before=lambda desk: desk.page.clock.install()).live()
    desk.open("ann")
    held = hold(desk.page, "**/take", times=1)
    # It is a timer of the page that says it: none goes off until the test lets time pass.
    desk.page.clock.pause_at(desk.page.evaluate("Date.now() + 60_000"))
    desk.page.locator("#console-take").click()
    until(desk.page, lambda: held, "the click")
    expect(desk.pending).to_be_empty()
    desk.page.clock.run_for(1000)
    expect(desk.pending).to_have_text("ann: the server has not answered yet…")
    held.pop().continue_()
    expect(desk.field).to_be_focused()
    expect(desk.pending).to_be_empty()


def test_what_was_written_meanwhile_stays_behind_what_came_back(desk, ann):
    desk.serve(ann)
    held = hold(desk.page, "**/messages", times=1)
    desk.write("first")
    expect(desk.page.get_by_text("Sending…")).to_be_visible()
    desk.write("second")
    desk.field.fill("third, not finished")
    until(desk.page, lambda: held, "the first reply")
    held.pop().abort()
    expect(desk.reason).to_contain_text("Not sent")
    expect(desk.field).to_have_value("first\nsecond\nthird, not finished")
    assert replies(ann) == []


def test_what_was_not_sent_is_told_though_another_reply_arrives(desk, visit):
    for name in ("ann", "bob"):
        desk.serve(visit(name))
    held = hold(desk.page, "**/messages")
    desk.write("for Bob")
    until(desk.page, lambda: len(held) == 1, "the reply to Bob")
    desk.open("ann")
    desk.write("for Ann")
    until(desk.page, lambda: len(held) == 2, "the reply to Ann")
    held[0].abort()
    expect(desk.complaint).to_contain_text("Not sent")
    held[1].continue_()
    expect(desk.page.get_by_text("Sending…")).to_be_hidden()
    expect(desk.complaint).to_contain_text("Not sent")
    # What is said after it was told takes it back.
    desk.write("Once more")
    until(desk.page, lambda: len(held) == 3, "the second reply to Ann")
    held[2].continue_()
    expect(desk.complaint).to_be_empty()


def test_messages_arrive_in_the_order_in_which_they_were_written(desk, ann):
    desk.serve(ann)
    held = hold(desk.page, "**/messages", times=1)
    for number in range(5):
        desk.write(f"message {number}")
    expect(desk.page.get_by_text("Sending…")).to_be_visible()
    until(desk.page, lambda: held, "the first reply")
    held.pop().continue_()
    expect(desk.said("message 4")).to_be_visible()
    assert replies(ann) == [f"message {number}" for number in range(5)]


def test_drafts_stay_with_their_dialogs(desk, visit):
    for name in ("ann", "bob"):
        desk.serve(visit(name))
    desk.field.fill("for Bob")
    desk.open("ann")
    expect(desk.field).to_have_value("")
    desk.field.fill("for Ann")
    desk.open("bob")
    expect(desk.field).to_have_value("for Bob")
    desk.open("ann")
    expect(desk.field).to_have_value("for Ann")


def test_leaving_asks_while_something_would_be_lost(desk, ann):
    desk.serve(ann)

    def leave():
        desk.page.evaluate("setTimeout(() => location.reload())")

    def stays():
        until(desk.page, lambda: desk.asked, "the question")
        desk.asked.clear()

    desk.page.evaluate("window.sameLoad = true")
    desk.field.fill("a draft")
    leave()
    stays()
    held = hold(desk.page, "**/messages", times=1)
    desk.field.press("Enter")
    until(desk.page, lambda: held, "the reply")
    leave()
    stays()
    held.pop().continue_()
    expect(desk.page.locator("#console-sending")).to_be_hidden()
    assert desk.page.evaluate("window.sameLoad")
    leave()
    desk.page.wait_for_function("!window.sameLoad")
    assert replies(ann) == ["a draft"]


def test_only_what_can_still_be_sent_holds_the_page_back(desk, ann):
    desk.serve(ann)
    desk.field.fill("a draft")
    ann.send("bye")
    expect(desk.field).not_to_be_editable()
    # It is there to be copied, also after a look elsewhere, until the page is left.
    desk.page.locator("#console-back").evaluate("(node) => node.click()")
    desk.look_at("closed")
    desk.open("ann")
    expect(desk.field).to_have_value("a draft")
    expect(desk.page.get_by_text("Not sent", exact=True)).to_be_visible()
    desk.page.reload()
    desk.shows("ann")
    expect(desk.field).to_be_hidden()


def test_what_comes_back_when_the_client_is_gone_can_be_copied(desk, ann):
    desk.serve(ann)
    held = hold(desk.page, "**/messages", times=1)
    desk.write("One more thing")
    until(desk.page, lambda: held, "the reply")
    desk.page.keyboard.press("Escape")
    ann.send("bye")
    expect(desk.said("You talk with the bot again.")).to_be_visible()
    expect(desk.field).to_be_hidden()
    held.pop().abort()
    expect(desk.reason).to_contain_text("Not sent")
    expect(desk.field).to_be_visible()
    expect(desk.field).to_have_value("One more thing")


def test_without_a_socket_the_page_polls(kim, sit_down, ann):
    def block(desk):
        desk.page.route_web_socket("**/live", lambda socket: socket.close())

    desk = sit_down(kim, before=block).in_state("polling")
    expect(desk.status).to_contain_text("Updated every 3 seconds")
    desk.serve(ann)
    assert appears_soon(ann, desk)
    desk.reply("Hello")
    assert replies(ann) == ["Hello"]


def test_a_server_without_websockets_is_enough(server, kim, sit_down, visit):
    server.start("--ws", "none")
    ann = visit("ann", address=server.address)
    desk = sit_down(kim, address=server.address).in_state("polling")
    ann.ask_for_a_person()
    expect(desk.row("ann")).to_be_visible()
    desk.open("ann")
    desk.take()
    assert appears_soon(ann, desk)
    desk.close()
    expect(desk.entries).to_contain_text("Closed by Kim Lee")


def test_a_dead_connection_is_noticed_and_replaced(kim, sit_down, ann):
    """The socket is open, and nobody answers at its other end."""
    sockets = []

    def deaf_once(socket):
        sockets.append(socket)
        if len(sockets) == 1:
            socket.send('{"type": "hello", "agent": "kim"}')
        else:
            socket.connect_to_server()

    def prepare(desk):
        desk.page.clock.install()
        desk.page.route_web_socket("**/live", deaf_once)

    desk = sit_down(kim, before=prepare).live()
    ann.ask_for_a_person()
    desk.page.clock.run_for(45_000)  # a ping after 30 s, and 10 s of patience
    until_two = time.monotonic() + 30
    while len(sockets) < 2 and time.monotonic() < until_two:
        desk.page.clock.run_for(1000)
    assert len(sockets) == 2
    desk.live()
    expect(desk.row("ann")).to_be_visible()


def test_lists_that_could_not_be_loaded_are_asked_for_again_beside_a_socket(kim, sit_down, ann):
    held, lost = [], []

    def lose(route):
        if lost:
            route.continue_()
        else:
            held.append(route)

    desk = sit_down(kim, before=lambda desk: desk.page.route(re.compile("state=waiting"), lose))
    expect(desk.status).to_have_attribute("data-state", "live")
    until(desk.page, lambda: len(held) >= 2, "the questions before the socket was open, and after")
    lost.extend(held)
    for route in lost:
        route.abort()
    desk.live()
    ann.ask_for_a_person()
    expect(desk.row("ann")).to_be_visible()


def test_who_was_logged_out_keeps_what_they_wrote(desk, ann):
    desk.serve(ann)
    Session.objects.all().delete()
    desk.write("A long answer")
    expect(desk.reason).to_contain_text("You are no longer logged in")
    expect(desk.field).to_have_value("A long answer")
    assert replies(ann) == []


def knowing_sockets(sockets):
    """Have the page's sockets noted, which go to the server all the same."""

    def note(socket):
        sockets.append(socket)
        socket.connect_to_server()

    return lambda desk: desk.page.route_web_socket("**/live", note)


def test_who_has_another_session_now_goes_on(kim, sit_down, ann):
    """As after a change of the password in another window: the socket's session is over, not the agent's."""
    sockets = []
    desk = sit_down(kim, before=knowing_sockets(sockets)).live()
    sockets[0].close(code=NOT_AN_AGENT)
    until(desk.page, lambda: len(sockets) == 2, "another socket")
    desk.live()
    ann.ask_for_a_person()
    expect(desk.row("ann")).to_be_visible()
    expect(desk.complaint).to_be_empty()


def test_who_was_logged_out_elsewhere_is_told_and_goes_on_after_logging_in(kim, lou, sit_down, ann, address):
    sockets = []
    desk = sit_down(kim, before=knowing_sockets(sockets)).live()

    def log_in(agent, seen):
        """Until the page shows it: a late answer to who was logged out takes the new session's cookie away."""
        session = {"name": settings.SESSION_COOKIE_NAME, "value": session_of(agent), "url": address}

        def look(timeout):
            desk.page.context.add_cookies([session])
            desk.page.evaluate("dispatchEvent(new Event('focus'))")
            seen(timeout=timeout)

        try:
            look(5_000)
        except AssertionError:
            look(30_000)

    Session.objects.all().delete()
    sockets[0].close(code=NOT_AN_AGENT)
    expect(desk.status).to_have_attribute("data-state", "refused")
    expect(desk.complaint).to_contain_text("You are no longer logged in")
    log_in(lou, partial(expect(desk.complaint).to_contain_text, "lou is logged in now"))
    expect(desk.status).to_have_attribute("data-state", "refused")
    log_in(kim, partial(expect(desk.status).to_have_attribute, "data-state", "live"))
    ann.ask_for_a_person()
    expect(desk.row("ann")).to_be_visible()
    expect(desk.complaint).to_be_empty()
