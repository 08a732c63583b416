"""Everything that a caller can be told went wrong.

::

    ChatAPIError
    ├── InvalidRequest             400  invalid_request
    ├── InvalidClientSignature     401  invalid_client_signature
    ├── NotAuthenticated           401  not_authenticated
    ├── ChannelDisabled            403  channel_disabled
    ├── OriginNotAllowed           403  origin_not_allowed
    ├── PermissionDenied           403  permission_denied
    ├── ChannelNotFound            404  channel_not_found
    ├── ClientNotFound             404  client_not_found
    ├── DialogNotFound             404  dialog_not_found
    ├── MessageNotFound            404  message_not_found
    ├── StateNotFound              404  state_not_found
    ├── AlreadyTaken               409  already_taken
    ├── DialogClosed               409  dialog_closed
    ├── IdempotencyConflict        409  idempotency_conflict
    ├── NotYourDialog              409  not_your_dialog
    ├── PayloadTooLarge            413  payload_too_large
    ├── TextInputDisabled          422  text_input_disabled
    ├── BotFailed                  502  bot_failed
    ├── ServiceUnavailable         503  service_unavailable
    ├── TooManyPolls               503  too_many_polls
    └── BotTimeout                 504  bot_timeout

The codes and the shape of the body are section 3 of the contract.
"""

from typing import Any

from django.utils.translation import gettext_lazy as _


class ChatAPIError(Exception):
    """Base of all. ``message`` is one sentence that says what to do; ``details`` becomes ``args`` in the body."""

    status: int = 500
    code: str = "internal_error"
    message: Any = _("Something went wrong on the server; try again later.")

    def __init__(self, message: Any = None, details: dict[str, Any] | None = None) -> None:
        self.message = message or self.message
        self.details = details
        super().__init__(self.message)

    def __str__(self) -> str:
        return str(self.message)


class InvalidRequest(ChatAPIError):
    status = 400
    code = "invalid_request"
    message = _("The request is not valid; correct what is named in args.")


class InvalidClientSignature(ChatAPIError):
    status = 401
    code = "invalid_client_signature"
    message = _(
        "This channel requires signed clients; send X-Client-Signature, the hex HMAC-SHA256 of the clientId "
        "under the channel's identity secret."
    )


class NotAuthenticated(ChatAPIError):
    """At the agents' API, as the ones below: callers of a channel do not log in."""

    status = 401
    code = "not_authenticated"
    message = _("Log in first: agents are users of this site.")


class ChannelDisabled(ChatAPIError):
    status = 403
    code = "channel_disabled"
    message = _("This channel is switched off; ask the site's owner to activate it.")


class OriginNotAllowed(ChatAPIError):
    status = 403
    code = "origin_not_allowed"
    message = _("Pages of this origin may not call this channel; add it to the channel's allowed origins.")


class PermissionDenied(ChatAPIError):
    status = 403
    code = "permission_denied"
    message = _("You may not do this; answering clients takes the permission django_chatapi.answer_client.")


class ChannelNotFound(ChatAPIError):
    status = 404
    code = "channel_not_found"
    message = _("There is no channel with this token; check the token.")


class ClientNotFound(ChatAPIError):
    status = 404
    code = "client_not_found"
    message = _("There is no such client on the channels that you belong to.")


class DialogNotFound(ChatAPIError):
    status = 404
    code = "dialog_not_found"
    message = _("There is no such dialog on the channels and in the groups that you belong to.")


class MessageNotFound(ChatAPIError):
    status = 404
    code = "message_not_found"
    message = _("This client has no bot or agent message with this questionId.")


class StateNotFound(ChatAPIError):
    status = 404
    code = "state_not_found"
    message = _("No state was saved for this client; save one with POST to this path.")


class _NamesAgent:
    """Another agent has the client; ``args`` says who: ``{"agent": username, "agentName": full name}``."""

    def __init__(self, agent: Any) -> None:
        details = None
        if agent is not None:
            # Users that are not Django's own need not have a full name.
            name = agent.get_full_name() if hasattr(agent, "get_full_name") else ""
            details = {"agent": agent.get_username(), "agentName": name or agent.get_username()}
        super().__init__(None, details)  # type: ignore[call-arg]


class AlreadyTaken(_NamesAgent, ChatAPIError):
    status = 409
    code = "already_taken"
    message = _("Another agent has taken this client; args says who.")


class DialogClosed(ChatAPIError):
    status = 409
    code = "dialog_closed"
    message = _("This dialog is closed and the client is with the bot; take the client to begin a new one.")


class IdempotencyConflict(ChatAPIError):
    status = 409
    code = "idempotency_conflict"
    message = _("This Idempotency-Key was used with another body; use a new key for a new request.")


class NotYourDialog(_NamesAgent, ChatAPIError):
    status = 409
    code = "not_your_dialog"
    message = _("You do not have this client; take it first, or have its agent, named in args, transfer it.")


class PayloadTooLarge(ChatAPIError):
    status = 413
    code = "payload_too_large"
    message = _("The body is too large; send less than the limit in args.")


class TextInputDisabled(ChatAPIError):
    status = 422
    code = "text_input_disabled"
    message = _("The last answer takes no free text; send the text of one of its buttons, named in args.")


class BotFailed(ChatAPIError):
    """The bot raised or answered nonsense. ``reason`` is for operators and never goes over the wire."""

    status = 502
    code = "bot_failed"
    message = _("The bot failed to answer; the request is kept, and the site's owner sees why in the admin.")

    def __init__(self, reason: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(None, details)
        # One line, of characters that every database stores: bots raise whatever they like.
        self.reason = "".join(char if char.isprintable() else " " for char in str(reason))

    def __str__(self) -> str:
        return self.reason


class ServiceUnavailable(ChatAPIError):
    status = 503
    code = "service_unavailable"
    message = _("The service has no database right now; try again after as many seconds as Retry-After says.")


class TooManyPolls(ChatAPIError):
    status = 503
    code = "too_many_polls"
    message = _("Too many events requests are waiting here; try again after Retry-After, or with timeout=0.")


class BotTimeout(ChatAPIError):
    status = 504
    code = "bot_timeout"
    message = _("The bot has not answered in time; its answer will follow as an event and at the webhook.")
