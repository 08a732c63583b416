"""How far messages got: the last update wins, nobody deadlocks, every change is kept (contract, section 9)."""

import datetime as dt
import uuid

import pytest
from django.utils import timezone

from django_chatapi.actions import answers, asking, statuses
from django_chatapi.actions.statuses import Receipt
from django_chatapi.bots import Answer
from django_chatapi.constants import Status
from django_chatapi.identifiers import make_question_id
from django_chatapi.models import Message, MessageStatus
from django_chatapi.selectors import unread_count
from tests.acts.conftest import together

SENT, DELIVERED, READ, NOT_SENT = Status.SENT, Status.DELIVERED, Status.READ, Status.NOT_SENT


@pytest.fixture
def talk(channel, accept):
    """Ask the echo bot so many times; the answers."""

    def ask(count=1, client_id="ann"):
        return [asking.ask(request=accept(channel, client_id=client_id)) for _ in range(count)]

    return ask


def status_of(message):
    return Message.objects.get(pk=message.pk).status


def history_of(message):
    return list(MessageStatus.objects.filter(message=message).order_by("pk").values_list("status", flat=True))


def update(client, *receipts):
    return statuses.update(client=client, receipts=[Receipt(*receipt) for receipt in receipts])


@pytest.mark.django_db
def test_the_last_update_wins_and_every_change_is_kept(talk):
    (answer,) = talk()
    for status in (DELIVERED, READ, DELIVERED, NOT_SENT):
        assert update(answer.client, (answer.question_id, status)) == {answer.question_id: status}
        assert status_of(answer) == status
    assert history_of(answer) == [DELIVERED, READ, DELIVERED, NOT_SENT]


@pytest.mark.django_db
def test_the_same_status_again_is_no_change(talk):
    (answer,) = talk()
    for _ in range(3):
        assert update(answer.client, (answer.question_id, READ)) == {answer.question_id: READ}
    assert update(answer.client, (answer.question_id, READ), (answer.question_id, READ)) == {
        answer.question_id: READ
    }
    assert history_of(answer) == [READ]


@pytest.mark.django_db
def test_several_receipts_of_one_message_apply_in_their_order(talk):
    (answer,) = talk()
    result = update(answer.client, (answer.question_id, READ), (answer.question_id, DELIVERED))
    assert result == {answer.question_id: DELIVERED}
    assert status_of(answer) == DELIVERED
    assert history_of(answer) == [READ, DELIVERED]


@pytest.mark.django_db
def test_a_receipt_older_than_the_last_change_is_ignored(talk):
    (answer,) = talk()
    start = Message.objects.get(pk=answer.pk).status_changed_at

    def at(status, milliseconds):
        moment = start + dt.timedelta(milliseconds=milliseconds)
        return update(answer.client, (answer.question_id, status, moment))[answer.question_id]

    assert at(READ, -1) == SENT
    late = dt.timedelta(milliseconds=1)
    Message.objects.update(status_changed_at=start - dt.timedelta(hours=1))
    assert at(READ, 0) == READ
    assert at(DELIVERED, -1) == READ
    assert at(DELIVERED, 0) == DELIVERED
    assert update(answer.client, (answer.question_id, SENT, timezone.now() - late))[answer.question_id] == SENT
    assert history_of(answer) == [READ, DELIVERED, SENT]
    assert MessageStatus.objects.filter(status="READ").get().changed_at == start


@pytest.mark.django_db
def test_a_clock_that_is_ahead_shuts_out_nobody(talk):
    (answer,) = talk()
    tomorrow = timezone.now() + dt.timedelta(days=1)
    update(answer.client, (answer.question_id, DELIVERED, tomorrow))
    assert MessageStatus.objects.get().changed_at <= timezone.now()
    assert update(answer.client, (answer.question_id, READ, timezone.now()))[answer.question_id] == READ


@pytest.mark.django_db
def test_what_the_client_has_not_is_not_found(talk):
    ((mine,), (theirs,)) = talk(), talk(client_id="bob")
    unknown = uuid.uuid4()
    result = update(mine.client, (unknown, READ), (theirs.question_id, READ), (mine.question_id, READ))
    assert result == {mine.question_id: READ}
    assert status_of(theirs) == SENT


@pytest.mark.django_db
def test_a_request_has_no_status(channel, accept):
    request = accept(channel)
    assert update(request.client, (request.question_id, READ)) == {}
    assert status_of(request) is None
    assert statuses.update_up_to(client=request.client, question_id=request.question_id, status=READ) is None


