"""Bots for these tests; the fixture ``bots`` registers them and clears what they keep."""

import threading
from typing import Any

from django.db import connection

from django_chatapi.bots import Answer, Bot, Question
from django_chatapi.constants import OPEN_ANSWER_STATES
from django_chatapi.models import Message
from tests.servers import wait_until

#: Every question that a bot of this module was asked, oldest first.
asked: list[Question] = []
#: For each of them: was the request stored, and was a transaction open?
stored: list[bool] = []
in_transaction: list[bool] = []
#: What :class:`Dictated` says.
dictated: list[dict[str, Any]] = []
#: What :class:`Patient` waits for.
go = threading.Event()


def reset() -> None:
    for notes in (asked, stored, in_transaction, dictated):
        notes.clear()
    go.clear()


def finished() -> None:
    """Return when every request is closed: what came late is stored by then."""
    wait_until(
        lambda: not Message.objects.filter(answer_state__in=OPEN_ANSWER_STATES).exists(),
        what="the end of all answers",
    )


class Listener(Bot):
    """Quick; repeats what it heard and remembers the question."""

    quick = True

    def answer(self, question: Question) -> Any:
        asked.append(question)
        stored.append(Message.objects.filter(question_id=question.question_id).exists())
        in_transaction.append(connection.in_atomic_block)
        return Answer.text(question.query or question.event_name or "")


class Dictated(Bot):
    """Quick; says what it was told to say."""

    quick = True

    def answer(self, question: Question) -> Any:
        return Answer(dictated)


class Steps(Bot):
    """Quick; one step for each line of the query."""

    quick = True

    def answer(self, question: Question) -> Any:
        return [Answer.text(line) for line in (question.query or "").splitlines()]


class Nonsense(Bot):
    """Quick; gives the thing that the query names, none of which is an answer."""

    quick = True
    things: dict[str, Any] = {
        "none": None,
        "number": 1,
        "dict": {"type": "text", "text": "x"},
        "bytes": b"x",
        "no type": Answer([{"text": "x"}]),
        "blank type": Answer([{"type": "", "text": "x"}]),
        "type of another type": Answer([{"type": 1}]),
        "reply that is no object": Answer(["x"]),  # type: ignore[list-item]
        "not JSON": Answer([{"type": "raw", "body": object()}]),
        "not a number": Answer([{"type": "raw", "body": float("nan")}]),
        "half a character": Answer([{"type": "text", "text": "\ud800"}]),
    }

    def answer(self, question: Question) -> Any:
        asked.append(question)
        return self.things[question.query or ""]


class Patient(Bot):
    """Thinks in the pool, until ``go`` is set."""

    def answer(self, question: Question) -> Any:
        asked.append(question)
        assert go.wait(30), "nobody set go"
        return f"You said {question.query}."
