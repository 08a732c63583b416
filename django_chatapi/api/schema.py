"""The OpenAPI document of the API (drf-spectacular)."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from ..constants import EVENT_TYPES
from ..exceptions import (
    BotFailed,
    BotTimeout,
    ChannelDisabled,
    ChannelNotFound,
    ChatAPIError,
    IdempotencyConflict,
    InvalidClientSignature,
    InvalidRequest,
    MessageNotFound,
    OriginNotAllowed,
    PayloadTooLarge,
    ServiceUnavailable,
    StateNotFound,
    TextInputDisabled,
    TooManyPolls,
)
from ..wire import documents, inputs
from .errors import NotAcceptable, Throttled, UnsupportedMediaType
from .polls import STREAM

TAG = "Chat API"
F = TypeVar("F", bound=Callable[..., Any])


class ChatAPISchema(AutoSchema):
    """Describes our views whatever schema class, authentication or filters the host uses for its own."""

    def get_tags(self) -> list[str]:
        return [TAG]

    def get_auth(self) -> list[dict[str, Any]]:
        return []

    def get_operation_id(self) -> str:
        return {
            "send": "sendRequest",
            "send_by_query": "sendRequestByQuery",
            "send_async": "sendAsyncRequest",
            "events": "getEvents",
            "history": "getHistory",
            "save": "saveState",
            "load": "getState",
            "status": "getStatus",
            "set_status": "setStatus",
            "set_statuses": "setStatuses",
            "unread": "getUnreadCount",
        }[str(getattr(self.view, "action", None))]


def _errors(*specific: type[ChatAPIError], body: bool = False) -> dict[int, Any]:
    """The errors of every endpoint and these."""
    common: list[type[ChatAPIError]] = [
        InvalidRequest,
        InvalidClientSignature,
        ChannelDisabled,
        OriginNotAllowed,
        ChannelNotFound,
        NotAcceptable,
        Throttled,
        ChatAPIError,
        ServiceUnavailable,
    ]
    return errors_of([*common, *specific, *([PayloadTooLarge, UnsupportedMediaType] if body else [])])


def errors_of(listed: Sequence[type[ChatAPIError]]) -> dict[int, Any]:
    """What is said of these errors, by their status."""
    by_status: dict[int, list[type[ChatAPIError]]] = {}
    for error in listed:
        by_status.setdefault(error.status, []).append(error)
    return {
        status: OpenApiResponse(
            documents.ErrorDocument,
            " ".join(f"`{error.code}`: {error.message}" for error in errors),
            [OpenApiExample(error.code, {"error": error.code, "message": str(error.message)}) for error in errors],
        )
        for status, errors in by_status.items()
    }


def _describe(**description: Any) -> Callable[[F], F]:
    """``extend_schema`` on top of our own schema class; by itself it would take the host's default one."""

    def decorate(method: F) -> F:
        method.kwargs = {"schema": ChatAPISchema}  # type: ignore[attr-defined]
        described: F = extend_schema(**description)(method)
        return described

    return decorate


_token = OpenApiParameter("token", str, OpenApiParameter.PATH, description="The channel's token.")
_client_id = OpenApiParameter(
    "client_id", str, OpenApiParameter.PATH, description="The clientId, percent-encoded as any path segment."
)
_question_id = OpenApiParameter("question_id", str, OpenApiParameter.PATH, description="A message's questionId.")
_cid = OpenApiParameter("cid", str, description="The connection that calls.")
_signature = OpenApiParameter(
    "X-Client-Signature",
    str,
    OpenApiParameter.HEADER,
    description="For channels that require signed clients: hex HMAC-SHA256 of the clientId under the channel's "
    "identity secret.",
)
_idempotency = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="At most 255 characters. For 24 hours the same key of the same client returns the first "
    "call's result, and the bot is not asked again.",
)

_answer = OpenApiExample(
    "Answer",
    {
        "token": "TzQkmbnA:0123456789abcdef0123456789abcdef01234567",
        "clientId": "test",
        "questionId": "01939f6e-8b0a-7cc1-a6a2-3f4f7b1a2c3d",
        "query": "hi",
        "event": None,
        "cid": None,
        "data": {
            "nlpClass": "/CatchAll",
            "confidence": 1.0,
            "replies": [{"type": "text", "text": "Tell the bot something", "state": "/CatchAll"}],
            "answer": "Tell the bot something",
            "newSessionStarted": False,
            "debugData": [],
            "endSession": False,
        },
        "timestamp": "2022-09-28T12:32:13.262",
        "blockForm": False,
    },
    response_only=True,
    status_codes=["200"],
)
_send_responses: dict[int, Any] = {
    200: OpenApiResponse(documents.EnvelopeDocument, "The answer."),
    **_errors(TextInputDisabled, BotFailed, BotTimeout),
}

