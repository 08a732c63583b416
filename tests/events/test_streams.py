"""Server-sent events: the same feed and cursors for who asks for ``text/event-stream``."""

import json

import httpx
import pytest

from django_chatapi.actions.turns import client_for
from django_chatapi.constants import Status
from django_chatapi.models import Channel, Client, Connection, Message
from tests.servers import wait_until

from .helpers import NEVER, end, say, site

pytestmark = pytest.mark.django_db(transaction=True)

STREAM = {"accept": "text/event-stream"}


@pytest.fixture(scope="module")
def server(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), site(EVENTS_SWEEP=NEVER, EVENTS_HEARTBEAT=0.2) as (address, _):
        yield address


@pytest.fixture
def path(server, channel):
    client_for(channel=channel, client_id="ann")
    return f"{server}/chatapi/{channel.token}"


class Stream:
    """Reads an event stream as a browser does."""

    def __init__(self, response):
        self.response = response
        self.lines = self._lines()

    def _lines(self):
        # Not the response's own lines, which end at each of Unicode's line ends as well.
        rest = ""
        for text in self.response.iter_text():
            *lines, rest = (rest + text).split("\n")
            yield from lines

    def event(self):
        """The next event, as its id and what it answers."""
        fields = {}
        for line in self.lines:
            if not line and fields:
                assert set(fields) == {"id", "data"}
                return fields["id"], json.loads(fields["data"])["event"]["data"]["answer"]
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
        return None

    def comment(self):
        return next(line for line in self.lines if line.startswith(":"))


class open_stream:
    """``with open_stream(path) as stream``; the caller leaves at its end."""

    def __init__(self, path, headers=None, **query):
        self.request = httpx.stream(
            "GET",
            f"{path}/events",
            params={"clientId": "ann", **query},
            headers={**STREAM, **(headers or {})},
            timeout=20,
        )

    def __enter__(self):
        return Stream(self.request.__enter__())

    def __exit__(self, *exc_info):
        self.request.__exit__(*exc_info)


def test_what_happens_is_streamed_as_it_happens(path):
    say("ann", "before")
    with open_stream(path, cid="a") as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert "no-store" in stream.response.headers["cache-control"]
        assert stream.event()[1] == "before"
        for number in range(3):
            say("ann", f"event {number}")
            assert stream.event()[1] == f"event {number}"


def test_last_event_id_goes_on_exactly_behind_that_event(path):
    for number in range(5):
        say("ann", f"event {number}")
    with open_stream(path, cid="a") as stream:
        got = [stream.event() for _ in range(5)]

    with open_stream(path, {"last-event-id": got[2][0]}, cid="a") as stream:
        assert [stream.event(), stream.event()] == got[3:]


def test_the_id_of_an_event_is_a_cursor_of_polls_and_the_other_way_round(path):
    for number in range(3):
        say("ann", f"event {number}")
    with open_stream(path, cid="a") as stream:
        first, _second = stream.event(), stream.event()
    polled = httpx.get(
        f"{path}/events", params={"clientId": "ann", "cursor": first[0], "timeout": 0}, timeout=20
    ).json()
    say("ann", "event 3")

    assert [item["event"]["data"]["answer"] for item in polled["events"]] == ["event 1", "event 2"]
    with open_stream(path, cid="a", cursor=polled["cursor"]) as stream:
        assert stream.event()[1] == "event 3"


def test_a_line_break_in_a_message_does_not_break_the_stream(path):
    with open_stream(path, cid="a") as stream:
        say("ann", "one\ntwo\r\nthree\u2028four")
        assert stream.event()[1] == "one\ntwo\r\nthree\u2028four"
        say("ann", "next")
        assert stream.event()[1] == "next"


def test_comments_keep_a_quiet_stream_open(path):
    with open_stream(path, cid="a") as stream:
        assert [stream.comment() for _ in range(4)]
        say("ann", "after the silence")
        assert stream.event()[1] == "after the silence"


def test_what_was_streamed_is_sent_and_moves_the_connection(path):
    message = say("ann", "hello")
    with open_stream(path, cid="a") as stream:
        stream.event()
        wait_until(lambda: Message.objects.get(pk=message.pk).status == "SENT", what="the status")
        wait_until(lambda: Connection.objects.get(connection_id="a").position == 1, what="the position")
    say("ann", "later")

    with open_stream(path, cid="a") as stream:
        assert stream.event()[1] == "later"


def test_a_newer_stream_of_the_connection_ends_the_older_one(path):
    with open_stream(path, cid="a") as older:
        older.comment()
        with open_stream(path, cid="a") as newer:
            newer.comment()
            assert older.event() is None  # it ended, with no events
            say("ann", "hello")
            assert newer.event()[1] == "hello"


@pytest.mark.parametrize(
    "change",
    [
        lambda: Channel.objects.update(active=False),
        lambda: Channel.objects.update(token="another-token-0123456789"),
        lambda: Channel.objects.update(require_signed_clients=True),
        lambda: Client.objects.get().delete(),
    ],
    ids=["switched off", "token", "signed clients", "client"],
)
def test_a_stream_ends_with_what_it_was_opened_for(path, change):
    with open_stream(path) as opened:
        say("ann", "hello")
        assert opened.event()[1] == "hello"
        # It is recorded after it was sent, and who is deleted has no records.
        wait_until(lambda: Message.objects.get().status == Status.SENT)

        change()

        assert opened.event() is None


@pytest.mark.parametrize("accept", ["application/json, text/event-stream", "*/*, text/event-stream;q=0", "*/*"])
def test_who_takes_json_as_well_is_answered_with_json(path, accept):
    response = httpx.get(
        f"{path}/events", params={"clientId": "ann", "timeout": 0}, headers={"accept": accept}, timeout=20
    )

    assert response.json()["events"] == []


def test_errors_are_json_all_the_same(path):
    for query, status, error in [
        ({"clientId": ""}, 400, "invalid_request"),
        ({"cursor": "nonsense"}, 400, "invalid_request"),
    ]:
        response = httpx.get(f"{path}/events", params={"clientId": "ann", **query}, headers=STREAM, timeout=20)
        assert (response.status_code, response.json()["error"]) == (status, error)
        assert response.headers["content-type"] == "application/json"
    unknown = httpx.get(f"{path}x/events", params={"clientId": "ann"}, headers=STREAM, timeout=20)
    assert (unknown.status_code, unknown.json()["error"]) == (404, "channel_not_found")


def test_a_server_that_is_told_to_stop_ends_its_streams(channel):
    client_for(channel=channel, client_id="ann")
    with (
        site(EVENTS_SWEEP=NEVER) as (address, running),
        open_stream(f"{address}/chatapi/{channel.token}", cid="a") as stream,
    ):
        stream.comment()
        end(running)
        assert stream.event() is None  # ended in good order: a cut would raise


def test_the_other_door_says_that_it_has_no_streams(channel):
    with site("wsgi") as (address, _):
        path = f"{address}/chatapi/{channel.token}/events"
        response = httpx.get(path, params={"clientId": "ann"}, headers=STREAM, timeout=20)

    assert (response.status_code, response.json()["error"]) == (406, "not_acceptable")
