"""Every failure as the body of section 3 of the contract."""

import logging
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions as drf
from rest_framework.response import Response

from ..exceptions import (
    ChannelNotFound,
    ChatAPIError,
    InvalidRequest,
    NotAuthenticated,
    PayloadTooLarge,
    ServiceUnavailable,
    TooManyPolls,
)
from ..exceptions import PermissionDenied as ChatPermissionDenied
from ..logs import mask_tokens

logger = logging.getLogger("django_chatapi.api")

#: ``private`` as well: caches of older Django releases look for nothing else.
NEVER_CACHED = "private, no-store"
#: When to try again, in seconds: after a tenth of what a held poll usually lasts, or of a database's failover.
_RETRY_AFTER: dict[type[ChatAPIError], int] = {TooManyPolls: 3, ServiceUnavailable: 5}


class NotFound(ChatAPIError):
    status = 404
    code = "not_found"
    message = _("There is nothing at this path; the paths are in the API's documentation.")


class MethodNotAllowed(ChatAPIError):
    status = 405
    code = "method_not_allowed"
    message = _("This path does not take this method; the Allow header names those it takes.")


class NotAcceptable(ChatAPIError):
    status = 406
    code = "not_acceptable"
    message = _("Answers are JSON; send Accept: application/json, or no Accept header.")


class UnsupportedMediaType(ChatAPIError):
    status = 415
    code = "unsupported_media_type"
    message = _("Bodies are JSON; send Content-Type: application/json.")


class Throttled(ChatAPIError):
    status = 429
    code = "throttled"
    message = _("Too many calls; wait as many seconds as the Retry-After header says.")


_TRANSLATED: list[tuple[type[Exception], type[ChatAPIError]]] = [
    (Http404, NotFound),
    (RequestDataTooBig, PayloadTooLarge),
    (SuspiciousOperation, InvalidRequest),
    (PermissionDenied, ChannelNotFound),
    (drf.NotAuthenticated, NotAuthenticated),
    (drf.AuthenticationFailed, NotAuthenticated),
    (drf.NotFound, NotFound),
    (drf.MethodNotAllowed, MethodNotAllowed),
    (drf.NotAcceptable, NotAcceptable),
    (drf.UnsupportedMediaType, UnsupportedMediaType),
    (drf.Throttled, Throttled),
    # No connection, or one that broke; a deadlock, a lock or a statement that took too long. All of them pass.
    (OperationalError, ServiceUnavailable),
    (InterfaceError, ServiceUnavailable),
]


def as_chatapi_error(error: Exception) -> ChatAPIError:
    """Any exception as one of ours; what nobody foresaw becomes ``internal_error`` and tells nothing."""
    if isinstance(error, ChatAPIError):
        return error
    if isinstance(error, drf.ValidationError):
        return InvalidRequest(
            details=dict(error.detail) if isinstance(error.detail, dict) else {"body": error.detail}
        )
    if isinstance(error, drf.PermissionDenied):
        # With the reason, which may be a missing CSRF token.
        return ChatPermissionDenied(details={"reason": str(error.detail)})
    if isinstance(error, drf.ParseError):
        return InvalidRequest(details={"body": [str(error.detail)]})
    for theirs, ours in _TRANSLATED:
        if isinstance(error, theirs):
            return ours()
    return ChatAPIError()


def error_body(error: ChatAPIError) -> dict[str, Any]:
    """``{"error": code, "message": sentence, "args": {…}}``."""
    body: dict[str, Any] = {"error": error.code, "message": str(error.message)}
    if error.details:
        body["args"] = error.details
    return body


def handle_exception(exception: Exception, context: dict[str, Any]) -> Response:
    """The exception handler of every view of this package (Django REST framework's hook)."""
    error = as_chatapi_error(exception)
    request = context["request"]
    if error.code in (ChatAPIError.code, ServiceUnavailable.code):
        _report(exception, request)
    response = Response(error_body(error), status=error.status)
    if isinstance(exception, drf.Throttled):
        response["Retry-After"] = str(int(getattr(exception, "wait", None) or 0) + 1)
    elif type(error) in _RETRY_AFTER:
        response["Retry-After"] = str(_RETRY_AFTER[type(error)])
    # Django would log the path, with the token in it.
    response._has_been_logged = True  # type: ignore[attr-defined]
    logger.info("%s %s: %s", request.method, _path(request), error.code)
    return response


def _path(request: HttpRequest) -> str:
    """The path as a log line may show it: without the token, and without line breaks of the caller's."""
    return mask_tokens(request.path.encode("unicode_escape").decode())


def _report(exception: Exception, request: HttpRequest) -> None:
    """Tell operators in one line, error trackers all of it. The traceback is at DEBUG (contract, section 3)."""
    path = _path(request)
    frame = exception.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_code.co_name}:{frame.tb_lineno}" if frame else ""
    logger.error("%s %s: %s in %s", request.method, path, type(exception).__name__, place)
    logger.debug("%s %s", request.method, path, exc_info=exception)
    got_request_exception.send(sender=None, request=request)


@csrf_exempt
@login_not_required
def not_found(request: HttpRequest, *args: Any, **kwargs: Any) -> JsonResponse:
    """The last URL pattern: an unknown path below the API is an error of the API, not a page of the site."""
    slash = _("There is nothing at this path; the paths of the API do not end with a slash.")
    return error_response(NotFound(slash if request.path.endswith("/") else None))


def error_response(error: ChatAPIError) -> JsonResponse:
    """An error outside of any view."""
    response = JsonResponse(error_body(error), status=error.status, headers={"Cache-Control": NEVER_CACHED})
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response
