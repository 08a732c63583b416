"""What each door does under load, at its end, and with each kind of channel layer."""

import asyncio
import contextlib
import random
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from django_chatapi.actions.turns import client_for
from django_chatapi.models import Client, Connection
from tests.servers import valkey_server, wait_until

from .helpers import NEVER, answers, disconnecting, end, say, site

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ann(channel):
    return client_for(channel=channel, client_id="ann")


@pytest.fixture
def threads():
    with ThreadPoolExecutor(8) as threads:
        yield threads


def poll(path, **query):
    return httpx.get(f"{path}/events", params={"clientId": "ann", **query}, timeout=30)


def hold(threads, path, *cids, **query):
    """Begin to poll for each of these connections; return when the server has begun with all."""
    held = [threads.submit(poll, path, **{"cid": cid, "timeout": 30, **query}) for cid in cids]
    begun = Connection.objects.filter(connection_id__in=cids)
    wait_until(lambda: begun.count() == len(cids), what="the polls' begin")
    return held


def test_a_thread_per_poll_is_limited_before_the_site_starves(channel, ann, threads):
    with site("wsgi", MAX_SYNC_POLLS=2) as (address, _):
        path = f"{address}/chatapi/{channel.token}"
        held = hold(threads, path, "a", "b")

        wait_until(lambda: poll(path, cid="c", timeout=0.1).status_code == 503, what="the limit")
        refused = poll(path, cid="c", timeout=5)
        at_once = poll(path, cid="c", timeout=0)
        sent = httpx.post(path, json={"clientId": "bob", "query": "hi"})
        say("ann", "hello")

        assert (refused.status_code, refused.json()["error"]) == (503, "too_many_polls")
        assert int(refused.headers["retry-after"]) > 0
        assert at_once.status_code == sent.status_code == 200
        assert [answers(waiting.result().json()) for waiting in held] == [["hello"]] * 2
        wait_until(lambda: poll(path, cid="c", timeout=0.1).status_code == 200, what="room for a poll")
        assert answers(poll(path, cid="d", timeout=5).json()) == ["hello"]  # there is something: no need to wait


def test_the_other_door_has_no_such_limit(channel, ann, threads):
    with site(MAX_SYNC_POLLS=1) as (address, _):
        held = hold(threads, f"{address}/chatapi/{channel.token}", "a", "b", "c")
        say("ann", "hello")

        assert [answers(waiting.result().json()) for waiting in held] == [["hello"]] * 3


def test_a_server_that_is_told_to_stop_answers_its_waiters(channel, ann, threads):
    with site(EVENTS_SWEEP=NEVER) as (address, running):
        path = f"{address}/chatapi/{channel.token}"
        held = hold(threads, path, "a", "b", "c")
        assert poll(path, cid="d", timeout=0.3).status_code == 200

        end(running)  # waits less long than the polls would

        for waiting in held:
            response = waiting.result(timeout=1)
            assert (response.status_code, response.json()["events"]) == (200, [])


def held_by(pid):
    """How many descriptors and threads a process has."""
    own = Path(f"/proc/{pid}")
    return len([*(own / "fd").iterdir()]), len([*(own / "task").iterdir()])


async def open_and_leave(address, path, number):
    """One poll that is cut off at a random point: before, within or after its request, or while it is held."""
    chance = random.Random(number)
    url = urlsplit(address)
    request = f"GET {path}/events?clientId=ann&cid={number % 50} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    _reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(request[: chance.choice([0, chance.randrange(len(request)), len(request), len(request)])])
    await asyncio.sleep(chance.uniform(0, 0.2))
    if chance.random() < 0.5:
        # Reset instead of closed.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_clients_that_leave_at_any_moment_leave_nothing_behind(channel, ann, threads):
    with site(EVENTS_SWEEP=0.5) as (address, running):
        path = f"/chatapi/{channel.token}"
        [held] = hold(threads, address + path, "held")

        async def storm(numbers):
            gate = asyncio.Semaphore(100)

            async def one(number):
                async with gate:
                    await open_and_leave(address, path, number)

            await asyncio.gather(*map(one, numbers))

        asyncio.run(storm(range(100)))  # by then it has all the threads that it ever has
        assert poll(address + path, cid="x", timeout=0).status_code == 200
        descriptors, tasks = held_by(running.pid)
        asyncio.run(storm(range(100, 1000)))

        # The connection that was kept open for one poll may be gone meanwhile.
        wait_until(lambda: held_by(running.pid)[0] <= descriptors, what="the descriptors' return")
        assert held_by(running.pid)[1] <= tasks
        say("ann", "hello")
        assert answers(held.result().json()) == ["hello"]


def test_all_who_come_back_at_once_are_served(channel, ann):
    many = 500

    async def come_back(path):
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        async with httpx.AsyncClient(limits=limits, timeout=60) as http:

            async def one(number):
                query = {"clientId": "ann", "cid": str(number), "timeout": 60}
                return await http.get(f"{path}/events", params=query)

            polls = [asyncio.create_task(one(number)) for number in range(many)]
            begun = Connection.objects.filter(client=ann)

            def welcome():
                wait_until(lambda: begun.count() == many, 60, "the polls' begin")
                say("ann", "welcome back")

            await asyncio.to_thread(disconnecting(welcome))
            return await asyncio.gather(*polls)

    with site() as (address, running):
        responses = asyncio.run(come_back(f"{address}/chatapi/{channel.token}"))
        threads_of_server = held_by(running.pid)[1] if Path("/proc").exists() else 0

    assert {response.status_code for response in responses} == {200}
    assert {tuple(answers(response.json())) for response in responses} == {("welcome back",)}
    assert threads_of_server < 50


@pytest.mark.parametrize(
    "layer", ["channels_redis.core.RedisChannelLayer", "channels_redis.pubsub.RedisPubSubChannelLayer"]
)
def test_each_layer_of_channels_redis_carries_nudges_between_processes(layer, channel, threads):
    client_for(channel=channel, client_id="ann")
    with valkey_server() as valkey, contextlib.ExitStack() as stack:
        env = {"REDIS_URL": valkey.connection_url, "CHATAPI_TEST_LAYER": layer}
        listening, _ = stack.enter_context(site(env=env, EVENTS_SWEEP=NEVER))
        sending, _ = stack.enter_context(site("wsgi", env=env))
        path = f"/chatapi/{channel.token}"

        def heard():
            number = Connection.objects.count()
            cursor = poll(listening + path, all="true", timeout=0).json()["cursor"]
            [waiting] = hold(threads, listening + path, f"d{number}", all="true", cursor=cursor, timeout=3)
            sent = httpx.post(sending + path, json={"clientId": "ann", "query": "hi"}, timeout=20)
            assert sent.status_code == 200
            return waiting.result().json()["events"]

        wait_until(heard, what="a nudge")


def test_without_a_shared_layer_one_process_wakes_its_own_waiters(channel, ann, threads):
    with site(EVENTS_SWEEP=NEVER) as (address, _):
        path = f"{address}/chatapi/{channel.token}"
        [waiting] = hold(threads, path, "a", all="true")

        assert httpx.post(path, json={"clientId": "ann", "query": "hi"}).status_code == 200

        assert waiting.result().json()["events"][0]["type"] == "request"
        assert Client.objects.count() == 1
