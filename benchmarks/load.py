"""The load generator, a process of its own: ``python -m benchmarks.load PORT PATH CONNECTIONS SECONDS BODY``.

One thread and one kept-alive connection per caller; each caller sends its next request when it has its answer.
Prints one JSON object: how many requests were answered each second, the latencies in milliseconds, and the share
of one core that the generator itself used.
"""

import json
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

#: End users that each connection speaks for, in turn.
CLIENTS = 25


def client_id(connection: int, number: int) -> str:
    return f"client-{connection}-{number}"


def main(port: int, path: str, connections: int, seconds: float, body: dict[str, Any]) -> None:
    start = threading.Barrier(connections + 1)
    with ThreadPoolExecutor(connections) as pool:
        callers = [pool.submit(call, port, path, number, seconds, body, start) for number in range(connections)]
        start.wait()
        began, cpu = time.perf_counter(), time.process_time()
        latencies = [latency for caller in callers for latency in caller.result()]
        elapsed = time.perf_counter() - began
        cpu = time.process_time() - cpu
    json.dump({"rate": len(latencies) / elapsed, "latencies": latencies, "cpu": cpu / elapsed}, sys.stdout)


def call(
    port: int, path: str, number: int, seconds: float, body: dict[str, Any], start: threading.Barrier
) -> list[float]:
    """Send requests over one connection until the time is over; return their latencies in milliseconds."""
    requests = []
    for turn in range(CLIENTS):
        content = json.dumps({"clientId": client_id(number, turn), **body}).encode()
        requests.append(
            b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (path.encode(), len(content), content)
        )
    latencies = []
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start.wait()
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            connection.sendall(requests[len(latencies) % CLIENTS])
            read_answer(connection)
            latencies.append((time.perf_counter() - began) * 1000)
    return latencies


def read_answer(connection: socket.socket) -> None:
    """Read one response with a Content-Length.

    Raises:
        RuntimeError: its status is not 200.
    """
    answer = b""
    while True:
        chunk = connection.recv(65536)
        if not chunk:
            raise RuntimeError("The server closed the connection.")
        answer += chunk
        head, found, body = answer.partition(b"\r\n\r\n")
        if not found:
            continue
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(answer.decode(errors="replace"))
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) >= int(length):
            return


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), json.loads(sys.argv[5]))
