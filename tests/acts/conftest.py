"""A bot that does what the test says, and threads that leave nothing behind."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from django_chatapi.actions import requests
from django_chatapi.bots import pool
from django_chatapi.models import Channel, Message
from tests import bots


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """For a bot to wait at. Opened at the end of the test, so that no bot waits for ever."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def told(
    make_channel: Callable[..., Channel], settings: Any, monkeypatch: pytest.MonkeyPatch, gate: threading.Event
) -> Iterator[Callable[..., Channel]]:
    """Make a channel whose bot is a function of the test; further arguments are CHATAPI settings."""

    def make(function: Callable[..., Any], quick: bool = False, **chatapi: Any) -> Channel:
        bot = bots.QuickTold if quick else bots.Told
        monkeypatch.setattr(bot, "function", staticmethod(function))
        settings.CHATAPI = {"BOTS": {"told": f"tests.bots.{bot.__name__}"}, **chatapi}
        return make_channel(bot="told")

    yield make
    gate.set()
    if pool._pool is not None:
        assert pool._pool.drain(20) == 0


@pytest.fixture
def accept() -> Callable[..., Message]:
    """Store a request as a door does."""

    def put(channel: Channel, query: str = "hi", client_id: str = "ann", **more: Any) -> Message:
        return requests.accept(channel=channel, client_id=client_id, query=query, **more).request

    return put


def beside(job: Callable[[], Any]) -> threading.Thread:
    """Run the job in a thread beside the test."""

    def run() -> None:
        try:
            job()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def together(*jobs: Callable[[], Any]) -> list[Any]:
    """Run the jobs in threads that start at once; what each returned, or the exception it ended with."""
    start = threading.Barrier(len(jobs))
    results: list[Any] = [None] * len(jobs)

    def run(number: int) -> None:
        start.wait()
        try:
            results[number] = jobs[number]()
        except Exception as error:
            results[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[number]) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def dialogue(client_id: str = "ann") -> list[tuple[str, str, str | None]]:
    """All messages of a client in their order: type, route, and the text that it says."""
    messages = Message.objects.filter(client__client_id=client_id).order_by("sequence")
    return [
        (message.type, message.route, message.query if message.type == "request" else message.data["answer"])
        for message in messages
    ]
