"""Two agents at once: exactly one gets the client, and the other is told who. And answers that come late."""

import json
import re
import socket

import pytest

from django_chatapi.actions import dialogs
from tests.agents.conftest import check, dialog_of, kinds

from .browser import expect, hold, late, until

pytestmark = pytest.mark.django_db(transaction=True)


def release_together(desks, helds):
    for desk, held in zip(desks, helds, strict=True):
        until(desk.page, lambda: held, "the page's call")  # noqa: B023
    for held in helds:
        held.pop().continue_()


NAMES = {"kim": "Kim Lee", "lou": "Lou Park"}


def outcome(kim_desk, lou_desk, client_id):
    """Who has the client, and whose page says that somebody else has."""
    winner = dialog_of(client_id).agent.username
    won, lost = (kim_desk, lou_desk) if winner == "kim" else (lou_desk, kim_desk)
    expect(lost.complaint).to_contain_text(f"{NAMES[winner]} has already taken this client.")
    expect(won.field).to_be_focused()  # the answer to the take is there
    expect(won.complaint).to_be_empty()
    return won, lost


def test_two_browsers_take_one_client(kim, lou, sit_down, visit):
    desks = [sit_down(kim).live(), sit_down(lou).live()]
    helds = [hold(desk.page, "**/take") for desk in desks]
    for name in ("ann", "bob", "cyd"):
        visit(name).ask_for_a_person()
        for desk in desks:
            desk.look_at("waiting")
            desk.open(name)
            desk.page.locator("#console-take").click()
        release_together(desks, helds)
        for desk in desks:
            desk.counts("waiting", 0)
        won, lost = outcome(*desks, name)
        expect(lost.gate).to_contain_text(f"{NAMES[dialog_of(name).agent.username]} has this dialog.")
        assert kinds(name) == ["handedOver", "agentJoined"]
        check(name)
        won.reply(f"Hello {name}")
        expect(lost.said(f"Hello {name}")).to_be_visible()


def test_two_browsers_take_one_client_that_nobody_handed_over(kim, lou, sit_down, ann):
    ann.send("hi")
    desks = [sit_down(kim).live(), sit_down(lou).live()]
    helds = [hold(desk.page, "**/chatapi-agents/dialogs") for desk in desks]
    for desk in desks:
        desk.page.get_by_role("searchbox").fill("an")
        desk.page.get_by_role("button", name="ann Take").click()
    release_together(desks, helds)
    until(desks[0].page, lambda: kinds("ann"), "somebody's turn")
    outcome(*desks, "ann")
    assert kinds("ann") == ["agentJoined"]
    check("ann")


def test_a_click_that_comes_too_late_says_who_was_faster(kim, lou, sit_down, ann):
    """The other's page has not heard yet that the client was taken."""
    other = sit_down(lou, before=lambda desk: desk.page.route_web_socket("**/live", lambda socket: None))
    desk = sit_down(kim).live()
    ann.ask_for_a_person()
    other.in_state("polling")
    other.open("ann")
    held = hold(other.page, "**/take")
    other.page.locator("#console-take").click()
    until(other.page, lambda: held, "the click")
    desk.open("ann")
    desk.take()
    held.pop().continue_()
    expect(other.complaint).to_contain_text("Kim Lee has already taken this client.")
    expect(other.gate).to_contain_text("Kim Lee has this dialog.")


def test_one_agent_closes_while_the_other_page_of_theirs_replies(kim, sit_down, ann):
    one, other = sit_down(kim).live(), sit_down(kim).live()
    one.serve(ann)
    other.look_at("mine")
    other.open("ann")
    held = hold(other.page, "**/messages")
    other.write("One more thing.")
    until(other.page, lambda: held, "the reply")
    one.close()
    expect(one.entries).to_contain_text("Closed by Kim Lee")
    held.pop().continue_()
    expect(other.gate).to_contain_text("This dialog is closed")
    assert "humanResponse" not in [message["type"] for message in ann.history()]


