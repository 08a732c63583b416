"""Queue tasks for what was committed, without making anybody wait for the broker.

A thread of this process does it. A broker that is down costs its callers nothing: what is due stands in the
database, and the sweep finds it.
"""

import atexit
import logging
import os
import threading
import time
from typing import Any

from celery import Task, current_app

from . import tasks
from .models import Delivery, Message
from .signals import deliveries_due, requests_due

logger = logging.getLogger("django_chatapi.queueing")

#: Nudges for the same client or channel within this time become one, in seconds. The first goes out at once.
_PAUSE = 0.05
#: How long a process that ends waits for nudges that were not queued yet, in seconds.
_FLUSH = 2.0
#: One line of log in this many seconds while the broker is down.
_LOG_EVERY = 60.0
#: How long the broker is left alone after it failed, in seconds.
_BROKER_PAUSE = 1.0

_Nudge = tuple["Task[Any, Any]", int]


class _Queue:
    """Nudges on their way to the broker."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[_Nudge, float] = {}
        self._sent: dict[_Nudge, float] = {}
        self._sending = False
        self._running = False
        self._logged_at = float("-inf")

    def put(self, nudge: _Nudge) -> None:
        with self._changed:
            if nudge not in self._waiting:
                now = time.monotonic()
                self._waiting[nudge] = max(now, self._sent.get(nudge, float("-inf")) + _PAUSE)
            if not self._running:
                threading.Thread(target=self._run, name="chatapi-queueing", daemon=True).start()
                self._running = True
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait a little for what is still to be queued."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._sending, _FLUSH)

    def _run(self) -> None:
        while True:
            for nudge in self._take():
                try:
                    task, pk = nudge
                    task.apply_async((pk,), expires=tasks.QUEUED_FOR, retry=False)
                except Exception as error:
                    # Whatever a broker's client raises when its server is gone.
                    self._report(error)
                    time.sleep(_BROKER_PAUSE)
                    break
            with self._changed:
                self._sending = False
                self._changed.notify_all()

    def _take(self) -> list[_Nudge]:
        with self._changed:
            while True:
                now = time.monotonic()
                due = [nudge for nudge, moment in self._waiting.items() if moment <= now]
                if due:
                    break
                self._changed.wait(min(self._waiting.values()) - now if self._waiting else None)
            for nudge in due:
                del self._waiting[nudge]
            self._sent = {nudge: moment for nudge, moment in self._sent.items() if moment > now - _PAUSE}
            self._sent.update(dict.fromkeys(due, now))
            self._sending = True
            return due

    def _report(self, error: Exception) -> None:
        if time.monotonic() - self._logged_at > _LOG_EVERY:
            self._logged_at = time.monotonic()
            reason = type(error).__name__
            logger.warning("The broker takes no tasks (%s); the sweep finds what is due once it does.", reason)


_queue = _Queue()


def queue_answers(sender: Any, client_pk: int, **kwargs: Any) -> None:
    """Have a client's asynchronous requests answered."""
    _nudge(tasks.answer_requests, client_pk)


def queue_deliveries(sender: Any, channel_pk: int, **kwargs: Any) -> None:
    """Have a channel's deliveries sent."""
    _nudge(tasks.deliver_webhooks, channel_pk)


def _nudge(task: "Task[Any, Any]", pk: int) -> None:
    if current_app.conf.task_always_eager:
        task.apply_async((pk,))  # a test wants to see the outcome
    else:
        _queue.put((task, pk))


def install() -> None:
    requests_due.connect(queue_answers, sender=Message, dispatch_uid="django_chatapi.queueing")
    deliveries_due.connect(queue_deliveries, sender=Delivery, dispatch_uid="django_chatapi.queueing")
    atexit.register(lambda: _queue.flush())


def _forget_after_fork() -> None:
    global _queue
    _queue = _Queue()


os.register_at_fork(after_in_child=_forget_after_fork)
