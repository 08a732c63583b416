"""``history`` (contract, section 7)."""

import datetime as dt
import json

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_chatapi.models import Client, Message
from tests.conftest import Caller

from .histories import MILLISECOND, START, make_history

EMPTY = {"hasMore": False, "messages": []}


def without_cursor(page: dict) -> dict:
    assert isinstance(page["cursor"], str)
    return {name: value for name, value in page.items() if name != "cursor"}


def numbers(page: dict) -> list[int]:
    """Which messages of ``make_history`` are on the page: the number at the end of what each says."""
    return [
        int((item["event"]["data"] or {"answer": item["event"]["query"]})["answer"].split()[-1])
        for item in page["messages"]
    ]


def walk(caller: Caller, limit: int, **query) -> list[dict]:
    """Every page, by its predecessor's cursor."""
    pages = [caller.history("ann", limit=limit, **query)]
    while pages[-1]["hasMore"]:
        assert len(pages) < 1000
        pages.append(caller.history("ann", limit=limit, cursor=pages[-1]["cursor"], **query))
    return pages


def wire(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}"


# --- what it holds


def test_questions_and_answers_oldest_first(caller):
    first = caller.send("hi", client_id="ann", cid="tab 1", data={"a": 1})
    second = caller.send(client_id="ann", event="opened")

    page = caller.history("ann")

    assert page["hasMore"] is False
    assert [item["type"] for item in page["messages"]] == ["request", "botResponse", "request", "botResponse"]
    asked, answered, happened, reacted = (item["event"] for item in page["messages"])
    assert answered == {**first, "status": "SENT"}
    assert reacted == {**second, "status": "SENT"}
    # A request as it was sent; everything else as in its answer.
    assert asked == {**first, "data": {"a": 1}, "timestamp": asked["timestamp"]}
    assert happened == {**second, "data": None, "timestamp": happened["timestamp"]}
    times = [item["event"]["timestamp"] for item in page["messages"]]
    assert times == sorted(times)


def test_a_request_carries_no_status(caller):
    question_id = caller.send("hi", client_id="ann")["questionId"]
    caller.post("client", "ann", "message", question_id, "status", body={"status": "READ"})

    asked, answered = (item["event"] for item in caller.history("ann", limit=10)["messages"])

    assert "status" not in asked
    assert answered["status"] == "READ"


def test_a_request_that_was_never_answered_is_there(make_channel):
    caller = Caller(make_channel(bot="recorded", bot_options={"script": []}))
    assert caller.post(body={"clientId": "ann", "query": "hi"}).status_code == 502

    assert [item["event"]["query"] for item in caller.history("ann")["messages"]] == ["hi"]


def test_an_unknown_client_has_an_empty_history_and_stays_unknown(caller):
    assert without_cursor(caller.history("nobody")) == EMPTY
    assert without_cursor(caller.history("nobody", limit=5)) == EMPTY
    assert without_cursor(caller.history("nobody", limit=5, cursor=caller.history("nobody")["cursor"])) == EMPTY
    assert not Client.objects.exists()


def test_another_channels_token_sees_nothing(caller, make_channel):
    caller.send("hi", client_id="ann")
    other = Caller(make_channel())

    assert without_cursor(other.history("ann")) == EMPTY
    other.send("hello", client_id="ann")
    assert [item["event"]["query"] for item in other.history("ann")["messages"]] == ["hello", "hello"]
    assert [item["event"]["query"] for item in caller.history("ann")["messages"]] == ["hi", "hi"]


def test_another_client_is_not_seen(caller, channel):
    make_history(channel, "ann", 4)
    make_history(channel, "bob", 6)

    assert [len(caller.history(client_id)["messages"]) for client_id in ("ann", "bob", "an", "anna")] == [
        4,
        6,
        0,
        0,
    ]


# --- from and to


def notations(moment: dt.datetime) -> dict[str, str]:
    east = moment.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30)))
    return {
        "of the wire": wire(moment),
        "with Z": wire(moment) + "Z",
        "with a zone": wire(east) + "+05:30",
        "with a plus that became a space": wire(east) + " 05:30",
        "in milliseconds": str(round(moment.timestamp() * 1000)),
    }


