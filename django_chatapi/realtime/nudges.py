"""Wake those who wait: in this process directly, in others through the channel layer."""

import asyncio
import atexit
import concurrent.futures
import contextlib
import logging
import os
import time
from typing import Any

from .background import background_loop
from .hub import Key, local_hubs
from .layer import group_of, shared_layer

logger = logging.getLogger("django_chatapi.realtime")

#: A layer that takes longer than this to take a message counts as down, in seconds.
_SEND_TIMEOUT = 5.0
#: How long begun polls gather before they are told of, unless news go out earlier, in seconds: that an older poll
#: ends in another process is less urgent, and costs each process as much as an event.
_POLLS_PAUSE = 0.05
#: How long a process that ends waits for what is still to be sent, in seconds.
_FLUSH = 2.0
#: One line of log in this many seconds while the layer is down.
_LOG_EVERY = 60.0


def announce_news(client_pk: int, sequence: int) -> None:
    """Tell all who wait for this client that its messages now reach to ``sequence``. Returns at once."""
    for hub in local_hubs():
        hub.wake_soon({client_pk: sequence})
    if shared_layer() is not None:
        _outbox().put_news(client_pk, sequence)


def announce_poll(key: Key, started: int) -> None:
    """Tell other processes that a poll of this connection began, so that they end an older one."""
    if shared_layer() is not None:
        _outbox().put_poll(key, started)


class _Outbox:
    """What is to be sent over the layer; news that gather while one message is on its way go as one."""

    def __init__(self) -> None:
        self._loop = background_loop()
        self._news: dict[int, int] = {}
        self._polls: dict[Key, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._logged_at = float("-inf")

    async def rest(self) -> None:
        """Return when all is sent."""
        if self._timer is not None:
            self._start()
        if self._task is not None:
            await asyncio.wait([self._task])

    def put_news(self, client_pk: int, sequence: int) -> None:
        self._loop.call_soon_threadsafe(self._put, self._news, client_pk, sequence)

    def put_poll(self, key: Key, started: int) -> None:
        self._loop.call_soon_threadsafe(self._put, self._polls, key, started, _POLLS_PAUSE)

    def _put(self, waiting: dict[Any, int], key: Any, number: int, pause: float = 0) -> None:
        waiting[key] = max(number, waiting.get(key, 0))
        if not pause:
            self._start()
        elif self._timer is None:
            self._timer = self._loop.call_later(pause, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None:
            self._task = self._loop.create_task(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._news or self._polls:
                news, self._news = self._news, {}
                polls, self._polls = self._polls, {}
                # Every process is in every group, so the group of any of them does for all.
                group = group_of(next(iter(news)) if news else next(iter(polls)).client_pk)
                message = {
                    "type": "chatapi.nudge",
                    "news": [*news.items()],
                    "polls": [[*key, started] for key, started in polls.items()],
                }
                await self._send(group, message)
        finally:
            self._task = None

    async def _send(self, group: str, message: dict[str, Any]) -> None:
        try:
            await asyncio.wait_for(shared_layer().group_send(group, message), _SEND_TIMEOUT)
        except Exception as error:
            # Whatever a layer raises when its server is gone: the sweep of each process makes up for it.
            if time.monotonic() - self._logged_at > _LOG_EVERY:
                self._logged_at = time.monotonic()
                reason = type(error).__name__
                logger.warning("The channel layer takes no nudges (%s); events come late.", reason)


_the_outbox: _Outbox | None = None


def _outbox() -> _Outbox:
    global _the_outbox
    if _the_outbox is None:
        _the_outbox = _Outbox()
    return _the_outbox


@atexit.register
def _flush() -> None:
    """A command that says one thing and ends waits a little until the others are told."""
    if _the_outbox is not None:
        with contextlib.suppress(concurrent.futures.TimeoutError):
            asyncio.run_coroutine_threadsafe(_the_outbox.rest(), background_loop()).result(_FLUSH)


def _forget_after_fork() -> None:
    global _the_outbox
    _the_outbox = None


os.register_at_fork(after_in_child=_forget_after_fork)
