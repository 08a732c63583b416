"""The threads in which slow bots think."""

import atexit
import logging
import os
import queue
import threading
import time
from collections.abc import Callable

from django.db import connections

from ..conf import chatapi_settings

logger = logging.getLogger("django_chatapi.bots")


class BotPool:
    """At most ``size`` threads, made when needed, that run jobs in the order in which they came.

    Deliberately not a ``ThreadPoolExecutor``: the interpreter joins its threads at exit without a limit, so one
    hanging bot would keep a worker from ever stopping. These threads are daemons, and :meth:`drain` gives them
    a grace period.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._threads = 0
        self._unfinished = 0

    def submit(self, job: Callable[[], None]) -> None:
        """Run the job as soon as a thread is free; its work survives the caller's return."""
        with self._changed:
            self._unfinished += 1
            if self._unfinished > self._threads and self._threads < self._size:
                self._threads += 1
                threading.Thread(target=self._work, name=f"chatapi-bot-{self._threads}", daemon=True).start()
        self._jobs.put(job)

    def drain(self, seconds: float) -> int:
        """Wait at most ``seconds`` for all jobs; return how many are left."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._unfinished and (rest := deadline - time.monotonic()) > 0:
                self._changed.wait(rest)
            return self._unfinished

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job()
            except Exception as error:
                logger.error("A bot's job ended with %s: %s", type(error).__name__, error)  # noqa: TRY400
                logger.debug("The job's error.", exc_info=error)
            finally:
                # A thread that waits for its next job holds no database connection.
                connections.close_all()
                with self._changed:
                    self._unfinished -= 1
                    self._changed.notify_all()


_pool: BotPool | None = None
_lock = threading.Lock()


def submit(job: Callable[[], None]) -> None:
    """Run the job in this process's pool."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = BotPool(chatapi_settings.BOT_POOL_SIZE)
        pool = _pool
    pool.submit(job)


def _drain_at_exit() -> None:
    if _pool is None:
        return
    left = _pool.drain(chatapi_settings.BOT_SHUTDOWN_GRACE)
    if left:
        logger.warning("%d questions were left to the sweep: their bots did not finish in time.", left)


def _forget_after_fork() -> None:
    # Threads do not survive a fork: a preloading server's child starts its own.
    global _pool, _lock
    _pool = None
    _lock = threading.Lock()


atexit.register(_drain_at_exit)
os.register_at_fork(after_in_child=_forget_after_fork)
