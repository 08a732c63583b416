"""Resend failed deliveries, however many."""

from collections.abc import Iterator

from django.db.models import QuerySet

from ..constants import DeliveryState
from ..models import Delivery
from . import deliveries

#: Deliveries that one transaction resends.
STEP = 1_000


def resend_in_steps(*, failed: QuerySet[Delivery]) -> Iterator[int]:
    """Resend those of the deliveries that are failed, oldest first; after each step, how many so far.

    Each step is a transaction of its own: workers begin with the first ones, and no row is locked for long. What
    fails again meanwhile is not resent once more.
    """
    count, last = 0, 0
    failed = failed.filter(state=DeliveryState.FAILED)
    while keys := list(failed.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:STEP]):
        count += deliveries.resend(deliveries=failed.filter(pk__gt=last, pk__lte=keys[-1]))
        last = keys[-1]
        yield count


def resend_all(*, failed: QuerySet[Delivery]) -> int:
    """:func:`resend_in_steps` to its end."""
    return max(resend_in_steps(failed=failed), default=0)
