"""Celery tasks: each loads by id and calls one action. Any of them may run twice, or late, without harm."""

from celery import shared_task

from . import selectors
from .actions import asking, requests

#: How long a nudge may stand in the queue, in seconds. The next sweep nudges again, and a busy worker's queue must
#: not fill with repetitions.
QUEUED_FOR = 60


@shared_task(ignore_result=True)
def answer_left_requests() -> int:
    """The sweep: find requests whose process died while the bot was being asked, and have them asked again.

    Schedule it with Celery beat every few seconds; it is one look at a partial index when there is nothing to
    do. Returns how many were found.
    """
    left = selectors.left_requests()
    for pk in left:
        answer_left_request.apply_async((pk,), expires=QUEUED_FOR)
    return len(left)


@shared_task(ignore_result=True)
def answer_left_request(pk: int) -> None:
    """Ask the bot again on behalf of a process that died, unless somebody else does by now."""
    request = requests.claim_left(pk=pk)
    if request is not None:
        asking.ask_left(request=request)
