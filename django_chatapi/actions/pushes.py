"""Messages that nobody asked for: an agent's reply, or what the bot says on its own."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import router, transaction

from ..constants import MessageType, Route, Status
from ..identifiers import make_question_id
from ..models import Client, Message
from ..wire.envelope import button_texts, replies_data
from .announce import announce_on_commit
from .deliveries import mark_for_webhook
from .turns import take_turn


def push(
    *,
    client: Client,
    replies: Sequence[Mapping[str, Any]],
    type: MessageType,
    agent_name: str | None = None,
    close_button: str | None = None,
    idempotency_key: str | None = None,
) -> Message:
    """Publish a message to the client, with a ``questionId`` of its own.

    Args:
        replies: as in the contract, section 5: objects with a ``type`` each.
        type: ``HUMAN_RESPONSE`` as an agent, ``BOT_RESPONSE`` as the bot.
        agent_name: the username of who wrote it.
        close_button: the text of a button that goes with it, with which the client leaves the agents. It does not
            make the form refuse other texts.
        idempotency_key: kept with the message, for the caller to find it again.
    """
    buttons = [] if close_button is None else [{"type": "buttons", "buttons": [{"text": close_button}]}]
    data = replies_data([*replies, *buttons])
    block_form = client.channel.disable_text_with_buttons and button_texts({"replies": replies}) is not None
    with transaction.atomic(using=router.db_for_write(Message)):
        moment = take_turn(client)
        message = Message.objects.create(
            client=client,
            sequence=client.last_sequence,
            created_at=moment,
            type=type,
            route=Route.PUSH,
            question_id=make_question_id(),
            data=data,
            block_form=block_form,
            agent_name=agent_name,
            idempotency_key=idempotency_key,
            status=Status.NOT_SENT,
            status_changed_at=moment,
        )
        mark_for_webhook(message=message)
        announce_on_commit(client, message)
    return message
