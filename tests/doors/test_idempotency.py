"""``Idempotency-Key`` (contract, section 4)."""

import datetime as dt
import threading

import pytest
from django.db import connection, models

from django_chatapi.actions import channels
from django_chatapi.models import Channel, Message
from tests.conftest import Caller
from tests.servers import wait_until

BODY = {"clientId": "ann", "query": "hi"}


def keyed(caller: Caller, key: str = "k", body=BODY):
    return caller.post(body=body, headers={"Idempotency-Key": key})


@pytest.fixture
def caller(make_channel, bots) -> Caller:
    return Caller(make_channel(bot="listener"))


def test_a_repeated_post_gets_the_first_ones_answer_and_the_bot_is_not_asked_again(caller, bots):
    first = keyed(caller)
    again = [keyed(caller) for _ in range(3)]

    assert first.status_code == 200
    assert [(response.status_code, response.json()) for response in again] == [(200, first.json())] * 3
    assert len(bots.asked) == 1
    assert len(caller.history("ann")["messages"]) == 2


def test_the_same_body_in_another_order_and_spacing_is_the_same_body(caller, bots):
    first = keyed(caller, body='{"clientId": "ann", "query": "hi", "data": {"a": 1, "b": 2}}')
    again = keyed(caller, body='{"data":{"b":2,"a":1},"query":"hi","clientId":"ann"}')

    assert again.json() == first.json()
    assert len(bots.asked) == 1


@pytest.mark.parametrize(
    "other",
    [
        {**BODY, "query": "hi!"},
        {"clientId": "ann", "event": "hi"},
        {**BODY, "cid": "tab 1"},
        {**BODY, "data": {}},
        {**BODY, "unknown": 1},
    ],
)
def test_the_same_key_with_another_body_is_a_conflict(caller, bots, other):
    keyed(caller)

    response = keyed(caller, body=other)

    assert response.status_code == 409
    assert response.json()["error"] == "idempotency_conflict"
    assert len(bots.asked) == 1
    assert len(caller.history("ann")["messages"]) == 2
    assert keyed(caller).status_code == 200


def test_a_key_belongs_to_one_client_of_one_channel(caller, bots, make_channel):
    elsewhere = Caller(make_channel(bot="listener"))
    answers = [
        keyed(caller),
        keyed(caller, body={**BODY, "clientId": "bob"}),
        keyed(elsewhere),
        keyed(elsewhere, body={**BODY, "query": "another"}, key="K"),
    ]

    assert [response.status_code for response in answers] == [200] * 4
    assert len({response.json()["questionId"] for response in answers}) == 4
    assert len(bots.asked) == 4


def test_a_call_without_a_key_is_always_a_new_request(caller, bots):
    keyed(caller)
    caller.post(body=BODY)
    caller.post(body=BODY)

    assert len(bots.asked) == 3


def test_get_ignores_the_key(caller, bots):
    ids = {
        caller.get(clientId="ann", query="hi", headers={"Idempotency-Key": "k"}).json()["questionId"]
        for _ in range(2)
    }
    ids.add(keyed(caller).json()["questionId"])

    assert len(ids) == 3


def test_a_day_later_the_key_is_forgotten(caller, bots):
    first = keyed(caller)
    day = dt.timedelta(hours=24)

    Message.objects.update(created_at=models.F("created_at") - day + dt.timedelta(minutes=1))
    assert keyed(caller).json()["questionId"] == first.json()["questionId"]

    Message.objects.update(created_at=models.F("created_at") - dt.timedelta(minutes=2))
    later = keyed(caller, body={**BODY, "query": "another"})
    assert later.status_code == 200
    assert later.json()["questionId"] != first.json()["questionId"]
    assert keyed(caller, body={**BODY, "query": "another"}).json() == later.json()


def test_the_window_is_a_setting(caller, configure):
    first = keyed(caller)
    Message.objects.update(created_at=models.F("created_at") - dt.timedelta(minutes=1))
    configure(IDEMPOTENCY_WINDOW=30.0)

    assert keyed(caller).json()["questionId"] != first.json()["questionId"]


@pytest.mark.parametrize("key", ["", "x" * 256, "a\0b", "a\tb", "\x85"])
def test_a_key_that_is_none_is_refused(caller, bots, key):
    response = keyed(caller, key=key)

    assert response.status_code == 400
    assert set(response.json()["args"]) == {"Idempotency-Key"}
    assert not Message.objects.exists()
    assert not bots.asked


