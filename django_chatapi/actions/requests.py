"""Accept what a client sends."""

import contextlib
import datetime as dt
import hashlib
import json
import uuid
from dataclasses import dataclass
from typing import Any

from django.db import router, transaction
from django.utils import timezone

from .. import selectors
from ..conf import chatapi_settings
from ..constants import OPEN_ANSWER_STATES, QUEUED_ROUTES, AnswerState, MessageType, Route
from ..exceptions import IdempotencyConflict, TextInputDisabled
from ..identifiers import make_question_id
from ..models import Channel, Client, Connection, Message, rows
from ..signals import requests_due
from ..wire.envelope import button_texts
from . import answers, dialogs
from .announce import announce_on_commit, send_on_commit
from .clocks import due_now
from .turns import client_for, take_turn


@dataclass(frozen=True)
class Accepted:
    """A stored request; ``repeated`` when it was stored by an earlier call with the same Idempotency-Key."""

    request: Message
    repeated: bool


class _Repeated(Exception):
    """Leaves the transaction of a repeated request, with the first one."""

    def __init__(self, first: Message) -> None:
        self.first = first


def accept(
    *,
    channel: Channel,
    client_id: str,
    query: str | None = None,
    event_name: str | None = None,
    connection_id: str | None = None,
    data: dict[str, Any] | None = None,
    raw_request: dict[str, Any] | None = None,
    route: Route = Route.RESPONSE,
    idempotency_key: str | None = None,
) -> Accepted:
    """Store a request, in its client's order, and claim it for this caller to put to the bot.

    Of a client who is with the agents it is for them: its ``answer_state`` is ``HANDED_OVER``, and nobody asks the
    bot (contract, section 11).

    Args:
        route: ``ASYNC`` leaves it for a worker to claim, after this client's earlier ones.
        raw_request: the body as it was sent, with the keys that the contract does not know.
        idempotency_key: within ``IDEMPOTENCY_WINDOW`` the same key of the same client gives the first request.

    Raises:
        IdempotencyConflict: the key was used with another body.
        TextInputDisabled: the latest answer takes only the text of one of its buttons (contract, section 5).
    """
    raw_request = raw_request or {}
    digest = ""
    if idempotency_key is not None:
        digest = hashlib.sha256(json.dumps(raw_request, sort_keys=True).encode()).hexdigest()
    client = client_for(channel=channel, client_id=client_id)
    try:
        with transaction.atomic(using=router.db_for_write(Message)):
            new_session = False

            def begin_session(client: Client, now: dt.datetime) -> dict[str, Any]:
                nonlocal new_session
                if client.dialog_id is not None:
                    new_session = False  # sessions are the bot's
                    return {}
                new_session = not client.session_open or _was_silent(client, now)
                return {"session_number": client.session_number + 1, "session_open": True} if new_session else {}

            moment = take_turn(client, begin_session)
            if idempotency_key is not None:
                _refuse_repetition(client, idempotency_key, digest, moment)
            with_agents = client.dialog_id is not None
            if channel.disable_text_with_buttons and query is not None and not with_agents:
                _refuse_free_text(client, query)
            if connection_id is not None:
                _remember_connection(client, connection_id)
            request = Message(
                client=client,
                sequence=client.last_sequence,
                created_at=moment,
                type=MessageType.REQUEST,
                route=route,
                question_id=make_question_id(),
                connection_id=connection_id,
                query=query,
                event_name=event_name,
                data=data,
                raw_request=raw_request,
                new_session=new_session,
                idempotency_key=idempotency_key,
                body_digest=digest,
                **(
                    _for_agents() if with_agents else _unclaimed() if route == Route.ASYNC else _claim(ask_count=1)
                ),
            )
            rows.insert(request)
            announce_on_commit(client, request)
            if with_agents:
                if route == Route.ASYNC:
                    take_turn(client)
                    answers.acknowledge(request=request)
                dialogs.hear(request=request)
            elif route == Route.ASYNC:
                send_on_commit(requests_due, sender=Message, client_pk=client.pk)
    except _Repeated as repeated:
        return Accepted(repeated.first, repeated=True)
    return Accepted(request, repeated=False)


def claim_next(*, client_pk: int) -> Message | None:
    """Claim the next of a client's requests that workers answer, to put it to the bot.

    They are answered in the order in which they were accepted: while the first one is worked on, or waits to be
    asked again after the bot failed, there is no next one.
    """
    while True:
        queued = Message.objects.filter(client=client_pk, route__in=QUEUED_ROUTES, lease_expires_at__isnull=False)
        first = queued.order_by("sequence").only("pk", "lease_expires_at").first()
        if first is None or first.lease_expires_at is None or first.lease_expires_at > timezone.now():
            return None
        request = claim_left(pk=first.pk)
        if request is not None:
            return request
        if queued.filter(pk=first.pk).exists():
            return None  # somebody else was faster


