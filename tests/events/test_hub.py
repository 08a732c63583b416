"""The waiters of one event loop, and who wakes them."""

import asyncio
import json
import threading

import pytest

from django_chatapi import consumers
from django_chatapi.actions.turns import client_for
from django_chatapi.api.hubs import read_sequences
from django_chatapi.api.polls import Poll
from django_chatapi.models import Connection, Message
from django_chatapi.realtime.database import in_database_thread
from django_chatapi.realtime.hub import Hub, Key, Woken, hub_of

from .helpers import NEVER, call, in_thread, say

ANN, BOB = Key(1, "a"), Key(2, "a")
PATIENCE = 20


@pytest.fixture(autouse=True)
def no_sweep(settings):
    settings.CHATAPI = {**settings.CHATAPI, "EVENTS_SWEEP": NEVER}


def with_hub(test, sequences=None):
    """Run the test's coroutine with a hub of its loop; whatever the hub started ends with the loop."""
    asked = []

    async def read(client_pks):
        asked.append(client_pks)
        return {pk: number for pk, number in (sequences or {}).items() if pk in client_pks}

    async def run():
        hub = Hub(asyncio.get_running_loop(), read)
        await test(hub)
        assert len(hub) == 0, "a waiter was left behind"

    asyncio.run(run())
    return asked


async def begin(waiter, seconds=PATIENCE):
    """Begin to wait; returns when the waiter waits."""
    waiting = asyncio.ensure_future(waiter.wait(seconds))
    await asyncio.sleep(0)
    return waiting


def test_news_wake_the_clients_waiters_and_nobody_else():
    async def test(hub):
        ann, other, bob = hub.register(ANN, 3, 1), hub.register(Key(1, "b"), 3, 1), hub.register(BOB, 3, 1)
        waits = [await begin(waiter) for waiter in (ann, other, bob)]

        hub.wake({1: 4})
        await asyncio.sleep(0)

        assert [await waits[0], await waits[1]] == [Woken.NEWS] * 2
        assert not waits[2].done()
        bob.wake(Woken.DISCONNECTED)
        assert await waits[2] is Woken.DISCONNECTED
        for waiter in (ann, other, bob):
            hub.unregister(waiter)

    with_hub(test)


def test_news_that_were_read_already_wake_nobody():
    async def test(hub):
        waiter = hub.register(ANN, 3, 1)
        hub.wake({1: 3})
        hub.wake({1: 2})
        assert await waiter.wait(0.01) is Woken.TIMEOUT
        hub.unregister(waiter)

    with_hub(test)


def test_what_comes_between_two_waits_is_not_missed():
    async def test(hub):
        waiter = hub.register(ANN, 0, 1)
        hub.wake({1: 1})
        hub.wake({1: 2})
        assert await waiter.wait(PATIENCE) is Woken.NEWS
        waiter.position = 2
        assert await waiter.wait(0.01) is Woken.TIMEOUT  # it was told once
        hub.unregister(waiter)

    with_hub(test)


def test_news_do_not_hide_the_end_of_a_poll():
    async def test(hub):
        waiter = hub.register(ANN, 0, 1)
        hub.wake({1: 1})
        waiter.wake(Woken.DISCONNECTED)
        hub.wake({1: 2})
        assert await waiter.wait(PATIENCE) is Woken.DISCONNECTED
        hub.unregister(waiter)

    with_hub(test)


def test_what_comes_in_the_moment_of_waking_is_kept_for_the_next_wait():
    async def test(hub):
        waiter = hub.register(ANN, 0, 1)
        waiting = await begin(waiter)
        hub.wake({1: 1})
        waiter.wake(Woken.REPLACED)
        assert await waiting is Woken.NEWS
        assert await waiter.wait(PATIENCE) is Woken.REPLACED
        hub.unregister(waiter)

    with_hub(test)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=["the older registers first", "the newer does"])
def test_a_newer_poll_ends_the_older_one_of_its_connection_only(order):
    async def test(hub):
        other = hub.register(Key(1, "b"), 0, 1)
        waiters = {started: hub.register(ANN, 0, started) for started in order}

        assert await waiters[1].wait(PATIENCE) is Woken.REPLACED
        assert await waiters[2].wait(0.01) is Woken.TIMEOUT
        assert await other.wait(0.01) is Woken.TIMEOUT
        for waiter in (other, *waiters.values()):
            hub.unregister(waiter)

    with_hub(test)


