"""The threads in which slow bots think."""

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
        """Run the job as soon as a thread is free; its work survives the caller's return.

        Raises:
            RuntimeError: a thread was needed, and the system has none to give.
        """
        with self._changed:
            if self._unfinished >= self._threads and self._threads < self._size:
                name = f"chatapi-bot-{self._threads + 1}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
                self._threads += 1
            self._unfinished += 1
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
            for act in (job, connections.close_all):  # a thread that waits for a job holds no connection
                try:
                    act()
                except BaseException as error:
                    # Not only Exception: what a job ends with must not end the thread, which others wait for.
                    logger.error("A bot's job ended with %s.", type(error).__name__)  # noqa: TRY400
                    logger.debug("The job's error.", exc_info=error)
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
            # Said outright: daemons beget daemons, and in granian a request runs in one.
            threading.Thread(target=_drain_at_exit, name="chatapi-bot-grace", daemon=False).start()
        pool = _pool
    pool.submit(job)


def drain() -> None:
    """Give the bots of this process ``BOT_SHUTDOWN_GRACE`` seconds to finish."""
    left = _pool.drain(chatapi_settings.BOT_SHUTDOWN_GRACE) if _pool else 0
    if left:
        logger.warning("%d questions were left to the sweep: their bots did not finish in time.", left)


def _drain_at_exit() -> None:
    # A thread that is no daemon holds up the end of the process. Deliberately not atexit, which is passed over in
    # the children of multiprocessing, such as a server's workers.
    threading.main_thread().join()
    drain()


def _forget_after_fork() -> None:
    # Threads do not survive a fork: a preloading server's child starts its own.
    global _pool, _lock
    _pool = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
