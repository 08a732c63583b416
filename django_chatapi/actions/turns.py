"""The order of a client's messages: sequence numbers and times, given out under the client's row lock."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.utils import timezone

from .. import selectors
from ..models import Channel, Client, rows

_TURN_COLUMNS = ["last_sequence", "last_activity_at", "session_number", "session_open", "dialog"]


def client_for(*, channel: Channel, client_id: str) -> Client:
    """The client with this id; made on first sight, by however many requests at once."""
    client = selectors.find_client(channel, client_id)
    if client is None:
        Client.objects.bulk_create([Client(channel=channel, client_id=client_id)], ignore_conflicts=True)
        client = Client.objects.get(channel_id=channel.pk, client_id=client_id)
        client.channel = channel
    return client


def take_turn(
    client: Client, change: Callable[[Client, dt.datetime], dict[str, Any]] | None = None
) -> dt.datetime:
    """Take the client's next sequence number and time; both stand on ``client`` afterwards.

    Call it inside the transaction that writes the message, before any other statement on the client's rows:
    the UPDATE takes the row lock, and holds it until the commit, so the order of numbers is the order of commits.
    That it comes first also means that SQLite takes its write lock at once, and never has to upgrade.

    Mostly nothing has happened since ``client`` was read, and a compare-and-swap on the last number is the
    whole work. Otherwise the row is locked and read again.

    Args:
        change: more columns to set, decided from the row as it is under the lock and the time of this turn.
    """
    for locked in (False, True):
        if locked:
            client.refresh_from_db(fields=_TURN_COLUMNS, from_queryset=Client.objects.select_for_update())
        now = timezone.now()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # the wire has milliseconds
        moment = max(now, client.last_activity_at or now)
        columns = {
            "last_sequence": client.last_sequence + 1,
            "last_activity_at": moment,
            **(change(client, moment) if change else {}),
        }
        untouched = {"id": client.pk, "last_sequence": client.last_sequence}
        if rows.update(Client, untouched, columns):
            for name, value in columns.items():
                setattr(client, name, value)
            return moment
    # Only a deletion gets here: under the lock nobody else can have moved the number.
    raise Client.DoesNotExist(f"Client {client.pk} was deleted.")
