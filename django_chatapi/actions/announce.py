"""Tell listeners what was committed."""

import logging
from functools import partial

from django.db import router, transaction

from ..models import Client, Message
from ..realtime.nudges import announce_news
from ..signals import message_published

logger = logging.getLogger("django_chatapi.actions")


def announce_on_commit(client: Client, message: Message | None = None) -> None:
    """Once the transaction is committed, wake who waits for this client, and send ``message_published``.

    Call it after :func:`~django_chatapi.actions.turns.take_turn`, with the message unless it is a state that was
    saved. A failing receiver harms nobody else.
    """
    written_to = router.db_for_write(Client)
    transaction.on_commit(partial(announce_news, client.pk, client.last_sequence), using=written_to)

    def send() -> None:
        for receiver, outcome in message_published.send_robust(sender=Message, message=message):
            if isinstance(outcome, Exception):
                logger.error("%r failed on message_published: %s", receiver, type(outcome).__name__)

    if message is not None and message_published.has_listeners(Message):
        transaction.on_commit(send, using=written_to)
