"""Every read."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from .constants import (
    AGENT_TYPING,
    DEFAULT_EVENT_TYPES,
    OPEN_ANSWER_STATES,
    QUEUED_ROUTES,
    UNREAD_STATUSES,
    AnswerState,
    DeliveryState,
    DialogChangeKind,
    DialogState,
    MessageType,
    Route,
)
from .models import (
    Channel,
    Client,
    ClientState,
    Delivery,
    DeliveryAttempt,
    Dialog,
    DialogChange,
    Message,
    WebhookEndpoint,
    rows,
)

#: How long an agent who typed counts as typing, in seconds.
TYPING_LASTS = 10
#: Messages read in one query while a history is streamed: memory stays flat, nothing is held while the reader
#: is slow.
STREAM_PAGE = 500


def find_client(channel: Channel, client_id: str) -> Client | None:
    client = rows.find(Client, channel=channel.pk, client_id=client_id)
    if client is not None:
        client.channel = channel
    return client


@dataclass(frozen=True)
class Span:
    """A stretch of one client's messages: sequence numbers above ``after``, up to and with ``upto``."""

    client: Client
    after: int
    upto: int


def history_span(
    client: Client, since: dt.datetime | None = None, before: dt.datetime | None = None, after: int = 0
) -> Span:
    """The messages from ``since`` (inclusive) to ``before`` (exclusive) whose sequence number is above ``after``.

    Times never go back along the sequence, so two look-ups in an index turn a span of time into a span of
    sequence numbers, however long the history is.
    """
    messages = Message.objects.filter(client=client)
    upto = client.last_sequence
    if before is not None:
        last = messages.filter(created_at__lt=before).order_by("-created_at", "-sequence")
        upto = last.values_list("sequence", flat=True).first() or 0
    if since is not None:
        first = messages.filter(created_at__gte=since).order_by("created_at", "sequence")
        start = first.values_list("sequence", flat=True).first()
        after = upto if start is None else max(after, start - 1)
    return Span(client, after, upto)


def history_page(span: Span, limit: int) -> list[Message]:
    """At most ``limit`` messages of the span, oldest first."""
    messages = Message.objects.filter(client=span.client, sequence__gt=span.after, sequence__lte=span.upto).defer(
        "raw_request"
    )
    return list(messages.order_by("sequence")[:limit])


def history(span: Span) -> Iterator[list[Message]]:
    """The whole span, page by page. Each page is a query of its own."""
    while page := history_page(span, STREAM_PAGE):
        yield page
        span = Span(span.client, page[-1].sequence, span.upto)


def recent_history(client: Client, before_sequence: int, limit: int) -> list[Message]:
    """The last ``limit`` messages below a sequence number, oldest first."""
    messages = Message.objects.filter(client=client, sequence__lt=before_sequence).order_by("-sequence")
    return list(messages[:limit])[::-1]


def latest_message(client: Client, before_sequence: int) -> Message | None:
    return Message.objects.filter(client=client, sequence__lt=before_sequence).order_by("-sequence").first()


def answers_to(client: Client, question_ids: Sequence[UUID]) -> list[Message]:
    """All bot and agent messages with these ids, oldest first."""
    answers = Message.objects.filter(client=client, question_id__in=question_ids)
    return list(answers.exclude(type=MessageType.REQUEST).order_by("sequence"))


def answer_message(client: Client, question_id: UUID) -> Message | None:
    """The bot or agent message with this id; of several (late answers share it) the newest."""
    return next(iter(reversed(answers_to(client, [question_id]))), None)


def answers_of_request(request: Message) -> list[Message]:
    """What a repeated request is answered with: what its response carried, or else all that came late."""
    answers = answers_to(request.client, [request.question_id])
    return [answer for answer in answers if answer.route == Route.RESPONSE] or answers


def unread_count(client: Client) -> int:
    """How many bot and agent messages are not READ; a partial index finds them.

    What only tells callers that agents have the client is nothing to be read.
    """
    unread = Message.objects.filter(client=client, status__in=UNREAD_STATUSES)
    return unread.exclude(answer_state=AnswerState.HANDED_OVER).count()


def state_of(client: Client) -> ClientState | None:
    return ClientState.objects.filter(client=client).first()


#: A message; the state that was saved; an agent who came or went; a dialog whose agent types.
Entry = Message | ClientState | DialogChange | Dialog


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which of a client's events a connection wants (contract, section 6)."""

    everything: bool = False
    connection_id: str | None = None
    #: With a connection: keep just its events, instead of leaving out what it has seen in its own responses.
    only: bool = False
    since: dt.datetime | None = None
    #: Just these types, of ``constants.EVENT_TYPES``; None is the default set.
    types: frozenset[str] | None = None

    def wants(self, type: str) -> bool:
        return type in (DEFAULT_EVENT_TYPES if self.types is None else self.types)


@dataclass(frozen=True, slots=True)
class Feed:
    """A stretch of a client's events, oldest first; ``upto`` is the sequence number behind which to go on."""

    entries: list[Entry]
    upto: int
    has_more: bool = False


