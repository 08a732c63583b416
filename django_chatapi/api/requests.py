"""``POST`` and ``GET {token}``, ``POST {token}/async`` (contract, section 4)."""

import time
from typing import Any, cast

from django.db import close_old_connections
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from .. import selectors
from ..actions import answers, asking, requests
from ..conf import chatapi_settings
from ..constants import MAX_NAME_LENGTH, AnswerState, Route
from ..exceptions import BotFailed, BotTimeout
from ..models import Message
from ..wire.envelope import envelope, join_data
from ..wire.inputs import RequestInput
from . import schema
from .base import ChannelViewSet, validated

#: What ``GET {token}`` takes; other parameters reach the bot as they are.
QUERY_PARAMETERS = ("clientId", "query", "event", "cid")
#: How often a repeated request looks whether the first one was answered: first and longest wait, in seconds.
_REPEAT_POLL = (0.02, 0.5)


class RequestViewSet(ChannelViewSet):
    """Send a request, wait for the answer or leave it to the webhook and the events."""

    @schema.send
    def send(self, request: Request, token: str) -> Response:
        raw = cast("dict[str, Any]", request.data)  # what JSONObjectParser gives
        return self._answer(request, raw, raw, idempotency_key=idempotency_key(request))

    @schema.send_by_query
    def send_by_query(self, request: Request, token: str) -> Response:
        raw = request.query_params.dict()
        return self._answer(request, raw, {name: raw[name] for name in QUERY_PARAMETERS if name in raw})

    @schema.send_async
    def send_async(self, request: Request, token: str) -> Response:
        raw = cast("dict[str, Any]", request.data)
        key = idempotency_key(request)
        accepted = self._accept(request, raw, raw, idempotency_key=key, route=Route.ASYNC)
        return Response({"questionId": str(accepted.request.question_id)})

    def _answer(
        self,
        request: Request,
        raw: dict[str, Any],
        known: dict[str, Any],
        idempotency_key: str | None = None,
    ) -> Response:
        accepted = self._accept(request, raw, known, idempotency_key=idempotency_key, route=Route.RESPONSE)
        found = accepted.request
        if accepted.repeated:
            answer = _answer_of_first(found)
        elif found.answer_state == AnswerState.HANDED_OVER:
            answer = answers.handed_over(found)
        else:
            answer = asking.ask(request=found)
        return Response(envelope(answer, token=self.token, client_id=found.client.client_id))

    def _accept(
        self,
        request: Request,
        raw: dict[str, Any],
        known: dict[str, Any],
        *,
        idempotency_key: str | None,
        route: Route,
    ) -> requests.Accepted:
        valid = validated(RequestInput, known)
        self.check_signature(request, valid["client_id"])
        return requests.accept(
            channel=self.channel, raw_request=raw, idempotency_key=idempotency_key, route=route, **valid
        )


def idempotency_key(request: Request) -> str | None:
    """The header of a repeatable POST (contract, section 4).

    Raises:
        ValidationError: of Django REST framework; becomes ``invalid_request``.
    """
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= MAX_NAME_LENGTH and key.isprintable()):
        raise ValidationError({"Idempotency-Key": [_("Send 1 to 255 printable characters.")]})
    return key


def _answer_of_first(request: Message) -> Message:
    """What a request with a known Idempotency-Key gets: the first one's result, waited for if need be.

    Raises:
        BotFailed, BotTimeout: as the first one.
    """
    deadline = time.monotonic() + chatapi_settings.SYNC_TIMEOUT
    pause, longest = _REPEAT_POLL
    while True:
        details = {"questionId": str(request.question_id)}
        request.refresh_from_db(fields=["answer_state", "failure"])
        if request.answer_state == AnswerState.FAILED:
            raise BotFailed(request.failure, details)
        found = selectors.answers_of_request(request)
        if found:
            answer = found[-1]
            answer.data = join_data([part.data for part in found])
            answer.block_form = any(part.block_form for part in found)
            return answer
        if request.answer_state == AnswerState.HANDED_OVER:
            return answers.handed_over(request)
        if time.monotonic() > deadline:
            raise BotTimeout(details=details)
        close_old_connections()  # none is held while waiting, where none is kept between requests
        time.sleep(pause)
        pause = min(pause * 2, longest)