def test_word_of_an_older_poll_that_comes_late_ends_nobody():
    async def test(hub):
        waiter = hub.register(ANN, 0, 2)
        hub.replace(ANN, 1)
        hub.replace(ANN, 2)  # of this poll itself, come back over the layer
        assert await waiter.wait(0.01) is Woken.TIMEOUT
        hub.replace(ANN, 3)
        assert await waiter.wait(PATIENCE) is Woken.REPLACED
        hub.unregister(waiter)

    with_hub(test)


def test_the_older_poll_ends_also_when_word_of_a_newer_one_came_before_it():
    async def test(hub):
        hub.replace(ANN, 2)  # began in another process
        hub.replace(ANN, 1)
        older = hub.register(ANN, 0, 1)

        assert await older.wait(PATIENCE) is Woken.REPLACED
        hub.unregister(older)

    with_hub(test)


def test_a_clock_that_was_set_back_does_not_end_polls_for_as_long_as_an_old_one_waits(monkeypatch):
    async def test(hub):
        stale = hub.register(ANN, 0, 10)
        monkeypatch.setattr("django_chatapi.realtime.hub._REMEMBERED_FOR", -1.0)
        newer = hub.register(ANN, 0, 5)

        assert await newer.wait(0.01) is Woken.TIMEOUT
        for waiter in (stale, newer):
            hub.unregister(waiter)

    with_hub(test)


def test_of_ever_so_many_connections_the_latest_are_remembered(monkeypatch):
    monkeypatch.setattr("django_chatapi.realtime.hub._REMEMBERED", 10)

    async def test(hub):
        for client_pk in range(100):
            hub.replace(Key(client_pk, ""), 2)
        assert len(hub._begun) == 10
        waiters = [hub.register(Key(client_pk, ""), 0, 1) for client_pk in (99, 0)]

        assert await waiters[0].wait(PATIENCE) is Woken.REPLACED
        assert await waiters[1].wait(0.01) is Woken.TIMEOUT
        for waiter in waiters:
            hub.unregister(waiter)

    with_hub(test)


def test_at_shutdown_all_are_answered_those_who_come_later_too():
    async def test(hub):
        early = hub.register(ANN, 0, 1)
        waiting = await begin(early)
        hub.shut_down_soon()
        assert await waiting is Woken.SHUTDOWN
        late = hub.register(BOB, 0, 1)
        assert await late.wait(PATIENCE) is Woken.SHUTDOWN
        hub.unregister(early)
        hub.unregister(late)

    with_hub(test)


def test_to_unregister_twice_harms_nobody():
    async def test(hub):
        gone, stays = hub.register(ANN, 0, 1), hub.register(Key(1, "b"), 0, 1)
        for _ in range(2):
            hub.unregister(gone)
        assert len(hub) == 1
        hub.wake({1: 1})
        assert await stays.wait(PATIENCE) is Woken.NEWS
        hub.unregister(stays)
        hub.unregister(stays)

    with_hub(test)


def test_news_may_come_from_any_thread():
    async def test(hub):
        waiter = hub.register(ANN, 0, 1)
        waiting = await begin(waiter)
        await asyncio.to_thread(hub.wake_soon, {1: 1})
        assert await waiting is Woken.NEWS
        hub.unregister(waiter)

    with_hub(test)


def test_the_sweep_finds_what_nobody_told_of_with_one_query_for_all(settings):
    settings.CHATAPI = {**settings.CHATAPI, "EVENTS_SWEEP": 0.05}

    async def test(hub):
        waiters = [hub.register(key, 3, 1) for key in (ANN, Key(1, "b"), BOB)]
        waits = [await begin(waiter) for waiter in waiters]
        assert await waits[0] is await waits[1] is Woken.NEWS
        assert not waits[2].done()
        waits[2].cancel()
        for waiter in waiters:
            hub.unregister(waiter)

    asked = with_hub(test, {1: 4, 2: 3})

    assert sorted(asked[0]) == [1, 2]


def test_a_sweep_that_fails_is_tried_again(settings):
    settings.CHATAPI = {**settings.CHATAPI, "EVENTS_SWEEP": 0.05}
    failures = [OSError("the database is away")]

    async def read(client_pks):
        if failures:
            raise failures.pop()
        return {1: 1}

    async def run():
        hub = Hub(asyncio.get_running_loop(), read)
        waiter = hub.register(ANN, 0, 1)
        assert await waiter.wait(PATIENCE) is Woken.NEWS

    asyncio.run(run())
    assert failures == []


