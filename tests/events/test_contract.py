"""``GET {token}/events`` (contract, section 6), the same at both doors."""

import contextlib
import json
from datetime import datetime, timedelta

import pytest

from django_chatapi.actions import pushes
from django_chatapi.constants import MessageType
from django_chatapi.models import Client, Message
from tests.servers import wait_until

from .conftest import Listener, texts

pytestmark = pytest.mark.django_db(transaction=True)


def say(listener: Listener, text: str, type: MessageType = MessageType.HUMAN_RESPONSE) -> Message:
    client = Client.objects.select_related("channel").get(client_id=listener.client_id)
    return pushes.push(client=client, replies=[{"type": "text", "text": text}], type=type)


def test_an_event_is_the_envelope_with_its_type(listener):
    answer = listener.send("hi")

    body = listener.poll(all="true")

    assert set(body) == {"hasMore", "cursor", "events"}
    assert body["hasMore"] is False
    request, response = body["events"]
    assert request["type"] == "request"
    assert request["event"]["query"] == "hi"
    assert request["event"]["data"] is None
    assert response == {"type": "botResponse", "event": answer}


def test_a_waiting_poll_is_answered_by_the_next_event(listener):
    waiting = listener.start(all="true")

    listener.send("hi", clientId="ann")

    assert texts(waiting.result())[0] == ("request", "hi")


def test_a_waiting_poll_hears_what_another_process_publishes(listener):
    listener.send("hi")
    waiting = listener.start()

    message = say(listener, "How can I help?")

    [event] = waiting.result()["events"]
    assert event["type"] == "humanResponse"
    assert event["event"]["questionId"] == str(message.question_id)
    assert event["event"]["data"]["answer"] == "How can I help?"
    assert event["event"]["data"]["replies"] == [{"type": "text", "text": "How can I help?"}]


def test_nothing_happens_within_the_timeout(listener):
    assert listener.poll(timeout=0.2)["events"] == []


def test_without_all_come_replies_of_agents_late_answers_and_the_bots_own_messages(listener):
    listener.send("hi")
    listener.send("/slow 6")
    say(listener, "an agent")
    say(listener, "the bot", MessageType.BOT_RESPONSE)
    wait_until(lambda: Message.objects.filter(route="late").exists(), what="the late answer")

    body = listener.poll()

    assert sorted(texts(body)) == [
        ("botResponse", "done"),
        ("botResponse", "the bot"),
        ("humanResponse", "an agent"),
    ]


def test_cid_leaves_out_what_the_connection_saw_in_its_own_responses(listener):
    listener.send("from a", cid="a")
    listener.send("from b", cid="b")
    say(listener, "to all")

    assert texts(listener.poll(all="true", cid="a")) == [
        ("request", "from b"),
        ("botResponse", "from b"),
        ("humanResponse", "to all"),
    ]


@pytest.mark.parametrize("types", ["request,humanResponse", ["request", "humanResponse"]], ids=["one", "several"])
def test_types_are_one_parameter_or_several(types, listener):
    listener.send("hi")
    say(listener, "hello")

    assert texts(listener.poll(all="true", types=types)) == [("request", "hi"), ("humanResponse", "hello")]


def test_a_cursor_goes_on_exactly_behind_its_answer(listener):
    listener.send("one")
    first = listener.poll(all="true")
    listener.send("two")

    for _ in range(2):  # a response that was lost on the way is asked for again
        second = listener.poll(all="true", cursor=first["cursor"])
        assert texts(second) == [("request", "two"), ("botResponse", "two")]
    assert listener.poll(all="true", cursor=second["cursor"])["events"] == []


def test_without_cursor_and_ts_a_connection_goes_on_where_it_was(listener):
    listener.send("one")
    assert len(listener.poll(all="true", cid="a")["events"]) == 2
    listener.send("two")

    assert texts(listener.poll(all="true", cid="a")) == [("request", "two"), ("botResponse", "two")]
    assert len(listener.poll(all="true", cid="b")["events"]) == 4  # a connection's first starts at the beginning


def test_without_cursor_and_ts_nothing_comes_twice_to_who_asks_again_at_once(listener):
    listener.send("hi")
    listener.poll(cid="a")
    received = []

    for number in range(30):
        say(listener, str(number))
        received += texts(listener.poll(cid="a", timeout=5))

    assert received == [("humanResponse", str(number)) for number in range(30)]


def test_a_cursor_of_what_there_is_not_loses_nothing(listener, address, channel):
    for number in range(5):
        listener.send(str(number))
    cursor = listener.poll(all="true")["cursor"]
    with contextlib.closing(Listener(address, channel, "bob")) as bob:
        bob.send("one")

        assert texts(bob.poll(all="true", cursor=cursor)) == [("request", "one"), ("botResponse", "one")]
        bob.send("two")
        assert texts(bob.poll(all="true", cursor=cursor)) == [("request", "two"), ("botResponse", "two")]


