"""Rows read and written without the ORM's compiler are what the ORM would have read and written."""

import datetime as dt
import threading
import uuid

import pytest
from django.db import connection, transaction

from django_chatapi.models import Channel, Client, Message, rows

MOMENT = dt.datetime(2022, 9, 28, 12, 32, 13, 262000, tzinfo=dt.timezone.utc)


def columns(row) -> dict[str, object]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


@pytest.fixture
def client(channel) -> Client:
    return Client.objects.create(channel=channel, client_id="ä/😀 'x' %s")


def make_message(client: Client, **fields) -> Message:
    return Message(
        **{
            "client": client,
            "sequence": 1,
            "created_at": MOMENT,
            "type": "request",
            "route": "response",
            "question_id": uuid.uuid4(),
            "query": "50 % of “ä😀”\n",
            "data": {"b": [1, 2.50, None, "\x00"], "a": {}},
            "new_session": True,
            "lease_holder": uuid.uuid4(),
            "lease_expires_at": MOMENT + dt.timedelta(microseconds=1),
            **fields,
        }
    )


def test_what_is_found_is_what_the_orm_finds(make_channel):
    channel = make_channel(bot="recorded", bot_options={"default": {"text": "ä"}}, disable_text_with_buttons=True)
    make_channel()

    found = rows.find(Channel, token=channel.token)

    assert columns(found) == columns(Channel.objects.get(pk=channel.pk))
    assert found == channel
    found.name = "Renamed"
    found.save()
    assert Channel.objects.get(pk=channel.pk).name == "Renamed"


def test_every_value_has_to_fit(client):
    assert rows.find(Client, channel=client.channel_id, client_id=client.client_id) == client
    assert rows.find(Client, channel=client.channel_id, client_id=client.client_id.upper()) is None
    assert rows.find(Client, channel=client.channel_id + 1, client_id=client.client_id) is None


@pytest.fixture(params=["an insert gives the key", "the key is asked for"])
def ways_to_the_key(request, monkeypatch):
    if request.param == "the key is asked for" and connection.vendor != "postgresql":
        # As MySQL does.
        monkeypatch.setattr(connection.features, "can_return_columns_from_insert", False)
    rows._insert.cache_clear()
    yield
    rows._insert.cache_clear()


@pytest.mark.usefixtures("ways_to_the_key")
def test_what_is_inserted_is_what_the_orm_inserts(client):
    message = make_message(client)
    same = make_message(client, sequence=2, question_id=message.question_id, lease_holder=message.lease_holder)

    rows.insert(message)
    same.save(force_insert=True)

    expected = columns(Message.objects.get(pk=same.pk))
    assert columns(Message.objects.get(pk=message.pk)) == {**expected, "id": message.pk, "sequence": 1}
    assert columns(message) == {**columns(same), "id": message.pk, "sequence": 1}
    message.query = "changed"
    message.save()
    assert Message.objects.get(pk=message.pk).query == "changed"


def test_an_update_changes_the_rows_it_finds_and_no_others(client):
    message, other = make_message(client), make_message(client, sequence=2)
    rows.insert(message)
    rows.insert(other)
    found = {"id": message.pk, "lease_holder": message.lease_holder}
    changes = {"lease_holder": None, "lease_expires_at": None, "answer_state": "answered", "data": {"c": "d"}}

    assert rows.update(Message, {**found, "lease_holder": uuid.uuid4()}, changes) == 0
    assert rows.update(Message, found, changes) == 1

    assert columns(Message.objects.get(pk=message.pk)) == {**columns(message), **changes}
    assert columns(Message.objects.get(pk=other.pk)) == columns(other)


def test_a_row_that_is_already_as_it_should_be_counts_as_found(client):
    where = {"id": client.pk, "last_sequence": 0}

    assert rows.update(Client, where, {"last_sequence": 0}) == 1


def test_none_finds_nothing(client):
    message = make_message(client, lease_holder=None)
    rows.insert(message)

    assert rows.update(Message, {"id": message.pk, "lease_holder": None}, {"failure": "x"}) == 0
    assert rows.find(Message, id=message.pk, lease_holder=None) is None


@pytest.mark.django_db(transaction=True)
def test_a_row_is_locked_unless_somebody_else_has_it(client):
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("the database does not pass over locked rows")
    message = make_message(client, type="botResponse", status="SENT")
    message.save()
    locked, done = threading.Event(), threading.Event()

    def hold():
        try:
            with transaction.atomic():
                Message.objects.select_for_update().get()
                locked.set()
                done.wait(20)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(20)
    with transaction.atomic():
        while_held = rows.lock_free(Message, id=message.pk, status=message.status)
    assert holder.is_alive(), "it was waited for"
    done.set()
    holder.join()
    with transaction.atomic():
        afterwards = rows.lock_free(Message, id=message.pk, status=message.status)
        no_such = rows.lock_free(Message, id=message.pk, status="READ")

    assert (while_held, afterwards, no_such) == (False, True, False)
