"""A webhook's receiver: a real HTTP server inside the test that keeps what arrives."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers import wait_until

#: Settings with which no attempt runs out of time, however busy the machine is.
PATIENT = {"WEBHOOK_TIMEOUT": 60.0, "WEBHOOK_LEASE": 300.0}


@dataclass
class Arrival:
    """One POST: when its body was read (``time.monotonic``), its headers and its body."""

    moment: float
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def items(self) -> list[dict[str, Any]]:
        return json.loads(self.body)

    @property
    def answers(self) -> list[str]:
        return [item["data"]["answer"] for item in self.items]


#: What the receiver answers with: a status, a status with headers, or what it does to the connection instead.
Reply = int | tuple[int, dict[str, str]] | Callable[[BaseHTTPRequestHandler], None]


class Sink:
    """Keeps arrivals, and answers each as it is told to."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        #: Decides about each arrival, in the thread that serves it; may wait.
        self.reply: Callable[[Arrival], Reply] = lambda arrival: 200
        self._changed = threading.Lock()

    url: str

    @property
    def items(self) -> list[dict[str, Any]]:
        return [item for arrival in self.arrivals for item in arrival.items]

    @property
    def answers(self) -> list[str]:
        return [item["data"]["answer"] for item in self.items]

    def wait_for(self, arrivals: int, seconds: float = 60) -> list[Arrival]:
        """Wait until so many came."""
        what = f"the arrival of {arrivals} POSTs"
        wait_until(lambda: len(self.arrivals) >= arrivals, seconds, what)
        return self.arrivals

    def take(self, arrival: Arrival) -> Reply:
        with self._changed:
            self.arrivals.append(arrival)
        return self.reply(arrival)


@contextlib.contextmanager
def sink() -> Iterator[Sink]:
    """A receiver on a port of its own."""
    taker = Sink()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle(self) -> None:
            # Whoever sends may be killed meanwhile.
            with contextlib.suppress(ConnectionError):
                super().handle()

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:
                self.close_connection = True
                return  # whoever sent it was killed
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = taker.take(Arrival(time.monotonic(), self.path, headers, body))
            self.answer(reply)

        def answer(self, reply: Reply) -> None:
            if callable(reply):
                self.close_connection = True
                reply(self)
                return
            status, more = reply if isinstance(reply, tuple) else (reply, {})
            self.send_response(status)
            for name, value in {"Content-Length": "2", **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    taker.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield taker
    finally:
        server.shutdown()
        server.server_close()
