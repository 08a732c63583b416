"""Servers with settings of their own, and what tests of the events say and look for."""

import asyncio
import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

from channels.routing import URLRouter
from django.db import connection

from django_chatapi.actions import pushes
from django_chatapi.constants import MessageType
from django_chatapi.models import Client, Message
from django_chatapi.routing import events_path
from tests.servers import web_server

#: A sweep that does not come while a test runs: what arrives, was told of.
NEVER = 3600


@contextlib.contextmanager
def site(kind: str = "asgi", *, env: dict[str, str] | None = None, **chatapi: Any) -> Iterator[tuple[str, Any]]:
    """A server of the example project with these CHATAPI settings; gives its address and its process."""
    own = {"DJANGO_SETTINGS_MODULE": "tests.events.site_settings", "CHATAPI_TEST_SETTINGS": json.dumps(chatapi)}
    with web_server(kind, **own, **(env or {})) as (address, running):
        yield address, running


def say(client_id: str, text: str) -> Message:
    """Publish an agent's reply to a client, made by an earlier request."""
    client = Client.objects.select_related("channel").get(client_id=client_id)
    return pushes.push(client=client, replies=[{"type": "text", "text": text}], type=MessageType.HUMAN_RESPONSE)


def answers(body: dict[str, Any]) -> list[str]:
    """What the events of a response answer."""
    return [item["event"]["data"]["answer"] for item in body["events"]]


def disconnecting(work: Callable[[], object]) -> Callable[[], None]:
    """Work that uses the database, for a thread of its own: afterwards the thread's connection is closed."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    return run


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Start work that uses the database in a thread of its own."""
    thread = threading.Thread(target=disconnecting(work))
    thread.start()
    return thread


async def call(
    path: str, query: bytes, leaving: asyncio.Event | None = None, accept: bytes = b"*/*"
) -> list[dict[str, Any]]:
    """One request of the events door inside this process; gives the ASGI messages that it sent.

    Args:
        leaving: when it is set, the caller goes away.
    """
    sent: list[dict[str, Any]] = []
    leaving = leaving or asyncio.Event()

    async def receive() -> dict[str, str]:
        await leaving.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "query_string": query, "root_path": ""}
    scope["headers"] = [(b"accept", accept)]
    await asyncio.wait_for(URLRouter([events_path("chatapi/")])(scope, receive, send), 20)
    return sent


def end(running: "subprocess.Popen[bytes]") -> int:
    """Ask a server to stop, as an operator does, and wait until it has."""
    running.terminate()
    return running.wait(timeout=20)