@pytest.mark.parametrize("notation", notations(START))
def test_from_is_inclusive_and_to_exclusive_to_the_millisecond(caller, channel, notation):
    make_history(channel, "ann", 10)
    since = notations(START + 3 * MILLISECOND)[notation]
    before = notations(START + 6 * MILLISECOND)[notation]

    assert numbers(caller.history("ann", **{"from": since, "to": before})) == [3, 4, 5]
    assert numbers(caller.history("ann", **{"from": since})) == [3, 4, 5, 6, 7, 8, 9]
    assert numbers(caller.history("ann", to=before)) == [0, 1, 2, 3, 4, 5]
    assert numbers(caller.history("ann", **{"from": since, "to": before, "limit": 100})) == [3, 4, 5]


def test_a_page_can_be_continued_by_the_time_of_its_last_message(caller):
    answer = caller.send("hi", client_id="ann")

    page = caller.history("ann", **{"from": answer["timestamp"]})

    assert page["messages"][-1]["event"]["timestamp"] == answer["timestamp"]
    assert caller.history("ann", to=answer["timestamp"])["messages"] == [
        item for item in caller.history("ann")["messages"] if item["event"]["timestamp"] < answer["timestamp"]
    ]


@pytest.mark.parametrize(
    ("since", "before"),
    [
        (START + 5 * MILLISECOND, START + 5 * MILLISECOND),
        (START + 6 * MILLISECOND, START + 3 * MILLISECOND),
        (START + 10 * MILLISECOND, None),
        (START + dt.timedelta(days=1), None),
        (START + dt.timedelta(days=1), START),
        (None, START),
        (None, START - dt.timedelta(days=1)),
        (dt.datetime(9999, 12, 31, 23, 59, 59), dt.datetime(1, 1, 1)),
    ],
)
def test_a_span_that_holds_nothing_is_empty(caller, channel, since, before):
    make_history(channel, "ann", 10)
    query = {name: wire(time).zfill(23) for name, time in (("from", since), ("to", before)) if time is not None}

    assert without_cursor(caller.history("ann", **query)) == EMPTY
    assert without_cursor(caller.history("ann", limit=3, **query)) == EMPTY


