"""Dialogs as agents see them, in the agents' API."""

import datetime as dt
from typing import Any

from django.conf import settings
from django.utils import timezone

from ..constants import PREVIEW_LENGTH, MessageType
from ..models import Dialog, DialogChange, DialogNote, Message
from ..tokens import mask
from .envelope import cursor_text, history_item, not_a_cursor, write_cursor
from .times import format_time


def preview(message: Message) -> str:
    """One line that says what a message is about: its text, ``[event]`` or ``[image]``."""
    if message.type == MessageType.REQUEST:
        text = message.query if message.query is not None else f"[{message.event_name}]"
    else:
        data = message.data if isinstance(message.data, dict) else {}
        replies = [reply for reply in data.get("replies") or [] if isinstance(reply, dict)]
        text = str(data.get("answer") or " ".join(f"[{reply.get('type')}]" for reply in replies))
    return one_line(text.replace("\0", " "))  # which PostgreSQL does not keep


def one_line(text: str, limit: int = PREVIEW_LENGTH) -> str:
    """A text on one line, cut to what lists show."""
    line = " ".join(text[: limit * 4].split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def own_name(user: Any) -> str:
    """A user's full name; empty where there is none."""
    # Users that are not Django's own need not have one.
    return str((user.get_full_name() if hasattr(user, "get_full_name") else "") or "")


def full_name(user: Any) -> str:
    """What colleagues call a user: the full name, or else the username."""
    return own_name(user) or str(user.get_username())


def dialog_row(dialog: Dialog) -> dict[str, Any]:
    """A dialog in a list. Wants ``channel``, ``client``, ``agent`` and ``group`` at hand."""
    return {
        "id": dialog.pk,
        "clientId": dialog.client.client_id,
        "channel": dialog.channel.name,
        "channelId": dialog.channel_id,
        "state": dialog.state,
        "agent": dialog.agent.get_username() if dialog.agent else None,
        "agentName": full_name(dialog.agent) if dialog.agent else None,
        "group": dialog.group.name if dialog.group else None,
        "oneTime": dialog.one_time,
        "waitingSince": format_time(dialog.waiting_since) if dialog.waiting_since else None,
        "createdAt": format_time(dialog.created_at),
        "closedAt": format_time(dialog.closed_at) if dialog.closed_at else None,
        "lastMessageAt": format_time(dialog.last_message_at),
        "unread": dialog.unread,
        "lastMessage": dialog.last_message,
    }


def transcript_item(message: Message, *, token: str, client_id: str) -> dict[str, Any]:
    """A message in a transcript: as in a history, with who wrote it. The token is masked: agents call nothing.

    Args:
        message: as ``dialog_selectors.transcript`` gives it. Data of which there is only the beginning are a text.
    """
    item = history_item(message, token=mask(token), client_id=client_id)
    event = item["event"]
    event["agent"] = message.agent_name
    if isinstance(message.data, str):
        event["data"], event["dataText"] = None, message.data
    return item


def note_item(note: DialogNote) -> dict[str, Any]:
    return {
        "id": note.pk,
        "agent": note.agent_name,
        "text": note.text,
        "timestamp": format_time(note.created_at),
    }


def change_item(change: DialogChange) -> dict[str, Any]:
    return {
        "id": change.pk,
        "kind": change.kind,
        "agent": change.agent_name or None,
        "by": change.by_name or None,
        "detail": change.detail,
        "timestamp": format_time(change.created_at),
    }


def make_place(place: tuple[dt.datetime, int]) -> str:
    """An opaque text for a place in a list of dialogs: the time that orders it, and the id."""
    moment, pk = place
    return write_cursor(f"{moment.isoformat()} {pk}")


def read_place(cursor: str) -> tuple[dt.datetime, int]:
    """The place in a cursor.

    Raises:
        InvalidRequest: it is not a text that :func:`make_place` makes.
    """
    try:
        moment, pk = cursor_text(cursor).split(" ")
        place = dt.datetime.fromisoformat(moment), int(pk)
    except ValueError:
        place = None
    if (
        place is None
        or not 0 <= place[1] < 2**63
        or not dt.MINYEAR + 1 < place[0].year < dt.MAXYEAR
        or timezone.is_aware(place[0]) != settings.USE_TZ
    ):
        raise not_a_cursor()
    # Databases do not know all the zones that Python reads.
    return (place[0].astimezone(dt.timezone.utc) if settings.USE_TZ else place[0]), place[1]