def test_a_dialog_that_went_from_one_list_to_another_is_not_lost_between_their_answers(kim, sit_down, ann):
    sockets = []
    hello = json.dumps({"type": "hello", "agent": "kim"})

    def greet(socket):
        sockets.append(socket)
        socket.send(hello)

    desk = sit_down(kim, before=lambda desk: desk.page.route_web_socket("**/live", greet)).live()
    ann.ask_for_a_person()
    sockets[0].send(hello)  # the page looks again
    expect(desk.row("ann")).to_be_visible()
    dialogs.take(dialog=dialog_of("ann"), agent=kim)
    held = late(desk.page, re.compile("state=(mine|open)"))
    sockets[0].send(hello)
    until(desk.page, lambda: len(held) == 2, "the questions for who is with an agent")
    desk.counts("waiting", 0)
    for route, answer in held:
        route.fulfill(response=answer)
    desk.counts("mine", 1)


def test_an_old_answer_to_a_search_changes_nothing(desk, ann):
    desk.serve(ann)
    held = late(desk.page, re.compile("search=ann"))
    desk.page.get_by_role("searchbox").fill("ann")
    until(desk.page, lambda: len(held) == 4, "the questions: for clients, and dialogs by their states")
    ann.send("bye")
    expect(desk.gate).to_contain_text("This dialog is closed")
    for route, answer in held:
        route.fulfill(response=answer)
    chip = desk.page.locator("#console-results .console-chip")
    expect(chip).to_be_visible()
    assert chip.text_content() == "Closed"
    assert desk.gate.is_visible()


def test_that_a_dialog_is_gone_leads_nobody_away_from_another(desk, visit):
    for name in ("ann", "bob"):
        visit(name).ask_for_a_person()
        expect(desk.row(name)).to_be_visible()
    held = []
    desk.page.route(f"**/dialogs/{dialog_of('ann').pk}?*", lambda route: held.append(route))
    desk.row("ann").click()
    until(desk.page, lambda: held, "the question for Ann's dialog")
    desk.open("bob")
    with desk.page.expect_response(lambda response: response.status == 404):
        held.pop().fulfill(status=404, json={"error": "dialog_not_found", "message": "There is no such dialog."})
    desk.take()
    desk.shows("bob")
    desk.reply("Hello Bob")


def test_a_list_that_is_chosen_while_a_dialog_loads_stays(desk, ann):
    ann.ask_for_a_person()
    expect(desk.row("ann")).to_be_visible()
    held = late(desk.page, f"**/dialogs/{dialog_of('ann').pk}?*")
    desk.row("ann").click()
    until(desk.page, lambda: held, "the question for the dialog")
    desk.look_at("closed")
    for route, answer in held:
        route.fulfill(response=answer)
    desk.shows("ann")
    expect(desk.tab("closed")).to_have_attribute("aria-selected", "true")


def test_what_one_client_may_be_given_to_is_not_offered_for_another(desk, lou, visit):
    for name in ("ann", "bob"):
        desk.serve(visit(name))
    held = []
    desk.page.route("**/targets", lambda route: held.append(route), times=1)
    box = desk.page.locator("#console-transferring")
    desk.open("ann")
    desk.page.locator("#console-transfer").click()
    until(desk.page, lambda: held, "the question for Ann's targets")
    desk.page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    desk.open("bob")
    desk.page.locator("#console-transfer").click()
    box.get_by_role("radio", name="Lou Park").check()
    with desk.page.expect_response("**/targets"):
        held.pop().fulfill(json={"agents": [], "groups": ["Ann's"]})
    box.get_by_role("button", name="Transfer").click()
    until(desk.page, lambda: dialog_of("bob").agent == lou, "the transfer")


def test_a_page_that_is_left_while_a_route_is_at_work_fails_nothing_after_it(desk, kim, sit_down):
    """Of these tests themselves: Playwright would raise a route's error in the next test."""
    begun = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        desk.page.route("**/unanswered", lambda route: (begun.append(route), route.fetch(url=url)))
        desk.page.evaluate("() => void fetch('/unanswered').catch(() => {})")
        until(desk.page, lambda: begun, "the question")
        desk.leave()
        sit_down(kim).live()
