"""The webhook's outbox: what has to be delivered, who delivers it, and what became of it (contract, section 10).

The database decides what is due. Whoever asks for work claims it for a while; a worker that dies only keeps others
waiting until its lease runs out.
"""

import datetime as dt
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import connections, router, transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from ..conf import chatapi_settings
from ..constants import DeliveryState, MessageType, Route
from ..models import Channel, Client, Delivery, DeliveryAttempt, Message, WebhookEndpoint
from ..signals import deliveries_due, delivery_accepted, delivery_failed
from ..webhooks.transport import Outcome
from ..wire.envelope import webhook_body, webhook_item
from . import statuses
from .announce import send_on_commit
from .clocks import due_now

#: Deliveries claimed at once, if the endpoint is well: one claim and one record for all of them.
BATCH = 20

GONE = 410
#: What an endpoint answers that is too busy for anybody, not for one delivery only.
BUSY = (429, 503)
_DISABLED = "the endpoint is gone (410), the webhook is disabled"


# Into the outbox


def mark_for_webhook(*, message: Message) -> None:
    """See to it that a message just written reaches the webhook, if the channel has one.

    Call it inside the transaction that writes the message, after ``take_turn``: under the client's row lock there
    is only one writer.
    """
    client = message.client
    channel = client.channel
    if channel.webhook_disabled_at is not None:
        # It was read before the bot began to think: somebody may have enabled it since.
        channel.refresh_from_db(fields=["webhook_url", "webhook_disabled_at"])
    if not channel.webhook_url:
        return
    size = len(webhook_body([webhook_item(message, token=channel.token, client_id=client.client_id)]))
    fresh = {
        "channel": channel,
        "client": client,
        "token": channel.token,
        "first_sequence": message.sequence,
        "last_sequence": message.sequence,
        "bytes": size,
        "next_attempt_at": due_now(),
    }
    if not channel.webhook_enabled:
        # Not left out: once the webhook is enabled again, it is resent like all else that failed.
        fresh |= {"next_attempt_at": None, "closed_at": timezone.now(), "sealed": True}
        lost = Delivery.objects.create(**fresh, state=DeliveryState.FAILED, failure=_DISABLED)
        send_on_commit(delivery_failed, sender=Delivery, delivery=lost)
        return
    # The last one alone: earlier ones were full, and may look otherwise after a change of the setting.
    waiting = Delivery.objects.filter(client=client, state=DeliveryState.PENDING, sealed=False)
    last = waiting.order_by("-first_sequence").values_list("pk", flat=True).first()
    growing = waiting.filter(
        pk=last or 0,
        items__lt=chatapi_settings.WEBHOOK_MAX_ITEMS,
        bytes__lte=chatapi_settings.WEBHOOK_MAX_BYTES - size,
    )
    if not growing.update(last_sequence=message.sequence, items=F("items") + 1, bytes=F("bytes") + size):
        Delivery.objects.create(**fresh)
    announce(channel.pk)


def announce(channel_pk: int) -> None:
    """Once the transaction is committed, tell workers that this channel has deliveries."""
    send_on_commit(deliveries_due, sender=Delivery, channel_pk=channel_pk)


def messages_of(deliveries: Sequence[Delivery]) -> dict[int, list[Message]]:
    """What each of these deliveries carries, oldest first, by the delivery's primary key; with one query."""
    spans = Q(pk__in=[])
    for delivery in deliveries:
        if delivery.client_id is not None:
            span = (delivery.first_sequence, delivery.last_sequence)
            spans |= Q(client_id=delivery.client_id, sequence__range=span)
    found = Message.objects.filter(spans, route__in=(Route.ASYNC, Route.LATE, Route.PUSH))
    messages = list(found.exclude(type=MessageType.REQUEST).defer("raw_request").order_by("client", "sequence"))
    by_client: dict[int, list[Message]] = {}
    for message in messages:
        by_client.setdefault(message.client_id, []).append(message)
    return {
        delivery.pk: [
            message
            for message in by_client.get(delivery.client_id or 0, ())
            if delivery.first_sequence <= message.sequence <= delivery.last_sequence
        ]
        for delivery in deliveries
    }


# Out of it


