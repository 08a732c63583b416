"""The OpenAPI document of the agents' API (drf-spectacular), under a tag of its own."""

from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from ..api.schema import errors_of
from ..exceptions import (
    AlreadyTaken,
    ChatAPIError,
    ClientNotFound,
    DialogClosed,
    DialogNotFound,
    IdempotencyConflict,
    InvalidRequest,
    MessageNotFound,
    NotAuthenticated,
    NotYourDialog,
    PayloadTooLarge,
    PermissionDenied,
    ServiceUnavailable,
)
from ..wire import agent_documents as documents
from ..wire import agent_inputs as inputs
from ..wire.documents import EnvelopeDocument

TAG = "Agents"
F = TypeVar("F", bound=Callable[..., Any])


class AgentSchema(AutoSchema):
    """Describes our views whatever schema class the host uses for its own; the authentication is the host's."""

    def get_tags(self) -> list[str]:
        return [TAG]

    def get_operation_id(self) -> str:
        return _OPERATIONS[str(getattr(self.view, "action", None))]


_OPERATIONS = {
    "list": "listDialogs",
    "take_client": "takeClient",
    "retrieve": "getDialog",
    "take": "takeDialog",
    "transfer": "transferDialog",
    "targets": "listTransferTargets",
    "messages": "sendReply",
    "notes": "writeNote",
    "typing": "sayTyping",
    "read": "markRead",
    "close": "closeDialog",
    "presence": "getPresence",
    "set_presence": "setPresence",
    "clients": "findClients",
    "canned_answers": "listCannedAnswers",
}


def _describe(
    summary: str, *errors: type[ChatAPIError], answer: Any = None, description: str = "", **more: Any
) -> Callable[[F], F]:
    """``extend_schema`` on top of our own schema class; by itself it would take the host's default one."""
    common: list[type[ChatAPIError]] = [InvalidRequest, NotAuthenticated, PermissionDenied, ServiceUnavailable]
    body = [PayloadTooLarge] if more.get("request") is not None else []
    success = {204: OpenApiResponse(description="Done.")} if answer is None else {200: answer}
    responses = {**success, **errors_of([*common, *errors, *body])}

    def decorate(method: F) -> F:
        method.kwargs = {"schema": AgentSchema}  # type: ignore[attr-defined]
        described: F = extend_schema(
            summary=summary, description=description or None, responses=responses, **more
        )(method)
        return described

    return decorate


_id = OpenApiParameter("id", int, OpenApiParameter.PATH, description="The dialog.")
_idempotency = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="At most 255 characters. The same key again (for a message: of the same client; for a note: of "
    "the same dialog) gives what the first call gave, and nothing is said twice.",
)

list_dialogs = _describe(
    "The dialogs of a list, page by page",
    answer=documents.DialogsDocument,
    parameters=[inputs.DialogsInput],
)
take_client = _describe(
    "Take a client that nobody handed over",
    AlreadyTaken,
    ClientNotFound,
    answer=documents.DialogDocument,
    request=inputs.TakeClientInput,
    examples=[OpenApiExample("Client", {"channelId": 1, "clientId": "test"}, request_only=True)],
)
retrieve_dialog = _describe(
    "A dialog with its transcript",
    DialogNotFound,
    answer=documents.TranscriptDocument,
    parameters=[_id, inputs.TranscriptInput],
)
take_dialog = _describe(
    "Take a client who waits",
    AlreadyTaken,
    DialogClosed,
    DialogNotFound,
    answer=documents.DialogDocument,
    description="Of several agents who try, one gets it; the others are told who.",
    parameters=[_id],
    request=None,
)
transfer_dialog = _describe(
    "Give the client to another agent, or let it wait for a group",
    DialogClosed,
    DialogNotFound,
    NotYourDialog,
    answer=documents.DialogDocument,
    parameters=[_id],
    request=inputs.TransferInput,
    examples=[
        OpenApiExample("Agent", {"agent": "kim"}, request_only=True),
        OpenApiExample("Group", {"group": "Sales"}, request_only=True),
    ],
)
list_targets = _describe(
    "To whom the client can be transferred",
    DialogNotFound,
    answer=documents.TargetsDocument,
    parameters=[_id],
)
send_reply = _describe(
    "Say something to the client",
    DialogClosed,
    DialogNotFound,
    IdempotencyConflict,
    NotYourDialog,
    answer=OpenApiResponse(EnvelopeDocument, "The message, as the client gets it; the token is masked."),
    parameters=[_id, _idempotency],
    request=inputs.ReplyInput,
    examples=[
        OpenApiExample("Text", {"text": "How can I help?"}, request_only=True),
        OpenApiExample(
            "Replies",
            {"replies": [{"type": "image", "imageUrl": "https://www.example.com/map.png"}]},
            request_only=True,
        ),
    ],
)
write_note = _describe(
    "Write an internal note",
    DialogNotFound,
    IdempotencyConflict,
    answer=documents.NoteDocument,
    description="The client never gets it.",
    parameters=[_id, _idempotency],
    request=inputs.NoteInput,
)
say_typing = _describe(
    "Tell the client that the agent types",
    DialogClosed,
    DialogNotFound,
    NotYourDialog,
    description="Callers get it who ask for `types=agentTyping`. Within three seconds of the last one it is "
    "ignored.",
    parameters=[_id],
    request=None,
)
mark_read = _describe(
    "Mark the client's messages as seen by the dialog's agent",
    DialogNotFound,
    MessageNotFound,
    answer=documents.DialogDocument,
    description="What other agents see stays unread.",
    parameters=[_id],
    request=inputs.ReadInput,
)
close_dialog = _describe(
    "Give the client back to the bot",
    DialogClosed,
    DialogNotFound,
    NotYourDialog,
    answer=documents.DialogDocument,
    description="The bot gets the event `livechatFinished`.",
    parameters=[_id],
    request=None,
)
get_presence = _describe("Whether you take clients now", answer=documents.PresenceDocument)
set_presence = _describe(
    "Say whether you take clients now",
    answer=documents.PresenceDocument,
    description="It holds as long as you call something, or your console is open. Once it has run out you are "
    "offline until you say so again.",
    request=inputs.PresenceInput,
)
list_clients = _describe(
    "Find clients, also those that are with the bot",
    answer=documents.FoundClientsDocument,
    description="At most 20, without those that wait for groups of others, or are with them. `POST dialogs` takes "
    "one.",
    parameters=[inputs.ClientsInput],
)
list_canned_answers = _describe(
    "Texts to insert",
    answer=documents.CannedAnswersDocument,
    parameters=[inputs.CannedAnswersInput],
)
