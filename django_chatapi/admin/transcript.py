"""What one client and its partners said, page by page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import selectors
from ..constants import WRONG_ANSWER_STATES, MessageType
from ..models import Client, Message
from ..wire.dialogs import one_line
from .replies import Shown, show
from .texts import clip, pretty, visible

#: Messages on one page.
PAGE = 50
#: Characters of one text that a page shows: a client may send far more than a person wants to scroll past.
TEXT_LIMIT = 5_000

#: Who speaks, as a CSS class and in words.
SPEAKERS = {
    MessageType.REQUEST: ("client", gettext_lazy("Client")),
    MessageType.BOT_RESPONSE: ("bot", gettext_lazy("Bot")),
    MessageType.HUMAN_RESPONSE: ("agent", gettext_lazy("Agent")),
}


@dataclass(frozen=True)
class Entry:
    """One message as the transcript shows it."""

    message: Message
    side: str
    speaker: Any
    text: str
    data: str
    replies: list[Shown]
    failed: bool
    ends_session: bool


@dataclass(frozen=True)
class TranscriptPage:
    """Some messages, oldest first. ``older`` and ``newer`` are the sequence numbers to go on from, if any."""

    entries: list[Entry]
    older: int | None
    newer: int | None


def transcript_page(client: Client, query: Mapping[str, str]) -> TranscriptPage:
    """The page that the query of a URL asks for.

    ``before`` and ``after`` are sequence numbers, so that turning a page is one look-up in an index however
    long the transcript is. Without them, or with nonsense, it is the latest page.
    """
    before, after = _number(query.get("before")), _number(query.get("after"))
    if after is not None:
        span = selectors.Span(client, after, client.last_sequence)
        messages = selectors.history_page(span, PAGE + 1)
        has_newer = len(messages) > PAGE
        messages = messages[:PAGE]
        has_older = bool(messages) and _has_older(client, messages[0])
    else:
        messages = selectors.recent_history(client, before or client.last_sequence + 1, PAGE + 1)
        has_older = len(messages) > PAGE
        messages = messages[-PAGE:]
        has_newer = bool(messages) and before is not None and _has_newer(client, messages[-1])
    return TranscriptPage(
        entries=[entry(message, TEXT_LIMIT) for message in messages],
        older=messages[0].sequence if has_older else None,
        newer=messages[-1].sequence if has_newer else None,
    )


def entry(message: Message, limit: int | None) -> Entry:
    """A message, taken apart for showing; texts are cut after ``limit`` characters."""
    side, role = SPEAKERS[MessageType(message.type)]
    speaker = f"{role} {visible(message.agent_name)}" if message.agent_name else str(role)
    text, data, replies = clip(message.query or "", limit), message.data, []
    if message.type != MessageType.REQUEST:
        text = ""
        if isinstance(data, dict) and isinstance(data.get("replies"), list):
            replies = [show(reply, limit) for reply in data["replies"]]
    return Entry(
        message=message,
        side=side,
        speaker=speaker,
        text=text,
        data=clip(pretty(data), limit) if data and message.type == MessageType.REQUEST else "",
        replies=replies,
        failed=message.answer_state in WRONG_ANSWER_STATES,
        ends_session=isinstance(data, dict)
        and message.type != MessageType.REQUEST
        and data.get("endSession") is True,
    )


def summary(message: Message, limit: int) -> str:
    """One line that says what the message is about."""
    if message.type == MessageType.REQUEST:
        text = message.query or _("Event %(name)s") % {"name": message.event_name}
    else:
        answer = _answer(message)
        kinds = [reply.get("type") for reply in _replies(answer) if isinstance(reply, dict)]
        text = answer.get("answer") or ", ".join(f"[{kind}]" for kind in kinds)
    return one_line(str(text), limit)


def _answer(message: Message) -> dict[str, Any]:
    return message.data if isinstance(message.data, dict) else {}


def _replies(answer: dict[str, Any]) -> list[Any]:
    replies = answer.get("replies")
    return replies if isinstance(replies, list) else []


def _has_older(client: Client, message: Message) -> bool:
    return selectors.latest_message(client, message.sequence) is not None


def _has_newer(client: Client, message: Message) -> bool:
    return bool(selectors.history_page(selectors.Span(client, message.sequence, client.last_sequence), 1))


def _number(text: str | None) -> int | None:
    # At most 18 digits: what does not fit into a column of the database is not looked for.
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= 18 else None