@pytest.mark.django_db(transaction=True)
def test_a_poll_whose_caller_leaves_is_forgotten_at_once(channel, one_database_thread):
    client_for(channel=channel, client_id="ann")
    path = f"/chatapi/{channel.token}/events"

    async def run():
        hub = hub_of(asyncio.get_running_loop(), read_sequences)
        before = len(asyncio.all_tasks())
        leaving = asyncio.Event()
        calls = [
            asyncio.create_task(call(path, b"clientId=ann&timeout=60&cid=%d" % n, leaving)) for n in range(20)
        ]
        await until(lambda: len(hub) == 20)
        leaving.set()
        assert await asyncio.gather(*calls) == [[]] * 20
        assert len(hub) == 0
        # The hub's own is left: its sweep, and nothing for a layer that is in memory.
        assert len(asyncio.all_tasks()) == before + 1

    asyncio.run(run())


@pytest.mark.django_db(transaction=True)
def test_the_database_is_not_asked_for_callers_who_left_before_their_turn(channel, one_database_thread):
    client_for(channel=channel, client_id="ann")
    path = f"/chatapi/{channel.token}/events"

    async def run():
        free, leaving = threading.Event(), asyncio.Event()
        busy = asyncio.create_task(in_database_thread(free.wait))
        calls = [asyncio.create_task(call(path, b"clientId=ann&cid=%d" % n, leaving)) for n in range(20)]
        for _ in range(5):  # until they queue for the thread
            await asyncio.sleep(0)
        leaving.set()
        for _ in range(5):  # until it has been noticed
            await asyncio.sleep(0)
        free.set()
        assert await asyncio.gather(*calls) == [[]] * 20
        await busy

    asyncio.run(run())
    assert not Connection.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_pages_that_end_each_others_polls_do_not_do_so_as_fast_as_they_can(
    channel, monkeypatch, one_database_thread
):
    """Which pages of one client do that send no ``cid``."""
    client_for(channel=channel, client_id="ann")
    path = f"/chatapi/{channel.token}/events"
    monkeypatch.setattr(consumers, "REPLACED_PAUSE", 3600)

    async def run():
        hub, leaving = hub_of(asyncio.get_running_loop(), read_sequences), asyncio.Event()
        older = asyncio.create_task(call(path, b"clientId=ann&timeout=60", leaving))
        await until(lambda: len(hub) == 1)
        newer = asyncio.create_task(call(path, b"clientId=ann&timeout=60"))
        await until(lambda: len(hub) == 2)
        in_thread(lambda: say("ann", "hello")).join()
        assert (await newer)[0]["status"] == 200
        assert not older.done()
        leaving.set()
        assert await older == []

    asyncio.run(run())


@pytest.mark.django_db(transaction=True)
def test_bytes_that_are_no_text_are_refused(channel, one_database_thread):
    sent = asyncio.run(call(f"/chatapi/{channel.token}/events", b"clientId=\xff"))

    assert sent[0]["status"] == 400
    assert json.loads(sent[1]["body"])["error"] == "invalid_request"


@pytest.mark.django_db(transaction=True)
def test_a_poll_that_was_answered_is_forgotten(channel, one_database_thread):
    client_for(channel=channel, client_id="ann")

    async def run():
        hub = hub_of(asyncio.get_running_loop(), read_sequences)
        answered = asyncio.create_task(call(f"/chatapi/{channel.token}/events", b"clientId=ann&timeout=60"))
        await until(lambda: len(hub) == 1)
        in_thread(lambda: say("ann", "hello")).join()
        assert (await answered)[0]["status"] == 200
        assert len(hub) == 0

    asyncio.run(run())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("accept", [b"application/json", b"text/event-stream"])
def test_what_is_read_for_a_caller_who_just_left_moves_no_position(
    accept, channel, monkeypatch, one_database_thread
):
    client_for(channel=channel, client_id="ann")
    say("ann", "hello")
    read = Poll.read

    async def run():
        loop, leaving = asyncio.get_running_loop(), asyncio.Event()

        async def leave():
            leaving.set()
            for _ in range(5):  # until it has been noticed
                await asyncio.sleep(0)

        def reading(poll):
            feed = read(poll)
            asyncio.run_coroutine_threadsafe(leave(), loop).result()
            return feed

        monkeypatch.setattr(Poll, "read", reading)
        return await call(f"/chatapi/{channel.token}/events", b"clientId=ann&timeout=60", leaving, accept)

    sent = b"".join(message.get("body", b"") for message in asyncio.run(run()))

    assert b"hello" not in sent
    assert Connection.objects.get().position == 0
    assert Message.objects.get().status == "NOT_SENT"


async def until(condition):
    """Let the loop go on until the condition holds."""

    async def look():
        while not condition():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(look(), PATIENCE)
