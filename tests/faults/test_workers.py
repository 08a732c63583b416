"""Workers, brokers and web processes that are killed or gone: what was stored reaches the webhook all the same."""

import contextlib
import datetime as dt
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import amqp
import httpx
import kombu
import pytest
import redis
from django.utils import timezone

from django_chatapi.actions import requests
from django_chatapi.actions.turns import client_for
from django_chatapi.constants import Route
from django_chatapi.models import Delivery, Message
from tests.faults.conftest import expire_leases, kill, say, valkey
from tests.servers import free_port, printed, valkey_server, wait_until
from tests.sinks import PATIENT

pytestmark = pytest.mark.django_db(transaction=True)


def ask(channel, query, client_id="ann"):
    """Store an asynchronous request, as POST …/async does."""
    return requests.accept(channel=channel, client_id=client_id, query=query, route=Route.ASYNC).request


def post(address, query, client_id="ann"):
    """POST …/async."""
    response = httpx.post(f"{address}/async", json={"clientId": client_id, "query": query}, timeout=60)
    assert response.status_code == 200, response.text


def runs(pid):
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


# Killed workers


@pytest.mark.parametrize("pool, victim", [("prefork", "children"), ("prefork", "parent"), ("threads", "all")])
def test_what_a_killed_worker_had_in_hand_is_done_by_another(site, hook, make_sink, pool, victim):
    site.chatapi |= PATIENT  # no lease ends before the test says so
    receivers = {name: make_sink() for name in ("thinking", "before", "middle", "after")}
    channels = {name: hook(receiver, name=name, bot="moody") for name, receiver in receivers.items()}
    held = threading.Event()
    receivers["middle"].reply = lambda arrival: 200 if held.wait(60) else 500
    ask(channels["thinking"], "thinking waits")
    for name in ("before", "middle", "after"):
        say(channels[name], f"said {name}")

    def reached():
        before = [note for note in site.gate.notes("attempts") if note[0] != "after"]
        return dict([*site.gate.notes("thinking"), *before, *site.gate.notes("posted")])

    with site.worker(pool, concurrency=4) as worker:
        wait_until(lambda: len(reached()) == 4 and receivers["middle"].arrivals, 40, "the four points")
        assert [len(receiver.arrivals) for receiver in receivers.values()] == [0, 0, 1, 1]
        assert not Message.objects.filter(status="SENT").exists()
        workers = set(reached().values())
        if pool == "prefork":
            assert len(workers) == 4
            assert worker.pid not in workers
        else:
            assert workers == {worker.pid}
        holders = [
            *Delivery.objects.filter(state="pending").values_list("lease_holder", flat=True),
            *Message.objects.filter(answer_state="pending").values_list("lease_holder", flat=True),
        ]

        def taken_over():
            """Whether others have come as far, now that the leases of these have ended."""
            for model in (Delivery, Message):
                model.objects.filter(lease_holder__in=holders).update(lease_expires_at=timezone.now())
            return not workers & set(reached().values())

        with contextlib.ExitStack() as another:
            if victim == "children":
                for pid in workers:
                    os.kill(pid, signal.SIGKILL)
            elif victim == "parent":
                worker.kill()
                worker.wait()
            else:
                kill(worker)
            if victim != "children":
                another.enter_context(site.worker("threads", concurrency=4))
            wait_until(taken_over, 40, "the others")
            assert not any(map(runs, workers))  # children end with their parent
            site.gate.open()
            site.gate.release()
            held.set()
            deliveries = Delivery.objects.filter(state="accepted")
            wait_until(lambda: deliveries.count() == 4, 40, "the acceptance of all four")

    for name, receiver in receivers.items():
        # One array, again and again the same.
        assert len({(arrival.webhook_id, arrival.body) for arrival in receiver.arrivals}) == 1
        assert set(receiver.answers) == {"answer to thinking waits" if name == "thinking" else f"said {name}"}
    assert [len(receiver.arrivals) for receiver in receivers.values()] == [1, 1, 2, 2]
    assert site.gate.asked() == ["thinking waits"] * 2
    # Only who held the lease has written down what came of it.
    assert set(deliveries.values_list("attempts", flat=True)) == {1}
    assert set(Message.objects.exclude(type="request").values_list("status", flat=True)) == {"SENT"}
    assert Message.objects.exclude(type="request").count() == 4


# Killed and cut off publishers