def claim(*, channel_pk: int, holder: uuid.UUID) -> list[Delivery]:
    """Take the deliveries of a channel that are due: of each client the oldest pending one.

    Nothing is given out while ``WEBHOOK_CONCURRENCY`` others are at work, or before the endpoint's next probe: its
    circuit is open, or it asked to be left alone (Retry-After).

    Returns:
        At most :data:`BATCH`, with their channel and clients, leased to ``holder`` for ``WEBHOOK_LEASE`` seconds.
    """
    database = router.db_for_write(Delivery)
    with transaction.atomic(using=database):
        endpoint = _locked(channel_pk)
        if endpoint is None:
            return []
        channel = Channel.objects.get(pk=channel_pk)
        now = timezone.now()
        pending = Delivery.objects.filter(channel=channel, state=DeliveryState.PENDING)
        if not channel.webhook_enabled:
            _give_up(pending, _DISABLED if channel.webhook_url else "the channel has no webhook any more")
            return []
        if endpoint.next_probe_at is not None and endpoint.next_probe_at > now:
            return []
        busy = pending.filter(lease_expires_at__gt=now).values("lease_holder").distinct().count()
        if busy >= (1 if endpoint.consecutive_failures else chatapi_settings.WEBHOOK_CONCURRENCY):
            return []
        free = pending.filter(Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=now))
        # Not “no earlier one exists”: for that the database may join all pending ones with each other.
        of_client = Delivery.objects.filter(client=OuterRef("client"), state=DeliveryState.PENDING)
        oldest = of_client.order_by("first_sequence").values("pk")[:1]
        # A test event has no client, and nothing to wait for.
        next_ones = Q(pk=Subquery(oldest)) | Q(client__isnull=True)
        # What is resent by hand is older than what may be under way.
        under_way = pending.filter(lease_expires_at__gt=now, client__isnull=False).values("client")
        due = free.filter(next_ones, next_attempt_at__lte=now).exclude(client__in=under_way)
        due = due.order_by("next_attempt_at", "pk")
        if connections[database].features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True)
        claimed = list(due[: 1 if endpoint.consecutive_failures else BATCH])
        lease = {"lease_holder": holder, "lease_expires_at": now + _seconds(chatapi_settings.WEBHOOK_LEASE)}
        Delivery.objects.filter(pk__in=[one.pk for one in claimed]).update(sealed=True, **lease)
        if claimed and endpoint.opened_at is not None:
            endpoint.next_probe_at = now + _seconds(chatapi_settings.WEBHOOK_PROBE_INTERVAL)
            endpoint.save(update_fields=["next_probe_at"])
    clients = Client.objects.in_bulk({one.client_id for one in claimed if one.client_id is not None})
    found = []
    for delivery in claimed:
        delivery.channel = channel
        if delivery.client_id is not None:
            if delivery.client_id not in clients:
                continue  # deleted since, and the delivery with it
            delivery.client = clients[delivery.client_id]
        delivery.sealed, delivery.lease_holder = True, holder
        found.append(delivery)
    return found


@dataclass
class Sent:
    """One attempt: the delivery, its messages, what went out and what came back."""

    delivery: Delivery
    messages: list[Message]
    started_at: dt.datetime
    headers: dict[str, str]
    outcome: Outcome
    #: Set by :func:`record`: the delivery's state after this attempt.
    state: str = field(default=DeliveryState.PENDING)


