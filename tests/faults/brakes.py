"""What a process of the tests does so that it can be killed at a point of the test's choice, and a bot that fails.

Processes find the test's folder in ``CHATAPI_TEST_GATE``; :class:`tests.faults.conftest.Gate` is the test's side.
"""

import os
import re
import signal
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig

if TYPE_CHECKING:
    from django_chatapi.bots import Question


def _folder() -> Path:
    return Path(os.environ["CHATAPI_TEST_GATE"])


def _note(file: str, *words: object) -> None:
    with (_folder() / file).open("a") as notes:
        notes.write(" ".join(map(str, words)) + "\n")


def _wait_for(file: str) -> None:
    while not (_folder() / file).exists():
        time.sleep(0.01)


class Brakes(AppConfig):
    """Stops a process that sends a webhook, and kills one that has just committed."""

    name = "tests.faults"

    def ready(self) -> None:
        if "CHATAPI_TEST_GATE" not in os.environ:
            return
        from django_chatapi.actions import announce, courier, deliveries

        courier._attempt = _stopping_before(courier._attempt)
        deliveries.record = _stopping_after(deliveries.record)
        announce.announce_news = _dying(announce.announce_news)


def _stopping_before(attempt: Callable[..., Any]) -> Callable[..., Any]:
    """A channel of the name ``before`` waits before its POST; every attempt notes its process."""

    @wraps(attempt)
    def stop(delivery: Any, messages: Any) -> Any:
        _note("attempts", delivery.channel.name, os.getpid())
        if delivery.channel.name == "before":
            _wait_for("released")
        return attempt(delivery, messages)

    return stop


def _stopping_after(record: Callable[..., Any]) -> Callable[..., Any]:
    """A channel of the name ``after`` waits after its POST, before what became of it is stored."""

    @wraps(record)
    def stop(*, channel: Any, **arguments: Any) -> Any:
        if channel.name == "after":
            _note("posted", channel.name, os.getpid())
            _wait_for("released")
        return record(channel=channel, **arguments)

    return stop


def _dying(announce_news: Callable[..., None]) -> Callable[..., None]:
    """Of what runs on commit this is the first: a process that dies here has told nobody what it stored."""

    @wraps(announce_news)
    def die(*arguments: Any) -> None:
        if (_folder() / "die").exists():
            os.killpg(0, signal.SIGKILL)
        announce_news(*arguments)

    return die


def moody(question: "Question") -> str:
    """Notes what it is asked and its process. Does what the query says: ``fails 2`` times, or ``waits``."""
    query = question.query or ""
    _note("asked", query)
    _note("thinking", query.split()[0], os.getpid())
    if "waits" in query:
        _wait_for("open")
    if failing := re.search(r"fails (\d+)", query):
        asked = (_folder() / "asked").read_text().splitlines()
        if asked.count(query) <= int(failing[1]):
            raise RuntimeError("a bad mood")
    return f"answer to {query}"
