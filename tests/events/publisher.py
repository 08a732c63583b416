"""Publishes numbered messages: ``python -m tests.events.publisher FIRST STEP COUNT``, in turn to all clients.

Each message says who published it and which one it is: ``FIRST:n``.
"""

import sys

import django

django.setup()

from django_chatapi.actions import pushes  # noqa: E402
from django_chatapi.constants import MessageType  # noqa: E402
from django_chatapi.models import Client  # noqa: E402


def publish(first: int, step: int, count: int) -> None:
    clients = list(Client.objects.select_related("channel").order_by("pk"))
    for number in range(first, count, step):
        replies = [{"type": "text", "text": str(number)}]
        pushes.push(
            client=clients[number // step % len(clients)], replies=replies, type=MessageType.HUMAN_RESPONSE
        )


publish(*map(int, sys.argv[1:]))
