"""Claims on requests: kept while a bot thinks, taken over once when the process that asked has died."""

import datetime as dt
import time
import types

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_chatapi import selectors, tasks
from django_chatapi.actions import answers, asking, leases, requests
from django_chatapi.bots import Answer
from django_chatapi.checks import check_settings
from django_chatapi.models import Message
from tests.acts.conftest import beside, dialogue, together
from tests.servers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def current(request):
    return Message.objects.get(pk=request.pk)


def expire(request):
    """What a killed process leaves behind, once its lease has run out."""
    Message.objects.filter(pk=request.pk).update(lease_expires_at=timezone.now() - dt.timedelta(seconds=1))


@pytest.fixture
def fresh_keeper(monkeypatch):
    """A keeper of claims that does not sleep out the lease of an earlier test."""
    keeper = leases._Keeper()
    monkeypatch.setattr(leases, "_keeper", keeper)
    return keeper


@pytest.fixture
def impatient_keeper(fresh_keeper, monkeypatch):
    """A keeper that hardly waits; ``slept`` has what it was to wait for."""
    clock = types.SimpleNamespace(slept=set(), monotonic=time.monotonic)
    clock.sleep = lambda seconds: clock.slept.add(seconds) or time.sleep(0.02)
    monkeypatch.setattr(leases, "time", clock)
    return clock


def test_a_stored_request_is_claimed_for_the_length_of_the_lease(told, accept):
    before = timezone.now()
    request = accept(told(lambda question: "ok", ANSWER_LEASE=7.0))
    assert request.lease_holder is not None
    assert request.ask_count == 1
    assert before + dt.timedelta(seconds=7) <= request.lease_expires_at <= timezone.now() + dt.timedelta(seconds=7)
    assert selectors.left_requests() == []
    assert requests.claim_left(pk=request.pk) is None


def renewed(*claimed):
    """Let the claims run out as if time had passed, and wait until each is renewed."""
    for request in claimed:
        expire(request)
    for request in claimed:
        wait_until(lambda r=request: current(r).lease_expires_at > timezone.now(), what="a renewal")


def test_the_claim_is_renewed_for_as_long_as_the_bot_thinks(told, accept, gate, impatient_keeper):
    request = accept(told(lambda question: gate.wait() and "done", ANSWER_LEASE=60.0, SYNC_TIMEOUT=300.0))
    caller = beside(lambda: asking.ask(request=request))
    for _ in range(3):
        renewed(request)
    assert impatient_keeper.slept == {20.0}  # three times per lease
    assert selectors.left_requests() == []
    assert requests.claim_left(pk=request.pk) is None
    gate.set()
    caller.join()
    assert dialogue()[1:] == [("botResponse", "response", "done")]
    assert current(request).ask_count == 1
    wait_until(lambda: not leases._keeper._running, what="the end of a thread that has nothing to keep")


def test_a_question_that_queues_keeps_its_claim_too(told, accept, gate, impatient_keeper, monkeypatch):
    from django_chatapi.bots import pool

    monkeypatch.setattr(pool, "_pool", pool.BotPool(1))
    channel = told(lambda question: gate.wait() and "done", ANSWER_LEASE=60.0, SYNC_TIMEOUT=300.0)
    first, second = accept(channel), accept(channel, client_id="bob")
    callers = [beside(lambda: asking.ask(request=first)), beside(lambda: asking.ask(request=second))]
    for _ in range(2):
        renewed(first, second)
    assert selectors.left_requests() == []
    gate.set()
    for caller in callers:
        caller.join()
    assert dialogue()[1:] == dialogue("bob")[1:] == [("botResponse", "response", "done")]


def test_a_database_that_fails_ends_no_claim_for_ever(told, accept, gate, fresh_keeper, monkeypatch):
    failures = []

    def failing(**arguments):
        failures.append(arguments)
        raise RuntimeError("the connection is closed")

    request = accept(told(lambda question: gate.wait() and "done", ANSWER_LEASE=0.3, SYNC_TIMEOUT=300.0))
    with monkeypatch.context() as broken:
        broken.setattr(leases, "renew_claims", failing)
        caller = beside(lambda: asking.ask(request=request))
        wait_until(lambda: len(failures) > 1, what="two failed renewals")
    seen = current(request).lease_expires_at
    wait_until(lambda: current(request).lease_expires_at > seen, what="a renewal")
    gate.set()
    caller.join()


def test_a_bot_that_hangs_loses_its_claim_and_is_not_heard_any_more(
    told, accept, gate, fresh_keeper, settings, caplog
):
    asked = []

    def answer(question):
        asked.append(question)
        return "of the second" if len(asked) > 1 else gate.wait() and "of the first"

    channel = told(answer, ANSWER_LEASE=0.3, BOT_TIMEOUT=0.5)
    first, second = accept(channel, "one", route="async"), accept(channel, "two", route="async")
    claimed = requests.claim_next(client_pk=first.client.pk)
    hanging = beside(lambda: asking.ask_left(request=claimed))
    wait_until(lambda: asked, what="the question")
    # On a slow machine the claim ends between two renewals, too.
    wait_until(lambda: "A bot is not done after 0.5 s" in caplog.text, what="the end of its time")
    wait_until(selectors.clients_with_due_requests, 20, "the end of the claim")
    settings.CHATAPI = {**settings.CHATAPI, "ANSWER_LEASE": 60.0, "BOT_TIMEOUT": 60.0}
    for request in (first, second):
        again = requests.claim_next(client_pk=first.client.pk)
        assert again == request
        asking.ask_left(request=again)
    gate.set()
    hanging.join()
    assert [text for type, _, text in dialogue() if type == "botResponse"] == ["of the second"] * 2
    assert (current(first).answer_state, current(first).ask_count) == ("answered", 2)


