"""Keep the claims on requests whose bots are still thinking in this process."""

import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

from ..conf import chatapi_settings
from ..models import Message
from .requests import renew_claims

logger = logging.getLogger("django_chatapi.bots")


class _Keeper:
    """One thread per process that renews all claims with one query, three times per lease.

    Not those that are older than ``BOT_TIMEOUT``. The thread ends when it finds nothing to keep, and is made again
    with the next claim.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: When each claim was made, as times of ``time.monotonic``.
        self._holders: dict[uuid.UUID, float] = {}
        self._running = False

    def add(self, holder: uuid.UUID) -> None:
        with self._lock:
            self._holders[holder] = time.monotonic()
            if not self._running:
                threading.Thread(target=self._renew, name="chatapi-leases", daemon=True).start()
                self._running = True

    def remove(self, holder: uuid.UUID) -> None:
        with self._lock:
            self._holders.pop(holder, None)

    def _renew(self) -> None:
        while True:
            time.sleep(chatapi_settings.ANSWER_LEASE / 3)
            with self._lock:
                self._drop_old()
                holders = list(self._holders)
                if not holders:
                    self._running = False
                    return
            try:
                renew_claims(holders=holders)
            except Exception as error:
                # Whatever it was: with this thread every claim of the process would end.
                logger.warning("Claims could not be renewed: %s", type(error).__name__)
            finally:
                connections.close_all()

    def _drop_old(self) -> None:
        limit = chatapi_settings.BOT_TIMEOUT
        since = time.monotonic() - limit
        for holder in [holder for holder, moment in self._holders.items() if moment < since]:
            del self._holders[holder]
            logger.warning("A bot is not done after %s s: its request is left to the sweep.", limit)


_keeper = _Keeper()


@contextmanager
def kept(request: Message) -> Iterator[None]:
    """Renew the request's claim until the end of the block, but for no longer than ``BOT_TIMEOUT``."""
    holder = request.lease_holder
    if holder is None:
        raise ValueError("The request is not claimed.")
    try:
        _keeper.add(holder)
        yield
    finally:
        _keeper.remove(holder)


def _forget_after_fork() -> None:
    global _keeper
    _keeper = _Keeper()


os.register_at_fork(after_in_child=_forget_after_fork)