def test_what_a_process_committed_and_told_nobody_about_is_found_by_the_sweep(site, hook, make_sink, broker):
    receiver, of_agent = make_sink(), make_sink()
    hook(receiver)
    channel = hook(of_agent)
    client_for(channel=channel, client_id="bob")
    die = site.gate.folder / "die"
    with site.server("wsgi") as (address, running):
        die.touch()
        with pytest.raises(httpx.TransportError):
            post(address, "one")
        assert running.wait(timeout=20) == -signal.SIGKILL
    say_it = ["chatapi_say", "--channel", channel.token, "--client", "bob", "two"]
    assert site.command(*say_it) == -signal.SIGKILL
    die.unlink()
    assert Message.objects.filter(type="request").values_list("query", "answer_state").get() == ("one", "pending")
    assert Delivery.objects.values_list("channel", "state").get() == (channel.pk, "pending")
    with redis.Redis.from_url(broker.connection_url) as queue:
        assert queue.llen("celery") == 0
    with site.worker():
        wait_until(lambda: receiver.answers and of_agent.answers, what="both")
    assert (receiver.answers, of_agent.answers) == (["one"], ["two"])


def test_a_broker_that_dies_costs_no_caller_anything(site, hook, make_sink):
    receiver = make_sink()
    channel = hook(receiver)
    with contextlib.ExitStack() as first_broker:
        broker = first_broker.enter_context(valkey())
        site.more["REDIS_URL"] = broker.connection_url
        with site.server("asgi") as (address, _running), supervised_worker(site) as workers:
            post(address, "first")
            receiver.wait_for(1)
            os.kill(broker._process.pid, signal.SIGKILL)
            broker._process.wait()
            # Who sent the first one looks for more before it is done: it would find what is said below.
            wait_until(lambda: all(map(has_delivered, workers)), what="the end of the delivery")
            # The broker does not come back before they are answered.
            for number in range(5):
                post(address, f"query {number}", f"client {number}")
            say(channel, "said here")
            assert site.command("chatapi_say", "--channel", channel.token, "--client", "ann", "said there") == 0
            assert len(receiver.arrivals) == 1
            with valkey_server(broker.port):
                wait_until(lambda: len(receiver.answers) == 8, 60, "all that was said meanwhile")
                post(address, "last")
                wait_until(lambda: receiver.answers[-1] == "last", what="the last answer")
    ann = [item["data"]["answer"] for item in receiver.items if item["clientId"] == "ann"]
    assert ann == ["first", "said here", "said there", "last"]
    assert sorted({*receiver.answers} - {*ann}) == [f"query {number}" for number in range(5)]


def test_a_broker_that_never_answers_costs_no_caller_anything(site, hook, make_sink):
    receiver = make_sink()
    channel = hook(receiver)
    port = free_port()
    with socket.create_server(("127.0.0.1", port), backlog=100):
        site.more["REDIS_URL"] = f"redis://127.0.0.1:{port}"
        with site.server("wsgi") as (address, _running):
            # Who waits for this broker waits for ever.
            for number in range(5):
                post(address, f"query {number}", f"client {number}")
        assert Message.objects.filter(type="request").count() == 5
        say(channel, "known", "ann")
        assert site.command("chatapi_say", "--channel", channel.token, "--client", "ann", "said there") == 0
    with valkey_server(port), site.worker():
        wait_until(lambda: len(receiver.answers) == 7, 40, "all that was said meanwhile")
    assert sorted(receiver.answers) == ["known", *(f"query {number}" for number in range(5)), "said there"]


@contextlib.contextmanager
def supervised_worker(site):
    """A worker that is started again whenever it ends, as a site's supervisor does it. Gives whichever runs.

    When the broker dies in just the wrong moment, Celery's worker ends with an error of its own.
    """
    over, running = threading.Event(), []

    def supervise():
        while not over.is_set():
            with site.worker("threads") as worker:
                running[:] = [worker]
                while worker.poll() is None and not over.wait(0.1):
                    pass
                running.clear()

    supervisor = threading.Thread(target=supervise)
    supervisor.start()
    try:
        yield running
    finally:
        over.set()
        supervisor.join()


def has_delivered(worker):
    """Whether every task to deliver that the worker has taken is over."""
    log = printed(worker)
    taken, over = (re.findall(rf"deliver_webhooks\[\S+\] {end}", log) for end in ("received", "succeeded"))
    return len(taken) == len(over)


# Bots in workers