def events_after(client_pk: int, after: int, wanted: EventFilter, limit: int) -> Feed:
    """The client's events with sequence numbers above ``after``, at most ``limit``.

    The client's last number is read first: numbers are given out in the order of commits, so all up to it can be
    seen by the reads that follow, and what the filter leaves out need not be looked at again.
    """
    client = rows.find(Client, id=client_pk)
    if client is None or client.last_sequence <= after:
        return Feed([], after)
    last = client.last_sequence
    span = Q(sequence__gt=after, sequence__lte=last)
    messages = Message.objects.filter(span, client_id=client_pk).defer("raw_request")
    states = ClientState.objects.filter(span, client_id=client_pk)
    if wanted.since is not None:
        messages = messages.filter(created_at__gte=wanted.since)
        states = states.filter(saved_at__gte=wanted.since)
    own = wanted.connection_id
    if own is not None and wanted.only:
        messages = messages.filter(connection_id=own)
        states = states.filter(connection_id=own)
    elif own is not None:
        of_own = Q(connection_id=own, connection_id__isnull=False)
        messages = messages.exclude(of_own & (Q(type=MessageType.REQUEST) | Q(route=Route.RESPONSE)))
        states = states.exclude(of_own)
    if not wanted.everything:
        messages = messages.filter(route__in=(Route.LATE, Route.PUSH)).exclude(type=MessageType.REQUEST)
        states = states.none()
    entries: list[Entry]
    if wanted.types is None:
        entries = [*messages.order_by("sequence")[: limit + 1], *states]
    else:
        of_types = messages.filter(type__in=wanted.types)
        entries = [
            *of_types.order_by("sequence")[: limit + 1],
            *(states if wanted.wants("state") else ()),
            *_events_of_agents(client_pk, after, last, wanted, limit),
        ]
    entries.sort(key=place)
    if len(entries) > limit:
        return Feed(entries[:limit], place(entries[limit - 1]), has_more=True)
    return Feed(entries, last)


def place(entry: Entry) -> int:
    """The sequence number of an event."""
    return entry.typing_sequence if isinstance(entry, Dialog) else entry.sequence


def _events_of_agents(
    client_pk: int, after: int, last: int, wanted: EventFilter, limit: int
) -> list[DialogChange | Dialog]:
    kinds = [kind for kind in (DialogChangeKind.JOINED, DialogChangeKind.LEFT) if wanted.wants(kind)]
    found: list[DialogChange | Dialog] = []
    if kinds:
        changes = DialogChange.objects.filter(
            client=client_pk, sequence__gt=after, sequence__lte=last, kind__in=kinds
        )
        if wanted.since is not None:
            changes = changes.filter(created_at__gte=wanted.since)
        found += changes.order_by("sequence")[: limit + 1]
    if wanted.wants(AGENT_TYPING):
        # That somebody typed a while ago is no news.
        fresh = timezone.now() - dt.timedelta(seconds=TYPING_LASTS)
        typing = Dialog.objects.filter(client=client_pk, state=DialogState.OPEN, typing_at__gte=fresh)
        found += typing.filter(typing_sequence__gt=after, typing_sequence__lte=last).select_related("agent")
    return found


def sequence_before(client: Client, since: dt.datetime, *, of_agents: bool = False) -> int:
    """The sequence number below the first event at or after ``since``; the last one if there is none.

    Args:
        of_agents: agents' events count too, for callers who name types.
    """
    messages = Message.objects.filter(client=client, created_at__gte=since).order_by("created_at", "sequence")
    states = ClientState.objects.filter(client=client, saved_at__gte=since)
    found = [rows.values_list("sequence", flat=True).first() for rows in (messages, states)]
    if of_agents:
        changes = DialogChange.objects.filter(client=client, created_at__gte=since).order_by("sequence")
        typing = Dialog.objects.filter(client=client, typing_at__gte=since).order_by("typing_sequence")
        found.append(changes.values_list("sequence", flat=True).first())
        found.append(typing.values_list("typing_sequence", flat=True).first())
    return min((number - 1 for number in found if number is not None), default=client.last_sequence)


def last_sequences(client_pks: Sequence[int]) -> dict[int, int]:
    """The last sequence number of each of these clients, with one query."""
    return dict(Client.objects.filter(pk__in=client_pks).values_list("pk", "last_sequence"))


def left_requests(limit: int = 100) -> list[Any]:
    """Primary keys of synchronous requests that nobody works on any more, oldest claim first."""
    left = _unclaimed_requests().exclude(route__in=QUEUED_ROUTES)
    return list(left.order_by("lease_expires_at").values_list("pk", flat=True)[:limit])


