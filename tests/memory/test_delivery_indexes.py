"""The queries of the workers read what is due, not what exists."""

import datetime as dt
import uuid

import pytest
from django.db import connection
from django.utils import timezone

from django_chatapi import selectors
from django_chatapi.actions import deliveries, requests
from django_chatapi.constants import AnswerState
from django_chatapi.identifiers import make_uuid
from django_chatapi.models import Client, Delivery, Message
from tests.memory.test_indexes import selected

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="the plans of PostgreSQL are looked at"),
]

CLIENTS = 2_000


@pytest.fixture
def clients(make_channel):
    channel = make_channel(bot="echo", webhook_url="https://93.184.215.14/hook")
    made = [Client(channel=channel, client_id=f"client-{number}") for number in range(CLIENTS)]
    return Client.objects.bulk_create(made)


def analyze():
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


@pytest.fixture
def outbox(clients):
    """Ten deliveries of each client, of which the last is pending."""
    now = timezone.now()
    Delivery.objects.bulk_create(
        [
            Delivery(
                channel=client.channel,
                client=client,
                token="t",
                first_sequence=number,
                last_sequence=number,
                sealed=True,
                state="pending" if number == 9 else "accepted",
                next_attempt_at=now - dt.timedelta(minutes=1) if number == 9 else None,
            )
            for client in clients
            for number in range(10)
        ]
    )
    analyze()
    return clients[0].channel


def test_a_claim_reads_what_is_due(outbox):
    claimed = []
    for _, steps in selected(
        lambda: claimed.extend(deliveries.claim(channel_pk=outbox.pk, holder=uuid.uuid4())), Delivery
    ):
        assert "Seq Scan on django_chatapi_delivery" not in steps, steps
    assert len(claimed) == deliveries.BATCH


def test_the_sweep_finds_channels_by_what_is_due(outbox):
    assert selectors.channels_with_due_deliveries() == [outbox.pk]
    for _, steps in selected(selectors.channels_with_due_deliveries, Delivery):
        assert "Seq Scan on django_chatapi_delivery" not in steps, steps


def test_the_next_request_is_found_behind_a_long_history(clients):
    client, now = clients[0], timezone.now()
    Message.objects.bulk_create(
        [
            Message(
                client=client,
                sequence=number,
                created_at=now,
                type="request",
                route="async",
                question_id=make_uuid(),
                answer_state=AnswerState.ANSWERED if number < 20_000 else AnswerState.PENDING,
                lease_expires_at=None if number < 20_000 else now,
            )
            for number in range(1, 20_011)
        ]
    )
    analyze()
    for _, steps in selected(lambda: requests.claim_next(client_pk=client.pk))[:1]:
        assert "chatapi_message_queue" in steps, steps
    for _, steps in selected(selectors.clients_with_due_requests):
        assert "Seq Scan on django_chatapi_message" not in steps, steps
