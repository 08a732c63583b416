"""Bots for tests: what stands behind the dotted paths that tests put into ``CHATAPI["BOTS"]``."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rest_framework import serializers

from django_chatapi.bots import Answer, Bot, Question


def echo_twice(question: Question) -> Iterator[str]:
    yield question.query or ""
    yield question.query or ""


class Polite(Bot):
    """Says its greeting so many times."""

    quick = True

    class Options(serializers.Serializer[Any]):
        greeting = serializers.CharField(default="Hello")
        times = serializers.IntegerField(min_value=1, max_value=3, default=1)

    def answer(self, question: Question) -> Answer:
        return Answer.text(" ".join([self.options["greeting"]] * self.options["times"]))


class Unmakeable(Bot):
    """Fails before it can be asked."""

    def __init__(self, options: Any = None) -> None:
        raise RuntimeError("no power")


class Told(Bot):
    """Does what a test tells it: see the fixture ``told``."""

    function: Any = None

    def answer(self, question: Question) -> Any:
        return type(self).function(question)


class QuickTold(Told):
    """The same in the request's own thread."""

    quick = True
    function: Any = None


def gated(question: Question) -> Iterator[str]:
    """Writes down what it is asked, and answers when the test lets it: see ``tests.faults.conftest.Gate``."""
    folder = Path(os.environ["CHATAPI_TEST_GATE"])
    with (folder / "asked").open("a") as asked:
        asked.write(f"{question.query}\n")
    if question.query == "half":
        yield "half"
    while not (folder / "open").exists():
        time.sleep(0.01)
    yield f"answer to {question.query}"


def pondering(question: Question) -> str:
    """Writes down what it is asked, and thinks for a moment."""
    with (Path(os.environ["CHATAPI_TEST_GATE"]) / "asked").open("a") as asked:
        asked.write(f"{question.query}\n")
    time.sleep(0.1)
    return f"answer to {question.query}"
