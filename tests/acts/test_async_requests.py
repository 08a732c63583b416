"""Asynchronous requests: answered in the order in which they were accepted, by whoever claims them."""

import datetime as dt

import pytest
from django.utils import timezone

from django_chatapi import selectors, tasks
from django_chatapi.actions import answers, asking, requests
from django_chatapi.models import Client, Message
from django_chatapi.signals import requests_due
from tests.acts.conftest import dialogue, together

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_queued")]


@pytest.fixture
def queue(accept):
    """Accept an asynchronous request."""
    return lambda channel, query="hi", **more: accept(channel, query, route="async", **more)


@pytest.fixture
def directly(monkeypatch):
    """Tasks that run when they are queued; gives the delays of those that are to run later."""
    delays = []

    def apply_async(args, countdown=0, **options):
        if countdown:
            delays.append(countdown)
        else:
            tasks.answer_requests(*args)

    monkeypatch.setattr(tasks.answer_requests, "apply_async", apply_async)
    return delays


def pk_of(client_id="ann"):
    return Client.objects.get(client_id=client_id).pk


def due_now():
    Message.objects.filter(route="async", lease_expires_at__isnull=False).update(
        lease_expires_at=timezone.now() - dt.timedelta(seconds=1)
    )


def states():
    return list(Message.objects.filter(type="request").order_by("sequence").values_list("answer_state", flat=True))


def test_an_async_request_is_stored_for_a_worker_and_told_of_once_it_is_committed(told, queue):
    told_of = []

    def receiver(sender, client_pk, **kwargs):
        told_of.append((client_pk, Message.objects.get().query))

    requests_due.connect(receiver)
    try:
        request = queue(told(lambda question: "ok"), "hello")
    finally:
        requests_due.disconnect(receiver)

    assert told_of == [(request.client.pk, "hello")]
    assert (request.answer_state, request.lease_holder, request.ask_count) == ("pending", None, 0)
    assert selectors.clients_with_due_requests() == [request.client.pk]
    assert selectors.left_requests() == []


def test_a_clients_requests_are_answered_in_their_order(told, queue, directly):
    channel = told(lambda question: f"re {question.query}")
    for number in range(5):
        queue(channel, str(number))

    tasks.answer_requests(pk_of())

    answered = [text for kind, route, text in dialogue() if kind == "botResponse"]
    assert answered == [f"re {number}" for number in range(5)]
    assert {route for _, route, _ in dialogue()} == {"async"}
    assert selectors.clients_with_due_requests() == []


def test_while_one_is_worked_on_there_is_no_next_one(told, queue):
    channel = told(lambda question: "ok")
    queue(channel, "first"), queue(channel, "second")

    first = requests.claim_next(client_pk=pk_of())

    assert first.query == "first"
    assert requests.claim_next(client_pk=pk_of()) is None
    asking.ask_left(request=first)
    assert requests.claim_next(client_pk=pk_of()).query == "second"


def test_another_client_does_not_wait(told, queue):
    channel = told(lambda question: "ok")
    queue(channel), queue(channel, client_id="bob")

    assert requests.claim_next(client_pk=pk_of()) is not None
    assert requests.claim_next(client_pk=pk_of("bob")) is not None


def test_one_of_many_workers_claims(told, queue):
    channel = told(lambda question: "ok")
    queue(channel, "first"), queue(channel, "second")
    pk = pk_of()

    claims = [claim for claim in together(*[lambda: requests.claim_next(client_pk=pk)] * 8) if claim is not None]

    assert [claim.query for claim in claims] == ["first"]


def test_a_request_whose_worker_died_is_asked_again_before_the_next(told, queue):
    channel = told(lambda question: "ok")
    queue(channel, "first"), queue(channel, "second")
    requests.claim_next(client_pk=pk_of())
    due_now()

    again = requests.claim_next(client_pk=pk_of())

    assert (again.query, again.ask_count) == ("first", 2)


