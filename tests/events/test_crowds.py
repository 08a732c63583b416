"""Crowds at the ASGI door: thousands who leave at any moment, and thousands who come back at once."""

import asyncio
import json
import random
import socket
from functools import partial
from pathlib import Path

import httpx
import pytest

from django_chatapi.actions.turns import client_for
from tests.servers import wait_until

from .helpers import answers, disconnecting, say, site

resource = pytest.importorskip("resource", reason="limits on descriptors are set the POSIX way")

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc"),
]

LEAVING = 10_000
RETURNING = 2_000


@pytest.fixture(autouse=True)
def enough_descriptors():
    """Many systems allow 1 024; a server that is started under the raised limit has it too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * RETURNING + 500
    if hard not in (-1, resource.RLIM_INFINITY) and hard < needed:
        pytest.skip(f"a process may have {hard} descriptors, {needed} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Server:
    """An ASGI server that tells what it holds."""

    def __init__(self, port, pid):
        self.port, self.pid = port, pid
        self.address = f"http://127.0.0.1:{port}"

    def counts(self):
        """How many waiters, tasks, descriptors and threads the process has."""
        own = Path(f"/proc/{self.pid}")
        threads = len([*(own / "task").iterdir()])
        descriptors = len([*(own / "fd").iterdir()])
        return {
            **httpx.get(f"{self.address}/counts", timeout=60).json(),
            "descriptors": descriptors,
            "threads": threads,
        }


@pytest.fixture
def server(channel):
    with site("counting") as (address, running):
        yield Server(int(address.rpartition(":")[2]), running.pid)


@pytest.fixture
def path(channel):
    client_for(channel=channel, client_id="ann")
    return f"/chatapi/{channel.token}/events"


def events_request(path, cid, accept="*/*"):
    query = f"clientId=ann&cid={cid}&timeout=60"
    head = f"GET {path}?{query} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    return head.encode()


async def open_and_leave(port, path, number):
    """One poll that is cut off at a random point: before, within or after its request, or while it is held."""
    chance = random.Random(number)
    request = events_request(path, number % 50)
    _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request[: chance.choice([0, chance.randrange(len(request)), len(request), len(request)])])
    await asyncio.sleep(chance.uniform(0, 0.2))
    if chance.random() < 0.5:
        # Reset instead of closed.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


async def storm(port, path, numbers):
    """All of these polls, a few hundred at once."""
    gate = asyncio.Semaphore(200)

    async def one(number):
        async with gate:
            await open_and_leave(port, path, number)

    await asyncio.gather(*map(one, numbers))


def hold(server, path, cid):
    """Open a stream, which lasts as long as the test; gives the socket once the server holds it."""
    before = server.counts()["waiters"]
    held = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    held.sendall(events_request(path, cid, "text/event-stream"))
    wait_until(lambda: server.counts()["waiters"] > before, what="the stream's begin")
    return held


def body_of(response):
    """The body of a response that was read to its end."""
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return json.loads(body)


def test_clients_that_leave_at_any_moment_leave_nothing_behind(server, path):
    with hold(server, path, "held") as held:
        asyncio.run(storm(server.port, path, range(200)))  # by then it has all the threads that it ever has
        wait_until(lambda: server.counts()["waiters"] == 1, what="the warm-up's end")
        before = server.counts()

        asyncio.run(storm(server.port, path, range(200, 200 + LEAVING)))

        def all_gone():
            now = server.counts()
            # What a library starts for itself, once, is not left behind by a caller.
            return now["waiters"] == 1 and all(now[counted] < before[counted] + 5 for counted in before)

        wait_until(all_gone, 50, f"the return to {before}")  # less long than their polls would last
        say("ann", "hello")
        received = b""
        while b'"answer":"hello"' not in received:
            part = held.recv(65536)
            assert part, received
            received += part


def test_all_who_come_back_at_once_are_served(server, path):
    async def come():
        """Everybody at once: it takes less than a second on an ordinary machine, however long the answers take."""
        opened = await asyncio.gather(
            *(asyncio.open_connection("127.0.0.1", server.port) for _ in range(RETURNING))
        )
        for cid, (_reader, writer) in enumerate(opened):
            writer.write(events_request(path, cid))
        return opened

    async def cut_and_come_back():
        first = await come()
        held = partial(wait_until, lambda: server.counts()["waiters"] == RETURNING, 60, "the polls' begin")
        await asyncio.to_thread(held)
        for _reader, writer in first:
            writer.transport.abort()
        second = await come()
        # Published while they come back, and found by those who come later all the same.
        await asyncio.to_thread(disconnecting(lambda: say("ann", "welcome back")))
        responses = await asyncio.gather(*(reader.read() for reader, _writer in second))
        for _reader, writer in second:
            writer.close()
        return responses

    before = server.counts()
    responses = asyncio.run(cut_and_come_back())

    assert [answers(body_of(response)) for response in responses] == [["welcome back"]] * RETURNING
    wait_until(lambda: server.counts()["waiters"] == 0, what="the end of all waiters")
    after = server.counts()
    assert after["tasks"] <= before["tasks"] + 2  # the hub's own
    assert after["descriptors"] <= before["descriptors"] + 20
    assert after["threads"] < before["threads"] + 20
