"""Connections to checked addresses, with one deadline for all that happens on them.

A socket's own timeout counts from packet to packet, and one byte a second would pass it for ever. These sockets
have a moment instead, and give every call what is left until then: no timer and no thread watch them.
"""

import functools
import math
import socket
import ssl
import time
from typing import Any, cast

from .addresses import SockAddr, Target, resolve

#: An address gets at least this long to accept a connection before the next one is tried, in seconds.
MIN_CONNECT_TIME = 1.0


class _Deadline:
    """Mixed into a socket class. ``deadline`` is a time of ``time.monotonic``."""

    deadline = math.inf

    def _hurry(self: Any) -> None:
        self.settimeout(_left(self.deadline))

    def recv_into(self: Any, *args: Any) -> int:
        self._hurry()
        return super().recv_into(*args)  # type: ignore[misc, no-any-return]

    def send(self: Any, *args: Any) -> int:
        self._hurry()
        return super().send(*args)  # type: ignore[misc, no-any-return]

    def sendall(self: Any, *args: Any) -> None:
        # Python counts the timeout over the whole of it.
        self._hurry()
        super().sendall(*args)  # type: ignore[misc]


class PlainSocket(_Deadline, socket.socket):
    pass


class TLSSocket(_Deadline, ssl.SSLSocket):
    pass


def connect(target: Target, deadline: float) -> PlainSocket | TLSSocket:
    """Connect to the first address of the target that may be connected to and that accepts.

    Raises:
        AddressRefused, ResolutionFailed: see :func:`~django_chatapi.webhooks.addresses.resolve`.
        OSError: what the last address failed with; a TimeoutError when the time was over.
    """
    addresses = resolve(target.host, target.port, deadline)
    for shares, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        try:
            sock = _dial(address, deadline, shares)
            break
        except OSError:
            if shares == 1:
                raise
    if target.scheme == "http":
        return sock
    try:
        sock.settimeout(_left(deadline))
        # The name, although an address was dialled: it is what the certificate has to be for.
        secure = cast(TLSSocket, tls_context().wrap_socket(sock, server_hostname=target.host.rstrip(".")))
    except BaseException:
        sock.close()
        raise
    secure.deadline = deadline
    return secure


def _dial(address: SockAddr, deadline: float, shares: int) -> PlainSocket:
    # A share of the time, so that an address that swallows everything leaves some to those after it.
    left = _left(deadline)
    sock = PlainSocket(socket.AF_INET6 if len(address) == 4 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.settimeout(min(left, max(left / shares, MIN_CONNECT_TIME)))
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    sock.deadline = deadline
    return sock


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


@functools.cache
def tls_context() -> ssl.SSLContext:
    """The system's trust store, read once: reading it takes longer than a handshake."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    context.sslsocket_class = TLSSocket
    return context
