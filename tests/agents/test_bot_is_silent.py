"""Once an agent has the client the bot says nothing any more, however far its answer was by then."""

import datetime as dt

import pytest
from django.utils import timezone

from django_chatapi import selectors, tasks
from django_chatapi.actions import asking, dialogs, requests
from django_chatapi.bots import Answer
from django_chatapi.models import Message
from tests.acts.conftest import beside
from tests.conftest import Caller
from tests.servers import wait_until

from .conftest import check, client_of, dialog_of, events_for_bot, take, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_queued")]


def states():
    return list(Message.objects.filter(type="request").order_by("sequence").values_list("answer_state", flat=True))


def said():
    """What the bot has said. What tells a caller of an agent is no word of the bot's."""
    answers = Message.objects.filter(type="botResponse").order_by("sequence")
    return [answer.data["answer"] for answer in answers if not answer.data.get("handedOver")]


def acknowledged():
    """The requests whose callers were told, other than by a response, that agents have the client; and how."""
    answers = Message.objects.filter(type="botResponse").order_by("sequence")
    return [(answer.query, answer.route) for answer in answers if answer.data.get("handedOver")]


def lease_is_over():
    Message.objects.filter(lease_expires_at__isnull=False).update(
        lease_expires_at=timezone.now() - dt.timedelta(seconds=1)
    )


def closed_requests():
    return not Message.objects.filter(answer_state__in=("pending", "partial")).exists()


class Thinking:
    """A request that a bot is thinking about, in a thread beside the test."""

    def __init__(self, channel, asked, headers=None):
        self.response = None
        before = len(asked)

        def send():
            body = {"clientId": "test", "query": "hi"}
            self.response = Caller(channel).post(body=body, headers=headers)

        self._thread = beside(send)
        wait_until(lambda: len(asked) > before or self.response is not None, what="the bot's question")

    def end(self):
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.response


@pytest.fixture
def thoughtful(told, gate, asked):
    """Make a channel whose bot waits for the gate before it answers."""

    def make(**chatapi):
        def answer(question):
            asked.append(question)
            assert gate.wait(30)
            return f"bot heard {question.query}"

        return told(answer, **chatapi)

    return make


def test_an_agent_takes_a_client_whose_request_is_being_answered(thoughtful, make_agent, asked, gate):
    channel = thoughtful()
    thinking = Thinking(channel, asked)
    take(make_agent(channel))
    gate.set()

    response = thinking.end()

    assert response.status_code == 200
    envelope = response.json()
    assert (envelope["data"]["replies"], envelope["data"]["answer"]) == ([], "")
    assert envelope["data"]["handedOver"] is True
    request = Message.objects.get()
    assert envelope["questionId"] == str(request.question_id)
    assert (envelope["query"], envelope["clientId"]) == ("hi", "test")
    assert (request.type, request.answer_state, request.lease_expires_at) == ("request", "handed_over", None)
    assert selectors.left_requests() == []
    check()


def test_also_when_the_agent_has_left_again_meanwhile(thoughtful, make_agent, asked, gate):
    channel = thoughtful()
    agent = make_agent(channel)
    thinking = Thinking(channel, asked)
    take(agent)
    dialogs.close(dialog=dialog_of(), agent=agent)
    gate.set()

    assert thinking.end().json()["data"].get("handedOver") is True
    assert said() == []
    assert states() == ["handed_over", "pending"]
    check()


def test_a_switch_that_comes_too_late_hands_nobody_over(told, make_agent, asked, gate):
    def answer(question):
        asked.append(question)
        assert gate.wait(30)
        return Answer([{"type": "switch", "firstMessage": "too late"}])

    channel = told(answer)
    agent = make_agent(channel)
    thinking = Thinking(channel, asked)
    taken = take(agent)
    gate.set()

    assert thinking.end().json()["data"]["handedOver"] is True
    assert (dialog_of().pk, dialog_of().agent) == (taken.pk, agent)
    check()


@pytest.mark.parametrize("quick", [True, False])
def test_an_agent_takes_the_client_while_the_answer_is_stored(told, make_agent, accept, quick):
    channel = told(lambda question: "answer", quick=quick)
    agent = make_agent(channel)
    request = accept(channel, client_id="test")
    take(agent)

    answer = asking.ask(request=request)

    assert (answer.pk, answer.data["handedOver"]) == (None, True)
    assert states() == ["handed_over"]
    assert said() == []


def test_late_steps_are_dropped(told, make_agent, gate):
    def answer(question):
        yield "one"
        assert gate.wait(30)
        yield "two"
        yield "three"

    channel = told(answer, RESPONSE_GAP=0.05)
    assert Caller(channel).send("hi")["data"]["answer"] == "one"
    assert states() == ["partial"]
    take(make_agent(channel))
    gate.set()
    wait_until(closed_requests, what="the end of the request")

    assert states() == ["handed_over"]
    assert said() == ["one"]


