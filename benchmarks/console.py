"""How soon agents see what a client says, and what a console costs: ``python benchmarks/console.py``.

One server process, its layer on Valkey and its data on PostgreSQL. Clients who are with agents say something over
HTTP; consoles hear it over their sockets, and one of them is a real page in Chromium, where that is installed.
"""

import argparse
import contextlib
import http.client
import json
import shutil
import threading
import time
from collections.abc import Iterator
from typing import Any

from common import Server, describe_machine, postgresql, served, set_up  # isort: skip

from benchmarks.events import percentile, valkey, wait_until_idle

CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: How long the last of the messages may be under way, in seconds.
PATIENCE = 10
#: Notes when the page shows which message first: its texts are “message 17 of the benchmark”.
WATCH = """
() => {
    const seen = (window.seenMessages = {});
    const look = () => {
        for (const [, number] of document.body.innerText.matchAll(/message (\\d+) of the benchmark/g)) {
            seen[number] ??= Date.now();
        }
    };
    new MutationObserver(() => requestAnimationFrame(look)).observe(document.body, {
        childList: true, characterData: true, subtree: true,
    });
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--dialogs", type=int, default=200, help="open ones")
    parser.add_argument("--rate", type=float, default=20, help="messages a second")
    parser.add_argument("--seconds", type=float, default=15, help="of messages")
    parser.add_argument("--consoles", type=int, default=5, help="open ones")
    parser.add_argument("--idle", type=int, default=200, help="consoles for the memory of one")
    options = parser.parse_args()
    with postgresql() as database, valkey() as layer:
        set_up(database, redis_url=layer)
        token, clients, cookie = make_site(options.dialogs)
        print(describe_machine())
        print_queries(token, clients)
        with served("asgi") as server:
            measure_memory(server, cookie, options.idle)
            print(
                f"{options.dialogs} open dialogs, {options.rate:g} messages a second, {options.consoles} consoles"
            )
            with contextlib.ExitStack() as stack:
                page = stack.enter_context(browser(server, cookie)) if shutil.which("chromium") else None
                sockets = options.consoles - (page is not None)
                consoles = [stack.enter_context(Listening(server.port, cookie)) for _ in range(sockets)]
                if page is None:
                    print("page: skipped, Chromium is not installed")
                measure(server, token, clients, consoles, page, options)


def make_site(dialogs: int) -> tuple[str, list[str], str]:
    """A channel, an agent with that many open dialogs, and the agent's session cookie."""
    from django.contrib.auth import get_user_model
    from django.test import Client as HTTPClient

    from django_chatapi.actions import channels
    from django_chatapi.actions import dialogs as actions
    from django_chatapi.actions.turns import client_for

    channel = channels.create(name="Benchmark", bot="echo")
    agent = get_user_model().objects.create_superuser("agent", password="agent")
    clients = [f"client-{number}" for number in range(dialogs)]
    for client_id in clients:
        actions.take_client(client=client_for(channel=channel, client_id=client_id), agent=agent)
    http = HTTPClient(SERVER_NAME="localhost")
    http.force_login(agent)
    return channel.token, clients, http.cookies["sessionid"].value


def print_queries(token: str, clients: list[str]) -> None:
    """The queries that one message costs: of the request, of all consoles together, of a page that shows it."""
    from django.db import connection
    from django.test import Client as HTTPClient
    from django.test.utils import CaptureQueriesContext

    from django_chatapi import dialog_selectors
    from django_chatapi.models import Dialog

    http = HTTPClient(SERVER_NAME="localhost")
    agent = Dialog.objects.exclude(agent=None).select_related("agent").first().agent
    http.force_login(agent)

    def say() -> None:
        body = {"clientId": clients[0], "query": "hello"}
        assert http.post(f"/chatapi/{token}", body, content_type="application/json").status_code == 200

    dialog = Dialog.objects.get(client__client_id=clients[0])
    steps = {
        "the request": say,
        "all consoles together": lambda: dialog_selectors.changed_dialogs([dialog.client_id]),
        "a page that shows the dialog": lambda: http.get(f"/chatapi-agents/dialogs/{dialog.pk}"),
    }
    for name, step in steps.items():
        step()
        with CaptureQueriesContext(connection) as queries:
            step()
        print(f"queries for a message: {name}: {len(queries)}")


