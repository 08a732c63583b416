"""Long talks, made at once."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django_chatapi.constants import AnswerState, MessageType, Route, Status
from django_chatapi.identifiers import make_question_id
from django_chatapi.models import Channel, Client, Message

START = dt.datetime(2022, 9, 28, 12, 32, 13, tzinfo=dt.timezone.utc)
MILLISECOND = dt.timedelta(milliseconds=1)


def make_history(
    channel: Channel, client_id: str = "ann", count: int = 10, times: Sequence[dt.datetime] | None = None
) -> Client:
    """A client with ``count`` messages, question and answer in turn.

    Args:
        times: one for each message, never going back; otherwise one message a millisecond, from ``START`` on.
    """
    moments = list(times if times is not None else (START + number * MILLISECOND for number in range(count)))
    client = Client.objects.create(
        channel=channel,
        client_id=client_id,
        last_sequence=len(moments),
        last_activity_at=moments[-1] if moments else None,
        session_number=1,
        session_open=True,
    )
    question_id = make_question_id()
    messages = []
    for index, moment in enumerate(moments):
        if index % 2 == 0:
            question_id = make_question_id()
        fields: dict[str, Any] = _answer(index) if index % 2 else _request(index)
        messages.append(
            Message(client=client, sequence=index + 1, created_at=moment, question_id=question_id, **fields)
        )
    Message.objects.bulk_create(messages, batch_size=1000)
    return client


def _request(index: int) -> dict[str, Any]:
    return {
        "type": MessageType.REQUEST,
        "route": Route.RESPONSE,
        "query": f"message {index}",
        "raw_request": {"query": f"message {index}"},
        "answer_state": AnswerState.ANSWERED,
    }


def _answer(index: int) -> dict[str, Any]:
    reply = {"type": "text", "text": f"message {index}"}
    data = {
        "nlpClass": None,
        "confidence": 1.0,
        "replies": [reply],
        "answer": reply["text"],
        "newSessionStarted": False,
        "debugData": [],
        "endSession": False,
    }
    return {
        "type": MessageType.BOT_RESPONSE,
        "route": Route.RESPONSE,
        "query": f"message {index - 1}",
        "data": data,
        "status": Status.SENT,
    }
