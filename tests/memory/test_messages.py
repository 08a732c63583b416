import uuid

import pytest
from django.db import IntegrityError, transaction

from django_chatapi.constants import MessageType, Route, Status
from django_chatapi.identifiers import make_question_id
from django_chatapi.models import Client, Message
from tests.doors.histories import START

EVERYTHING = {
    "b": 1,
    "a": [1.0, 1, -0.0, 1e22, 12345678901234567890123456789, None, True, ""],
    "nul": "\0",
    "text": "ä😀\u2028\\\"'%s",
    "": {},
}


@pytest.fixture
def client(channel) -> Client:
    return Client.objects.create(channel=channel, client_id="ann")


def make(client: Client, sequence: int = 1, **fields) -> Message:
    given = {
        "type": MessageType.BOT_RESPONSE,
        "route": Route.RESPONSE,
        "question_id": make_question_id(),
        **fields,
    }
    return Message.objects.create(client=client, sequence=sequence, created_at=START, **given)


def test_data_keeps_order_spelling_and_every_character(client):
    made = make(client, data=EVERYTHING)

    kept = Message.objects.get(pk=made.pk).data

    assert kept == EVERYTHING
    assert list(kept) == list(EVERYTHING)
    assert [type(item) for item in kept["a"]] == [type(item) for item in EVERYTHING["a"]]
    assert str(kept["a"][2]) == "-0.0"


@pytest.mark.parametrize("value", [None, {}, [], "", "null", 0, False])
def test_any_json_value_is_kept_and_none_is_null(client, value):
    made = make(client, data=value)

    assert Message.objects.get(pk=made.pk).data == value
    assert Message.objects.filter(data__isnull=True).exists() is (value is None)


def test_data_can_be_changed_by_an_update(client):
    make(client, data={"old": 1})

    Message.objects.update(data=EVERYTHING)

    assert Message.objects.get().data == EVERYTHING


def test_the_number_of_a_message_is_given_out_once(client, channel):
    make(client, 1)

    with pytest.raises(IntegrityError), transaction.atomic():
        make(client, 1)
    make(Client.objects.create(channel=channel, client_id="bob"), 1)


@pytest.mark.parametrize(
    ("kind", "route", "status"),
    [
        (MessageType.REQUEST, Route.RESPONSE, None),
        (MessageType.REQUEST, Route.ASYNC, None),
        (MessageType.BOT_RESPONSE, Route.RESPONSE, Status.SENT),
        (MessageType.BOT_RESPONSE, Route.LATE, Status.NOT_SENT),
        (MessageType.BOT_RESPONSE, Route.ASYNC, Status.NOT_SENT),
        (MessageType.BOT_RESPONSE, Route.PUSH, Status.NOT_SENT),
        (MessageType.HUMAN_RESPONSE, Route.PUSH, Status.NOT_SENT),
    ],
)
def test_only_what_the_response_carries_is_sent_to_begin_with(kind, route, status):
    assert Message(type=kind, route=route).initial_status == status


def test_question_ids_made_one_after_another_are_in_order(caller):
    ids = [uuid.UUID(caller.send("hi")["questionId"]) for _ in range(5)]

    assert {question_id.version for question_id in ids} == {7}
    milliseconds = [question_id.int >> 80 for question_id in ids]
    assert milliseconds == sorted(milliseconds)
    assert len(set(ids)) == 5


def test_times_have_the_precision_of_the_wire(caller):
    caller.send("hi")

    for message in Message.objects.all():
        assert message.created_at.microsecond % 1000 == 0
