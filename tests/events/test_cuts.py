"""Callers who leave in the middle of a response: what they did not get is told once more."""

import socket
from functools import partial

import httpx
import pytest

from django_chatapi.actions import pushes
from django_chatapi.actions.turns import client_for
from django_chatapi.constants import MessageType
from django_chatapi.models import Connection, Message
from django_chatapi.wire.envelope import make_cursor
from tests.servers import wait_until

from .helpers import site

pytestmark = pytest.mark.django_db(transaction=True)

#: A response of as many bytes fits into no buffer on the way to a caller who does not read.
LARGE = 10_000_000


CURSOR = f"&cursor={make_cursor(0)}"


@pytest.mark.parametrize(
    ("kind", "query", "accept"),
    [
        pytest.param("counting", "", "*/*", id="asgi, by position"),
        pytest.param("counting", CURSOR, "*/*", id="asgi, by cursor"),
        pytest.param("counting", "", "text/event-stream", id="asgi, stream"),
        pytest.param("wsgi", "", "*/*", id="wsgi, by position"),
        pytest.param("wsgi", CURSOR, "*/*", id="wsgi, by cursor"),
    ],
)
def test_a_response_that_was_not_written_out_moves_no_position(kind, query, accept, channel):
    client = client_for(channel=channel, client_id="ann")
    count = 20
    for _ in range(count):
        replies = [{"type": "text", "text": "x" * (LARGE // count // 2)}]  # which the envelope holds twice
        pushes.push(client=client, replies=replies, type=MessageType.HUMAN_RESPONSE)
    with site(kind) as (address, _):
        host, port = address.removeprefix("http://").split(":")
        request = f"GET /chatapi/{channel.token}/events?clientId=ann&cid=a{query} HTTP/1.1"

        with socket.socket() as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.connect((host, int(port)))
            caller.sendall(f"{request}\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode())
            received = b""
            while b"humanResponse" not in received:
                received += caller.recv(300)
        if kind == "counting":  # at the other door no waiter is held: there was something to tell
            counts = partial(httpx.get, f"{address}/counts", timeout=60)
            wait_until(lambda: counts().json()["waiters"] == 0, what="the poll's end")

        assert Connection.objects.get().position == 0
        assert not Message.objects.exclude(status="NOT_SENT").exists()
        again = httpx.get(
            f"{address}/chatapi/{channel.token}/events", params={"clientId": "ann", "cid": "a"}, timeout=60
        )
        assert len(again.json()["events"]) == count
