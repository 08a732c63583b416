"""How history and unread count behave as a client's history grows: ``python benchmarks/history.py``."""

import argparse
import datetime as dt
import http.client
import json
import os
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from common import Server, describe_machine, postgresql, served, set_up

Result = TypeVar("Result")

#: Messages of the one client in each database.
SMALL, STREAMED, LARGE = 10**4, 10**5, 10**6
UNREAD = 100
LIMIT = 100
#: How long the slow reader reads nothing, in seconds: enough for the server to make all of the history.
PAUSE = 25.0
MIB = 2**20

#: Requests and answers in turn, a second apart. The answers are read, all but the last ones.
FILL = """
INSERT INTO django_chatapi_message (
    client_id, sequence, created_at, type, route, question_id, query, data, block_form, status, status_changed_at,
    raw_request, new_session, answer_state, failure, ask_count, body_digest
)
SELECT
    %(client)s, n, timestamptz '2022-01-01 00:00Z' + n * interval '1 second',
    CASE WHEN answer THEN 'botResponse' ELSE 'request' END, 'response',
    ('01800000-0000-7000-8000-' || lpad(to_hex((n + 1) / 2), 12, '0'))::uuid, 'Where is my order?',
    CASE WHEN answer THEN %(data)s END, false,
    CASE WHEN answer THEN CASE WHEN n > %(messages)s - 2 * %(unread)s THEN 'SENT' ELSE 'READ' END END,
    CASE WHEN answer THEN now() END, CASE WHEN NOT answer THEN %(raw_request)s END, n = 1,
    CASE WHEN NOT answer THEN 'answered' END, '', CASE WHEN answer THEN 0 ELSE 1 END, ''
FROM (SELECT n, n %% 2 = 0 AS answer FROM generate_series(1, %(messages)s) AS n) AS numbers
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="rounds; each measures both sizes")
    parser.add_argument("--calls", type=int, default=20, help="calls of each kind in a round")
    options = parser.parse_args()
    with postgresql() as url:
        set_up(url)
        print(describe_machine())
        tokens = {messages: make_site(messages) for messages in (SMALL, STREAMED, LARGE)}
        compare_sizes(tokens, options)
        for kind, name in (("wsgi", "granian (WSGI)"), ("asgi", "uvicorn (ASGI)")):
            print_streaming(kind, name, tokens[STREAMED])


def use_database(messages: int) -> None:
    """Point this process, and the servers it starts, to the database with that many messages."""
    from django.db import connection

    name = f"messages_{messages}"
    connection.close()
    connection.settings_dict["NAME"] = name
    base, _, query = os.environ["DATABASE_URL"].partition("?")
    os.environ["DATABASE_URL"] = f"{base.rpartition('/')[0]}/{name}?{query}"


def make_site(messages: int) -> str:
    """A database of its own, with a channel and a client with that many messages; give the channel's token."""
    from django.core.management import call_command
    from django.db import connection

    from django_chatapi.actions import channels
    from django_chatapi.models import Client

    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE messages_{messages}")
    use_database(messages)
    call_command("migrate", verbosity=0)
    channel = channels.create(name="Benchmark", bot="echo")
    client = Client.objects.create(channel=channel, client_id="client", last_sequence=messages)
    reply = {"type": "text", "text": "Your order left our house this morning."}
    data = {
        "nlpClass": "/Orders/Where",
        "confidence": 0.93,
        "replies": [reply],
        "answer": reply["text"],
        "newSessionStarted": False,
        "debugData": [],
        "endSession": False,
    }
    values = {
        "client": client.pk,
        "messages": messages,
        "unread": UNREAD,
        "data": json.dumps(data),
        "raw_request": json.dumps({"clientId": "client", "query": "Where is my order?"}),
    }
    with connection.cursor() as cursor:
        cursor.execute(FILL, values)
        cursor.execute("VACUUM ANALYZE")
    return channel.token


