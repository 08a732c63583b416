"""Ports for servers that are started beside this process."""

import contextlib
import random
import socket
from collections.abc import Sequence

#: Below the ports that systems give to who asks for any (Linux: from 32768, RFC 6335: from 49152): one of those
#: may belong to somebody else's server, which answers in its place, before a slow one has started.
PORTS = range(20_000, 32_768)


def free_port(ports: Sequence[int] = PORTS) -> int:
    """One of these ports, for a server that takes a while to bind it."""
    while True:
        port = random.SystemRandom().choice(ports)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
