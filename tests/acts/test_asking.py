"""Putting a request to a bot: what the caller gets at once, what comes late, and what a failure leaves behind."""

import asyncio
import contextlib
import threading
import types

import pytest
from django.db import connection, transaction

from django_chatapi.actions import answers, asking
from django_chatapi.bots import Answer, pool
from django_chatapi.exceptions import BotFailed, BotTimeout
from django_chatapi.models import Channel, Client, Message
from tests import bots
from tests.acts.conftest import beside, dialogue
from tests.conftest import Caller
from tests.servers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

#: Longer than any test takes: what is not meant to end a wait does not.
NEVER = 60.0
#: Short enough to wait for.
SOON = 0.15


def state_of(request):
    request = Message.objects.get(pk=request.pk)
    return request.answer_state, request.failure


def closed(request):
    return Message.objects.get(pk=request.pk).lease_holder is None


@pytest.fixture
def clock(monkeypatch):
    """The clock of who waits for a bot, which only the test moves."""
    clock = types.SimpleNamespace(now=1_000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(asking, "time", clock)
    return clock


def test_steps_are_joined_into_one_response(told, accept):
    def answer(question):
        yield Answer.text("one", nlp_class="/One", debug_data=[1])
        yield "two"
        yield Answer.text("three", nlp_class="/Three", confidence=0.5, debug_data=[2])

    request = accept(told(answer, RESPONSE_GAP=NEVER, SYNC_TIMEOUT=NEVER), connection_id="tab-1")
    message = asking.ask(request=request)
    assert message.data == {
        "nlpClass": "/Three",
        "confidence": 0.5,
        "replies": [{"type": "text", "text": text} for text in ("one", "two", "three")],
        "answer": "one\n\ntwo\n\nthree",
        "newSessionStarted": True,
        "debugData": [1, 2],
        "endSession": False,
    }
    assert (message.type, message.route, message.status) == ("botResponse", "response", "SENT")
    assert (message.question_id, message.query, message.connection_id) == (request.question_id, "hi", "tab-1")
    assert state_of(request) == ("answered", "")
    assert closed(request)
    assert dialogue() == [("request", "response", "hi"), ("botResponse", "response", "one\n\ntwo\n\nthree")]


def test_a_long_pause_ends_the_response_and_the_rest_is_late_and_in_order(told, accept, gate, clock):
    def answer(question):
        yield "one"
        yield "two"
        clock.now += SOON
        gate.wait()
        yield "three"
        yield Answer.text("four", end_session=True)

    request = accept(told(answer, RESPONSE_GAP=SOON, SYNC_TIMEOUT=NEVER))
    message = asking.ask(request=request)
    assert message.data["answer"] == "one\n\ntwo"
    assert state_of(request) == ("partial", "")
    assert not closed(request)

    gate.set()
    wait_until(lambda: closed(request), what="the end of the answer")
    assert state_of(request) == ("answered", "")
    assert dialogue() == [
        ("request", "response", "hi"),
        ("botResponse", "response", "one\n\ntwo"),
        ("botResponse", "late", "three"),
        ("botResponse", "late", "four"),
    ]
    late = Message.objects.filter(route="late")
    assert {message.question_id for message in late} == {request.question_id}
    assert {message.status for message in late} == {"NOT_SENT"}
    assert [
        m.data["newSessionStarted"] for m in Message.objects.filter(type="botResponse").order_by("sequence")
    ] == [
        True,
        False,
        False,
    ]
    assert Client.objects.get().session_open is False


def test_what_is_late_is_stored_behind_the_response_however_soon_it_comes(told, accept, gate, monkeypatch):
    """The bot goes on while the response's part is being stored; its end, too, has to wait for that."""
    ended_early = threading.Event()
    publish, close = answers.publish, answers.close

    def answer(question):
        yield "one"
        gate.wait()
        if question.query == "more":
            yield "two"

    def slow_publish(**arguments):
        if arguments["route"] == "response":
            gate.set()
            ended_early.wait(SOON)
        else:
            ended_early.set()
        return publish(**arguments)

    def watched_close(**arguments):
        ended_early.set()
        close(**arguments)

    for query, late in (("more", [("botResponse", "late", "two")]), ("no more", [])):
        with monkeypatch.context() as watched:
            watched.setattr(answers, "publish", slow_publish)
            watched.setattr(answers, "close", watched_close)
            request = accept(told(answer, RESPONSE_GAP=SOON), query, client_id=query)
            asking.ask(request=request)
            wait_until(lambda: closed(request), what="the end of the answer")  # noqa: B023
        assert dialogue(query)[1:] == [("botResponse", "response", "one"), *late]
        assert state_of(request) == ("answered", "")
        gate.clear()
        ended_early.clear()


def test_a_pause_before_the_first_step_is_no_gap(told, accept):
    pause = threading.Event()

    def answer(question):
        pause.wait(4 * SOON)
        yield "one"

    message = asking.ask(request=accept(told(answer, RESPONSE_GAP=SOON, SYNC_TIMEOUT=NEVER)))
    assert message.data["answer"] == "one"


def test_the_sync_timeout_bounds_a_bot_that_goes_on_and_on(told, accept, gate, clock):
    def answer(question):
        while not gate.wait(SOON / 5):
            yield "and"
            clock.now += SOON / 5
        yield "end"

    request = accept(told(answer, RESPONSE_GAP=NEVER, SYNC_TIMEOUT=3 * SOON))
    message = asking.ask(request=request)
    assert message.data["answer"].startswith("and")
    assert "end" not in message.data["answer"]
    gate.set()
    wait_until(lambda: closed(request))
    assert dialogue()[-1] == ("botResponse", "late", "end")


def test_nothing_within_the_sync_timeout_is_a_504_and_the_answer_is_late(told, accept, gate):
    def answer(question):
        gate.wait()
        return ["one", "two"]

    request = accept(told(answer, RESPONSE_GAP=NEVER, SYNC_TIMEOUT=SOON))
    with pytest.raises(BotTimeout) as timeout:
        asking.ask(request=request)
    assert timeout.value.details == {"questionId": str(request.question_id)}
    assert state_of(request) == ("pending", "")
    assert dialogue() == [("request", "response", "hi")]

    gate.set()
    wait_until(lambda: closed(request))
    assert state_of(request) == ("answered", "")
    assert dialogue()[1:] == [("botResponse", "late", "one"), ("botResponse", "late", "two")]
    assert Message.objects.filter(route="late").order_by("sequence")[0].data["newSessionStarted"] is True


def test_saying_nothing_late_closes_the_request_with_an_empty_answer(told, accept, gate):
    def answer(question):
        gate.wait()
        return []

    request = accept(told(answer, SYNC_TIMEOUT=SOON))
    with pytest.raises(BotTimeout):
        asking.ask(request=request)
    gate.set()
    wait_until(lambda: closed(request))
    assert state_of(request) == ("answered", "")
    assert dialogue()[1:] == [("botResponse", "late", "")]


@pytest.mark.parametrize("nothing", [Answer(), [], "", [Answer(), Answer()]], ids=["one", "none", "blank", "two"])
@pytest.mark.parametrize("quick", [True, False], ids=["quick", "in the pool"])
def test_saying_nothing_is_an_answer(told, accept, nothing, quick):
    request = accept(told(lambda question: nothing, quick))
    message = asking.ask(request=request)
    assert message.data["answer"] == ""
    assert state_of(request) == ("answered", "")
    assert [kind for kind, _, _ in dialogue()] == ["request", "botResponse"]


def fail(question):
    raise ValueError("out of order")


@pytest.mark.parametrize("quick", [True, False], ids=["quick", "in the pool"])
def test_a_failure_before_any_step_is_a_502_and_the_reason_is_kept(told, accept, quick):
    request = accept(told(fail, quick))
    with pytest.raises(BotFailed, match="ValueError: out of order") as failed:
        asking.ask(request=request)
    assert failed.value.details == {"questionId": str(request.question_id)}
    state, reason = state_of(request)
    assert state == "failed"
    assert reason.startswith("ValueError: out of order")
    assert closed(request)
    assert dialogue() == [("request", "response", "hi")]


def one_then_fail(question):
    yield "one"
    raise ValueError("out of order")


@pytest.mark.parametrize("quick", [True, False], ids=["quick", "in the pool"])
def test_a_failure_after_a_step_is_an_answer_that_was_interrupted(told, accept, quick):
    request = accept(told(one_then_fail, quick, RESPONSE_GAP=NEVER))
    assert asking.ask(request=request).data["answer"] == "one"
    state, reason = state_of(request)
    assert state == "interrupted"
    assert reason.startswith("ValueError: out of order")
    assert closed(request)


def test_a_late_failure_after_a_step_is_an_interruption(told, accept, gate):
    def answer(question):
        yield "one"
        gate.wait()
        raise ValueError("out of order")

    request = accept(told(answer, RESPONSE_GAP=SOON))
    asking.ask(request=request)
    gate.set()
    wait_until(lambda: closed(request))
    state, reason = state_of(request)
    assert state == "interrupted"
    assert reason.startswith("ValueError: out of order")
    assert dialogue()[1:] == [("botResponse", "response", "one")]


def test_a_late_failure_before_any_step_is_a_failure(told, accept, gate):
    def answer(question):
        gate.wait()
        raise ValueError("out of order")

    request = accept(told(answer, SYNC_TIMEOUT=SOON))
    with pytest.raises(BotTimeout):
        asking.ask(request=request)
    gate.set()
    wait_until(lambda: closed(request))
    assert state_of(request)[0] == "failed"
    # Whoever got the 504 waits for an answer: this one says that there is none.
    assert dialogue()[1:] == [("botResponse", "late", "")]
    assert Message.objects.get(route="late").data["error"] == "bot_failed"


@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()], ids=lambda e: type(e).__name__
)
def test_a_bot_that_would_end_the_process_ends_its_answer_only(told, accept, error):
    def answer(question):
        raise error

    channel = told(answer, BOT_POOL_SIZE=1, SYNC_TIMEOUT=NEVER)
    for _ in range(3):
        request = accept(channel)
        with pytest.raises(BotFailed, match=type(error).__name__):
            asking.ask(request=request)
        assert state_of(request)[0] == "failed"


