"""Deliver what is due at one channel's webhook."""

import logging
import math
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import connections, router
from django.utils import timezone

from ..conf import chatapi_settings
from ..constants import MessageType
from ..models import Channel, Delivery, Message
from ..webhooks import transport
from ..webhooks.signing import headers
from ..wire.envelope import text_data, webhook_body, webhook_item
from . import deliveries
from .deliveries import Sent

logger = logging.getLogger("django_chatapi.actions")

#: What was sent is recorded at the latest after this many seconds, so that others see it, and so that not much
#: is sent twice when this process is killed. What was claimed with it goes back then, and waits for no slow POST.
_RECORD_EVERY = 0.5


def deliver(*, channel_pk: int, seconds: float) -> float | None:
    """Send the channel's due deliveries until there are none, or the time is over.

    Args:
        seconds: after this time no more are claimed, so that one channel does not keep a worker for itself.

    Returns:
        In how many seconds to go on: 0 when the time was over; None when nothing is left.
    """
    holder = uuid.uuid4()
    until = time.monotonic() + seconds
    next_at = math.inf
    while True:
        if time.monotonic() >= until:
            return 0.0
        claimed = deliveries.claim(channel_pk=channel_pk, holder=holder)
        if not claimed:
            return None if next_at == math.inf else max(next_at - time.monotonic(), 0.0)
        next_at = min(next_at, _Batch(claimed).send())


def send_test(*, channel: Channel) -> Sent:
    """Send a test event now, and wait for what comes of it."""
    delivery = deliveries.make_test_delivery(channel=channel)
    sent = _attempt(delivery, [])
    deliveries.record(channel=channel, sent=[sent])
    return sent


def payload(delivery: Delivery, messages: list[Message]) -> bytes:
    """The body of a delivery: a JSON array of envelopes. The same for every attempt."""
    items: list[Any]
    if delivery.client is None:
        items = [_test_item(delivery)]
    else:
        client_id = delivery.client.client_id
        items = [webhook_item(message, token=delivery.token, client_id=client_id) for message in messages]
    return webhook_body(items)


class _Batch:
    """What was claimed at once, on its way."""

    def __init__(self, claimed: list[Delivery]) -> None:
        self._channel = claimed[0].channel
        self._messages = deliveries.messages_of(claimed)
        self._rest = claimed
        self._sent: list[Sent] = []
        self._next_at = math.inf
        #: Held by whoever takes from the rest, or records.
        self._lock = threading.Lock()

    def send(self) -> float:
        """Send and record.

        Returns:
            When the next of the failed ones is due, as a time of ``time.monotonic``; infinity if none failed.
        """
        until = time.monotonic() + _RECORD_EVERY
        delivery = self._take()
        with self._given_back_in_time():
            while delivery is not None:
                sent = _attempt(delivery, self._messages[delivery.pk])
                with self._lock:
                    self._sent.append(sent)
                # An endpoint that fails or is slow gets no further ones for now; they go back, for whoever comes
                # next.
                slow = time.monotonic() > until
                delivery = self._take() if sent.outcome.accepted and not slow else None
        with self._lock:
            self._record()
        return self._next_at

    def _take(self) -> Delivery | None:
        with self._lock:
            return self._rest.pop(0) if self._rest else None

    def _record(self) -> bool:
        """Whether there was anything to record or to give back."""
        if not self._sent and not self._rest:
            return False
        delay = deliveries.record(channel=self._channel, sent=self._sent, release=self._rest)
        if delay is not None:
            self._next_at = min(self._next_at, time.monotonic() + delay)
        self._sent, self._rest = [], []
        return True

    @contextmanager
    def _given_back_in_time(self) -> Iterator[None]:
        """Until the end of the block, see to it that a POST that takes long holds up no others of the batch."""
        # Inside somebody's transaction nobody else sees the claim, and a second connection would wait for ever.
        if not self._rest or connections[router.db_for_write(Delivery)].in_atomic_block:
            yield
            return
        timer = threading.Timer(_RECORD_EVERY, self._give_back)
        timer.daemon = True
        # Where no thread can be had, the others have to wait.
        with suppress(RuntimeError):
            timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_back(self) -> None:
        try:
            # Before the lock: who waits for one of a pool keeps nobody from recording meanwhile.
            connections[router.db_for_write(Delivery)].ensure_connection()
            with self._lock:
                recorded = self._record()
            if recorded:
                deliveries.announce(self._channel.pk)
        except Exception as error:
            # Whatever it was: it is recorded as soon as the POST is over.
            logger.warning("Deliveries could not be given back: %s", type(error).__name__)
        finally:
            connections.close_all()


def _attempt(delivery: Delivery, messages: list[Message]) -> Sent:
    started_at = timezone.now()
    try:
        body = payload(delivery, messages)
        signed = headers(delivery.channel.webhook_secrets(), str(delivery), int(started_at.timestamp()), body)
    except ValueError:
        # Text that is no UTF-8, or a secret that signs nothing: it must not hold up what was claimed with it.
        return Sent(delivery, messages, started_at, {}, transport.Outcome(None, "cannot be signed", "", 0.0, None))
    outcome = transport.post(delivery.channel.webhook_url, body, signed, timeout=chatapi_settings.WEBHOOK_TIMEOUT)
    return Sent(delivery, messages, started_at, signed, outcome)


def _test_item(delivery: Delivery) -> dict[str, Any]:
    message = Message(
        type=MessageType.BOT_RESPONSE,
        question_id=delivery.webhook_id,
        created_at=delivery.created_at,
        data=text_data("This is a test event: your webhook works."),
    )
    return webhook_item(message, token=delivery.token, client_id="test")