def test_a_bot_that_fails_is_asked_again_and_the_next_request_waits_for_it(site, hook, make_sink):
    receiver = make_sink()
    site.chatapi |= {"BOT_RETRY_DELAY": 0.3}
    channel = hook(receiver, bot="moody")
    queries = ["first fails 2", "second", "third fails 99", "fourth"]
    for query in queries:
        ask(channel, query)
    with site.worker("threads"):
        wait_until(lambda: len(receiver.items) == 4, what="four answers")

    assert site.gate.asked() == [*["first fails 2"] * 3, "second", *["third fails 99"] * 3, "fourth"]
    assert [item["query"] for item in receiver.items] == queries
    first, second, third, fourth = (item["data"] for item in receiver.items)
    assert (third["replies"], third["error"]) == ([], "bot_failed")
    assert [data["answer"] for data in (first, second, fourth)] == [
        "answer to first fails 2", "answer to second", "answer to fourth",
    ]  # fmt: skip
    assert not any("error" in data for data in (first, second, fourth))
    states = Message.objects.filter(type="request").order_by("sequence").values_list("answer_state", flat=True)
    assert list(states) == ["answered", "answered", "failed", "answered"]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_client_whose_bot_thinks_holds_up_no_other(site, hook, make_sink, pool):
    site.chatapi |= {"ANSWER_LEASE": 6.0}
    receiver = make_sink()
    channel = hook(receiver, bot="moody")
    ask(channel, "long waits", "ann")
    ask(channel, "after it", "ann")
    with site.worker(pool):
        wait_until(lambda: site.gate.asked() == ["long waits"], what="the thinking bot")
        for number in range(3):
            ask(channel, f"short {number}", "bob")
        wait_until(lambda: len(receiver.items) == 3, what="the answers to bob")
        # Longer than the lease: it is kept, and nobody else asks for ann.
        long = Message.objects.filter(query="long waits")
        much_later = long.get().lease_expires_at + dt.timedelta(seconds=2)
        wait_until(lambda: long.get().lease_expires_at > much_later, what="a lease that is kept")
        assert site.gate.asked().count("long waits") == 1
        site.gate.open()
        wait_until(lambda: len(receiver.items) == 5, what="the answers to ann")
    assert receiver.answers[:3] == [f"answer to short {number}" for number in range(3)]
    assert receiver.answers[3:] == ["answer to long waits", "answer to after it"]
    assert len(site.gate.asked()) == 5


# Another broker


@pytest.fixture
def rabbitmq(site, tmp_path):
    """A RabbitMQ node of the test's own."""
    server = shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin") or shutil.which("rabbitmq-server")
    epmd = shutil.which("epmd")
    if server is None or epmd is None:
        pytest.skip("rabbitmq-server is not installed")
    port = free_port()
    folder = tmp_path / "rabbitmq"
    folder.mkdir()
    env = {
        "HOME": str(folder),
        "ERL_CRASH_DUMP": str(folder / "crash"),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(free_port()),
        "RABBITMQ_NODENAME": f"chatapi{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "env"),
    }
    with (folder / "output").open("wb") as output:
        # The port mapper beside it: one that the node starts itself would stay behind.
        running = subprocess.Popen(
            ["/bin/sh", "-c", '"$0" & exec "$1"', epmd, server],
            cwd=folder, env={**os.environ, **env}, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        address = f"amqp://guest:guest@127.0.0.1:{port}//"
        wait_until(lambda: running.poll() is not None or speaks_amqp(address), 60, "the broker's start")
        assert running.poll() is None, "the broker ended"
        site.more["CHATAPI_TEST_BROKER"] = address
        yield
    finally:
        kill(running)
        # Shown when the test fails.
        print((folder / "output").read_text(errors="replace"))


def speaks_amqp(address):
    """An open port alone may be anybody's."""
    with contextlib.suppress(OSError, amqp.AMQPError), kombu.Connection(address, connect_timeout=5) as connection:
        connection.connect()
        return True
    return False


def test_with_rabbitmq_as_the_broker(site, hook, make_sink, rabbitmq):
    receiver = make_sink()
    hook(receiver, bot="moody")
    with site.server("wsgi") as (address, _running):
        with site.worker() as worker:
            post(address, "first")
            receiver.wait_for(1)
            post(address, "second waits")
            wait_until(lambda: "second waits" in site.gate.asked(), what="the thinking bot")
            post(address, "third")
            kill(worker)
        site.gate.open()
        expire_leases()
        with site.worker("threads"):
            accepted = Message.objects.filter(type="botResponse", status="SENT")
            wait_until(lambda: accepted.count() == 3, 40, "all answers")
    assert list(dict.fromkeys(receiver.answers)) == [
        "answer to first", "answer to second waits", "answer to third",
    ]  # fmt: skip
    assert site.gate.asked() == ["first", "second waits", "second waits", "third"]