@pytest.mark.parametrize("notation", ["utc", "zone", "unix"])
def test_ts_gives_events_at_or_after_that_time(listener, notation):
    listener.send("one")
    second = listener.send("two")
    moment = datetime.fromisoformat(second["timestamp"] + "+00:00")
    ts = {
        "utc": second["timestamp"],
        "zone": moment.astimezone(None).isoformat(),
        "unix": str(round(moment.timestamp() * 1000)),
    }[notation]

    assert texts(listener.poll(all="true", ts=ts))[-1] == ("botResponse", "two")
    assert ("botResponse", "one") not in texts(listener.poll(all="true", ts=ts))
    later = (moment + timedelta(hours=1)).isoformat()
    assert listener.poll(all="true", ts=later)["events"] == []


def test_a_cursor_wins_over_ts(listener):
    listener.send("one")
    cursor = listener.poll(all="true")["cursor"]

    assert listener.poll(all="true", cursor=cursor, ts="2000-01-01T00:00:00.000")["events"] == []


def test_251_events_come_as_250_and_one(listener):
    listener.send("first")
    for number in range(249):
        say(listener, f"reply {number}")

    body = listener.poll(all="true", cid="x")
    rest = listener.poll(all="true", cid="x", cursor=body["cursor"])

    assert (len(body["events"]), body["hasMore"]) == (250, True)
    assert (texts(rest), rest["hasMore"]) == ([("humanResponse", "reply 248")], False)


def test_a_newer_poll_of_a_connection_ends_the_older_one(listener):
    listener.send("hi")
    older = listener.start(cid="a")

    newer = listener.poll(cid="a", timeout=0.3)

    assert older.result(timeout=10)["events"] == []
    assert newer["events"] == []


def test_polls_of_other_connections_wait_on(listener):
    listener.send("hi")
    one, other = listener.start(cid="a"), listener.start(cid="b")

    say(listener, "to both")

    assert texts(one.result()) == texts(other.result()) == [("humanResponse", "to both")]


def test_a_saved_state_is_an_event_for_the_other_connections(listener):
    listener.send("hi")
    waiting = listener.start(all="true", cid="b", cursor=listener.poll(all="true")["cursor"])
    headers = {"content-type": "application/json"}
    path = f"{listener.base}/client/ann/state"
    for value in (b'{"page": 1}', b'{"page":  2.50}'):
        listener.http.post(path, content=value, headers=headers, params={"cid": "a"})

    assert waiting.result()["events"][0]["type"] == "state"
    response = listener.ask(all="true", cid="b", timeout=0, ts="2000-01-01T00:00:00.000")
    [state] = [item["event"] for item in response.json()["events"] if item["type"] == "state"]
    assert set(state) == {"clientId", "cid", "timestamp", "state"}
    assert (state["clientId"], state["cid"], state["state"]) == ("ann", "a", {"page": 2.5})
    assert '{"page":  2.50}' in response.text  # the latest only, as it was spelled
    assert "state" not in json.dumps([item["type"] for item in listener.poll(all="true", cid="a")["events"]])


def test_a_message_is_sent_once_an_events_response_had_it(listener):
    listener.send("hi")
    message = say(listener, "hello")
    assert message.status == "NOT_SENT"

    listener.poll()

    wait_until(lambda: Message.objects.get(pk=message.pk).status == "SENT", what="the status")
    assert list(message.statuses.values_list("status", flat=True)) == ["SENT"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"clientId": None}, "clientId"),
        ({"timeout": 61}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": "nan"}, "timeout"),
        ({"all": "perhaps"}, "all"),
        ({"ts": "yesterday"}, "ts"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cid": "x" * 256}, "cid"),
    ],
)
def test_a_wrong_parameter_is_named(listener, query, named):
    response = listener.ask(**query)

    assert response.status_code == 400, response.text
    assert response.json()["error"] == "invalid_request"
    assert named in response.json()["args"]


def test_other_refusals_look_as_everywhere(listener, channel):
    path = f"{listener.base}/events"
    assert listener.http.get(path + "x", params={"clientId": "ann"}).status_code == 404
    unknown = listener.http.get(f"{listener.base}x/events", params={"clientId": "ann"})
    assert unknown.json()["error"] == "channel_not_found"
    assert listener.http.post(path, params={"clientId": "ann"}).status_code == 405
    refused = listener.http.get(path, params={"clientId": "ann"}, headers={"origin": "https://evil.example"})
    assert (refused.status_code, refused.json()["error"]) == (403, "origin_not_allowed")
    assert listener.http.get(path, params={"clientId": "ann"}, headers={"accept": "text/html"}).status_code == 406

    channel.allowed_origins = "https://good.example"
    channel.require_signed_clients = True
    channel.save()
    unsigned = listener.http.get(path, params={"clientId": "ann"}, headers={"origin": "https://good.example"})
    assert unsigned.json()["error"] == "invalid_client_signature"
    assert unsigned.headers["access-control-allow-origin"] == "https://good.example"
    preflight = listener.http.options(path, headers={"origin": "https://good.example"})
    assert preflight.status_code == 204
    assert "GET" in preflight.headers["access-control-allow-methods"]

    channel.active = False
    channel.save()
    assert listener.http.get(path, params={"clientId": "ann"}).json()["error"] == "channel_disabled"