def compare_sizes(tokens: dict[int, str], options: argparse.Namespace) -> None:
    from django.db import connection

    print(f"median milliseconds of a call in this process, through Django's test client; {UNREAD} messages unread")
    print_calls({size: calls(tokens[size], size) for size in (SMALL, LARGE)}, options)
    for size in (SMALL, LARGE):
        use_database(size)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE django_chatapi_message SET status = 'SENT' WHERE type = 'botResponse'")
            cursor.execute("VACUUM ANALYZE")
    everything = {size: {"unread count": unread(tokens[size], size // 2)} for size in (SMALL, LARGE)}
    print("the same when no answer was ever read (what is counted grows a hundredfold)")
    print_calls(everything, options)


def calls(token: str, messages: int) -> dict[str, Callable[[], None]]:
    """The calls to measure, by name; each checks that it got what it asked for."""
    from django_chatapi.wire.envelope import make_cursor

    begin = dt.datetime(2022, 1, 1) + dt.timedelta(seconds=messages - LIMIT + 1)
    return {
        "first page": history_page(token),
        "page in the middle, by cursor": history_page(token, cursor=make_cursor(messages // 2)),
        "last page, by from": history_page(token, **{"from": begin.isoformat(timespec="milliseconds")}),
        "unread count": unread(token, UNREAD),
    }


def history_page(token: str, **query: str) -> Callable[[], None]:
    path = f"/chatapi/{token}/client/client/history?{urlencode({'limit': LIMIT, **query})}"

    def call() -> None:
        assert len(get(path)["messages"]) == LIMIT

    return call


def unread(token: str, expected: int) -> Callable[[], None]:
    def call() -> None:
        assert get(f"/chatapi/{token}/client/client/message-not-read-count") == {"count": expected}

    return call


def get(path: str) -> dict[str, Any]:
    from django.test import Client

    answer: dict[str, Any] = Client(headers={"host": "localhost"}).get(path).json()
    return answer


def print_calls(sites: dict[int, dict[str, Callable[[], None]]], options: argparse.Namespace) -> None:
    """Measure the sizes in turn, so that what else the machine does falls on both."""
    times: dict[tuple[int, str], list[float]] = {}
    for _round in range(options.rounds):
        for size, site in sites.items():
            use_database(size)
            for name, call in site.items():
                call()
                times.setdefault((size, name), []).extend(timed(call) for _ in range(options.calls))
    for name in sites[SMALL]:
        small, large = (statistics.median(times[size, name]) for size in (SMALL, LARGE))
        print(f"  {name:30} {SMALL}: {small:7.2f}   {LARGE}: {large:7.2f}   ratio {large / small:.2f}")


def timed(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def print_streaming(kind: str, name: str, token: str) -> None:
    print(f"a history of {STREAMED} messages from {name}, in one response")
    use_database(STREAMED)
    cases = [
        ("streamed", f"/chatapi/{token}/client/client/history", 0.0),
        (f"reader stops for {PAUSE:g} s", f"/chatapi/{token}/client/client/history", PAUSE),
        ("control: one list", f"/control/{token}/client/client/history", 0.0),
    ]
    for case, path, pause in cases:
        with served(kind) as server:
            # What every process needs once is no growth: modules, statements, a thread and a connection.
            for _ in range(20):
                read(server.port, f"/chatapi/{token}/client/client/history?limit={LIMIT}")
            base = server.memory()
            began = time.perf_counter()
            body, peak = with_peak_memory(server, partial(read, server.port, path, pause))
            seconds = time.perf_counter() - began
        assert len(json.loads(body)["messages"]) == STREAMED
        rate = "" if pause else f"; {STREAMED / seconds:.0f} messages/s, {len(body) / MIB:.0f} MiB"
        print(f"  {case:24} memory {base / MIB:.1f} MiB + {(peak - base) / MIB:.1f} MiB{rate}")


def with_peak_memory(server: Server, call: Callable[[], Result]) -> tuple[Result, int]:
    """The call's result, and the most memory that the server was seen to have meanwhile, in bytes."""
    seen = [server.memory()]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            seen.append(server.memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        return call(), max(seen)
    finally:
        done.set()
        watcher.join()


def read(port: int, path: str, pause: float = 0.0) -> bytes:
    """GET; wait for that many seconds behind the headers, then read the rest."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", path)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    time.sleep(pause)
    body = response.read()
    connection.close()
    return body


if __name__ == "__main__":
    main()
