"""Connects the hubs to the database."""

from .. import selectors
from ..realtime.database import in_database_thread


async def read_sequences(client_pks: list[int]) -> dict[int, int]:
    """The last sequence number of each of these clients: the look of the sweep, one query for all waiters."""
    return await in_database_thread(lambda: selectors.last_sequences(client_pks))
