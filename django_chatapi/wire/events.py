"""Events as callers receive them (contract, section 6)."""

import json
from collections.abc import Sequence

from ..models import ClientState, Message
from .envelope import envelope, make_cursor
from .times import format_time


def event_text(entry: Message | ClientState, *, token: str, client_id: str) -> str:
    """One event as JSON: a message with its envelope (a request as it was sent), or the state that was saved."""
    if isinstance(entry, ClientState):
        head = {"clientId": client_id, "cid": entry.connection_id, "timestamp": format_time(entry.saved_at)}
        # The value stands in the text as it was sent, number spelling and all.
        return f'{{"type":"state","event":{_dump(head)[:-1]},"state":{bytes(entry.value).decode()}}}}}'
    return _dump({"type": entry.type, "event": envelope(entry, token=token, client_id=client_id)})


def events_text(
    entries: Sequence[Message | ClientState], *, upto: int, has_more: bool, token: str, client_id: str
) -> str:
    """The body of an events response."""
    events = ",".join(event_text(entry, token=token, client_id=client_id) for entry in entries)
    return f'{{"hasMore":{_dump(has_more)},"cursor":"{make_cursor(upto)}","events":[{events}]}}'


def stream_text(entry: Message | ClientState, *, token: str, client_id: str) -> str:
    """One event of an event stream (WHATWG HTML, section 9.2.6); its id is a cursor."""
    text = event_text(entry, token=token, client_id=client_id)
    # Line breaks outside of JSON's strings are the only ones there can be, and they are white space.
    data = text.replace("\r", " ").replace("\n", " ")
    return f"id: {make_cursor(entry.sequence)}\ndata: {data}\n\n"


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
