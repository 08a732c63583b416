"""Deliveries that tests of the admin look at, made and sent as the app does it."""

from django_chatapi.actions import courier, pushes
from django_chatapi.actions.turns import client_for
from django_chatapi.constants import MessageType
from django_chatapi.models import Channel, Delivery, Message


def say(channel: Channel, text: str, client_id: str = "ann") -> Message:
    """An agent says something."""
    client = client_for(channel=channel, client_id=client_id)
    replies = [{"type": "text", "text": text}]
    return pushes.push(client=client, replies=replies, type=MessageType.HUMAN_RESPONSE)


def deliver(channel: Channel) -> None:
    """Send what is due, in this thread."""
    courier.deliver(channel_pk=channel.pk, seconds=10)


def fail(channel: Channel, text: str, client_id: str = "ann") -> Delivery:
    """Say something, deliver it once to a receiver that refuses, and do as if that was the last attempt."""
    say(channel, text, client_id)
    deliver(channel)
    delivery = Delivery.objects.filter(channel=channel, client__client_id=client_id).latest("pk")
    assert delivery.state == "pending"
    assert delivery.failure
    Delivery.objects.filter(pk=delivery.pk).update(
        state="failed", next_attempt_at=None, closed_at=delivery.created_at
    )
    delivery.refresh_from_db()
    return delivery
