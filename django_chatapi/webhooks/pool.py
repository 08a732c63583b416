"""Connections that are kept open for the next call."""

import http.client
import os
import threading
import time
from collections import OrderedDict

from urllib3.util import wait_for_read

from .addresses import Target
from .sockets import PlainSocket, TLSSocket, connect

#: Idle connections that are kept per scheme, host and port.
MAX_PER_ADDRESS = 16
#: Idle connections that are kept in all: a process may often have no more than 1 024 open files.
MAX_IDLE = 256
#: Seconds without use after which a connection is not used again: servers keep one open for 2 s and more. One that
#: ends just when it is used costs an attempt, since nobody knows whether that has arrived.
IDLE_TIME = 1.5
#: Age at which a connection is not used again, in seconds, so that a name that has moved is followed.
MAX_AGE = 300.0

#: How long no connections to an address are kept after one ended when it was used again, in seconds: some servers
#: end each of theirs without saying so, which would fail every second attempt.
DISTRUST = 300.0

_Key = tuple[str, str, int]


class Connection(http.client.HTTPConnection):
    """HTTP over a socket that is already connected."""

    auto_open = 0

    def __init__(self, target: Target, deadline: float) -> None:
        super().__init__(target.host, target.port)
        self.key: _Key = target[:3]
        self.sock: PlainSocket | TLSSocket = connect(target, deadline)
        self.opened = self.used = time.monotonic()

    @property
    def was_kept(self) -> bool:
        """Whether it has served a call before."""
        return self.used > self.opened

    def is_usable(self, now: float) -> bool:
        """Whether the other side has not ended it: what can be read while nothing was asked is the end."""
        fresh = now < self.used + IDLE_TIME and now < self.opened + MAX_AGE
        return fresh and not wait_for_read(self.sock, timeout=0.0)


class Pool:
    """Idle connections by address; the least recently used address stands first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: OrderedDict[_Key, list[Connection]] = OrderedDict()
        self._count = 0
        #: Until when none are kept, as times of ``time.monotonic``; the latest stands last.
        self._distrusted: OrderedDict[_Key, float] = OrderedDict()

    def take(self, target: Target) -> Connection | None:
        """An open connection to this address that nobody uses, if there is one."""
        key = target[:3]
        while True:
            with self._lock:
                kept = self._idle.get(key)
                if not kept:
                    return None
                connection = self._pop(key, -1)
            if connection.is_usable(time.monotonic()):
                return connection
            connection.close()

    def put(self, connection: Connection) -> None:
        """Keep a connection for the next call."""
        connection.used = now = time.monotonic()
        out = []
        with self._lock:
            if self._distrusted.get(connection.key, now) > now:
                connection.close()
                return
            kept = self._idle.setdefault(connection.key, [])
            kept.append(connection)
            self._count += 1
            self._idle.move_to_end(connection.key)
            if len(kept) > MAX_PER_ADDRESS:
                out.append(self._pop(connection.key, 0))
            while self._count > MAX_IDLE or self._oldest().used + IDLE_TIME < now:
                out.append(self._pop(next(iter(self._idle)), 0))
        for each in out:
            each.close()

    def distrust(self, connection: Connection) -> None:
        """This one ended when it was used again: keep none to its address for a while."""
        now = time.monotonic()
        out = []
        with self._lock:
            self._distrusted[connection.key] = now + DISTRUST
            self._distrusted.move_to_end(connection.key)
            while next(iter(self._distrusted.values())) <= now:
                self._distrusted.popitem(last=False)
            while connection.key in self._idle:
                out.append(self._pop(connection.key, -1))
        for each in out:
            each.close()

    def forget(self) -> None:
        """Close all and start anew. Not for use beside other threads."""
        for kept in self._idle.values():
            for connection in kept:
                connection.close()
        self.__init__()  # type: ignore[misc]

    def _oldest(self) -> Connection:
        return next(iter(self._idle.values()))[0]

    def _pop(self, key: _Key, index: int) -> Connection:
        connection = self._idle[key].pop(index)
        self._count -= 1
        if not self._idle[key]:
            del self._idle[key]
        return connection


pool = Pool()
# Two processes that talk on one connection get each other's answers. Closing it here leaves it open over there.
os.register_at_fork(after_in_child=pool.forget)
