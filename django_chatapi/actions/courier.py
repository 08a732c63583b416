"""Deliver what is due at one channel's webhook."""

import time
import uuid
from typing import Any

from django.utils import timezone

from ..conf import chatapi_settings
from ..constants import MessageType
from ..models import Channel, Delivery, Message
from ..webhooks import transport
from ..webhooks.signing import headers
from ..wire.envelope import text_data, webhook_body, webhook_item
from . import deliveries
from .deliveries import Sent

#: What was sent is recorded at the latest after this many seconds, so that others see it, and so that not much
#: is sent twice when this process is killed.
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
    delays: list[float] = []
    while True:
        if time.monotonic() >= until:
            return 0.0
        claimed = deliveries.claim(channel_pk=channel_pk, holder=holder)
        if not claimed:
            return min(delays, default=None)
        delay = _send_all(claimed)
        if delay is not None:
            delays.append(delay)


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


def _send_all(claimed: list[Delivery]) -> float | None:
    messages = deliveries.messages_of(claimed)
    began = time.monotonic()
    sent = []
    for delivery in claimed:
        sent.append(_attempt(delivery, messages[delivery.pk]))
        # An endpoint that fails or is slow gets no further ones for now; they go back, for whoever comes next.
        if not sent[-1].outcome.accepted or time.monotonic() - began > _RECORD_EVERY:
            break
    return deliveries.record(channel=claimed[0].channel, sent=sent, release=claimed[len(sent) :])


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
