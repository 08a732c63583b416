"""Callers that wait for events, a process of its own: ``python -m benchmarks.pollers KIND PORT PATH``.

One kept-alive connection per caller; who gets an answer asks again at once, from where the answer ends. Takes
orders as lines of JSON on its standard input, ``[name, *arguments]``, and answers each with one line:

- ``open, number, per_second``: that many more callers, at this rate;
- ``woken``: the callers that got something since the last such order, and when their last byte came
  (``time.monotonic_ns``);
- ``drop, number``: that many of them hang up;
- ``reconnect, number, seconds``: new connections, spread over this time, that ask without waiting; gives the
  seconds from the first until each of them is answered.
"""

import asyncio
import json
import sys
import time
from typing import Any

#: How long a poll of the API waits, in seconds: longer than a measurement.
HOLD = 60
#: How long the reconnects may take before the measurement counts as failed, in seconds.
PATIENCE = 60


def client_id(number: int) -> str:
    return f"client-{number}"


class Caller(asyncio.Protocol):
    """Asks again and again. Its requests are those of one kind of server."""

    transport: asyncio.Transport

    def __init__(self, crowd: "Crowd", number: int) -> None:
        self.crowd, self.number, self.buffer = crowd, number, b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request(b"", b""))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if not found or len(body) < int(length):
            return
        moment = time.monotonic_ns()
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 304")):
            raise RuntimeError(self.buffer.decode(errors="replace"))
        self.buffer = b""
        self.answered(head, body, moment)

    def answered(self, head: bytes, body: bytes, moment: int) -> None:
        if self.has_news(body):
            self.crowd.woken[self.number] = moment
        self.transport.write(self.request(head, body))

    def has_news(self, body: bytes) -> bool:
        raise NotImplementedError

    def request(self, head: bytes, body: bytes) -> bytes:
        """What to ask after this answer; both parts are empty at first."""
        raise NotImplementedError


class ChatAPICaller(Caller):
    hold = HOLD

    def has_news(self, body: bytes) -> bool:
        return b'"events":[]' not in body

    def request(self, head: bytes, body: bytes) -> bytes:
        query = f"clientId={client_id(self.number)}&timeout={self.hold}{self.place(body)}"
        return f"GET {self.crowd.path}?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    def place(self, body: bytes) -> str:
        return f"&cursor={json.loads(body)['cursor']}" if body else f"&ts={time.time_ns() // 1_000_000}"


class PositionCaller(ChatAPICaller):
    """Leaves it to the server to remember where it was."""

    def place(self, body: bytes) -> str:
        return ""


class ReturningCaller(PositionCaller):
    """Comes back after its connection was lost, and counts as served when it has its answer."""

    hold = 0

    def answered(self, head: bytes, body: bytes, moment: int) -> None:
        self.crowd.served.append(moment)
        self.transport.close()


class NchanCaller(Caller):
    def has_news(self, body: bytes) -> bool:
        return bool(body)

    def request(self, head: bytes, body: bytes) -> bytes:
        had = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        position = ""
        if had:
            position = f"If-Modified-Since: {had['Last-Modified']}\r\nIf-None-Match: {had['Etag']}\r\n"
        path = f"{self.crowd.path}/{client_id(self.number)}"
        return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{position}\r\n".encode()


class Crowd:
    """All callers of this process."""

    def __init__(self, kind: str, port: int, path: str) -> None:
        self.caller = {"chatapi": ChatAPICaller, "by-position": PositionCaller, "nchan": NchanCaller}[kind]
        self.port, self.path = port, path
        self.callers: list[Caller] = []
        self.woken: dict[int, int] = {}
        self.served: list[int] = []

    async def connect(self, caller: Caller) -> None:
        await asyncio.get_running_loop().create_connection(lambda: caller, "127.0.0.1", self.port)

    async def open(self, number: int, per_second: float) -> int:
        first, began = len(self.callers), time.monotonic()
        for turn in range(number):
            await asyncio.sleep(max(0, began + turn / per_second - time.monotonic()))
            self.callers.append(self.caller(self, first + turn))
            await self.connect(self.callers[-1])
        return len(self.callers)

    async def take_woken(self) -> dict[int, int]:
        woken, self.woken = self.woken, {}
        return woken

    async def drop(self, number: int) -> int:
        for _ in range(number):
            self.callers.pop().transport.abort()
        return len(self.callers)

    async def reconnect(self, number: int, seconds: float) -> float:
        first, began = len(self.callers), time.monotonic()
        self.served.clear()
        for turn in range(number):
            await asyncio.sleep(max(0, began + turn * seconds / number - time.monotonic()))
            await self.connect(ReturningCaller(self, first + turn))
        while len(self.served) < number:
            if time.monotonic() > began + PATIENCE:
                raise RuntimeError(f"Only {len(self.served)} reconnects were served.")
            await asyncio.sleep(0.01)
        return max(self.served) / 1e9 - began


async def main(kind: str, port: int, path: str) -> None:
    crowd = Crowd(kind, port, path)
    orders = {
        "open": crowd.open,
        "woken": crowd.take_woken,
        "drop": crowd.drop,
        "reconnect": crowd.reconnect,
    }
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, *arguments = json.loads(line)
        print(json.dumps(await orders[name](*arguments)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
