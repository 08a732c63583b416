"""Tell listeners what was committed."""

import logging

from django.db import transaction

from ..models import Message
from ..signals import message_published

logger = logging.getLogger("django_chatapi.actions")


def announce_on_commit(message: Message) -> None:
    """Send ``message_published`` once the transaction is committed. A failing receiver harms nobody else."""

    def send() -> None:
        for receiver, outcome in message_published.send_robust(sender=Message, message=message):
            if isinstance(outcome, Exception):
                logger.error("%r failed on message_published: %s", receiver, type(outcome).__name__)

    if message_published.has_listeners(Message):
        transaction.on_commit(send, using=message._state.db)