def test_late_steps_are_dropped_also_when_the_agent_has_left_again(told, make_agent, gate):
    def answer(question):
        yield "one"
        assert gate.wait(30)
        yield "two"
        yield "three"

    channel = told(answer, RESPONSE_GAP=0.05)
    agent = make_agent(channel)
    Caller(channel).send("hi")
    take(agent)
    dialogs.close(dialog=dialog_of(), agent=agent)
    gate.set()
    wait_until(lambda: states()[0] not in ("pending", "partial"), what="the end of the request")

    assert said() == ["one"]
    assert states() == ["handed_over", "pending"]


def test_what_a_bot_says_behind_its_switch_is_dropped(told, make_agent):
    def answer(question):
        yield Answer([{"type": "switch"}])
        yield "and by the way"

    channel = told(answer, RESPONSE_GAP=0.05)
    make_agent(channel)
    request = requests.accept(channel=channel, client_id="test", query="hi", route="async").request
    asking.ask_left(request=requests.claim_next(client_pk=request.client_id))

    assert dialog_of().state == "waiting"
    assert said() == [""]
    assert states() == ["handed_over"]


def test_an_answer_after_the_time_limit_is_dropped(thoughtful, make_agent, gate):
    channel = thoughtful(SYNC_TIMEOUT=0.1)
    response = Caller(channel).post(body={"clientId": "test", "query": "hi"})
    assert response.status_code == 504
    take(make_agent(channel))
    gate.set()
    wait_until(closed_requests, what="the end of the request")

    assert states() == ["handed_over"]
    assert (said(), acknowledged()) == ([], [("hi", "late")])


def test_a_bot_that_fails_meanwhile_leaves_no_message(told, make_agent, asked, gate):
    def answer(question):
        asked.append(question)
        assert gate.wait(30)
        raise RuntimeError("no")

    channel = told(answer, BOT_RETRIES=0)
    thinking = Thinking(channel, asked)
    take(make_agent(channel))
    gate.set()
    assert thinking.end().status_code == 502
    assert said() == []
    assert closed_requests()


# The queue


def test_queued_requests_are_for_the_agent(channel, agent, accept, asked):
    for query in ("one", "two"):
        accept(channel, query, client_id="test", route="async")
    take(agent)
    work()

    assert states() == ["handed_over"] * 2
    assert (asked, said()) == ([], [])
    assert acknowledged() == [("one", "async"), ("two", "async")]
    assert selectors.clients_with_due_requests() == []


def test_a_queued_request_that_is_being_answered_ends_in_silence(thoughtful, make_agent, accept, asked, gate):
    channel = thoughtful()
    agent = make_agent(channel)
    request = accept(channel, client_id="test", route="async")
    claimed = requests.claim_next(client_pk=request.client_id)
    thread = beside(lambda: asking.ask_left(request=claimed))
    wait_until(lambda: asked, what="the bot's question")
    take(agent)
    gate.set()
    thread.join(20)

    assert states() == ["handed_over"]
    assert said() == []


def test_a_queued_request_whose_bot_fails_is_not_asked_again(told, make_agent, accept, asked):
    def answer(question):
        asked.append(question)
        raise RuntimeError("no")

    channel = told(answer, quick=True, BOT_RETRIES=2, BOT_RETRY_DELAY=0.0)
    agent = make_agent(channel)
    request = accept(channel, client_id="test", route="async")
    assert asking.ask_left(request=requests.claim_next(client_pk=request.client_id)) == 0.0
    take(agent)
    lease_is_over()
    work()

    assert (len(asked), states(), said()) == (1, ["handed_over"], [])


def test_requests_of_a_client_with_an_agent_are_never_queued(channel, agent, accept, asked):
    accept(channel, client_id="test")
    take(agent)
    request = accept(channel, "hello?", client_id="test", route="async")

    assert (request.answer_state, request.lease_expires_at) == ("handed_over", None)
    assert selectors.clients_with_due_requests() == []
    assert dialog_of().unread == 1
    assert acknowledged() == [("hello?", "async")]


def test_what_tells_of_the_agents_is_nothing_that_the_client_has_not_read(channel, agent, caller):
    def count():
        return caller.get("client", "test", "message-not-read-count").json()["count"]

    caller.send("hi")
    dialog = take(agent)
    assert count() == 1
    for query in ("one", "two"):
        caller.post("async", body={"clientId": "test", "query": query})
    (told, _) = caller.get("events", clientId="test", all="true", timeout=0).json()["events"][-2:]
    caller.post("client", "test", "message", told["event"]["questionId"], "status", body={"status": "DELIVERED"})
    assert len(acknowledged()) == 2
    assert count() == 1
    dialogs.reply(dialog=dialog, agent=agent, replies=[{"type": "text", "text": "Hello"}])
    assert count() == 2


# What was left behind


@pytest.mark.parametrize("state", ["pending", "partial"])
def test_a_request_whose_process_died_is_swept_to_the_agent(channel, agent, accept, asked, state):
    request = accept(channel, client_id="test")
    Message.objects.filter(pk=request.pk).update(answer_state=state)
    take(agent)
    lease_is_over()
    assert selectors.left_requests() == [request.pk]

    tasks.answer_left_request(request.pk)

    assert (asked, said(), states()) == ([], [], ["handed_over"])
    assert selectors.left_requests() == []