@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize(
    "time",
    [
        "", " ", "now", "yesterday", "2022-09-28", "12:32:13", "2022-09-28 12:32:13", "2022-13-01T00:00:00",
        "2022-09-31T00:00:00", "2022-09-28T25:00:00", "2022-09-28T12:32:13+99:00", "2022-W39-3T12:00:00", "1.5",
        "1e12", "0x10", "--1", "99999999999999999999", "-99999999999999999999", "1" * 5000, "٣",
        "2022-09-28T12:32:13\0", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "20220928T123213",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(caller, name, time):
    response = caller.get("client", "ann", "history", **{name: time})

    assert response.status_code == 400
    assert response.json()["error"] == "invalid_request"
    assert set(response.json()["args"]) == {name}


def test_messages_of_one_millisecond_stay_together(caller, channel):
    make_history(channel, "ann", times=[START] * 3 + [START + MILLISECOND] * 3 + [START + 2 * MILLISECOND] * 3)
    first, second, third = (wire(START + number * MILLISECOND) for number in range(3))

    assert numbers(caller.history("ann", to=second)) == [0, 1, 2]
    assert numbers(caller.history("ann", **{"from": second, "to": third})) == [3, 4, 5]
    assert numbers(caller.history("ann", **{"from": third})) == [6, 7, 8]
    pages = walk(caller, 2, **{"from": first, "to": third})
    assert [numbers(page) for page in pages] == [[0, 1], [2, 3], [4, 5]]


# The fixtures serve all examples of a test; each example has a channel of its own.
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gaps=st.lists(st.integers(0, 2), max_size=8),
    since=st.none() | st.integers(-2, 14),
    before=st.none() | st.integers(-2, 14),
    limit=st.none() | st.integers(1, 9),
)
def test_any_span_of_any_history_is_what_the_times_say(make_channel, gaps, since, before, limit):
    channel = make_channel()
    caller = Caller(channel)
    offsets = [sum(gaps[: index + 1]) for index in range(len(gaps))]
    if offsets:
        make_history(channel, "ann", times=[START + offset * MILLISECOND for offset in offsets])
    bounds = {"from": since, "to": before}
    query = {name: wire(START + bound * MILLISECOND) for name, bound in bounds.items() if bound is not None}

    if limit is None:
        seen = numbers(caller.history("ann", **query))
    else:
        seen = [number for page in walk(caller, limit, **query) for number in numbers(page)]

    assert seen == [
        number
        for number, offset in enumerate(offsets)
        if (since is None or offset >= since) and (before is None or offset < before)
    ]


# --- limit and cursor


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 12, 13, 1000])
def test_the_pages_hold_everything_exactly_once(caller, channel, limit):
    make_history(channel, "ann", 12)

    pages = walk(caller, limit)

    assert [number for page in pages for number in numbers(page)] == list(range(12))
    assert [len(page["messages"]) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert [page["hasMore"] for page in pages] == [True] * (len(pages) - 1) + [False]
    assert len(pages) == -(-12 // limit)


def test_a_page_can_be_asked_for_again(caller, channel):
    make_history(channel, "ann", 6)
    first = caller.history("ann", limit=2)

    assert caller.history("ann", limit=2) == first
    again = [caller.history("ann", limit=2, cursor=first["cursor"]) for _ in range(2)]
    assert [numbers(page) for page in again] == [[2, 3]] * 2


def test_the_last_cursor_goes_on_with_what_is_said_next(caller):
    caller.send("one", client_id="ann")
    paged, streamed = caller.history("ann", limit=2), caller.history("ann")
    caller.post("client", "ann", "state", body={})
    caller.send("two", client_id="ann")

    for cursor in (paged["cursor"], streamed["cursor"]):
        for query in ({}, {"limit": 10}):
            page = caller.history("ann", cursor=cursor, **query)
            assert [item["event"]["query"] for item in page["messages"]] == ["two", "two"]


def test_a_cursor_of_an_empty_page_goes_on_with_what_is_said_first(caller):
    cursors = [caller.history("ann")["cursor"], caller.history("ann", limit=5)["cursor"]]
    caller.send("one", client_id="ann")

    for cursor in cursors:
        assert len(caller.history("ann", cursor=cursor)["messages"]) == 2


def test_what_is_said_between_two_pages_comes_last(caller, channel):
    make_history(channel, "ann", 4)
    first = caller.history("ann", limit=3)
    caller.send("message 4", client_id="ann")

    rest = caller.history("ann", limit=10, cursor=first["cursor"])

    assert numbers(rest) == [3, 4, 4]


def test_cursor_and_span_hold_together(caller, channel):
    make_history(channel, "ann", 20)
    span = {"from": wire(START + 4 * MILLISECOND), "to": wire(START + 15 * MILLISECOND)}

    assert [numbers(page) for page in walk(caller, 4, **span)] == [[4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14]]
    second = caller.history("ann", limit=4, **span)["cursor"]
    assert numbers(caller.history("ann", cursor=second, **span)) == list(range(8, 15))


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "", "1.5", "1e2", "9" * 400, "true"])
def test_a_limit_that_is_none_is_refused(caller, limit):
    response = caller.get("client", "ann", "history", limit=limit)

    assert response.status_code == 400
    assert set(response.json()["args"]) == {"limit"}


@pytest.mark.parametrize(
    "cursor",
    [
        "", " ", "x", "=", "czY=x", "AAAA", "cw", "c-1", "😀", "%00", "null", "1", "czE5\n", "c" * 5000, "c3M",
        "czE5OTk5OTk5OTk5OTk5OTk5OTk5OQ",
    ],
)  # fmt: skip
def test_a_cursor_that_is_none_is_refused(caller, cursor):
    caller.send("hi", client_id="ann")

    for query in ({}, {"limit": 5}):
        for client_id in ("ann", "nobody"):
            response = caller.get("client", client_id, "history", cursor=cursor, **query)
            assert response.status_code == 400, response.content
            assert set(response.json()["args"]) == {"cursor"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cursor=st.text() | st.text(alphabet="abcs019-_=", max_size=12))
def test_no_cursor_fails(caller, cursor):
    assert caller.get("client", "ann", "history", cursor=cursor).status_code in (200, 400)