def test_an_error_text_that_no_database_takes_is_stored_all_the_same(told, accept):
    def answer(question):
        raise ValueError("a\0b\ud800c")

    request = accept(told(answer))
    with pytest.raises(BotFailed):
        asking.ask(request=request)
    assert state_of(request)[1].startswith("ValueError: a b c")


@pytest.mark.parametrize(
    ("bot", "options", "says"),
    [
        ("nobody", {}, "has no bot “nobody”"),
        ("function", {"function": "nowhere.answer"}, "Cannot import"),
        ("polite", {"times": 9}, "times"),
        ("polite", {"colour": "red"}, "colour"),
        ("polite", ["a list"], "cannot be made"),
        ("unmakeable", {}, "cannot be made: RuntimeError: no power"),
    ],
)
def test_a_bot_that_cannot_be_had_is_a_failed_bot(channel, accept, settings, bot, options, says):
    settings.CHATAPI = {"BOTS": {"polite": "tests.bots.Polite", "unmakeable": "tests.bots.Unmakeable"}}
    Channel.objects.update(bot=bot, bot_options=options)
    channel.refresh_from_db()
    request = accept(channel)
    with pytest.raises(BotFailed, match=says):
        asking.ask(request=request)
    assert state_of(request)[0] == "failed"
    assert says in state_of(request)[1]


