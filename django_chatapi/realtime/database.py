"""Database reads of the event loop: a few threads with a connection each, whatever the number of waiters."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connections

from ..conf import chatapi_settings

T = TypeVar("T")

_lock = threading.Lock()
# By whether they are urgent.
_executors: dict[bool, ThreadPoolExecutor] = {}


async def in_database_thread(work: Callable[[], T], *, urgent: bool = False) -> T:
    """Run ``work``, which may use the database, in one of ``EVENTS_DB_THREADS`` threads.

    The threads keep their connections, also where requests do not, but give back those of a pool. ``work`` is run
    again on a new connection when the database failed it, whether it raised or made a response of the failure, so
    it must bear being run twice.

    Args:
        urgent: it waits behind other urgent work only. Half of the threads, if there are several, are for it.
    """
    return await asyncio.get_running_loop().run_in_executor(_threads(urgent), _work_off, work)


def _work_off(work: Callable[[], T]) -> T:
    try:
        return _with_fresh_connection(work)
    finally:
        for connection in connections.all(initialized_only=True):
            if connection.settings_dict["OPTIONS"].get("pool"):
                connection.close()


def _with_fresh_connection(work: Callable[[], T]) -> T:
    try:
        outcome = work()
    except (OperationalError, InterfaceError):
        connections.close_all()
        return work()
    # A view turns the failure into a response; Django would look for a broken connection between two requests.
    if any(connection.errors_occurred for connection in connections.all(initialized_only=True)):
        connections.close_all()
        return work()
    return outcome


def _threads(urgent: bool) -> ThreadPoolExecutor:
    with _lock:
        if not _executors:
            threads = chatapi_settings.EVENTS_DB_THREADS
            _executors[False] = ThreadPoolExecutor(threads - threads // 2, "chatapi-events")
            # With a single thread there is one queue for all.
            _executors[True] = (
                ThreadPoolExecutor(threads // 2, "chatapi-events-urgent") if threads > 1 else _executors[False]
            )
        return _executors[urgent]


def _forget_after_fork() -> None:
    global _executors, _lock
    _executors = {}
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
