"""What callers receive: the envelope of section 4 of the contract, and what is built of it."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext_lazy as _

from ..constants import MessageType
from ..exceptions import InvalidRequest
from ..models import Message
from .times import format_time


def answer_data(
    *,
    replies: Sequence[Mapping[str, Any]],
    nlp_class: str | None,
    confidence: float | None,
    debug_data: Sequence[Any],
    end_session: bool,
    new_session: bool,
) -> dict[str, Any]:
    """The ``data`` of a bot answer's envelope. ``answer`` is the text replies' texts, a blank line between."""
    texts = [reply.get("text") for reply in replies if reply["type"] == "text"]
    return {
        "nlpClass": nlp_class,
        "confidence": confidence,
        "replies": list(replies),
        "answer": "\n\n".join(text for text in texts if isinstance(text, str)),
        "newSessionStarted": new_session,
        "debugData": list(debug_data),
        "endSession": end_session,
    }


def join_data(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several ``data`` as one: replies in order, the last word on nlpClass and confidence."""
    replies = [reply for part in parts for reply in part["replies"]]
    return answer_data(
        replies=replies,
        nlp_class=parts[-1]["nlpClass"],
        confidence=parts[-1]["confidence"],
        debug_data=[item for part in parts for item in part["debugData"]],
        end_session=any(part["endSession"] for part in parts),
        new_session=any(part["newSessionStarted"] for part in parts),
    )


def button_texts(data: Mapping[str, Any]) -> list[str] | None:
    """The texts of all buttons in an answer's ``buttons`` replies, or None when it has no such reply."""
    shown = [reply for reply in data["replies"] if reply["type"] == "buttons"]
    if not shown:
        return None
    lists = [reply["buttons"] for reply in shown if isinstance(reply.get("buttons"), list)]
    buttons = [button for buttons in lists for button in buttons if isinstance(button, dict)]
    return [button["text"] for button in buttons if isinstance(button.get("text"), str)]


def envelope(message: Message, *, token: str, client_id: str) -> dict[str, Any]:
    """A message as callers see it.

    Args:
        token: the one that the caller used. During a rotation the holder of the old token must not learn the
            new one.
        client_id: passed in, so that a page of messages needs no look-up of their one client.
    """
    return {
        "token": token,
        "clientId": client_id,
        "questionId": str(message.question_id),
        "query": message.query,
        "event": message.event_name,
        "cid": message.connection_id,
        "data": message.data,
        "timestamp": format_time(message.created_at),
        "blockForm": message.block_form,
    }


def history_item(message: Message, *, token: str, client_id: str) -> dict[str, Any]:
    """A message in a history: its type and its envelope, with the status unless it is a request."""
    event = envelope(message, token=token, client_id=client_id)
    if message.type != MessageType.REQUEST:
        event["status"] = message.status
    return {"type": message.type, "event": event}


def webhook_item(message: Message, *, token: str, client_id: str) -> dict[str, Any]:
    """A message in the array that a webhook gets: its envelope and its type (contract, section 10)."""
    return {"type": message.type, **envelope(message, token=token, client_id=client_id)}


def webhook_body(items: Sequence[Mapping[str, Any]]) -> bytes:
    """That array as it is sent."""
    return json.dumps(items, ensure_ascii=False, separators=(",", ":")).encode()


def failure_data(code: str) -> dict[str, Any]:
    """The ``data`` of an answer that says only that there will be none: no replies, and ``error``."""
    return {**text_data(None), "error": code}


def text_data(text: str | None) -> dict[str, Any]:
    """The ``data`` of a message that is one text, or nothing."""
    return replies_data([] if text is None else [text_reply(text)])


def replies_data(replies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The ``data`` of a message of which there is nothing to say but its replies."""
    return answer_data(
        replies=replies, nlp_class=None, confidence=None, debug_data=[], end_session=False, new_session=False
    )


def text_reply(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def handed_over_data() -> dict[str, Any]:
    """The ``data`` of what a client gets at once who is with the agents (contract, section 11)."""
    return {**text_data(None), "handedOver": True}


def make_cursor(sequence: int) -> str:
    """An opaque text for a place in a client's messages."""
    return write_cursor(f"s{sequence}")


def read_cursor(cursor: str) -> int:
    """The sequence number in a cursor.

    Raises:
        InvalidRequest: it is not a text that :func:`make_cursor` makes.
    """
    text = cursor_text(cursor)
    if len(text) > 19 or text[:1] != "s" or not text[1:].isdecimal():
        raise not_a_cursor()
    return int(text[1:])


def write_cursor(text: str) -> str:
    """A text in ASCII as callers carry it round: opaque to them."""
    return base64.urlsafe_b64encode(text.encode("ascii")).decode().rstrip("=")


def cursor_text(cursor: str) -> str:
    """The text of a cursor; empty if it is none of ours."""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""


def not_a_cursor() -> InvalidRequest:
    return InvalidRequest(details={"cursor": [_("Not a cursor; send one exactly as you received it.")]})