send = _describe(
    summary="Send a request and wait for the answer",
    parameters=[_token, _signature, _idempotency],
    request=inputs.RequestInput,
    responses=_send_responses | _errors(IdempotencyConflict, TextInputDisabled, BotFailed, BotTimeout, body=True),
    examples=[
        OpenApiExample("Text", {"clientId": "test", "query": "hi"}, request_only=True),
        OpenApiExample(
            "Event", {"clientId": "test", "event": "pageOpened", "data": {"page": "/prices"}}, request_only=True
        ),
        _answer,
    ],
)
send_by_query = _describe(
    summary="Send a request by GET",
    parameters=[
        _token,
        _signature,
        OpenApiParameter("clientId", str, required=True, description="Who speaks."),
        OpenApiParameter("query", str, description="What the client says. Exactly one of query and event."),
        OpenApiParameter("event", str, description="A named event."),
        _cid,
    ],
    responses=_send_responses,
    examples=[_answer],
)
send_async = _describe(
    summary="Send a request whose answer follows",
    description="The answer goes to the channel's webhook and to the events. A client's requests are answered in "
    "the order in which they were accepted.",
    parameters=[_token, _signature, _idempotency],
    request=inputs.RequestInput,
    responses={
        200: documents.AcceptedDocument,
        **_errors(IdempotencyConflict, TextInputDisabled, body=True),
    },
    examples=[OpenApiExample("Text", {"clientId": "test", "query": "hi"}, request_only=True)],
)
_what_happened = "What happened. In a stream the data of each event is one of `events`, and its id a cursor."
events = _describe(
    summary="Wait for events",
    description="Long polling: answers at once when there is something, otherwise with the next event, at the "
    "latest after `timeout` seconds. Where the site runs the ASGI door, `Accept: text/event-stream` streams.",
    parameters=[
        _token,
        _signature,
        inputs.EventsInput,
        # Again, since a serializer cannot say that a list is one parameter.
        OpenApiParameter(
            "types",
            str,
            many=True,
            explode=False,
            enum=EVENT_TYPES,
            description=str(inputs.EventsInput().fields["types"].help_text),
        ),
        OpenApiParameter(
            "Last-Event-ID",
            str,
            OpenApiParameter.HEADER,
            description="The id of the last event of a stream, which browsers send when they resume: a cursor. "
            "Wins over cursor.",
        ),
    ],
    responses={
        (200, "application/json"): OpenApiResponse(documents.EventsDocument, _what_happened),
        (200, STREAM): OpenApiResponse(str, _what_happened),
        **_errors(TooManyPolls),
    },
)
history = _describe(
    summary="The messages of a client, oldest first",
    parameters=[_token, _client_id, _signature, inputs.HistoryInput],
    responses={200: OpenApiResponse(documents.HistoryDocument, "A page, or everything."), **_errors()},
)
save = _describe(
    summary="Save a client's state",
    description="Any JSON value, kept byte for byte.",
    parameters=[_token, _client_id, _cid, _signature],
    request={"application/json": {}},
    responses={200: OpenApiResponse({"type": "object"}, "Saved."), **_errors(body=True)},
    examples=[OpenApiExample("State", {"page": 3, "basket": ["apples"]}, request_only=True)],
)
load = _describe(
    summary="The state that was saved last",
    parameters=[_token, _client_id, _signature],
    responses={200: OpenApiResponse({}, "The value, byte for byte."), **_errors(StateNotFound)},
)
status = _describe(
    summary="How far a message got",
    parameters=[_token, _client_id, _question_id, _signature],
    responses={200: documents.StatusDocument, **_errors(MessageNotFound)},
)
set_status = _describe(
    summary="Report how far a message got",
    parameters=[_token, _client_id, _question_id, _signature],
    request=inputs.StatusInput,
    responses={200: documents.StatusDocument, **_errors(MessageNotFound, body=True)},
    examples=[OpenApiExample("Read", {"status": "READ"}, request_only=True)],
)
set_statuses = _describe(
    summary="Report how far several messages got",
    parameters=[_token, _client_id, _signature],
    request=inputs.StatusesInput,
    responses={200: documents.StatusesDocument, **_errors(body=True)},
    examples=[
        OpenApiExample(
            "List",
            {"statuses": [{"questionId": "01939f6e-8b0a-7cc1-a6a2-3f4f7b1a2c3d", "status": "READ"}]},
            request_only=True,
        ),
        OpenApiExample(
            "Up to a message",
            {"upTo": "01939f6e-8b0a-7cc1-a6a2-3f4f7b1a2c3d", "status": "READ"},
            request_only=True,
        ),
    ],
)
unread = _describe(
    summary="How many bot and agent messages are not READ",
    parameters=[_token, _client_id, _signature],
    responses={200: documents.CountDocument, **_errors()},
)
