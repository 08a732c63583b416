"""Publish what a bot said, and close the request it was asked with."""

import datetime as dt
import logging
from collections.abc import Sequence
from typing import Any

from django.db import router, transaction

from ..bots.base import Answer
from ..constants import (
    OPEN_ANSWER_STATES,
    QUEUED_ROUTES,
    AnswerState,
    DialogChangeKind,
    MessageType,
    Route,
    Status,
)
from ..exceptions import BotFailed
from ..models import Client, DialogChange, Message, rows
from ..wire.envelope import answer_data, button_texts, failure_data, handed_over_data, join_data
from ..wire.switch import find_switch, mistakes, without_hidden
from . import dialogs
from .announce import announce_on_commit
from .deliveries import mark_for_webhook
from .turns import take_turn

logger = logging.getLogger("django_chatapi.bots")


class ClaimLost(Exception):
    """Somebody else took the request over, or closed it: what this caller has to say comes too late."""


def publish(
    *, request: Message, steps: Sequence[Answer], route: Route, state: AnswerState, failure: str = ""
) -> Message:
    """Write the steps as one message after its request, in one transaction.

    Args:
        request: as it was claimed; the claim is checked in the same transaction, so that of two processes that
            ask the bot the same only one is heard.
        state: what becomes of the request; ``PARTIAL`` when the bot goes on.
        failure: with ``INTERRUPTED``, why.

    Returns:
        The message. If an agent has the client by now, or had it since the request, nothing is written and the
        request is closed as ``HANDED_OVER``: the bot never talks over an agent. What is returned then says so to
        the caller.

    Raises:
        ClaimLost
    """
    # A session starts once: only the first answer says so.
    new_session = request.new_session and request.answer_state == AnswerState.PENDING
    data = join_data([_data(step, new_session=new_session) for step in steps])
    return _store(request=request, data=data, route=route, state=state, failure=failure)


def fail(*, request: Message, failure: str) -> None:
    """Close a request as failed, and say so: an answer without replies and with ``data.error``.

    For callers who are gone by now and would wait for an answer for ever. Of what this package asked, nobody does.

    Raises:
        ClaimLost
    """
    if request.route == Route.PUSH:
        close(request=request, state=AnswerState.FAILED, failure=failure)
        return
    _store(
        request=request,
        data=failure_data(BotFailed.code),
        route=late_route(request),
        state=AnswerState.FAILED,
        failure=failure,
    )


def late_route(request: Message) -> Route:
    """The way of an answer that no response carries."""
    return Route(request.route) if request.route in QUEUED_ROUTES else Route.LATE


def handed_over(request: Message) -> Message:
    """What the caller gets instead of an answer whose client is with the agents. It is nowhere stored."""
    return _answer_to(request, data=handed_over_data(), created_at=request.created_at)


def acknowledge(*, request: Message) -> Message:
    """Tell a caller to whom no response goes that agents have the client: an answer with ``data.handedOver``.

    Of what this package asked nobody waits to be told. Call it inside a transaction, after ``take_turn``.
    """
    client, message = request.client, handed_over(request)
    if request.route == Route.PUSH:
        return message
    message.sequence, message.created_at = client.last_sequence, client.last_activity_at or message.created_at
    message.route = late_route(request)
    message.status, message.status_changed_at = Status.NOT_SENT, message.created_at
    message.answer_state = AnswerState.HANDED_OVER  # agents need not read it
    rows.insert(message)
    mark_for_webhook(message=message)
    announce_on_commit(client, message)
    return message


def leave_to_agents(*, request: Message) -> None:
    """Close a request, claimed but not asked yet, whose client is with the agents by now.

    Raises:
        ClaimLost
    """
    with transaction.atomic(using=router.db_for_write(Message)):
        _move(request, AnswerState.HANDED_OVER, "")
        take_turn(request.client)
        acknowledge(request=request)


def close(*, request: Message, state: AnswerState, failure: str = "") -> None:
    """Close a request without a further message: the bot is done, or it failed.

    Raises:
        ClaimLost
    """
    _move(request, state, failure)
    request.answer_state = state


def _store(*, request: Message, data: dict[str, Any], route: Route, state: AnswerState, failure: str) -> Message:
    def end_session(client: Client, now: dt.datetime) -> dict[str, Any]:
        return {"session_open": False} if data["endSession"] else {}

    client = request.client
    switch = find_switch(data["replies"])
    if switch is not None:
        if wrong := mistakes(data["replies"]):
            logger.warning("A switch reply of the bot has nothing of use in %s.", ", ".join(wrong))
        data = {**data, "replies": without_hidden(data["replies"])}
    with transaction.atomic(using=router.db_for_write(Message)):
        _move(request, state, failure)
        moment = take_turn(client, end_session)
        if client.dialog_id is not None or _agent_came_meanwhile(request):
            _move(request, AnswerState.HANDED_OVER, "", claimed=False)
            told = route == Route.RESPONSE or request.answer_state != AnswerState.PENDING
            request.answer_state = AnswerState.HANDED_OVER
            return handed_over(request) if told else acknowledge(request=request)
        message = _answer_to(
            request,
            sequence=client.last_sequence,
            created_at=moment,
            route=route,
            data=data,
            block_form=client.channel.disable_text_with_buttons and button_texts(data) is not None,
            status_changed_at=moment,
        )
        message.status = message.initial_status or Status.NOT_SENT
        rows.insert(message)
        if route != Route.RESPONSE:
            mark_for_webhook(message=message)
        announce_on_commit(client, message)
        if switch is not None:
            dialogs.hand_over(request=request, switch=switch)
    request.answer_state = state
    return message


def _answer_to(request: Message, **columns: Any) -> Message:
    """An answer of the bot's, not stored yet. It repeats what its request said."""
    return Message(
        client=request.client,
        type=MessageType.BOT_RESPONSE,
        question_id=request.question_id,
        connection_id=request.connection_id,
        query=request.query,
        event_name=request.event_name,
        **columns,
    )


def _agent_came_meanwhile(request: Message) -> bool:
    """Whether an agent had the client since it asked, and has left again: the answer would come after the talk."""
    client = request.client
    if client.last_sequence == request.sequence + 1:
        return False  # nothing happened: mostly there is nothing to look up
    joined = DialogChange.objects.filter(client=client, sequence__gt=request.sequence)
    return joined.filter(kind=DialogChangeKind.JOINED).exists()


def _move(request: Message, state: AnswerState, failure: str, *, claimed: bool = True) -> None:
    columns: dict[str, Any] = {"answer_state": state, "failure": failure}
    if state not in OPEN_ANSWER_STATES:
        columns |= {"lease_holder": None, "lease_expires_at": None}
    held = {"lease_holder": request.lease_holder} if claimed else {}
    if not rows.update(Message, {"id": request.pk, **held}, columns):
        raise ClaimLost


def _data(step: Answer, *, new_session: bool) -> dict[str, Any]:
    return answer_data(
        replies=step.replies,
        nlp_class=step.nlp_class,
        confidence=step.confidence,
        debug_data=step.debug_data,
        end_session=step.end_session,
        new_session=new_session,
    )