def test_a_quick_bot_is_asked_in_the_requests_own_thread_and_others_are_not(told, accept):
    def answer(question):
        return threading.current_thread().name

    assert asking.ask(request=accept(told(answer, quick=True))).data["answer"] == threading.current_thread().name
    assert asking.ask(request=accept(told(answer))).data["answer"].startswith("chatapi-bot-")


def test_the_question_holds_what_was_sent(told, accept):
    asked = []
    channel = told(lambda question: asked.append(question) or "ok")
    accept(channel, "earlier")
    accept(channel, "of somebody else", client_id="bob")
    raw = {"clientId": "ann", "query": "hi", "clientInfo": {"page": "/"}}
    request = accept(channel, connection_id="tab-1", data={"a": 1}, raw_request=raw)
    accept(channel, "later")
    asking.ask(request=request)
    (question,) = asked
    assert (question.query, question.event_name, question.connection_id) == ("hi", None, "tab-1")
    assert (question.data, question.raw_request) == ({"a": 1}, raw)
    assert (question.channel, question.client.client_id) == (channel, "ann")
    assert (question.session_number, question.new_session) == (1, False)
    assert question.question_id == request.question_id
    assert [message.query for message in question.history()] == ["earlier"]


def test_a_bot_may_read_the_history_while_it_thinks(told, accept):
    def answer(question):
        return ", ".join(message.query for message in question.history(limit=2))

    channel = told(answer)
    for query in ("one", "two", "three"):
        accept(channel, query)
    assert asking.ask(request=accept(channel, "four")).data["answer"] == "two, three"


