"""Names looked up within a deadline: the system's resolver knows none."""

import os
import queue
import socket
import threading
import time
from concurrent import futures
from typing import Any

#: Threads per process that wait for name servers. Far more than ask at once: who asked gives up after seconds, the
#: thread of a name whose servers do not answer may take half a minute. A thread is only made when all are taken.
MAX_THREADS = 64

Found = list[tuple[Any, ...]]


class Lookups:
    """Asks the resolver in daemon threads: one that hangs holds up neither its caller nor the process's end.

    Callers who want the same name at the same time share one question, so that a name whose servers do not answer
    holds one thread and leaves the others to other names.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[str, int], futures.Future[Found]] = {}
        self._queue: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        self._threads = 0

    def find(self, host: str, port: int, deadline: float) -> Found:
        """What ``getaddrinfo`` finds. ``deadline`` is a time of ``time.monotonic``.

        Raises:
            TimeoutError: it did not find it in time.
            OSError, UnicodeError: as ``getaddrinfo`` does.
        """
        key = (host, port)
        with self._lock:
            future = self._open.get(key)
            if future is None:
                if self._threads <= len(self._open) and self._threads < MAX_THREADS:
                    # Before all else: a question that no thread is there for would stay open for ever.
                    threading.Thread(target=self._work, name="chatapi-lookup", daemon=True).start()
                    self._threads += 1
                future = self._open[key] = futures.Future()
                self._queue.put(key)
        try:
            return future.result(max(0.0, deadline - time.monotonic()))
        except futures.TimeoutError as error:  # Python 3.10 has a class of its own for it
            raise TimeoutError("The name servers did not answer in time.") from error

    def _work(self) -> None:
        while True:
            key = self._queue.get()
            found: Found = []
            failure: Exception | None = None
            try:
                found = socket.getaddrinfo(*key, type=socket.SOCK_STREAM)
            except Exception as error:
                failure = error
            with self._lock:
                future = self._open.pop(key)
            if failure is None:
                future.set_result(found)
            else:
                future.set_exception(failure)


lookups = Lookups()


def _forget_after_fork() -> None:
    """A forked process has this object without its threads."""
    lookups.__init__()  # type: ignore[misc]


os.register_at_fork(after_in_child=_forget_after_fork)