def test_a_bot_that_hangs_each_time_fails_the_request_in_the_end(
    told, accept, gate, fresh_keeper, settings, caplog
):
    channel = told(lambda question: gate.wait() and "late", ANSWER_LEASE=0.3, BOT_TIMEOUT=0.3, BOT_RETRIES=1)
    request = accept(channel, route="async")
    hanging = []
    for _ in range(2):
        claimed = requests.claim_next(client_pk=request.client.pk)
        hanging.append(beside(lambda claimed=claimed: asking.ask_left(request=claimed)))
        wait_until(lambda: caplog.text.count("A bot is not done") == len(hanging), what="the end of its time")
        wait_until(selectors.clients_with_due_requests, 20, "the end of the claim")
    settings.CHATAPI = {**settings.CHATAPI, "ANSWER_LEASE": 60.0}
    assert requests.claim_next(client_pk=request.client.pk) is None
    gate.set()
    for each in hanging:
        each.join()
    assert current(request).answer_state == "failed"
    assert "the bot hung" in current(request).failure
    assert Message.objects.get(type="botResponse").data["error"] == "bot_failed"


def test_a_limit_of_nothing_is_refused(settings):
    settings.CHATAPI = {"BOT_TIMEOUT": 0.0}
    assert [problem.id for problem in check_settings(None)] == ["django_chatapi.E005"]


def test_renewing_touches_no_other_claim(told, accept):
    channel = told(lambda question: "ok", ANSWER_LEASE=5.0)
    mine, other = accept(channel), accept(channel)
    requests.renew_claims(holders=[mine.lease_holder])
    assert current(mine).lease_expires_at > mine.lease_expires_at
    assert current(other).lease_expires_at == other.lease_expires_at


def test_renewing_looks_at_open_requests_only(accept, told):
    if connection.vendor != "postgresql":
        pytest.skip("Only PostgreSQL uses the partial index for values that are given apart from the statement.")
    request = accept(told(lambda question: "ok"))
    with transaction.atomic(), connection.cursor() as cursor, CaptureQueriesContext(connection) as statements:
        cursor.execute("SET LOCAL enable_seqscan = off")  # a table this small is read as a whole otherwise
        requests.renew_claims(holders=[request.lease_holder])
        cursor.execute("EXPLAIN " + statements[-1]["sql"])
        assert "chatapi_message_open" in str(cursor.fetchall())


def test_a_claim_that_was_taken_over_cannot_be_renewed(told, accept):
    request = accept(told(lambda question: "ok"))
    expire(request)
    taken = requests.claim_left(pk=request.pk)
    requests.renew_claims(holders=[request.lease_holder])
    assert current(request).lease_holder == taken.lease_holder
    assert current(request).lease_expires_at == taken.lease_expires_at


def test_a_left_request_is_claimed_by_exactly_one(told, accept):
    request = accept(told(lambda question: "ok"))
    expire(request)
    claims = together(*[lambda: requests.claim_left(pk=request.pk)] * 8)
    taken = [claim for claim in claims if claim is not None]
    assert [type(claim) for claim in taken] == [Message]
    assert taken[0].lease_holder != request.lease_holder
    assert current(request).lease_holder == taken[0].lease_holder
    assert current(request).ask_count == taken[0].ask_count == 2


def test_a_left_request_is_asked_again_and_every_step_is_late(told, accept):
    def answer(question):
        assert question.new_session is True
        yield "one"
        yield "two"

    request = accept(told(answer), connection_id="tab-1")
    expire(request)
    asking.ask_left(request=requests.claim_left(pk=request.pk))
    assert dialogue()[1:] == [("botResponse", "late", "one"), ("botResponse", "late", "two")]
    assert current(request).answer_state == "answered"
    assert current(request).lease_holder is None
    late = list(Message.objects.filter(type="botResponse").order_by("sequence"))
    assert [message.data["newSessionStarted"] for message in late] == [True, False]
    assert {message.connection_id for message in late} == {"tab-1"}
    assert {message.question_id for message in late} == {request.question_id}


@pytest.mark.parametrize("nothing", [[], Answer()], ids=["no step", "an empty step"])
def test_asked_again_a_bot_may_say_nothing(told, accept, nothing):
    request = accept(told(lambda question: nothing))
    expire(request)
    asking.ask_left(request=requests.claim_left(pk=request.pk))
    assert dialogue()[1:] == [("botResponse", "late", "")]
    assert current(request).answer_state == "answered"


