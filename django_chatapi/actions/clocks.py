"""Times that one host writes and another one compares with its own clock."""

import datetime as dt

from django.utils import timezone

#: How much the clocks of two hosts may differ without anybody having to wait, in seconds.
SLACK = 5.0


def due_now() -> dt.datetime:
    """When to do what is to be done at once: a time that is past on every host.

    A worker whose clock is behind would drop the nudge otherwise, and leave it to the sweep.
    """
    return timezone.now() - dt.timedelta(seconds=SLACK)
