"""A receiver of webhooks, a process of its own: ``python -m benchmarks.webhook_sink``.

Stamps each POST (``time.monotonic_ns``) when its last byte came and says 200, except to paths below ``/hang``,
which never get an answer. Takes orders as lines of JSON on its standard input, ``[name]``, and answers each with
one line:

- ``listen``: start; gives the port;
- ``count``: how many messages came since the last ``take``;
- ``take``: what came since the last ``take``, in the order in which it came: the stamp, the ``webhook-id``, and
  the ``questionId`` of each message; and the CPU seconds that this process had used until then.

What was received is only taken apart when it is asked for, so that the sink is not what is being measured.
"""

import asyncio
import json
import sys
import time
from typing import Any

ACCEPTED = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Receiver(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, sink: "Sink") -> None:
        self.sink, self.buffer = sink, b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found or len(body) < int(header(head, b"content-length")):
            return
        self.buffer = b""
        self.sink.posts.append((time.monotonic_ns(), head, body))
        self.sink.messages += body.count(b'"questionId"')
        if not head.startswith(b"POST /hang"):
            self.transport.write(ACCEPTED)


class Sink:
    """All that came."""

    def __init__(self) -> None:
        self.posts: list[tuple[int, bytes, bytes]] = []
        self.messages = 0

    async def listen(self) -> int:
        server = await asyncio.get_running_loop().create_server(lambda: Receiver(self), "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def count(self) -> int:
        return self.messages

    async def take(self) -> dict[str, Any]:
        cpu = time.process_time()
        posts, self.posts, self.messages = self.posts, [], 0
        arrays = [
            (moment, header(head, b"webhook-id").decode(), [item["questionId"] for item in json.loads(body)])
            for moment, head, body in posts
        ]
        return {"arrays": arrays, "cpu": cpu}


def header(head: bytes, name: bytes) -> bytes:
    """The value of a header of this name in lower case."""
    return head.lower().partition(b"\r\n%s:" % name)[2].partition(b"\r\n")[0].strip()


async def main() -> None:
    sink = Sink()
    orders = {"listen": sink.listen, "count": sink.count, "take": sink.take}
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        (name,) = json.loads(line)
        print(json.dumps(await orders[name]()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
