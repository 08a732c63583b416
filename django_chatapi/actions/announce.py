"""Tell listeners what was committed."""

import logging
from functools import partial
from typing import Any

from django.db import router, transaction
from django.dispatch import Signal

from ..models import Client, Message
from ..realtime.nudges import announce_news
from ..signals import message_published

logger = logging.getLogger("django_chatapi.actions")


def announce_on_commit(client: Client, message: Message | None = None) -> None:
    """Once the transaction is committed, wake who waits for this client, and send ``message_published``.

    Call it after :func:`~django_chatapi.actions.turns.take_turn`, with the message unless it is a state that was
    saved.
    """
    announce_news_on_commit(client.pk, client.last_sequence)
    if message is not None:
        send_on_commit(message_published, sender=Message, message=message)


def announce_news_on_commit(client_pk: int, sequence: int) -> None:
    """Once the transaction is committed, tell that something of this client changed up to a sequence number."""
    transaction.on_commit(partial(announce_news, client_pk, sequence), using=router.db_for_write(Client))


def send_on_commit(signal: Signal, *, sender: Any, **arguments: Any) -> None:
    """Send a signal once the transaction is committed. A failing receiver harms nobody else."""

    def send() -> None:
        for receiver, outcome in signal.send_robust(sender=sender, **arguments):
            if isinstance(outcome, Exception):
                logger.error("%r failed on a signal of %s: %s", receiver, sender.__name__, type(outcome).__name__)

    if signal.has_listeners(sender):
        transaction.on_commit(send, using=router.db_for_write(sender))
