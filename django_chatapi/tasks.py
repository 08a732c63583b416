"""Celery tasks: nudges. The database knows what is to be done, so any of them may run twice, late, or be lost."""

import random
import time
from typing import Any

from celery import Task, shared_task

from . import selectors
from .actions import asking, courier, requests

#: How long a nudge may stand in the queue, in seconds. The next sweep nudges again, and a busy worker's queue must
#: not fill with repetitions.
QUEUED_FOR = 60
#: The same for the sweep and its own nudges: while no worker runs, beat goes on queueing sweeps.
SWEPT_FOR = 10
#: Tasks per sweep that look for asynchronous requests.
SWEEPERS = 8
#: Clients that such a task looks up at once.
_AT_ONCE = 100
#: How long one task works for one client or one channel before others get their turn, in seconds.
TURN = 5.0
#: A nudge for later is queued if it is due within this time, in seconds; later ones are left to the sweep. Redis
#: hands out what waits for longer than its visibility timeout once more.
SOON = 30.0


@shared_task(ignore_result=True, expires=SWEPT_FOR)
def sweep() -> None:
    """Nudge whatever is due and was not nudged, or whose worker died.

    Schedule it with Celery beat every few seconds; it is three looks at partial indexes when there is nothing to
    do.
    """
    for pk in selectors.left_requests():
        answer_left_request.apply_async((pk,), expires=SWEPT_FOR)
    # Not one for each client: after an outage there may be thousands, at each sweep again.
    for _ in selectors.clients_with_due_requests(limit=SWEEPERS):
        answer_due_requests.apply_async(expires=SWEPT_FOR)
    for channel_pk in selectors.channels_with_due_deliveries():
        deliver_webhooks.apply_async((channel_pk,), expires=SWEPT_FOR)


@shared_task(ignore_result=True)
def answer_due_requests() -> None:
    """Answer asynchronous requests that nobody was nudged for, of the clients that have waited longest."""
    until = time.monotonic() + TURN
    while client_pks := selectors.clients_with_due_requests(limit=_AT_ONCE):
        # Others do the same at the same time: they should not meet at the same clients.
        random.shuffle(client_pks)
        for client_pk in client_pks:
            if time.monotonic() > until:
                answer_due_requests.apply_async(expires=SWEPT_FOR)
                return
            answer_requests(client_pk)


@shared_task(ignore_result=True)
def answer_left_request(pk: int) -> None:
    """Ask the bot again on behalf of a process that died, unless somebody else does by now."""
    request = requests.claim_left(pk=pk)
    if request is not None:
        asking.ask_left(request=request)


@shared_task(ignore_result=True)
def answer_requests(client_pk: int) -> None:
    """Answer a client's asynchronous requests, one after the other, unless another worker does."""
    until = time.monotonic() + TURN
    while (request := requests.claim_next(client_pk=client_pk)) is not None:
        pause = asking.ask_left(request=request)
        if pause is not None or time.monotonic() > until:
            _again(answer_requests, client_pk, pause or 0.0)
            return


@shared_task(ignore_result=True)
def deliver_webhooks(channel_pk: int) -> None:
    """Send what is due at a channel's webhook, unless enough workers do."""
    pause = courier.deliver(channel_pk=channel_pk, seconds=TURN)
    if pause is not None:
        _again(deliver_webhooks, channel_pk, pause)


def _again(task: Task[Any, Any], pk: int, pause: float) -> None:
    if pause <= SOON:
        task.apply_async((pk,), countdown=pause, expires=pause + QUEUED_FOR)