@pytest.mark.django_db
def test_answers_that_share_an_id_change_together_and_the_newest_is_told(channel, accept):
    request = accept(channel)
    parts = [
        answers.publish(request=request, steps=[Answer.text("one")], route="response", state="partial"),
        answers.publish(request=request, steps=[Answer.text("two")], route="late", state="answered"),
    ]
    assert [status_of(part) for part in parts] == [SENT, NOT_SENT]
    assert update(request.client, (request.question_id, DELIVERED)) == {request.question_id: DELIVERED}
    assert [status_of(part) for part in parts] == [DELIVERED, DELIVERED]
    assert update(request.client, (request.question_id, READ)) == {request.question_id: READ}
    assert unread_count(request.client) == 0


@pytest.mark.django_db
def test_up_to_covers_that_message_and_none_behind_it(talk):
    messages = talk(4)
    others = talk(2, client_id="bob")
    result = statuses.update_up_to(client=messages[0].client, question_id=messages[2].question_id, status=READ)
    assert result == READ
    assert [status_of(message) for message in messages] == [READ, READ, READ, SENT]
    assert [status_of(message) for message in others] == [SENT, SENT]
    assert unread_count(messages[0].client) == 1


@pytest.mark.django_db
def test_up_to_leaves_alone_what_is_newer_than_its_receipt(talk):
    messages = talk(3)
    client, last, now = messages[0].client, messages[2].question_id, timezone.now()
    Message.objects.update(status_changed_at=now - dt.timedelta(hours=1))
    update(client, (messages[1].question_id, DELIVERED))
    before = now - dt.timedelta(minutes=30)
    assert statuses.update_up_to(client=client, question_id=last, status=READ, timestamp=before) == READ
    assert [status_of(message) for message in messages] == [READ, DELIVERED, READ]
    long_before = now - dt.timedelta(hours=2)
    assert statuses.update_up_to(client=client, question_id=last, status=SENT, timestamp=long_before) == READ


@pytest.mark.django_db
def test_up_to_over_thousands_of_messages(talk):
    (first,) = talk()
    client, start = first.client, first.sequence
    moment = first.created_at
    Message.objects.bulk_create(
        Message(
            client=client,
            sequence=start + 1 + number,
            created_at=moment,
            type="botResponse",
            route="push",
            question_id=make_question_id(),
            # Every third is read already, so that the steps of the work are not those of the numbers.
            status=READ if number % 3 == 0 else NOT_SENT,
            status_changed_at=moment,
        )
        for number in range(3_750)
    )
    messages = Message.objects.filter(client=client, type="botResponse").order_by("sequence")
    last = messages[3_700]
    assert unread_count(client) == 2_501
    assert statuses.update_up_to(client=client, question_id=last.question_id, status=READ) == READ
    assert set(messages.filter(sequence__lte=last.sequence).values_list("status", flat=True)) == {READ}
    behind = 3_751 - 3_701
    assert messages.filter(sequence__gt=last.sequence).count() == behind
    assert unread_count(client) == messages.filter(sequence__gt=last.sequence, status=NOT_SENT).count() > 0
    assert MessageStatus.objects.count() == 2_501 - unread_count(client)
    assert set(MessageStatus.objects.values_list("status", flat=True)) == {READ}


@pytest.mark.django_db(transaction=True)
def test_receipts_in_opposite_order_at_once_deadlock_nobody(talk):
    messages = talk(12)
    client = messages[0].client
    ids = [message.question_id for message in messages]

    def send(order, status):
        for _ in range(6):
            update(client, *[(question_id, status) for question_id in order])

    outcomes = together(lambda: send(ids, READ), lambda: send(ids[::-1], DELIVERED), lambda: send(ids[::2], SENT))
    assert outcomes == [None, None, None]
    kept = {message.pk: history_of(message) for message in messages}
    for message in messages:
        assert status_of(message) == kept[message.pk][-1]


@pytest.mark.django_db(transaction=True)
def test_receipts_and_a_receipt_for_all_at_once_deadlock_nobody(talk):
    messages = talk(12)
    client = messages[0].client
    ids = [message.question_id for message in messages]

    def one_by_one():
        for number in range(10):
            update(client, *[(question_id, READ if number % 2 else SENT) for question_id in ids])

    def all_at_once():
        for number in range(10):
            status = DELIVERED if number % 2 else NOT_SENT
            statuses.update_up_to(client=client, question_id=ids[-1], status=status)

    assert together(one_by_one, all_at_once, one_by_one, all_at_once) == [None] * 4


@pytest.mark.django_db(transaction=True)
def test_the_same_receipt_at_once_is_kept_once(talk):
    (answer,) = talk()
    outcomes = together(*[lambda: update(answer.client, (answer.question_id, READ))] * 6)
    assert outcomes == [{answer.question_id: READ}] * 6
    assert history_of(answer) == [READ]
