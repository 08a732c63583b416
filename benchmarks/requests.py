"""How fast ``POST {token}`` is, beside the least that could do the same: ``python benchmarks/requests.py``."""

import argparse
import json
import statistics
import subprocess
import sys
from typing import Any

from common import ROOT, THREADS, Server, describe_machine, postgresql, served, set_up, spread

from benchmarks import load
from benchmarks.layers import print_layers

CONNECTIONS = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="rounds; each measures both, one after the other")
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="callers at the same time")
    parser.add_argument("--cid", action="store_true", help="name a connection in each request")
    parser.add_argument("--profile", action="store_true", help="only show where the time of a POST goes")
    options = parser.parse_args()
    body = {"query": "Where is my order?", **({"cid": "tab-1"} if options.cid else {})}
    with postgresql() as url:
        set_up(url)
        token = make_site(options.connections)
        paths = {"chatapi": f"/chatapi/{token}", "floor": f"/floor/{token}"}
        print(describe_machine())
        check_answers(paths, body)
        print_queries(paths, body)
        if options.profile:
            print_layers(paths, {"clientId": load.client_id(0, 0), **body})
            return
        with served("wsgi") as server:
            rounds = measure(server, paths, body, options)
    report(rounds)


def make_site(connections: int) -> str:
    """A channel with the echo bot and the clients that the load generator speaks for; give its token."""
    from django_chatapi.actions import channels
    from django_chatapi.models import Client

    channel = channels.create(name="Benchmark", bot="echo")
    ids = [load.client_id(connection, turn) for connection in range(connections) for turn in range(load.CLIENTS)]
    Client.objects.bulk_create([Client(channel=channel, client_id=client_id) for client_id in ids])
    return channel.token


def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    from django.test import Client

    response = Client().post(path, body, content_type="application/json", headers={"host": "localhost"})
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def check_answers(paths: dict[str, str], body: dict[str, Any]) -> None:
    """Both say the same, and leave the same rows behind."""
    from django_chatapi.models import Message

    answers, rows = {}, {}
    for name, path in paths.items():
        post(path, {"clientId": load.client_id(0, 1), **body})  # starts the session
        answer = post(path, {"clientId": load.client_id(0, 1), **body})
        messages = Message.objects.filter(question_id=answer["questionId"]).order_by("sequence")
        varying = {"id", "sequence", "created_at", "status_changed_at", "question_id"}
        rows[name] = [
            {key: value for key, value in row.items() if key not in varying} for row in messages.values()
        ]
        answers[name] = {**answer, "questionId": None, "timestamp": None}
    assert answers["chatapi"] == answers["floor"], answers
    assert rows["chatapi"] == rows["floor"], rows


def print_queries(paths: dict[str, str], body: dict[str, Any]) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    for name, path in paths.items():
        with CaptureQueriesContext(connection) as captured:
            post(path, {"clientId": load.client_id(0, 2), **body})
        statements = [query["sql"] for query in captured]
        turns = [statement for statement in statements if statement.startswith(("BEGIN", "COMMIT"))]
        print(f"{name:8} {len(statements) - len(turns)} queries per POST, and {len(turns)} of BEGIN and COMMIT")


def measure(
    server: Server, paths: dict[str, str], body: dict[str, Any], options: argparse.Namespace
) -> list[dict[str, dict[str, Any]]]:
    """Rounds of one measurement of each, after a round that does not count."""
    print(f"granian, 1 worker, {THREADS} threads; {options.connections} connections; {options.seconds:g} s each")
    rounds = []
    for number in range(options.rounds + 1):
        order = sorted(paths, reverse=number % 2 == 0)
        done = {name: run_load(server, paths[name], body, options) for name in order}
        if number == 0:
            continue
        rounds.append(done)
        rates = {name: done[name]["rate"] for name in paths}
        print(
            f"round {number}: "
            + ", ".join(f"{name} {rate:.0f}/s" for name, rate in rates.items())
            + f", ratio {rates['chatapi'] / rates['floor']:.3f}",
            flush=True,
        )
    return rounds


def run_load(server: Server, path: str, body: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    arguments = [str(server.port), path, str(options.connections), str(options.seconds), json.dumps(body)]
    command = [sys.executable, "-m", "benchmarks.load", *arguments]
    before = server.cpu_seconds()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=options.seconds + 60)
    spent = server.cpu_seconds() - before
    result: dict[str, Any] = json.loads(done.stdout)
    return {**result, "server_cpu": spent * 1000 / len(result["latencies"])}


def report(rounds: list[dict[str, dict[str, Any]]]) -> None:
    for name in ("chatapi", "floor"):
        latencies = [latency for done in rounds for latency in done[name]["latencies"]]
        cuts = statistics.quantiles(latencies, n=100)
        print(
            f"{name:8} {spread([done[name]['rate'] for done in rounds])} POST/s; "
            f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms; "
            f"{statistics.median(done[name]['server_cpu'] for done in rounds):.2f} ms of the server's CPU each; "
            f"generator {max(done[name]['cpu'] for done in rounds):.0%} of a core"
        )
    ratios = [done["chatapi"]["rate"] / done["floor"]["rate"] for done in rounds]
    of_cpu = [done["floor"]["server_cpu"] / done["chatapi"]["server_cpu"] for done in rounds]
    print(f"ratio    {spread(ratios, 2)} of the rates, {spread(of_cpu, 2)} of the CPU time; aim: at least 0.75")


if __name__ == "__main__":
    main()