@pytest.mark.parametrize("key", ["x", "x" * 255, "6f0d3f3e-0c1c-4b7b-9c8f-0e2a8f5a4c11", "a b/c;d=é"])
def test_a_key_of_at_most_255_characters_is_kept(caller, bots, key):
    assert keyed(caller, key=key).json() == keyed(caller, key=key).json()
    assert len(bots.asked) == 1


def test_keys_are_told_apart_to_the_letter(caller):
    ids = {keyed(caller, key=key).json()["questionId"] for key in ("key", "Key", "key1")}

    assert len(ids) == 3


def test_a_refused_body_does_not_use_up_the_key(caller):
    assert keyed(caller, body={"clientId": "ann", "query": ""}).status_code == 400

    assert keyed(caller).status_code == 200


def test_a_text_refused_by_the_form_does_not_use_up_the_key(make_channel):
    buttons = {"query": "start", "replies": [{"type": "buttons", "buttons": [{"text": "Yes"}]}]}
    options = {"script": [buttons], "default": {"text": "Go on"}}
    caller = Caller(make_channel(bot="recorded", bot_options=options, disable_text_with_buttons=True))
    caller.send("start", client_id="ann")

    assert keyed(caller).status_code == 422
    caller.send("Yes", client_id="ann")
    assert keyed(caller).status_code == 200


def test_an_answer_with_buttons_is_repeated_although_the_form_is_blocked_by_it(make_channel):
    buttons = {"query": "hi", "replies": [{"type": "buttons", "buttons": [{"text": "Yes"}]}]}
    caller = Caller(
        make_channel(bot="recorded", bot_options={"script": [buttons]}, disable_text_with_buttons=True)
    )

    first = keyed(caller)

    assert first.json()["blockForm"] is True
    assert keyed(caller).json() == first.json()


def test_a_repeated_post_shows_the_token_that_it_used(caller):
    first = keyed(caller).json()
    new = channels.rotate_token(channel=Channel.objects.get(token=caller.token))

    assert keyed(caller).json() == first
    caller.token = new
    assert keyed(caller).json() == {**first, "token": new}


def test_what_failed_stays_failed(make_channel, bots):
    caller = Caller(make_channel(bot="nonsense"))
    body = {**BODY, "query": "none"}

    first, again = keyed(caller, body=body), keyed(caller, body=body)

    assert first.status_code == again.status_code == 502
    assert first.json() == again.json()
    assert len(bots.asked) == 1
    assert keyed(caller, key="another", body=body).status_code == 502
    assert len(bots.asked) == 2


# --- while the first one is still being answered


def at_once(*calls) -> list:
    """Call all at the same time, each in a thread with a database connection of its own."""
    results: list = [None] * len(calls)

    def run(index, call):
        try:
            results[index] = call()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


@pytest.mark.django_db(transaction=True)
def test_two_at_once_ask_the_bot_once_and_get_the_same_answer(make_channel, bots):
    channel = make_channel(bot="patient")

    def release():
        # Both are on their way: one asks, the other waits for its answer.
        wait_until(lambda: bots.asked, what="the question")
        assert len(bots.asked) == 1
        bots.go.set()

    *answers, _ = at_once(*[lambda: keyed(Caller(channel))] * 4, release)

    assert [response.status_code for response in answers] == [200] * 4
    assert len({response.content for response in answers}) == 1
    assert len(bots.asked) == 1
    assert len(Caller(channel).history("ann")["messages"]) == 2


@pytest.mark.django_db(transaction=True)
def test_a_repeated_post_waits_for_the_answer_to_the_first(make_channel, bots, configure):
    channel = make_channel(bot="patient")
    configure(SYNC_TIMEOUT=0.05)
    first = keyed(Caller(channel))
    assert first.status_code == 504

    again = keyed(Caller(channel))
    assert again.status_code == 504
    assert again.json() == first.json()

    configure(SYNC_TIMEOUT=30.0)
    late, _ = at_once(lambda: keyed(Caller(channel)), bots.go.set)
    assert late.status_code == 200
    assert late.json()["questionId"] == first.json()["args"]["questionId"]
    assert late.json()["data"]["answer"] == "You said hi."
    assert len(bots.asked) == 1
    bots.finished()


@pytest.mark.django_db(transaction=True)
def test_after_a_timeout_a_repeated_post_gets_the_late_answer(make_channel, bots, configure):
    caller = Caller(make_channel(bot="patient"))
    configure(SYNC_TIMEOUT=0.05)
    first = keyed(caller)
    assert first.status_code == 504
    bots.go.set()
    bots.finished()

    again = keyed(caller)

    assert again.status_code == 200
    assert again.json()["questionId"] == first.json()["args"]["questionId"]
    assert again.json()["data"]["answer"] == "You said hi."
    assert len(bots.asked) == 1