def test_a_half_answered_one_is_interrupted_and_the_next_one_follows(told, queue):
    def answer(question):
        yield "one"
        raise SystemError("the worker is killed here")

    channel = told(answer)
    queue(channel, "first"), queue(channel, "second")
    first = requests.claim_next(client_pk=pk_of())
    Message.objects.filter(pk=first.pk).update(answer_state="partial")
    due_now()

    assert requests.claim_next(client_pk=pk_of()).query == "second"
    assert states() == ["interrupted", "pending"]


def test_a_bot_that_fails_is_asked_again_in_its_place_and_then_the_caller_is_told(told, queue, directly):
    asked = []

    def answer(question):
        asked.append(question.query)
        if question.query == "bad":
            raise ValueError("no")
        return "good"

    channel = told(answer, BOT_RETRIES=2, BOT_RETRY_DELAY=8.0)
    queue(channel, "bad"), queue(channel, "next")
    for _ in range(3):
        tasks.answer_requests(pk_of())
        tasks.answer_requests(pk_of())  # nobody hurries
        due_now()

    assert asked == ["bad", "bad", "bad", "next"]
    assert directly == [8.0, 16.0]
    failed, good = Message.objects.filter(type="botResponse").order_by("sequence")
    assert (failed.data["error"], failed.data["replies"], failed.data["answer"]) == ("bot_failed", [], "")
    assert failed.question_id == Message.objects.get(query="bad", type="request").question_id
    assert good.data["answer"] == "good"
    assert states() == ["failed", "answered"]


def test_a_retry_that_succeeds_leaves_no_failure_behind(told, queue, directly):
    outcomes = iter([ValueError("once"), "ok"])

    def answer(question):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    request = queue(told(answer))
    tasks.answer_requests(pk_of())
    due_now()
    tasks.answer_requests(pk_of())

    request.refresh_from_db()
    assert (request.answer_state, request.failure, request.ask_count) == ("answered", "", 2)
    assert [text for kind, _, text in dialogue() if kind == "botResponse"] == ["ok"]


def test_after_its_turn_a_task_lets_others_go_first(told, queue, monkeypatch):
    again = []
    monkeypatch.setattr(tasks, "TURN", -1.0)
    monkeypatch.setattr(tasks.answer_requests, "apply_async", lambda args, **options: again.append(args))
    channel = told(lambda question: "ok")
    queue(channel, "first"), queue(channel, "second")

    tasks.answer_requests(pk_of())

    assert states() == ["answered", "pending"]
    assert again == [(pk_of(),)]


def test_the_sweep_has_due_requests_answered_with_few_tasks_however_many_there_are(told, queue, monkeypatch):
    nudged = []
    monkeypatch.setattr(tasks.answer_due_requests, "apply_async", lambda **options: nudged.append(options))
    channel = told(lambda question: "ok")
    for number in range(20):
        queue(channel, client_id=f"client-{number}")

    tasks.sweep()
    assert len(nudged) == tasks.SWEEPERS
    tasks.answer_due_requests()

    assert states() == ["answered"] * 20
    tasks.sweep()
    assert len(nudged) == tasks.SWEEPERS


def test_what_waits_behind_a_request_that_is_worked_on_is_not_due(told, queue):
    channel = told(lambda question: "ok")
    queue(channel, "first"), queue(channel, "second")
    requests.claim_next(client_pk=pk_of())
    assert selectors.clients_with_due_requests() == []


def test_an_answer_that_is_whole_closes_its_request_in_the_same_transaction(told, queue, monkeypatch):
    monkeypatch.setattr(answers, "close", None)  # a process that is killed right behind the answer
    given = iter(["text", ["one", "two"], []])
    channel = told(lambda question: next(given))
    for _ in range(3):
        queue(channel)
    tasks.answer_requests(pk_of())
    assert states() == ["answered"] * 3
    assert [text for kind, _, text in dialogue() if kind == "botResponse"] == ["text", "one", "two", ""]
