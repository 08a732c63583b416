"""Events when things go wrong: nothing is lost, however it was told of."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest
import redis
from django.db import InterfaceError, OperationalError, connection, transaction
from django.test import Client as DjangoClient
from django.utils import timezone

from django_chatapi.actions import pushes
from django_chatapi.actions.turns import client_for
from django_chatapi.api.polls import Poll
from django_chatapi.constants import MessageType
from django_chatapi.identifiers import make_question_id
from django_chatapi.models import Client, Connection, Message
from django_chatapi.realtime import nudges
from django_chatapi.realtime.hub import Hub, Waiter
from django_chatapi.realtime.layer import SHARDS
from tests.servers import ROOT, environment, free_port, postgresql_server, valkey_server, wait_until

from .conftest import Listener
from .helpers import NEVER, answers, call, hears_nudges, in_thread, layer_server, redis_layer, say, site

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listen(channel):
    """Make a listener at a server; its client exists."""
    with contextlib.ExitStack() as stack:

        def make(address, client_id="ann"):
            client_for(channel=channel, client_id=client_id)
            listener = Listener(address, channel, client_id)
            stack.callback(listener.close)
            return listener

        yield make


def drain(listener, cursor=None, until=None, seconds=20, timeout=1):
    """Everything from the cursor on, poll by poll, until the last text has come."""
    got = []

    def look():
        nonlocal cursor
        body = listener.poll(cursor=cursor, timeout=timeout)
        cursor = body["cursor"]
        got.extend(answers(body))
        return until in got

    wait_until(look, seconds, what=f"the arrival of {until!r} after {got!r}")
    return got


# Two transactions of one client, committed in another order than begun


class Overtaking:
    """The first writer begins first and commits last, if the second lets it."""

    def __init__(self, client):
        self.client = client
        self.begun, self.go_on, self.committed = threading.Event(), threading.Event(), threading.Event()

    def start(self, write):
        def first():
            with transaction.atomic():
                write("first")
                self.begun.set()
                assert self.go_on.wait(20)

        def second():
            assert self.begun.wait(20)
            with transaction.atomic():
                write("second")
            self.committed.set()

        self.threads = [in_thread(first), in_thread(second)]
        assert self.begun.wait(20)

    def finish(self):
        self.go_on.set()
        for thread in self.threads:
            thread.join(20)
        assert self.committed.is_set()


def insert(client_pk, text, sequence, moment):
    return Message.objects.create(
        client_id=client_pk,
        sequence=sequence,
        created_at=moment,
        type=MessageType.HUMAN_RESPONSE,
        route="push",
        question_id=make_question_id(),
        data={"replies": [], "answer": text},
        status="NOT_SENT",
        status_changed_at=moment,
    )


@pytest.fixture
def row_locks():
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time: nobody overtakes")


def test_a_poller_skips_nothing_when_a_transaction_is_overtaken(channel, listen, row_locks):
    with site() as (address, _):
        listener = listen(address)
        overtaking = Overtaking(Client.objects.get())

        def write(text):
            client = Client.objects.select_related("channel").get()
            pushes.push(client=client, replies=[{"type": "text", "text": text}], type=MessageType.HUMAN_RESPONSE)

        overtaking.start(write)
        waits_for_lock = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"

        def second_waits():
            with connection.cursor() as cursor:
                cursor.execute(waits_for_lock)
                return cursor.fetchone()[0]

        wait_until(second_waits, what="the second writer's wait for its turn")
        before = listener.poll()
        overtaking.finish()

        assert before["events"] == []
        assert drain(listener, before["cursor"], until="second") == ["first", "second"]


def test_a_cursor_of_bare_ids_would_skip_the_overtaken_one(channel, row_locks):
    client = client_for(channel=channel, client_id="ann")
    overtaking = Overtaking(client)
    numbers = iter((1, 2))
    overtaking.start(lambda text: insert(client.pk, text, next(numbers), timezone.now()))
    seen, cursor = [], 0

    def read():
        nonlocal cursor
        for message in Message.objects.filter(client=client, pk__gt=cursor).order_by("pk"):
            seen.append(message.data["answer"])
            cursor = message.pk

    assert overtaking.committed.wait(20)
    read()
    overtaking.finish()
    read()

    assert [message.data["answer"] for message in Message.objects.order_by("pk")] == ["first", "second"]
    assert seen == ["second"]


# The layer's server


def test_with_the_layer_down_the_sweep_finds_the_news_and_requests_are_answered(listen):
    dead = f"redis://127.0.0.1:{free_port()}"
    with site(env={"REDIS_URL": dead}) as (address, _):
        listener = listen(address)
        waiting = listener.start()

        say("ann", "found by looking")
        answer = httpx.post(listener.base, json={"clientId": "bob", "query": "hi"}, timeout=10)

        assert answers(waiting.result(timeout=15)) == ["found by looking"]
        assert answer.status_code == 200


def test_with_the_layer_down_events_are_late_by_a_sweep_at_most(listen):
    sweep = 1
    dead = f"redis://127.0.0.1:{free_port()}"
    with site(env={"REDIS_URL": dead}, EVENTS_SWEEP=sweep) as (address, _):
        listener = listen(address)

        def delay(number):
            """How late an event is that is published just after a sweep has found the one before."""
            waiting = listener.start(cid=str(number), cursor=listener.poll(all="true")["cursor"])
            say("ann", str(number))
            said = time.monotonic()
            assert answers(waiting.result()) == [str(number)]
            return time.monotonic() - said

        # On a machine with other work any of them may be later.
        rounds = ([delay(3 * turn + n) for n in range(3)] for turn in range(4))
        assert any(max(delays) < sweep + 1 for delays in rounds)


@pytest.mark.parametrize("fault", ["killed", "flushed", "paused"])
def test_nudges_work_again_after_the_layers_server_was(fault, listen, settings):
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(layer_server())
        url = server.connection_url
        env = {"REDIS_URL": url, "CHATAPI_TEST_RENEW": "0.5"}
        address, _ = stack.enter_context(site(env=env, EVENTS_SWEEP=NEVER))
        listener = listen(address)
        settings.CHANNEL_LAYERS = redis_layer(url)
        wait_until(lambda: hears_nudges(listener), what="the first nudge")
        cursor = listener.poll()["cursor"]
        if fault == "killed":
            port = server.port
            server.terminate()
            say("ann", "in the dark")
            stack.enter_context(valkey_server(port))
        elif fault == "flushed":
            command(server.port, "FLUSHALL")
            say("ann", "in the dark")
        else:
            command(server.port, "CLIENT PAUSE 3000 ALL")
            say("ann", "in the dark")

        assert drain(listener, cursor, until="in the dark") == ["in the dark"]
        wait_until(lambda: hears_nudges(listener), seconds=40, what="nudging")


#: How long the layer's server is down, in seconds: longer than a nudge may take to be sent.
DOWN = 10


def test_a_layer_that_is_down_for_long_delays_but_loses_nothing(listen, settings):
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(layer_server())
        env = {"REDIS_URL": server.connection_url}
        sweeping, _ = stack.enter_context(site(env=env))  # as often as by default
        # Back in the layer's groups it comes without the renewal that would be due some time.
        hearing, _ = stack.enter_context(site(env={**env, "CHATAPI_TEST_RENEW": str(NEVER)}, EVENTS_SWEEP=NEVER))
        threads = stack.enter_context(ThreadPoolExecutor(2))
        settings.CHANNEL_LAYERS = redis_layer(server.connection_url)
        ann, bob, told = listen(sweeping), listen(sweeping, "bob"), listen(hearing)
        wait_until(lambda: hears_nudges(told), what="the first nudge")
        # Polls that end by themselves only after the test has lost its patience: what they bring, a sweep found.
        reading = [
            threads.submit(drain, reader, reader.poll()["cursor"], until="last", timeout=28)
            for reader in (ann, bob)
        ]

        port = server.port
        server.terminate()
        killed = time.monotonic()
        said = ["0", "1", "2", "3", "last"]
        for second, text in enumerate(said):
            # Over a whole period of the sweep: more than one finds something.
            wait_until(lambda second=second: time.monotonic() >= killed + second, what="the next second")
            say("ann", text)
            say("bob", text)
        received = [reader.result(timeout=15) for reader in reading]
        # A wait for the clock: the length of the fault is what is tested. All came before the layer was back.
        wait_until(lambda: time.monotonic() >= killed + DOWN, what="the end of the fault")
        stack.enter_context(valkey_server(port))

        assert received == [said, said]
        wait_until(lambda: hears_nudges(told), seconds=40, what="nudging")


#: How many messages the sender lets wait in the layer for one process.
CAPACITY = 10
#: A connection each: the server may close an idle one just as it is used again.
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=0)


@pytest.mark.parametrize("found_by", ["the sweep", "later nudges"])
def test_a_burst_past_the_layers_capacity_loses_nudges_but_no_events(found_by, channel, settings, caplog):
    clients = [f"c{number}" for number in range(5 * CAPACITY)]
    for client_id in clients:
        client_for(channel=channel, client_id=client_id)
    sweep = {} if found_by == "the sweep" else {"EVENTS_SWEEP": NEVER}
    with contextlib.ExitStack() as stack:
        valkey = stack.enter_context(layer_server())
        settings.CHANNEL_LAYERS = redis_layer(valkey.connection_url, capacity=CAPACITY)
        layer = stack.enter_context(redis.Redis.from_url(valkey.connection_url))
        threads = stack.enter_context(ThreadPoolExecutor(len(clients)))
        http = stack.enter_context(httpx.Client(timeout=80, limits=LIMITS))
        address, running = stack.enter_context(site(env={"REDIS_URL": valkey.connection_url}, **sweep))

        def poll(client_id, **query):
            query = {"clientId": client_id, "timeout": 60, **query}
            return http.get(f"{address}/chatapi/{channel.token}/events", params=query).json()

        held = {client_id: threads.submit(poll, client_id) for client_id in clients}
        wait_until(lambda: Connection.objects.count() == len(clients), what="the polls' begin")
        wait_until(lambda: len(groups(layer)) == SHARDS, what="the server's memberships")
        assert poll(clients[0], cid="comes behind all others", timeout=0)["events"] == []
        os.kill(running.pid, signal.SIGSTOP)
        with caplog.at_level("INFO", "channels_redis.core"):
            for client_id in clients:
                say(client_id, "first")
                nudges._flush()  # or several would go as one
            wait_until(lambda: caplog.text.count("over capacity") >= CAPACITY, what="the loss of nudges")
        [queue] = layer.keys("asgichatapi.*!")
        assert layer.zcard(queue) == CAPACITY
        os.kill(running.pid, signal.SIGCONT)

        if found_by == "the sweep":
            received = {client_id: answers(poll.result()) for client_id, poll in held.items()}
            assert received == {client_id: ["first"] for client_id in clients}
            return
        wait_until(lambda: layer.zcard(queue) == 0, what="the receipt of what the layer took")
        deaf = 0
        for client_id in clients:
            say(client_id, "second")
            body = held[client_id].result()
            received = answers(body)
            deaf += len(received) == 2
            if len(received) < 2:
                received += answers(poll(client_id, cursor=body["cursor"]))
            assert received == ["first", "second"]
        assert deaf >= CAPACITY  # the loss was one: of the first they heard only with the second


def groups(layer):
    """The groups of which the layer knows members."""
    return layer.keys("asgi:group:chatapi.events.*")


def test_an_expired_membership_is_renewed_and_meanwhile_the_sweep_looks(listen, settings):
    with contextlib.ExitStack() as stack:
        valkey = stack.enter_context(layer_server())
        settings.CHANNEL_LAYERS = redis_layer(valkey.connection_url)
        layer = stack.enter_context(redis.Redis.from_url(valkey.connection_url))
        env = {"REDIS_URL": valkey.connection_url}

        address, _ = stack.enter_context(site(env={**env, "CHATAPI_TEST_RENEW": str(NEVER)}, EVENTS_SWEEP=1))
        waiting = listen(address).start()
        wait_until(lambda: len(groups(layer)) == SHARDS, what="the memberships")
        layer.delete(*groups(layer))
        say("ann", "nobody is told")
        assert answers(waiting.result()) == ["nobody is told"]
        assert groups(layer) == []

        address, _ = stack.enter_context(site(env={**env, "CHATAPI_TEST_RENEW": "1"}, EVENTS_SWEEP=NEVER))
        told = listen(address)
        wait_until(lambda: hears_nudges(told), what="the first nudge")
        layer.delete(*groups(layer))
        wait_until(lambda: len(groups(layer)) == SHARDS, what="the renewal")
        wait_until(lambda: hears_nudges(told), what="nudging")


def command(port, line):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as valkey:
        valkey.sendall(f"{line}\r\n".encode())
        assert valkey.recv(64).startswith(b"+OK")


# The database's server


MAKE_CHANNEL = """
from django_chatapi.actions import channels
print(channels.create(name="Restarted", bot="echo").token)
"""


@pytest.fixture
def own_postgresql():
    with postgresql_server() as server:
        yield server


def test_a_restart_of_the_database_costs_waiters_at_most_an_empty_answer(own_postgresql):
    url = own_postgresql.url

    def manage(*args):
        run = [sys.executable, "manage.py", *args]
        done = subprocess.run(run, cwd=ROOT, env=environment(DATABASE_URL=url), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    manage("migrate")
    token = manage("shell", "--no-imports", "-c", MAKE_CHANNEL)[-1]
    with site(env={"DATABASE_URL": url}, EVENTS_SWEEP=NEVER) as (address, _), ThreadPoolExecutor(20) as threads:
        path = f"{address}/chatapi/{token}"

        def send(query):
            return httpx.post(path, json={"clientId": "ann", "query": query}, timeout=20)

        def poll(cid, **query):
            params = {"clientId": "ann", "cid": cid, "all": "true", **query}
            return httpx.get(f"{path}/events", params=params, timeout=80)

        def opened():
            with psycopg.connect(url) as database:
                held = "SELECT count(*) FROM django_chatapi_connection WHERE connection_id LIKE 'held-%'"
                return database.execute(held).fetchone()[0]

        def returned():
            with contextlib.suppress(httpx.TransportError):
                return send("after").status_code == 200

        assert send("before").status_code == 200
        cursor = poll("first", timeout=0).json()["cursor"]
        held = [threads.submit(poll, f"held-{n}", cursor=cursor, timeout=60) for n in range(12)]
        wait_until(lambda: opened() == 12, what="the polls' begin")
        # What is left to do for them is done before one that comes behind them is answered.
        assert poll("last", cursor=cursor, timeout=1).status_code == 200
        own_postgresql.restart()

        wait_until(returned, what="the database's return")
        results = [waiting.result(timeout=80) for waiting in held]
        later = [poll(f"later-{n}", cursor=cursor, timeout=0) for n in range(12)]

    assert {response.status_code for response in results} == {200}
    assert {response.status_code for response in later} == {200}
    for response in results:
        assert set(answers_of(response)) <= {"after"}
    for response in later:
        assert set(answers_of(response)) == {"after"}


def answers_of(response):
    return [item["event"]["data"]["answer"] for item in response.json()["events"] if item["type"] != "request"]


@pytest.mark.parametrize("error", [OperationalError, InterfaceError], ids=lambda error: error.__name__)
@pytest.mark.parametrize("failing", ["read", "written"])
def test_a_database_that_is_away_costs_callers_no_error(failing, error, channel, monkeypatch, one_database_thread):
    client_for(channel=channel, client_id="ann")
    say("ann", "hello")

    def fail(*args):
        raise error

    monkeypatch.setattr(Poll, failing, fail)
    path = f"/chatapi/{channel.token}/events"

    sent = asyncio.run(call(path, b"clientId=ann&timeout=0"))
    response = DjangoClient().get(path, {"clientId": "ann", "timeout": 0})

    said = [] if failing == "read" else ["hello"]
    assert sent[0]["status"] == response.status_code == 200
    assert answers(json.loads(b"".join(message["body"] for message in sent[1:]))) == said
    assert answers(json.loads(response.getvalue())) == said


# A message at every point of the way of a poll

POINTS = ["before register", "after register", "before read", "after read", "before wait", "in wait"]


@pytest.mark.parametrize("point", POINTS)
def test_what_is_published_at_any_point_of_a_poll_is_received(
    point, channel, settings, monkeypatch, one_database_thread
):
    settings.CHATAPI = {**settings.CHATAPI, "EVENTS_SWEEP": NEVER}
    client_for(channel=channel, client_id="ann")
    left = [point]

    def publish_at(place):
        if left == [place]:
            left.clear()
            in_thread(lambda: say("ann", "here")).join()

    register, read, wait = Hub.register, Poll.read, Waiter.wait

    def registering(hub, *args):
        publish_at("before register")
        waiter = register(hub, *args)
        publish_at("after register")
        return waiter

    def reading(poll):
        publish_at("before read")
        feed = read(poll)
        publish_at("after read")
        return feed

    async def waiting(waiter, seconds):
        publish_at("before wait")
        asyncio.get_running_loop().call_soon(publish_at, "in wait")
        return await wait(waiter, seconds)

    monkeypatch.setattr(Hub, "register", registering)
    monkeypatch.setattr(Poll, "read", reading)
    monkeypatch.setattr(Waiter, "wait", waiting)

    sent = asyncio.run(call(f"/chatapi/{channel.token}/events", b"clientId=ann&timeout=30"))

    body = json.loads(b"".join(message["body"] for message in sent[1:]))
    assert (sent[0]["status"], answers(body), left) == (200, ["here"], [])