def test_an_event_for_the_bot_that_nobody_delivered_yet_waits_for_no_agent(channel, agent, other, asked, caller):
    caller.send("hi")
    take(agent)
    dialogs.close(dialog=dialog_of(), agent=agent)
    take(other)
    work()

    assert asked.events == []
    dialogs.close(dialog=dialog_of(), agent=other)
    work()
    assert asked.events == ["livechatFinished"]
    assert [name for name, _ in events_for_bot()] == ["livechatFinished"] * 2


# Repetitions


def test_a_repeated_request_to_an_agent_is_one(channel, agent, caller, asked):
    caller.send("hi")
    take(agent)
    key = {"Idempotency-Key": "k1"}
    first = caller.post(body={"clientId": "test", "query": "where are you?"}, headers=key)
    again = caller.post(body={"clientId": "test", "query": "where are you?"}, headers=key)

    assert first.status_code == 200
    assert again.json() == first.json()
    assert again.json()["data"]["handedOver"] is True
    assert dialog_of().unread == 1
    assert [question.query for question in asked] == ["hi"]
    other = caller.post(body={"clientId": "test", "query": "something else"}, headers=key)
    assert (other.status_code, other.json()["error"]) == (409, "idempotency_conflict")


def test_a_repeated_async_request_to_an_agent_is_one(channel, agent, caller):
    caller.send("hi")
    take(agent)
    body, key = {"clientId": "test", "query": "where are you?"}, {"Idempotency-Key": "k1"}
    first = caller.post("async", body=body, headers=key)
    assert caller.post("async", body=body, headers=key).json() == first.json()
    assert dialog_of().unread == 1


def test_a_repeated_phrase_closes_nothing_else(say_switch, make_agent):
    channel = say_switch(closeChatPhrases=["bye"])
    agent = make_agent(channel)
    caller = Caller(channel)
    caller.send("human")
    body, key = {"clientId": "test", "query": "bye"}, {"Idempotency-Key": "k1"}
    first = caller.post(body=body, headers=key)
    taken = take(agent)

    assert caller.post(body=body, headers=key).json() == first.json()
    assert (dialog_of().pk, dialog_of().state) == (taken.pk, "open")


def test_who_repeats_a_request_that_is_being_answered_hears_of_the_agent(thoughtful, make_agent, asked, gate):
    channel = thoughtful()
    key = {"Idempotency-Key": "k1"}
    first = Thinking(channel, asked, headers=key)
    response = None

    def repeat():
        nonlocal response
        response = Caller(channel).post(body={"clientId": "test", "query": "hi"}, headers=key)

    again = beside(repeat)
    take(make_agent(channel))
    gate.set()
    again.join(20)

    assert response.json() == first.end().json()
    assert response.json()["data"]["handedOver"] is True
    assert len(asked) == 1


def test_what_was_answered_before_the_agent_came_is_still_its_answer(channel, agent, caller):
    body, key = {"clientId": "test", "query": "hi"}, {"Idempotency-Key": "k1"}
    first = caller.post(body=body, headers=key)
    take(agent)
    again = caller.post(body=body, headers=key)
    assert again.json() == first.json()
    assert again.json()["data"]["answer"] == "bot heard hi"


# The form


def test_with_agents_every_text_is_accepted(told, make_agent):
    buttons = {"type": "buttons", "buttons": [{"text": "Yes"}, {"text": "No"}]}
    channel = told(lambda question: Answer([buttons]), quick=True)
    type(channel).objects.update(disable_text_with_buttons=True)
    agent = make_agent(channel)
    caller = Caller(channel)
    assert caller.send("hi")["blockForm"] is True
    refused = caller.post(body={"clientId": "test", "query": "perhaps"})
    assert (refused.status_code, refused.json()["error"]) == (422, "text_input_disabled")

    take(agent)
    assert caller.send("perhaps")["data"]["handedOver"] is True
    # An agent's buttons do not close the form either.
    dialogs.reply(dialog=dialog_of(), agent=agent, replies=[buttons])
    assert caller.send("perhaps not")["data"]["handedOver"] is True


def test_while_waiting_too(told, make_agent):
    buttons = {"type": "buttons", "buttons": [{"text": "Yes"}]}
    channel = told(lambda question: Answer([buttons, {"type": "switch"}]), quick=True)
    type(channel).objects.update(disable_text_with_buttons=True)
    make_agent(channel)
    caller = Caller(channel)
    assert caller.send("hi")["blockForm"] is True
    assert caller.send("hello?")["data"]["handedOver"] is True


# Sessions


def test_requests_to_an_agent_begin_no_session(channel, agent, caller, settings):
    caller.send("hi")
    take(agent)
    settings.CHATAPI = {**settings.CHATAPI, "SESSION_TIMEOUT": 0.0}
    assert caller.send("one")["data"]["newSessionStarted"] is False
    assert client_of().session_number == 1
    assert not Message.objects.get(query="one").new_session
