"""Tell the bot what happened beside it."""

from typing import Any

from ..constants import AnswerState, MessageType, Route
from ..identifiers import make_question_id
from ..models import Client, Message, rows
from ..signals import requests_due
from .announce import announce_on_commit, send_on_commit
from .clocks import due_now
from .turns import take_turn


def tell_bot(*, client: Client, event_name: str, data: dict[str, Any]) -> Message:
    """Put an event to the client's bot, which a worker does; call it inside a transaction.

    What the bot answers is a message that nobody asked for. It may as well say nothing.
    """
    moment = take_turn(client)
    request = Message(
        client=client,
        sequence=client.last_sequence,
        created_at=moment,
        type=MessageType.REQUEST,
        route=Route.PUSH,
        question_id=make_question_id(),
        event_name=event_name,
        data=data,
        raw_request={"clientId": client.client_id, "event": event_name, "data": data},
        answer_state=AnswerState.PENDING,
        lease_expires_at=due_now(),
    )
    rows.insert(request)
    announce_on_commit(client, request)
    send_on_commit(requests_due, sender=Message, client_pk=client.pk)
    return request
