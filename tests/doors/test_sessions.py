"""``newSessionStarted`` (contract, section 5)."""

import datetime as dt

import pytest
from django.utils import timezone

from django_chatapi.models import Client
from tests.conftest import Caller


@pytest.fixture
def caller(make_channel) -> Caller:
    script = [{"query": "bye", "text": "Goodbye", "end_session": True}, {"query": "fail", "replies": [{}]}]
    return Caller(make_channel(bot="recorded", bot_options={"script": script, "default": {"text": "Go on"}}))


def starts(caller: Caller, query: str = "hi", **more) -> bool:
    return caller.send(query, **more)["data"]["newSessionStarted"]


def silent_for(seconds: float) -> None:
    Client.objects.update(last_activity_at=timezone.now() - dt.timedelta(seconds=seconds))


def test_the_first_request_of_each_client_starts_a_session(caller, make_channel):
    assert [starts(caller), starts(caller), starts(caller)] == [True, False, False]
    assert [starts(caller, client_id="other"), starts(caller)] == [True, False]
    assert starts(Caller(make_channel()))


def test_an_event_starts_a_session_too(caller):
    assert starts(caller, query=None, event="opened") is True
    assert starts(caller) is False


def test_after_an_answer_that_ends_the_session_the_next_request_starts_one(caller):
    assert [starts(caller), starts(caller, "bye"), starts(caller), starts(caller)] == [True, False, True, False]


def test_a_session_may_end_with_its_first_answer(caller):
    first = caller.send("bye")["data"]

    assert first["newSessionStarted"] is True
    assert first["endSession"] is True
    assert starts(caller) is True


def test_after_a_day_of_silence_the_next_request_starts_a_session(caller):
    caller.send("hi")

    silent_for(24 * 3600 - 60)
    assert starts(caller) is False

    silent_for(24 * 3600 + 1)
    assert [starts(caller), starts(caller)] == [True, False]


def test_the_length_of_silence_is_a_setting(caller, configure):
    configure(SESSION_TIMEOUT=60.0)
    caller.send("hi")

    silent_for(50)
    assert starts(caller) is False
    silent_for(61)
    assert starts(caller) is True


def test_a_saved_state_starts_no_session_and_takes_none_away(caller):
    assert caller.post("client", "test", "state", body=1).status_code == 200

    assert [starts(caller), starts(caller)] == [True, False]


def test_a_refused_request_starts_no_session(caller):
    assert caller.post(body={"clientId": "test", "query": ""}).status_code == 400

    assert starts(caller) is True


def test_a_session_whose_first_request_failed_goes_on(caller):
    assert caller.post(body={"clientId": "test", "query": "fail"}).status_code == 502

    assert starts(caller) is False


def test_the_bot_is_told_which_session_it_is_in(make_channel, bots, configure):
    caller = Caller(make_channel(bot="listener"))
    for _ in range(2):
        caller.send("hi")
    silent_for(25 * 3600)
    caller.send("hi")

    assert [(asked.session_number, asked.new_session) for asked in bots.asked] == [
        (1, True),
        (1, False),
        (2, True),
    ]


def test_the_history_tells_where_sessions_started(caller):
    for query in ("hi", "bye", "hi"):
        caller.send(query)

    answers = [item["event"]["data"] for item in caller.history()["messages"] if item["type"] == "botResponse"]
    assert [data["newSessionStarted"] for data in answers] == [True, False, True]
    assert [data["endSession"] for data in answers] == [False, True, False]
