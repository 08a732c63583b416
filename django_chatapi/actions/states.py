"""Save a client's state."""

from django.db import router, transaction

from ..models import Channel, ClientState
from .announce import announce_on_commit
from .turns import client_for, take_turn


def save(*, channel: Channel, client_id: str, value: bytes, connection_id: str | None = None) -> ClientState:
    """Keep ``value``, a JSON text, byte for byte as the client's latest state.

    It takes a place in the client's sequence, since it is an event for the client's other connections.
    """
    client = client_for(channel=channel, client_id=client_id)
    with transaction.atomic(using=router.db_for_write(ClientState)):
        moment = take_turn(client)
        state, _created = ClientState.objects.update_or_create(
            client=client,
            defaults={
                "value": value,
                "connection_id": connection_id,
                "sequence": client.last_sequence,
                "saved_at": moment,
            },
        )
        announce_on_commit(client)
    return state
