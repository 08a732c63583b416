"""Sessions: begun by the client's first request, after an end, after a long silence (contract, section 5)."""

import datetime as dt
import itertools
from types import SimpleNamespace

import pytest

from django_chatapi.actions import asking, turns
from django_chatapi.bots import Answer

pytestmark = pytest.mark.django_db
NOON = dt.datetime(2030, 1, 1, 12, tzinfo=dt.timezone.utc)
DAY = 24 * 60 * 60


@pytest.fixture
def say(told, accept, monkeypatch):
    """Say something so many seconds after noon; whether the envelope and the bot were told of a new session."""
    asked = []

    def answer(question):
        asked.append((question.new_session, question.session_number))
        if question.query == "twice":
            return [Answer.text("one"), Answer.text("two")]
        return Answer.text("ok", end_session=question.query == "bye")

    channel = told(answer, quick=True)

    def put(query, seconds):
        moment = NOON + dt.timedelta(seconds=seconds)
        monkeypatch.setattr(turns, "timezone", SimpleNamespace(now=itertools.repeat(moment).__next__))
        data = asking.ask(request=accept(channel, query)).data
        new_session, number = asked[-1]
        assert data["newSessionStarted"] is new_session
        return new_session, number

    return put


def test_the_first_request_starts_a_session_and_the_next_does_not(say):
    assert say("hi", 0) == (True, 1)
    assert say("twice", 1) == (False, 1)


def test_several_steps_start_one_session(say):
    assert say("twice", 0) == (True, 1)


def test_after_an_end_the_next_request_starts_one(say):
    say("hi", 0)
    assert say("bye", 1) == (False, 1)
    assert say("hi", 2) == (True, 2)
    assert say("hi", 3) == (False, 2)


def test_silence_of_a_day_is_not_yet_too_long(say):
    say("hi", 0)
    assert say("hi", DAY) == (False, 1)
    assert say("hi", 2 * DAY + 1) == (True, 2)


def test_any_sign_of_life_ends_the_silence(say):
    for hour in range(0, 100, 20):
        assert say("hi", hour * 3600)[1] == 1


def test_the_length_of_silence_is_a_setting(say, settings):
    settings.CHATAPI = {**settings.CHATAPI, "SESSION_TIMEOUT": 60}
    say("hi", 0)
    assert say("hi", 60) == (False, 1)
    assert say("hi", 121) == (True, 2)
