"""The one method that a bot has to write, what it is asked with and what it gives back."""

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias
from uuid import UUID

from rest_framework import serializers

from ..models import Channel, Client, Message


@dataclass(frozen=True)
class Question:
    """A request, as a bot sees it. Exactly one of ``query`` and ``event_name`` is set."""

    channel: Channel
    client: Client
    question_id: UUID
    query: str | None
    event_name: str | None
    data: Mapping[str, Any] | None
    #: The request's body with every key that the client sent, known to the contract or not.
    raw_request: Mapping[str, Any]
    connection_id: str | None
    #: Counts the client's sessions from 1.
    session_number: int
    #: Whether this request starts a session.
    new_session: bool
    load_history: Callable[[int], list[Message]] = field(repr=False)

    def history(self, limit: int = 20) -> list[Message]:
        """The client's last ``limit`` messages before this one, oldest first. One query for each call."""
        return self.load_history(limit)


@dataclass
class Answer:
    """What a bot says in one step.

    ``replies`` are JSON objects with a ``type`` each (contract, section 5), passed through as they are.
    """

    replies: list[dict[str, Any]] = field(default_factory=list)
    nlp_class: str | None = None
    confidence: float | None = 1.0
    debug_data: list[Any] = field(default_factory=list)
    #: The client's next request starts a new session.
    end_session: bool = False

    @classmethod
    def text(cls, text: str, **more: Any) -> "Answer":
        """An answer of one text reply; further arguments as for the class."""
        return cls(replies=[{"type": "text", "text": text}], **more)


#: One step. A plain text is short for ``Answer.text``.
Step: TypeAlias = "Answer | str"
Answers: TypeAlias = "Step | Iterable[Step] | Awaitable[Step | Iterable[Step]] | AsyncIterable[Step]"


class Bot:
    """Answers the questions of one channel.

    One instance serves all clients of a channel, in many threads at once: keep nothing about a client on
    ``self``.
    """

    #: True for a bot that answers at once from memory: it is asked in the request's own thread, which saves
    #: a change of threads but cannot be timed out. Synchronous bots only.
    quick: ClassVar[bool] = False

    class Options(serializers.Serializer[Any]):
        """What the channel's JSON options may hold. A bot that takes options nests its own serializer here."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options = options or {}

    def answer(self, question: Question) -> Answers:
        """Answer, in one of four forms.

        - return an :class:`Answer` (or a text);
        - return, or yield, several: each is a step, sent on as soon as it is there when the next one takes
          longer than ``RESPONSE_GAP``;
        - ``async def`` with ``return``;
        - ``async def`` with ``yield``.

        ``Answer()`` says nothing; returning ``None`` is a failure, since it is mostly a forgotten ``return``.
        Whatever is raised makes the request fail with ``bot_failed``; the reason is kept for operators.
        """
        raise NotImplementedError