def test_an_async_bot_may_use_the_database(told, accept):
    async def answer(question):
        yield str(await Message.objects.acount())
        await asyncio.sleep(0)
        client = await Client.objects.aget(pk=question.client.pk)
        yield client.client_id

    assert asking.ask(request=accept(told(answer))).data["answer"] == "1\n\nann"


# No lock, no transaction, no idle connection is held while a bot thinks.


@contextlib.contextmanager
def observer():
    """A connection of its own, from which PostgreSQL is asked what the others do."""
    import psycopg

    settings = connection.get_connection_params()
    with psycopg.connect(
        **{key: settings[key] for key in ("dbname", "user", "password", "host", "port") if settings.get(key)},
        autocommit=True,
    ) as own:
        yield lambda: own.execute(
            "SELECT state, query FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchall()


def test_no_transaction_is_open_while_a_bot_thinks(told, accept, gate):
    thinking = threading.Event()
    in_transaction = []

    def answer(question):
        in_transaction.append(connection.in_atomic_block)
        thinking.set()
        gate.wait()
        return "done"

    channel = told(answer, SYNC_TIMEOUT=NEVER)
    request = accept(channel)
    caller = beside(lambda: asking.ask(request=request))
    assert thinking.wait(20)

    # The same client's next request does not wait for the bot: nobody holds its row.
    accept(channel, "next")
    if connection.vendor == "postgresql":
        connection.close()
        with observer() as activity:
            assert [state for state, _ in activity() if str(state).startswith("idle in transaction")] == []
    gate.set()
    caller.join()
    assert in_transaction == [False]
    assert dialogue()[1:] == [("request", "response", "next"), ("botResponse", "response", "done")]


def test_a_host_that_wraps_its_requests_in_transactions_changes_nothing(told, monkeypatch):
    """The request has to be committed before the bot is asked: its thread would not see it otherwise."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    channel = told(lambda question: str(Message.objects.filter(question_id=question.question_id).count()))
    assert Caller(channel).send("hi")["data"]["answer"] == "1"


def test_no_connection_is_held_by_a_waiting_request_or_an_idle_thread(told, accept, gate):
    if connection.vendor != "postgresql":
        pytest.skip("Only PostgreSQL tells who is connected.")
    thinking = threading.Event()

    async def answer(question):
        await Message.objects.acount()
        yield "one"
        if question.query == "wait":
            thinking.set()
            while not gate.is_set():
                await asyncio.sleep(0.01)

    channel = told(answer, SYNC_TIMEOUT=NEVER, RESPONSE_GAP=NEVER)
    for _ in range(3):
        asking.ask(request=accept(channel))
    connection.close()
    with observer() as activity:
        # The pool's threads live on, without their connections.
        assert [thread.name for thread in threading.enumerate() if thread.name.startswith("chatapi-bot-")]
        wait_until(lambda: activity() == [], what="the end of all connections")

    caller = beside(lambda: asking.ask(request=accept(channel, "wait")))
    assert thinking.wait(20)
    with observer() as activity:
        # One at most: the bot itself used one before it began to wait.
        wait_until(lambda: len(activity()) <= 1, what="the end of the caller's connection")
    gate.set()
    caller.join()


def test_a_pool_of_no_threads_asks_in_the_requests_own_thread(told, accept):
    def answer(question):
        yield threading.current_thread().name
        yield "done"

    channel = told(answer, BOT_POOL_SIZE=0, RESPONSE_GAP=0.0, SYNC_TIMEOUT=0.0)
    message = asking.ask(request=accept(channel))
    assert message.data["answer"] == f"{threading.current_thread().name}\n\ndone"


@pytest.mark.django_db(transaction=False)
def test_without_a_pool_a_slow_bot_can_be_tested_inside_a_transaction(told, accept):
    assert connection.in_atomic_block
    channel = told(lambda question: ["one", "two"], BOT_POOL_SIZE=0)
    request = accept(channel)
    assert asking.ask(request=request).data["answer"] == "one\n\ntwo"
    assert state_of(request) == ("answered", "")

    async def answer(question):
        yield str(await Message.objects.acount())

    bots.Told.function = staticmethod(answer)
    assert asking.ask(request=accept(channel)).data["answer"] == "3"


# A claim that was lost, and a database that fails.


def take_over(request):
    """As another process does after the lease has run out: it answers in this one's place."""
    other = Message.objects.select_related("client__channel").get(pk=request.pk)
    other.lease_holder = "01930000-0000-7000-8000-00000000000f"
    other.save(update_fields=["lease_holder"])
    return other


def test_who_lost_the_claim_publishes_nothing(told, accept):
    request = accept(told(lambda question: "unused"))
    other = take_over(request)
    for act in (
        lambda: answers.publish(request=request, steps=[Answer.text("mine")], route="response", state="answered"),
        lambda: answers.close(request=request, state="failed", failure="mine"),
    ):
        with pytest.raises(answers.ClaimLost), transaction.atomic():
            act()
    assert state_of(request) == ("pending", "")
    assert len(dialogue()) == 1
    answers.publish(request=other, steps=[Answer.text("theirs")], route="late", state="answered")
    assert dialogue()[1:] == [("botResponse", "late", "theirs")]
    with pytest.raises(answers.ClaimLost):
        answers.publish(request=other, steps=[Answer.text("again")], route="late", state="answered")
    assert len(dialogue()) == 2
    assert Client.objects.get().last_sequence == 2


@pytest.mark.parametrize("quick", [True, False], ids=["quick", "in the pool"])
@pytest.mark.parametrize(
    "function", [lambda q: "mine", one_then_fail, fail], ids=["answer", "interruption", "failure"]
)
def test_a_caller_whose_claim_was_lost_is_told_to_expect_the_answer_late(told, accept, function, quick):
    def answer(question):
        take_over(Message.objects.get(question_id=question.question_id))
        return function(question)

    request = accept(told(answer, quick, RESPONSE_GAP=NEVER))
    with pytest.raises(BotTimeout):
        asking.ask(request=request)
    assert state_of(request) == ("pending", "")
    assert len(dialogue()) == 1


def test_a_claim_lost_half_way_drops_the_rest(told, accept, gate):
    asked_on = threading.Event()

    def answer(question):
        yield "one"
        gate.wait()
        yield "two"
        asked_on.set()
        yield "three"

    request = accept(told(answer, RESPONSE_GAP=SOON))
    asking.ask(request=request)
    take_over(request)
    gate.set()
    assert pool._pool.drain(20) == 0
    assert dialogue()[1:] == [("botResponse", "response", "one")]
    assert state_of(request) == ("partial", "")
    assert not asked_on.is_set()


def test_when_the_response_cannot_be_stored_the_request_stays_for_the_sweep(told, accept, gate, monkeypatch):
    def answer(question):
        yield "one"
        gate.wait()
        yield "two"

    class DatabaseIsGone(Exception):
        pass

    def gone(**arguments):
        raise DatabaseIsGone

    request = accept(told(answer, RESPONSE_GAP=SOON))
    with monkeypatch.context() as broken:
        broken.setattr(answers, "publish", gone)
        with pytest.raises(DatabaseIsGone):
            asking.ask(request=request)
    gate.set()
    assert pool._pool.drain(20) == 0
    # Not "two" without "one": unanswered as it was, it will be asked again.
    assert state_of(request) == ("pending", "")
    assert len(dialogue()) == 1
