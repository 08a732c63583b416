"""Ports for servers that are started beside this process."""

import contextlib
import random
import socket


def free_port() -> int:
    """A port for a server that takes a while to bind it.

    Drawn from below the ports that systems give to who asks for any (Linux: from 32768, RFC 6335: from 49152): one
    of those may belong to somebody else's server, which answers in its place, before the slow one has started.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_768)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