def test_asked_again_a_bot_may_fail(told, accept):
    def answer(question):
        if question.query == "half":
            yield "one"
        raise ValueError("out of order")

    channel = told(answer, BOT_RETRIES=1)
    for query, state in (("hi", "failed"), ("half", "interrupted")):
        request = accept(channel, query)
        expire(request)
        asking.ask_left(request=requests.claim_left(pk=request.pk))
        assert current(request).answer_state == state
        assert current(request).failure.startswith("ValueError: out of order")
        assert current(request).lease_holder is None


def test_asked_again_without_a_bot_fails(channel, accept, settings):
    settings.CHATAPI = {"BOT_RETRIES": 1}
    channel.bot = "nobody"
    channel.save()
    request = accept(channel)
    expire(request)
    asking.ask_left(request=requests.claim_left(pk=request.pk))
    assert current(request).answer_state == "failed"
    assert "nobody" in current(request).failure


def test_what_was_half_answered_is_interrupted_and_not_asked_twice(told, accept):
    asked = []
    request = accept(told(lambda question: asked.append(question)))
    answers.publish(request=request, steps=[Answer.text("one")], route="response", state="partial")
    expire(request)
    assert requests.claim_left(pk=request.pk) is None
    assert current(request).answer_state == "interrupted"
    assert "died half-way" in current(request).failure
    assert current(request).lease_holder is None
    assert asked == []
    assert dialogue()[1:] == [("botResponse", "response", "one")]
    assert requests.claim_left(pk=request.pk) is None


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_what_kills_the_process_each_time_is_given_up(told, accept, retries):
    request = accept(told(lambda question: "ok", BOT_RETRIES=retries))
    for count in range(2, retries + 2):
        expire(request)
        assert requests.claim_left(pk=request.pk).ask_count == count
    expire(request)
    assert requests.claim_left(pk=request.pk) is None
    assert current(request).answer_state == "failed"
    assert f"Asked {retries + 1} times" in current(request).failure
    assert selectors.left_requests() == []
    assert Message.objects.get(type="botResponse").data["error"] == "bot_failed"


def test_a_request_that_is_done_is_not_left(told, accept):
    channel = told(lambda question: "ok")
    for state in ("answered", "failed", "interrupted"):
        request = accept(channel)
        answers.close(request=request, state=state)
        expire(request)
        assert requests.claim_left(pk=request.pk) is None
        assert current(request).answer_state == state
    assert selectors.left_requests() == []


def test_a_request_that_was_deleted_is_not_left(told, accept):
    request = accept(told(lambda question: "ok"))
    Message.objects.all().delete()
    assert requests.claim_left(pk=request.pk) is None


def test_the_answer_and_the_sweep_at_the_same_moment_give_one_answer(told, accept):
    channel = told(lambda question: "of the sweep")
    for number in range(10):
        request = accept(channel, client_id=f"client-{number}")
        expire(request)

        def answer(request=request):
            steps = [Answer.text("of the first")]
            answers.publish(request=request, steps=steps, route="response", state="answered")

        def sweep(request=request):
            taken = requests.claim_left(pk=request.pk)
            if taken is not None:
                asking.ask_left(request=taken)

        outcomes = together(answer, sweep)
        assert outcomes[1] is None
        assert outcomes[0] is None or isinstance(outcomes[0], answers.ClaimLost)
        expected = "of the sweep" if outcomes[0] else "of the first"
        assert [text for _, _, text in dialogue(f"client-{number}")[1:]] == [expected]
        assert current(request).answer_state == "answered"


def test_the_sweep_finds_the_oldest_first_and_queues_each(told, accept, monkeypatch):
    asked = []
    channel = told(lambda question: asked.append(question.query) or "ok")
    kept = accept(channel, "kept", client_id="eve")
    for number in range(3):
        request = accept(channel, str(number), client_id=f"client-{number}")
        age = dt.timedelta(seconds=10 - number)
        Message.objects.filter(pk=request.pk).update(lease_expires_at=timezone.now() - age)
    monkeypatch.setattr(
        tasks.answer_left_request, "apply_async", lambda args, expires: tasks.answer_left_request(*args)
    )
    tasks.sweep()
    assert asked == ["0", "1", "2"]
    tasks.sweep()
    assert asked == ["0", "1", "2"]
    assert current(kept).answer_state == "pending"
    tasks.answer_left_request(request.pk)  # a task that runs twice does no harm
    assert len(dialogue("client-2")) == 2


def test_asking_needs_a_claim(told, accept):
    request = accept(told(lambda question: "ok"))
    request.lease_holder = None
    with pytest.raises(ValueError, match="not claimed"), leases.kept(request):
        pass


def test_a_claim_is_kept_to_the_end_of_the_block_even_when_it_fails(told, accept, fresh_keeper):
    request = accept(told(lambda question: "ok"))
    with pytest.raises(ZeroDivisionError), leases.kept(request):
        assert set(fresh_keeper._holders) == {request.lease_holder}
        raise ZeroDivisionError
    assert fresh_keeper._holders == {}