# --- without a limit


def test_the_stream_is_what_the_pages_are(caller, channel):
    client = make_history(channel, "ann", 1203)
    Message.objects.filter(client=client, sequence=7).update(
        query='quote " backslash \\ line\nbreak \u2028 😀 </script>'
    )

    response = caller.get("client", "ann", "history")
    streamed = json.loads(response.content)

    assert response["Content-Type"] == "application/json"
    assert streamed["messages"] == [item for page in walk(caller, 1000) for item in page["messages"]]
    assert streamed["hasMore"] is False
    assert len(streamed["messages"]) == 1203
    for query in ({"to": wire(START)}, {"from": wire(START + 1203 * MILLISECOND)}):
        assert without_cursor(caller.history("ann", **query)) == EMPTY


def test_the_stream_comes_in_parts(caller, channel):
    make_history(channel, "ann", 1203)

    response = caller.http.get(caller.path("client", "ann", "history"))

    assert response.streaming
    parts = list(response.streaming_content)
    assert len(parts) > 3
    assert max(map(len, parts)) < sum(map(len, parts)) / 2


def test_each_kind_of_server_gets_its_own_kind_of_stream(caller, channel):
    make_history(channel, "ann", 1203)
    path = caller.path("client", "ann", "history")

    async def read():
        # Django would read a synchronous stream to its end before it sends the first byte.
        response = await AsyncClient().get(path)
        return response.is_async, [part async for part in response]

    is_async, parts = async_to_sync(read)()
    assert is_async
    assert not caller.http.get(path).is_async
    assert json.loads(b"".join(parts)) == caller.history("ann")


# --- client ids in the path

HARD_IDS = [
    "a/b", "/", "//", "a/", "/a", "a//b", "..", ".", "a/../b", "a b", " ", "\n", "a\nb", "\r\n", "a+b", "100%",
    "a%2Fb", "%00", "?", "#", "a?limit=1", ";", "&=", "@ann", "ä€", "😀", "\u202e", "history", "a/history",
    "x/message/y/status", "client/x/state", "message-not-read-count", "x/message-statuses", "-", "'\"<>", "\\",
    "x" * 255, "😀" * 255,
]  # fmt: skip


@pytest.mark.parametrize("client_id", HARD_IDS)
def test_any_client_id_can_be_named_in_a_path(caller, client_id):
    question_id = caller.send("hi", client_id=client_id)["questionId"]

    page = caller.history(client_id)
    assert [item["event"]["clientId"] for item in page["messages"]] == [client_id] * 2
    assert caller.get("client", client_id, "message-not-read-count").json() == {"count": 1}
    status = ("client", client_id, "message", question_id, "status")
    assert caller.post(*status, body={"status": "READ"}).json()["status"] == "READ"
    assert caller.get(*status).json() == {"questionId": question_id, "status": "READ"}
    items = {"statuses": [{"questionId": question_id, "status": "READ"}]}
    assert caller.post("client", client_id, "message-statuses", body=items).json()["notFound"] == []
    assert caller.post("client", client_id, "state", body={"of": client_id}).status_code == 200
    assert caller.get("client", client_id, "state").json() == {"of": client_id}
    assert Client.objects.get().client_id == client_id


@pytest.mark.parametrize("tail", ["history", "state", "message-not-read-count"])
@pytest.mark.parametrize("client_id", ["", "x" * 256, "\0", "a\0b"])
def test_what_is_no_client_id_is_refused(caller, client_id, tail):
    response = caller.get("client", client_id, tail)

    assert response.status_code == (400 if client_id else 404)
    assert response.json()["error"] == ("invalid_request" if client_id else "not_found")


def test_bytes_that_are_no_text_harm_nobody(caller):
    path = caller.path("client", "-", "history").replace("-", "%FF%C3%28")

    assert caller.http.get(path).status_code == 200


def test_a_connection_id_in_the_query_is_checked(caller):
    assert caller.get("client", "ann", "history", cid="tab 1").status_code == 200

    for cid in ("x" * 256, "a\0b"):
        response = caller.get("client", "ann", "history", cid=cid)
        assert response.status_code == 400
        assert set(response.json()["args"]) == {"cid"}
