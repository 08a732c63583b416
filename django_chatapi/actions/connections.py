"""Remember how far a connection has read."""

from django.db.models import F
from django.db.models.functions import Greatest

from ..models import Client, Connection, rows


def connection_for(*, client: Client, connection_id: str | None) -> Connection:
    """The client's connection with this ``cid``; made on first sight. Without a ``cid`` there is one for all."""
    name = connection_id or ""
    known = rows.find(Connection, client=client.pk, connection_id=name)
    if known is None:
        Connection.objects.bulk_create([Connection(client=client, connection_id=name)], ignore_conflicts=True)
        known = Connection.objects.get(client=client, connection_id=name)
    return known


def move(*, connection_pk: int, position: int) -> None:
    """The connection has received everything up to ``position``. It never moves back."""
    Connection.objects.filter(pk=connection_pk).update(position=Greatest(F("position"), position))