def measure_memory(server: Server, cookie: str, number: int) -> None:
    """Let consoles wait, and see what they cost."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(Listening(server.port, cookie))  # what is loaded with the first one
        wait_until_idle(server)
        base = server.memory()
        for _ in range(number):
            stack.enter_context(Listening(server.port, cookie))
        wait_until_idle(server)
        print(f"{number} idle consoles: {(server.memory() - base) / number / 1024:.1f} KiB each")


class Listening:
    """A console's socket, while this is entered; it notes when each message first showed in a row."""

    def __init__(self, port: int, cookie: str) -> None:
        self.seen: dict[int, float] = {}
        self._port, self._cookie = port, cookie
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Listening":
        from websockets.sync.client import connect

        connection = connect(
            f"ws://127.0.0.1:{self._port}/chatapi-agents/live",
            additional_headers={"Cookie": f"sessionid={self._cookie}"},
            origin=f"http://127.0.0.1:{self._port}",
            compression=None,
        )
        self._socket = self._stack.enter_context(connection)
        assert json.loads(self._socket.recv())["type"] == "hello"
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._thread.join()

    def _listen(self) -> None:
        for text in self._socket:
            now = time.time()
            for row in json.loads(text).get("dialogs", ()):
                words = row["lastMessage"].split()
                if words[:1] == ["message"]:
                    self.seen.setdefault(int(words[1]), now)


@contextlib.contextmanager
def browser(server: Server, cookie: str) -> Iterator[Any]:
    """A page with the console, its list of open dialogs shown."""
    from playwright.sync_api import sync_playwright

    site = f"http://127.0.0.1:{server.port}"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        context = chromium.new_context(viewport={"width": 1280, "height": 2400})
        context.add_cookies([{"name": "sessionid", "value": cookie, "url": site}])
        page = context.new_page()
        page.goto(f"{site}/admin/django_chatapi/console/")
        page.get_by_role("tab", name="Mine").click()
        page.get_by_text("client-").first.wait_for()
        page.evaluate(WATCH)
        yield page
        chromium.close()


def measure(
    server: Server,
    token: str,
    clients: list[str],
    consoles: list[Listening],
    page: Any,
    options: argparse.Namespace,
) -> None:
    """Have clients say something, each in turn, and print when it was seen."""
    number = int(options.rate * options.seconds)
    said: dict[int, float] = {}
    requests: list[float] = []
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    wait_until_idle(server)
    cpu, began = server.cpu_seconds(), time.monotonic()
    for turn in range(number):
        time.sleep(max(0, began + turn / options.rate - time.monotonic()))
        body = {"clientId": clients[turn * 7 % len(clients)], "query": f"message {turn} of the benchmark"}
        said[turn] = time.time()
        connection.request("POST", f"/chatapi/{token}", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert json.loads(response.read())["data"]["handedOver"] is True
        requests.append((time.time() - said[turn]) * 1000)
    cpu = (server.cpu_seconds() - cpu) / (time.monotonic() - began)
    deadline = time.monotonic() + PATIENCE
    while min(len(console.seen) for console in consoles) < number and time.monotonic() < deadline:
        time.sleep(0.1)
    print_times("the POST alone", requests, number)
    sockets = [(console.seen[turn] - said[turn]) * 1000 for console in consoles for turn in console.seen]
    print_times(f"at {len(consoles)} sockets", sockets, number * len(consoles))
    if page is not None:
        seen = {int(turn): moment for turn, moment in page.evaluate("window.seenMessages").items()}
        print_times("visible in the page", [moment - said[turn] * 1000 for turn, moment in seen.items()], number)
    print(f"server's CPU meanwhile {cpu:.2f} cores")


def print_times(name: str, times: list[float], number: int) -> None:
    print(
        f"  {name}: p50 {percentile(times, 50):.0f} ms, p99 {percentile(times, 99):.0f} ms, "
        f"most {max(times):.0f} ms ({len(times)} of {number})"
    )


if __name__ == "__main__":
    main()
