"""Events as callers receive them (contract, section 6)."""

import datetime as dt
import json
from collections.abc import Sequence

from ..models import ClientState, Dialog, DialogChange, Message
from .dialogs import own_name
from .envelope import envelope, make_cursor
from .times import format_time

Entry = Message | ClientState | DialogChange | Dialog


def event_text(entry: Entry, *, token: str, client_id: str) -> str:
    """One event as JSON: a message with its envelope (a request as it was sent), or the state that was saved.

    For callers who ask for them also that an agent joined, left or types: ``{"clientId", "agent", "timestamp"}``
    with the full name. Usernames are none of the clients' business: without a full name it is null.
    """
    if isinstance(entry, ClientState):
        head = {"clientId": client_id, "cid": entry.connection_id, "timestamp": format_time(entry.saved_at)}
        # The value stands in the text as it was sent, number spelling and all.
        return f'{{"type":"state","event":{_dump(head)[:-1]},"state":{bytes(entry.value).decode()}}}}}'
    if isinstance(entry, DialogChange):
        return _dump({"type": entry.kind, "event": _of_agent(client_id, entry.shown_name, entry.created_at)})
    if isinstance(entry, Dialog):
        name = own_name(entry.agent) if entry.agent else ""
        return _dump({"type": "agentTyping", "event": _of_agent(client_id, name, entry.typing_at)})
    return _dump({"type": entry.type, "event": envelope(entry, token=token, client_id=client_id)})


def events_text(entries: Sequence[Entry], *, upto: int, has_more: bool, token: str, client_id: str) -> str:
    """The body of an events response."""
    events = ",".join(event_text(entry, token=token, client_id=client_id) for entry in entries)
    return f'{{"hasMore":{_dump(has_more)},"cursor":"{make_cursor(upto)}","events":[{events}]}}'


def stream_text(entry: Entry, *, place: int, token: str, client_id: str) -> str:
    """One event of an event stream (WHATWG HTML, section 9.2.6); its id is the cursor of its place."""
    text = event_text(entry, token=token, client_id=client_id)
    # Line breaks outside of JSON's strings are the only ones there can be, and they are white space.
    data = text.replace("\r", " ").replace("\n", " ")
    return f"id: {make_cursor(place)}\ndata: {data}\n\n"


def _of_agent(client_id: str, name: str, moment: dt.datetime | None) -> dict[str, str | None]:
    return {"clientId": client_id, "agent": name or None, "timestamp": format_time(moment) if moment else None}


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
