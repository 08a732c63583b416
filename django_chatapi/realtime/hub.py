"""The waiters of one event loop."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, NamedTuple

from ..conf import chatapi_settings
from .layer import SHARDS, group_of, shared_layer

logger = logging.getLogger("django_chatapi.realtime")

#: How often memberships in the layer's groups are renewed, in seconds: a flushed layer has forgotten them.
RENEW_EVERY = 30.0
#: How long it is remembered when the newest poll of a connection began, in seconds, and of how many connections:
#: an older one that was opened more slowly, or in another process, may register after it.
_REMEMBERED_FOR = 5.0
_REMEMBERED = 10_000
#: Pause before the layer is asked again after it failed, in seconds.
_RETRY_PAUSE = 1.0


class Key(NamedTuple):
    """Whose poll it is: one connection of one client. ``connection_id`` is empty without a ``cid``."""

    client_pk: int
    connection_id: str


class Woken(Enum):
    """Why a waiter stopped waiting."""

    NEWS = "news"  # read again
    TIMEOUT = "timeout"
    REPLACED = "replaced"  # a newer poll of the same connection began
    SHUTDOWN = "shutdown"
    DISCONNECTED = "disconnected"


class Waiter:
    """One held poll. Belongs to its hub's loop: nothing here is safe to call from elsewhere."""

    __slots__ = ("_future", "_pending", "key", "position", "started")

    def __init__(self, key: Key, position: int, started: int) -> None:
        self.key = key
        #: The sequence number up to which the poll has read.
        self.position = position
        self.started = started
        self._future: asyncio.Future[Woken] | None = None
        # What happened while nobody was waiting, between two waits.
        self._pending: Woken | None = None

    def wake(self, reason: Woken) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(reason)
        elif self._pending is None or self._pending is Woken.NEWS:
            self._pending = reason

    async def wait(self, seconds: float) -> Woken:
        """Wait for news, the end of the time, or the end of the poll."""
        if (pending := self._pending) is not None:
            self._pending = None
            return pending
        loop = asyncio.get_running_loop()
        self._future = loop.create_future()
        timer = loop.call_later(seconds, self.wake, Woken.TIMEOUT)
        try:
            return await self._future
        finally:
            timer.cancel()
            self._future = None


#: Reads the last sequence number of each of these clients, with one query.
ReadSequences = Callable[[list[int]], Awaitable[dict[int, int]]]