def clients_with_due_requests(limit: int = 1_000) -> list[Any]:
    """Primary keys of clients whose next queued request nobody works on, longest waiting first."""
    queued = Message.objects.filter(
        client=OuterRef("client"), route__in=QUEUED_ROUTES, lease_expires_at__isnull=False
    )
    first = queued.order_by("sequence").values("pk")[:1]
    next_ones = (
        _unclaimed_requests().filter(pk=Subquery(first), route__in=QUEUED_ROUTES).order_by("lease_expires_at")
    )
    return list(next_ones.values_list("client", flat=True)[:limit])


def _unclaimed_requests() -> QuerySet[Message]:
    return Message.objects.filter(answer_state__in=OPEN_ANSWER_STATES, lease_expires_at__lt=timezone.now())


def channels_with_due_deliveries() -> list[Any]:
    """Primary keys of channels with deliveries to be sent now."""
    now = timezone.now()
    due = Delivery.objects.filter(state=DeliveryState.PENDING, next_attempt_at__lte=now)
    free = due.filter(Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=now))
    return list(Channel.objects.filter(Exists(free.filter(channel=OuterRef("pk")))).values_list("pk", flat=True))


#: Most deliveries, and most attempts, that a webhook's health counts.
HEALTH_LIMIT = 10_000

#: Time over which a webhook's failure rate is taken.
HEALTH_SPAN = dt.timedelta(hours=1)

#: How long after its time a delivery is overdue: a worker or the next sweep would have sent it.
OVERDUE_AFTER = dt.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class WebhookHealth:
    """How a channel's webhook is doing. ``HEALTH_LIMIT + 1`` deliveries stand for any number above the limit."""

    disabled_at: dt.datetime | None
    last_success_at: dt.datetime | None
    last_failure_at: dt.datetime | None
    failures_in_a_row: int
    open_since: dt.datetime | None
    next_probe_at: dt.datetime | None
    #: Over the last hour; of more than ``HEALTH_LIMIT`` attempts the latest.
    recent_attempts: int
    recent_failures: int
    pending: int
    oldest_pending_at: dt.datetime | None
    #: When the oldest one was to be sent. Later ones may wait for it.
    oldest_due_at: dt.datetime | None
    failed: int

    @property
    def failure_rate(self) -> float | None:
        """The failed part of the recent attempts, 0 to 1; None when there were none."""
        return self.recent_failures / self.recent_attempts if self.recent_attempts else None

    @property
    def overdue(self) -> bool:
        """Whether something should have been sent long ago, and no worker is at it."""
        return self._late and not self._worked_on

    @property
    def behind(self) -> bool:
        """Whether something should have been sent long ago although workers are at it: they get no more off."""
        return self._late and self._worked_on

    @property
    def _late(self) -> bool:
        if self.oldest_due_at is None or self.disabled_at or self.open_since:
            return False
        now = timezone.now()
        asked_to_wait = self.next_probe_at is not None and self.next_probe_at > now
        return now - self.oldest_due_at > OVERDUE_AFTER and not asked_to_wait

    @property
    def _worked_on(self) -> bool:
        attempts = filter(None, [self.last_success_at, self.last_failure_at])
        return any(timezone.now() - moment <= OVERDUE_AFTER for moment in attempts)


def webhook_health(channel: Channel) -> WebhookHealth:
    """With five queries, none of which reads more rows than it counts."""
    endpoint = WebhookEndpoint.objects.filter(channel=channel).first() or WebhookEndpoint(channel=channel)
    since = timezone.now() - HEALTH_SPAN
    attempts = DeliveryAttempt.objects.filter(channel=channel, started_at__gte=since)
    latest = attempts.order_by("-started_at").values("pk", "status_code", "error")[:HEALTH_LIMIT]
    recent = latest.aggregate(all=Count("pk"), accepted=Count("pk", filter=DeliveryAttempt.ACCEPTED))
    pending = Delivery.objects.filter(channel=channel, state=DeliveryState.PENDING)
    # By the key, which an index has beside the state; times have none.
    oldest = pending.order_by("pk").values_list("created_at", "next_attempt_at").first() or (None, None)
    return WebhookHealth(
        disabled_at=channel.webhook_disabled_at,
        last_success_at=endpoint.last_success_at,
        last_failure_at=endpoint.last_failure_at,
        failures_in_a_row=endpoint.consecutive_failures,
        open_since=endpoint.opened_at,
        next_probe_at=endpoint.next_probe_at,
        recent_attempts=recent["all"],
        recent_failures=recent["all"] - recent["accepted"],
        pending=_bounded(pending),
        oldest_pending_at=oldest[0],
        oldest_due_at=oldest[1],
        failed=_bounded(failed_deliveries(channel)),
    )


def _bounded(rows: QuerySet[Any]) -> int:
    return rows.order_by().values("pk")[: HEALTH_LIMIT + 1].count()


def failed_deliveries(channel: Channel, since: dt.datetime | None = None) -> QuerySet[Delivery]:
    """What the channel's clients did not get, made at or after a time. Test events are nobody's loss."""
    failed = Delivery.objects.filter(channel=channel, state=DeliveryState.FAILED, client__isnull=False)
    return failed if since is None else failed.filter(created_at__gte=since)
