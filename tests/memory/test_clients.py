import pytest
from django.db import IntegrityError, transaction

from django_chatapi import selectors
from django_chatapi.actions.turns import client_for
from django_chatapi.models import Client, Connection, Message

IDS = [
    "ann",
    "Ann",
    "ANN",
    "ann ",
    " ann",
    "ann\n",
    "ann\t",
    "\xe1nn",
    "a\u0301nn",
    "ａnn",
    "ß",
    "ss",
    "x" * 255,
    "😀" * 255,
]


def test_ids_are_told_apart_to_the_letter(channel):
    made = {client_id: client_for(channel=channel, client_id=client_id).pk for client_id in IDS}

    assert len(set(made.values())) == len(IDS)
    for client_id, pk in made.items():
        assert selectors.find_client(channel, client_id).pk == pk
        assert Client.objects.get(pk=pk).client_id == client_id
        assert client_for(channel=channel, client_id=client_id).pk == pk


def test_one_id_in_two_channels_is_two_clients(channel, make_channel):
    other = make_channel()

    assert client_for(channel=channel, client_id="ann") != client_for(channel=other, client_id="ann")
    assert selectors.find_client(channel, "ann").channel == channel
    with pytest.raises(IntegrityError), transaction.atomic():
        Client.objects.create(channel=channel, client_id="ann")


def test_connections_are_told_apart_to_the_letter(caller):
    for cid in (*IDS, *IDS):
        caller.send("hi", cid=cid)

    assert sorted(Connection.objects.values_list("connection_id", flat=True)) == sorted(IDS)
    assert [message.connection_id for message in Message.objects.order_by("pk")] == [
        cid for cid in (*IDS, *IDS) for _ in range(2)
    ]


def test_a_deleted_channel_takes_all_that_was_said_along(channel, caller):
    caller.send("hi", cid="tab 1")
    caller.post("client", "test", "state", body=1)

    channel.delete()

    assert not Client.objects.exists()
    assert not Message.objects.exists()