class Hub:
    """All waiters of one event loop, with one channel on the layer and one receiver that is never cancelled.

    Cancelling a receive would lose the message that was on its way (django/channels_redis 366).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, read_sequences: ReadSequences) -> None:
        self._loop = loop
        self._read_sequences = read_sequences
        self._waiters: dict[int, set[Waiter]] = {}
        # By connection: when its newest poll began, and when that was heard. In the order of the latter.
        self._begun: OrderedDict[Key, tuple[int, float]] = OrderedDict()
        self._listener: Callable[[dict[int, int]], None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False
        self._rejoin = asyncio.Event()

    def __len__(self) -> int:
        return sum(map(len, self._waiters.values()))

    def register(self, key: Key, position: int, started: int) -> Waiter:
        """Begin to listen; an older poll of the same connection ends, be it this one.

        Register before reading: what is committed after the read wakes the waiter; what was before, is read.
        """
        self._start()
        waiter = Waiter(key, position, started)
        if self.replace(key, started) > started:
            waiter.wake(Woken.REPLACED)
        self._waiters.setdefault(key.client_pk, set()).add(waiter)
        if self._closing:
            waiter.wake(Woken.SHUTDOWN)
        return waiter

    def unregister(self, waiter: Waiter) -> None:
        waiters = self._waiters.get(waiter.key.client_pk, set())
        waiters.discard(waiter)
        if not waiters:
            self._waiters.pop(waiter.key.client_pk, None)

    def listen(self, listener: Callable[[dict[int, int]], None] | None) -> None:
        """Have all news of all clients told to one listener, beside the waiters; with None to nobody."""
        self._listener = listener
        self._start()

    def wake(self, news: dict[int, int]) -> None:
        """Wake those who have not yet read up to these sequence numbers."""
        if self._listener is not None:
            self._listener(news)
        self._wake_waiters(news)

    def _wake_waiters(self, news: dict[int, int]) -> None:
        for client_pk, sequence in news.items():
            for waiter in self._waiters.get(client_pk, ()):
                if waiter.position < sequence:
                    waiter.wake(Woken.NEWS)

    def wake_soon(self, news: dict[int, int]) -> None:
        """The same from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.wake, news)

    def replace(self, key: Key, started: int) -> int:
        """End the polls of this connection that began before ``started`` (nanoseconds since the epoch).

        Returns:
            When the newest one began that was heard of lately. Not of all that wait: after a clock was set back,
            an old one would end every new one for as long as it waits.
        """
        newest = self._newest(key, started)
        for waiter in self._waiters.get(key.client_pk, ()):
            if waiter.key == key and waiter.started < started:
                waiter.wake(Woken.REPLACED)
        return newest

    def _newest(self, key: Key, started: int) -> int:
        now = self._loop.time()
        begun = self._begun
        while begun and (len(begun) >= _REMEMBERED or next(iter(begun.values()))[1] < now - _REMEMBERED_FOR):
            begun.popitem(last=False)
        if key in begun and begun[key][0] >= started:
            return begun[key][0]
        begun[key] = started, now
        begun.move_to_end(key)
        return started

    def shut_down_soon(self) -> None:
        """Have every waiter answered, now and from now on: the process is about to end."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._shut_down)

    def _shut_down(self) -> None:
        self._closing = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.wake(Woken.SHUTDOWN)

    def _start(self) -> None:
        if not self._tasks:
            self._tasks.append(self._loop.create_task(self._sweep()))
            if _told is not None:
                with contextlib.suppress(NotImplementedError):  # on Windows, where SIGTERM kills
                    self._loop.add_reader(_told[0], _heed_signals, _told[0])
            if (layer := shared_layer()) is not None:
                self._tasks.append(self._loop.create_task(self._listen(layer)))

    async def _sweep(self) -> None:
        """Look for news that no nudge told of."""
        while True:
            await asyncio.sleep(chatapi_settings.EVENTS_SWEEP)
            if not self._waiters:
                continue
            try:
                self._wake_waiters(await self._read_sequences(list(self._waiters)))
            except Exception as error:
                logger.warning("The sweep for events failed: %s", type(error).__name__)

    async def _listen(self, layer: Any) -> None:
        """Hear what other processes publish. Nothing ends this: a layer that is down is asked again."""
        channel = None
        while True:
            try:
                if channel is None:
                    channel = await layer.new_channel("chatapi")
                    self._tasks.append(self._loop.create_task(self._keep_memberships(layer, channel)))
                message = await layer.receive(channel)
            except Exception as error:
                logger.warning("The channel layer cannot be read: %s", type(error).__name__)
                await asyncio.sleep(_RETRY_PAUSE)
                self._rejoin.set()  # a layer that was restarted has forgotten who was in its groups
                continue
            self.wake(dict(message["news"]))
            for client_pk, connection_id, started in message["polls"]:
                self.replace(Key(client_pk, connection_id), started)

    async def _keep_memberships(self, layer: Any, channel: str) -> None:
        while True:
            self._rejoin.clear()
            try:
                for shard in range(SHARDS):
                    await layer.group_add(group_of(shard), channel)
            except Exception as error:
                logger.warning("The channel layer cannot be joined: %s", type(error).__name__)
                await asyncio.sleep(_RETRY_PAUSE)
                continue
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._rejoin.wait(), RENEW_EVERY)


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}
_lock = threading.Lock()


def hub_of(loop: asyncio.AbstractEventLoop, read_sequences: ReadSequences) -> Hub:
    """The loop's hub, made when it is first asked for."""
    with _lock:
        if loop not in _hubs:
            for ended in [known for known in _hubs if known.is_closed()]:
                del _hubs[ended]
            _hubs[loop] = Hub(loop, read_sequences)
        return _hubs[loop]


def local_hubs() -> list[Hub]:
    """All hubs of this process."""
    with _lock:
        return list(_hubs.values())


def _shut_all_down_soon() -> None:
    for hub in list(_hubs.values()):  # without the lock: a signal may have interrupted who holds it
        hub.shut_down_soon()


_STOPPING = frozenset({signal.SIGTERM, signal.SIGINT})
# Python writes the numbers of the signals that it handles into the second, for hubs to read from the first.
_told: tuple[socket.socket, socket.socket] | None = None


def _heed_signals(told: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):  # the hub of another loop has read it
        if _STOPPING.intersection(told.recv(64)):
            _shut_all_down_soon()


def answer_waiters_at_shutdown() -> None:
    """Have all waiters answered when the process is told to stop. To be called when the apps are loaded.

    Only the main thread may ask for this, and in a WSGI server none of our code runs there later. A handler of
    ours would not do for granian, which sets its own after it has loaded the site: so Python is asked to write
    signals down. gunicorn has asked for that itself, and set its handlers, so ours goes in front of them.
    """
    global _told
    if threading.current_thread() is not threading.main_thread():
        return
    ours = socket.socketpair()
    for end in ours:
        end.setblocking(False)
    used = signal.set_wakeup_fd(ours[1].fileno(), warn_on_full_buffer=False)
    if used == -1 or (_told is not None and used == _told[1].fileno()):
        _told = ours
        return
    signal.set_wakeup_fd(used, warn_on_full_buffer=False)
    for number in _STOPPING:
        if callable(handler := signal.getsignal(number)):
            signal.signal(number, _after_shutting_down(handler))


def _after_shutting_down(handler: Callable[[int, Any], Any]) -> Callable[[int, Any], None]:
    def chained(number: int, frame: Any) -> None:
        _shut_all_down_soon()
        handler(number, frame)

    return chained


def _forget_after_fork() -> None:
    global _hubs, _lock
    _hubs = {}
    _lock = threading.Lock()
    if _told is not None:
        answer_waiters_at_shutdown()  # with a pair of its own: what one process is told is not for its siblings


os.register_at_fork(after_in_child=_forget_after_fork)
