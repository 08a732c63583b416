"""Record how far messages got (contract, section 9)."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connections, router, transaction
from django.db.models import QuerySet
from django.utils import timezone

from .. import selectors
from ..constants import MessageType, Status
from ..models import Client, Message, MessageStatus, rows
from .announce import announce_news_on_commit, announce_on_commit

#: So many messages are marked one by one, with prepared statements; more of them together.
_FEW = 3
#: Messages changed in one step of :func:`update_up_to`.
_CHUNK = 1_000


@dataclass(frozen=True)
class Receipt:
    """What a caller says about a message: ``question_id`` is at ``status``, and since ``timestamp`` if given."""

    question_id: UUID
    status: Status
    timestamp: dt.datetime | None = None


def update(*, client: Client, receipts: Sequence[Receipt]) -> dict[UUID, Status]:
    """Apply the receipts in order, all or none.

    Returns:
        The status of each message that was found, as it is now. Several messages may share an id (late
        answers): all are changed, and the newest is reported.
    """
    with transaction.atomic(using=router.db_for_write(Message)):
        found: dict[UUID, list[Message]] = {}
        for message in _answers(client).filter(question_id__in={receipt.question_id for receipt in receipts}):
            found.setdefault(message.question_id, []).append(message)
        now = timezone.now()  # under the locks: whoever waited for them comes later
        changes = [
            change
            for receipt in receipts
            for message in found.get(receipt.question_id, [])
            if (change := _apply(message, receipt.status, receipt.timestamp, now))
        ]
        _record(changes)
        if client.dialog_id is not None:
            announce_on_commit(client)
    return {question_id: Status(str(messages[-1].status)) for question_id, messages in found.items()}


def update_up_to(
    *, client: Client, question_id: UUID, status: Status, timestamp: dt.datetime | None = None
) -> Status | None:
    """Apply one status to every bot and agent message up to and with this one, in one transaction.

    Returns:
        The status of the named message as it is now; None if there is no such message.
    """
    with transaction.atomic(using=router.db_for_write(Message)):
        # Not locked yet: locks are taken in the order of the numbers only, or two callers wait for each other.
        last = selectors.answer_message(client, question_id)
        if last is None:
            return None
        above = 0
        while True:
            span = _answers(client).filter(sequence__gt=above, sequence__lte=last.sequence)
            chunk = list(span.exclude(status=status)[:_CHUNK])
            now = timezone.now()
            _record([change for message in chunk if (change := _apply(message, status, timestamp, now))])
            if len(chunk) < _CHUNK:
                break
            above = chunk[-1].sequence
        if client.dialog_id is not None:
            announce_on_commit(client)
        last.refresh_from_db(fields=["status"])
        return Status(str(last.status))


def mark_sent(*, messages: Sequence[Message]) -> None:
    """A transport has these messages: what was not sent yet is sent now. A later receipt is left alone.

    So is a message that somebody else is changing just now: they know at least as much. Nobody waits for them.
    """
    unsent = [message for message in messages if message.status == Status.NOT_SENT]
    if not unsent:
        return
    waiting = [message.pk for message in unsent]
    database = router.db_for_write(Message)
    skip_locked = connections[database].features.has_select_for_update_skip_locked
    with transaction.atomic(using=database, savepoint=False):
        now = timezone.now()
        for message in unsent:
            if message.type == MessageType.HUMAN_RESPONSE:  # an agent may be looking at it
                announce_news_on_commit(message.client_id, message.sequence)
        if len(waiting) <= _FEW:
            for pk in waiting:
                if rows.lock_free(Message, id=pk, status=Status.NOT_SENT):
                    rows.update(Message, {"id": pk}, {"status": Status.SENT, "status_changed_at": now})
                    rows.insert(MessageStatus(message_id=pk, status=Status.SENT, changed_at=now))
            return
        still = Message.objects.filter(pk__in=waiting, status=Status.NOT_SENT).order_by("client", "sequence")
        pks = list(still.select_for_update(skip_locked=skip_locked).values_list("pk", flat=True))
        Message.objects.filter(pk__in=pks).update(status=Status.SENT, status_changed_at=now)
        MessageStatus.objects.bulk_create(
            [MessageStatus(message_id=pk, status=Status.SENT, changed_at=now) for pk in pks]
        )


def _answers(client: Client) -> QuerySet[Message]:
    """Bot and agent messages of the client, locked in the order of their numbers so that nobody deadlocks."""
    answers = Message.objects.filter(client=client).exclude(type=MessageType.REQUEST).order_by("sequence")
    return answers.only("question_id", "sequence", "status", "status_changed_at").select_for_update()


def _apply(
    message: Message, status: Status, timestamp: dt.datetime | None, now: dt.datetime
) -> MessageStatus | None:
    # A clock that is ahead must not shut out the receipts that follow.
    moment = min(timestamp or now, now)
    if timestamp and message.status_changed_at and moment < message.status_changed_at:
        return None
    if message.status == status:
        return None
    message.status, message.status_changed_at = status, moment
    return MessageStatus(message=message, status=status, changed_at=moment)


def _record(changes: Sequence[MessageStatus]) -> None:
    MessageStatus.objects.bulk_create(changes)
    last = {change.message.pk: change for change in changes}
    alike: dict[tuple[str, dt.datetime], list[int]] = {}
    for pk, change in last.items():
        alike.setdefault((change.status, change.changed_at), []).append(pk)
    for (status, moment), pks in alike.items():
        Message.objects.filter(pk__in=pks).update(status=status, status_changed_at=moment)