def claim_left(*, pk: Any) -> Message | None:
    """Take over a request that nobody works on any more, to put it to the bot again.

    A request that was half answered is not asked twice: it is marked interrupted. So is, as failed, one that
    was asked ``1 + BOT_RETRIES`` times, since it may be what kills the process.

    Returns:
        The request, claimed; None when there is nothing to ask, or somebody else was faster.
    """
    left = Message.objects.filter(pk=pk, answer_state__in=OPEN_ANSWER_STATES, lease_expires_at__lt=timezone.now())
    request = left.select_related("client__channel").first()
    if request is None:
        return None
    with_agents = request.client.dialog_id is not None
    if request.answer_state == AnswerState.PARTIAL:
        died = _closed(
            AnswerState.INTERRUPTED, "The process that was asking the bot died half-way, or the bot hung."
        )
        changes = _closed(AnswerState.HANDED_OVER, "") if with_agents else died
    else:
        # What is not asked is claimed as well: what waited to be asked again has no holder.
        too_often = request.ask_count > chatapi_settings.BOT_RETRIES
        changes = _claim(ask_count=request.ask_count + (0 if too_often or with_agents else 1))
    # Deliberately no lock: SQLite has none, MariaDB none for one table of a join. The condition repeats all that
    # the decision was made from.
    if not left.filter(
        lease_holder=request.lease_holder, ask_count=request.ask_count, answer_state=request.answer_state
    ).update(**changes):
        return None
    for name, value in changes.items():
        setattr(request, name, value)
    if request.answer_state != AnswerState.PENDING:
        return None
    if with_agents:
        with contextlib.suppress(answers.ClaimLost):
            answers.leave_to_agents(request=request)
        return None
    if too_often:
        failure = request.failure or "each time the asking process died, or the bot hung."
        with contextlib.suppress(answers.ClaimLost):
            answers.fail(request=request, failure=f"Asked {request.ask_count} times; {failure}")
        return None
    return request


def ask_again_later(*, request: Message, failure: str) -> float | None:
    """Give a request back whose bot failed, to be asked again after a pause, if it was not asked too often.

    The pause is ``BOT_RETRY_DELAY``, doubled each time.

    Returns:
        In how many seconds it is to be asked again; None when it is not.
    """
    if request.ask_count > chatapi_settings.BOT_RETRIES:
        return None
    pause = chatapi_settings.BOT_RETRY_DELAY * 2 ** (request.ask_count - 1)
    again_at = timezone.now() + dt.timedelta(seconds=pause)
    changes = {"lease_holder": None, "lease_expires_at": again_at, "failure": failure}
    held = {"id": request.pk, "lease_holder": request.lease_holder}
    return pause if rows.update(Message, held, changes) else None


def renew_claims(*, holders: list[uuid.UUID]) -> None:
    """Keep the requests of these claims from being taken over: their bots are still thinking."""
    # Only open requests are claimed. That they are asked for lets the database look at those alone.
    held = Message.objects.filter(lease_holder__in=holders, lease_expires_at__isnull=False)
    held.update(lease_expires_at=_lease_end())


def _claim(*, ask_count: int) -> dict[str, Any]:
    claim = {"lease_holder": uuid.uuid4(), "lease_expires_at": _lease_end(), "ask_count": ask_count}
    return {"answer_state": AnswerState.PENDING, **claim}


def _unclaimed() -> dict[str, Any]:
    return {"answer_state": AnswerState.PENDING, "lease_expires_at": due_now()}


def _for_agents() -> dict[str, Any]:
    return {"answer_state": AnswerState.HANDED_OVER}


def _closed(state: AnswerState, failure: str) -> dict[str, Any]:
    return {"answer_state": state, "failure": failure, "lease_holder": None, "lease_expires_at": None}


def _lease_end() -> dt.datetime:
    return timezone.now() + dt.timedelta(seconds=chatapi_settings.ANSWER_LEASE)


def _was_silent(client: Client, now: dt.datetime) -> bool:
    silence = dt.timedelta(seconds=chatapi_settings.SESSION_TIMEOUT)
    return client.last_activity_at is not None and now - client.last_activity_at > silence


def _remember_connection(client: Client, connection_id: str) -> None:
    if rows.find(Connection, client=client.pk, connection_id=connection_id) is None:
        connection = Connection(client=client, connection_id=connection_id)
        Connection.objects.bulk_create([connection], ignore_conflicts=True)


def _refuse_repetition(client: Client, key: str, digest: str, now: dt.datetime) -> None:
    window = dt.timedelta(seconds=chatapi_settings.IDEMPOTENCY_WINDOW)
    # Agents' replies have keys too, which are none of the callers'.
    requests = Message.objects.filter(client=client, type=MessageType.REQUEST)
    same = requests.filter(idempotency_key=key, created_at__gt=now - window)
    first = same.order_by("sequence").first()
    if first is None:
        return
    if first.body_digest != digest:
        raise IdempotencyConflict
    first.client = client
    raise _Repeated(first)


def _refuse_free_text(client: Client, query: str) -> None:
    latest = selectors.latest_message(client, before_sequence=client.last_sequence)
    if latest is None or not latest.block_form:
        return
    texts = button_texts(latest.data or {"replies": []}) or []
    if query.strip() not in [text.strip() for text in texts]:
        raise TextInputDisabled(details={"buttons": texts})