def record(*, channel: Channel, sent: Sequence[Sent], release: Sequence[Delivery] = ()) -> float | None:
    """Store what became of attempts, in their order, and give back what was claimed and not sent.

    Returns:
        In how many seconds the next of the failed ones is due; None if there is none.
    """
    delays: list[float] = []
    columns: list[tuple[Delivery, dict[str, Any]]] = []
    with transaction.atomic(using=router.db_for_write(Delivery)):
        endpoint = _locked(channel.pk)
        if endpoint is None:
            return None
        # Locked, so that none is deleted between this look and the attempt that names it.
        rows = Delivery.objects.filter(pk__in=[one.delivery.pk for one in sent]).order_by("pk").select_for_update()
        held = dict(rows.values_list("pk", "lease_holder"))
        sent = [one for one in sent if one.delivery.pk in held]
        mine = {one.delivery.pk for one in sent if held[one.delivery.pk] == one.delivery.lease_holder}
        DeliveryAttempt.objects.bulk_create(
            [
                DeliveryAttempt(
                    delivery=one.delivery,
                    channel=channel,
                    number=one.delivery.attempts + 1,
                    started_at=one.started_at,
                    seconds=one.outcome.seconds,
                    status_code=one.outcome.status,
                    error=one.outcome.error[:255],
                    response=one.outcome.response,
                    headers=one.headers,
                )
                for one in sent
            ]
        )
        accepted = [one for one in sent if one.outcome.accepted]
        if accepted:
            changes = {
                "state": DeliveryState.ACCEPTED,
                "closed_at": timezone.now(),
                "next_attempt_at": None,
                "failure": "",
                **_FREE,
            }
            _held([one.delivery for one in accepted]).update(attempts=F("attempts") + 1, **changes)
            columns += [(one.delivery, {"attempts": one.delivery.attempts + 1, **changes}) for one in accepted]
            statuses.mark_sent(messages=[message for one in accepted for message in one.messages])
        for one in sent:
            if one.outcome.accepted:
                one.state = DeliveryState.ACCEPTED
                continue
            delay, changes = _refused(one)
            columns.append((one.delivery, changes))
            if delay is not None:
                delays.append(delay)
        if release:
            _held(release).update(**_FREE)
        _move_endpoint(endpoint, channel, sent)
        # Before the signals, and not earlier: who tries again after a failure has to look like the rows.
        transaction.on_commit(partial(_set, columns), using=router.db_for_write(Delivery))
        for one in sent:
            if one.delivery.pk not in mine:
                continue  # somebody else sends it, and tells of it
            signal = {DeliveryState.ACCEPTED: delivery_accepted, DeliveryState.FAILED: delivery_failed}.get(
                DeliveryState(one.state)
            )
            if signal is not None:
                send_on_commit(signal, sender=Delivery, delivery=one.delivery)
    return min(delays, default=None)


_FREE: dict[str, Any] = {"lease_holder": None, "lease_expires_at": None}


def _refused(one: Sent) -> tuple[float | None, dict[str, Any]]:
    """Store a failed attempt; return the delay before the next one, if there is one, and what was changed."""
    delivery, outcome = one.delivery, one.outcome
    schedule = chatapi_settings.WEBHOOK_RETRY_SCHEDULE
    if schedule is None:
        schedule = [chatapi_settings.WEBHOOK_RETRY_DELAY] * 3
    if delivery.client_id is None:
        schedule = []  # somebody watches a test event
    failure = (outcome.error or f"status {outcome.status}")[:255]
    number = delivery.attempts + 1
    now = timezone.now()
    changes: dict[str, Any] = {"attempts": number, "failure": failure, **_FREE}
    if outcome.status == GONE or number > len(schedule):
        one.state = DeliveryState.FAILED
        changes |= {"state": DeliveryState.FAILED, "closed_at": now, "next_attempt_at": None}
        delay = None
    else:
        # Upward only: the contract promises that a resend never comes earlier.
        delay = schedule[number - 1] * random.uniform(1.0, 1.1)  # noqa: S311
        delay = max(delay, _retry_after(outcome))
        changes["next_attempt_at"] = now + _seconds(delay)
    _held([delivery]).update(**changes)
    return delay, changes


def _set(columns: list[tuple[Delivery, dict[str, Any]]]) -> None:
    for delivery, changes in columns:
        for name, value in changes.items():
            setattr(delivery, name, value)


def _retry_after(outcome: Outcome) -> float:
    return min(outcome.retry_after or 0.0, chatapi_settings.WEBHOOK_RETRY_AFTER_MAX)


