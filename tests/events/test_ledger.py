"""Many clients with several connections each, several publishers, connections cut at random: the books balance.

``CHATAPI_LEDGER_SCALE=5`` in the environment runs 200 clients with 5 connections each and 10 000 messages.
"""

import asyncio
import contextlib
import os
import random

import httpx
import pytest

from django_chatapi.models import Client, Message
from tests.servers import process, wait_until

from .helpers import layer_server, site

pytestmark = pytest.mark.django_db(transaction=True)

SCALE = int(os.environ.get("CHATAPI_LEDGER_SCALE", "1"))
CLIENTS = 40 * SCALE
CONNECTIONS = 3 if SCALE == 1 else 5
MESSAGES = 2000 * SCALE
PUBLISHERS = 2
#: How many of the polls are cut off before their answer.
CUT = 0.2
#: How long all of it may take, in seconds.
PATIENCE = 120 * SCALE


class Reader:
    """One connection: polls, is cut off at random, and keeps what it received."""

    def __init__(self, http, path, client_id, cid, chance, *, by_cursor, timeout):
        self.http, self.path, self.chance, self.by_cursor = http, path, chance, by_cursor
        self.query = {"clientId": client_id, "cid": cid, "timeout": timeout}
        self.received = []
        self.cuts = 0

    async def read(self, expected):
        """Until everything was received."""
        while len(set(self.received)) < expected:
            body = await self.poll()
            if body is not None:
                self.received += [item["event"]["data"]["answer"] for item in body["events"]]
                if self.by_cursor:
                    self.query["cursor"] = body["cursor"]

    async def poll(self):
        """One poll; None when it was cut off."""
        asking = asyncio.ensure_future(self.http.get(self.path, params=self.query))
        # An implicit position moves with a response that was written out: a cut would lose what it carried.
        if self.by_cursor and self.chance.random() < CUT:
            await asyncio.wait([asking], timeout=self.chance.uniform(0, 0.5))
            if not asking.done():
                self.cuts += 1
                asking.cancel()  # closes its connection
                with contextlib.suppress(asyncio.CancelledError):
                    await asking
                return None
        response = await asking
        assert response.status_code == 200, response.text
        return response.json()


@pytest.mark.parametrize("by_cursor", [True, False], ids=["by cursor", "by implicit position"])
@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_the_books_balance(kind, by_cursor, channel):
    # Where polls hold threads, also those of callers who left: few of them, and not for long.
    clients, timeout = (CLIENTS, 5) if kind == "asgi" else (4, 0.5)
    Client.objects.bulk_create([Client(channel=channel, client_id=f"c{n}") for n in range(clients)])
    with layer_server() as valkey, contextlib.ExitStack() as stack:
        env = {"REDIS_URL": valkey.connection_url}
        address, _ = stack.enter_context(site(kind, env=env, MAX_SYNC_POLLS=1000))
        path = f"{address}/chatapi/{channel.token}/events"
        publishers = []

        def publish():
            for first in range(PUBLISHERS):
                command = ["tests.events.publisher", str(first), str(PUBLISHERS), str(MESSAGES)]
                publishers.append(stack.enter_context(process(*command, **env)))

        readers = asyncio.run(read_all(path, publish, clients, by_cursor=by_cursor, timeout=timeout))
        wait_until(lambda: all(one.poll() is not None for one in publishers), what="the publishers' end")
        assert [one.returncode for one in publishers] == [0] * PUBLISHERS

    books = {}
    for message in Message.objects.select_related("client").order_by("client_id", "sequence"):
        books.setdefault(message.client.client_id, []).append(message.data["answer"])
    assert sum(map(len, books.values())) == MESSAGES
    assert (sum(reader.cuts for reader in readers) > 0) == by_cursor
    for reader in readers:
        published = books[reader.query["clientId"]]
        if by_cursor:
            assert reader.received == published
        else:
            assert firsts(reader.received) == published


def firsts(received):
    """Each once, in the order of its first arrival."""
    return list(dict.fromkeys(received))


async def read_all(path, publish, clients, *, by_cursor, timeout):
    """Start all readers, then the publishers; return the readers when each has received all there is."""
    # A connection each: a server that closes an idle one just as it is used again would look like a fault.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(limits=limits, timeout=60) as http:
        readers = [
            Reader(
                http, path, f"c{c}", f"{c}-{k}", random.Random(f"{c}-{k}"), by_cursor=by_cursor, timeout=timeout
            )
            for c in range(clients)
            for k in range(CONNECTIONS)
        ]
        tasks = [asyncio.create_task(reader.read(MESSAGES // clients)) for reader in readers]
        await asyncio.to_thread(publish)
        await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
    return readers