def _move_endpoint(endpoint: WebhookEndpoint, channel: Channel, sent: Sequence[Sent]) -> None:
    for one in sent:
        moment = one.started_at + _seconds(one.outcome.seconds)
        if one.outcome.accepted:
            endpoint.consecutive_failures, endpoint.last_success_at = 0, moment
            waits_since = endpoint.opened_at or endpoint.next_probe_at
            # What was under way already does not end the pause that the endpoint asked for.
            if waits_since is not None and one.started_at >= waits_since:
                endpoint.next_probe_at = None
            endpoint.opened_at = None
            continue
        endpoint.consecutive_failures += 1
        endpoint.last_failure_at = moment
        pause = _retry_after(one.outcome) if one.outcome.status in BUSY else 0.0
        if endpoint.consecutive_failures >= chatapi_settings.WEBHOOK_CIRCUIT_FAILURES:
            endpoint.opened_at = endpoint.opened_at or moment
            pause = max(pause, chatapi_settings.WEBHOOK_PROBE_INTERVAL)
        if pause:
            endpoint.next_probe_at = max(endpoint.next_probe_at or moment, moment + _seconds(pause))
        # Not if the channel sends elsewhere by now.
        answered = Channel.objects.filter(pk=channel.pk, webhook_url=channel.webhook_url)
        if one.outcome.status == GONE and answered.update(webhook_disabled_at=moment):
            pending = Delivery.objects.filter(channel=channel, state=DeliveryState.PENDING)
            _give_up(pending, _DISABLED)
    if sent:
        endpoint.save()


def _give_up(pending: QuerySet[Delivery], failure: str) -> None:
    unclaimed = pending.filter(Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=timezone.now()))
    if delivery_failed.has_listeners(Delivery):
        for delivery in unclaimed.select_for_update().iterator():
            delivery.state, delivery.failure = DeliveryState.FAILED, failure
            send_on_commit(delivery_failed, sender=Delivery, delivery=delivery)
    unclaimed.update(
        state=DeliveryState.FAILED,
        failure=failure,
        sealed=True,
        closed_at=timezone.now(),
        next_attempt_at=None,
        **_FREE,
    )


def _held(deliveries: Sequence[Delivery]) -> QuerySet[Delivery]:
    """These deliveries, unless their lease was lost meanwhile: then somebody else sends them, and records it."""
    holders = {delivery.lease_holder for delivery in deliveries}
    held = Delivery.objects.filter(pk__in=[delivery.pk for delivery in deliveries], lease_holder__in=holders)
    return held.filter(Q(state=DeliveryState.PENDING) | Q(client__isnull=True))


def _locked(channel_pk: int) -> WebhookEndpoint | None:
    """The channel's endpoint; None when the channel was deleted.

    The UPDATE comes first, so that on every database one claims at a time.
    """
    mine = WebhookEndpoint.objects.filter(channel=channel_pk)
    if not mine.update(claims=F("claims") + 1):
        if not Channel.objects.filter(pk=channel_pk).exists():
            return None
        WebhookEndpoint.objects.bulk_create([WebhookEndpoint(channel_id=channel_pk)], ignore_conflicts=True)
        mine.update(claims=F("claims") + 1)
    return mine.get()


# By hand


def resend(*, deliveries: QuerySet[Delivery]) -> int:
    """Try failed deliveries anew: the first attempt at once, then the whole schedule. Returns how many."""
    with transaction.atomic(using=router.db_for_write(Delivery)):
        failed = deliveries.filter(state=DeliveryState.FAILED)
        channel_pks = list(failed.order_by().values_list("channel", flat=True).distinct())
        count = failed.update(state=DeliveryState.PENDING, attempts=0, next_attempt_at=due_now(), closed_at=None)
        for channel_pk in channel_pks:
            announce(channel_pk)
    return count


def make_test_delivery(*, channel: Channel) -> Delivery:
    """A delivery of a test event, to be sent by whoever made it: no worker looks at it.

    It counts as failed until its outcome is recorded: a process that dies meanwhile leaves nothing pending.
    """
    return Delivery.objects.create(
        channel=channel,
        token=channel.token,
        sealed=True,
        state=DeliveryState.FAILED,
        failure="its outcome is not known",
        next_attempt_at=None,
        lease_holder=uuid.uuid4(),
    )


def enable_webhook(*, channel: Channel) -> None:
    """Send to the channel's webhook again, after a 410 or at once while its circuit is open.

    Also for a new URL, before it is saved: what became of the old one says nothing of it.
    """
    with transaction.atomic(using=router.db_for_write(Delivery)):
        _locked(channel.pk)  # first, as in record()
        channel.webhook_disabled_at = None
        channel.save(update_fields=["webhook_disabled_at"])
        WebhookEndpoint.objects.filter(channel=channel).update(
            consecutive_failures=0, opened_at=None, next_probe_at=None
        )
        announce(channel.pk)


def _seconds(number: float) -> dt.timedelta:
    return dt.timedelta(seconds=number)
