"""What every endpoint has in common: the channel, who may call, and how failures look."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connections, transaction
from django.utils.decorators import method_decorator
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ViewSet

from ..exceptions import ChannelDisabled, ChannelNotFound, InvalidClientSignature, InvalidRequest
from ..models import Channel
from ..tokens import client_signature_is_valid
from ..wire.inputs import ClientInput
from . import cors
from .errors import NEVER_CACHED, handle_exception
from .parsers import JSONObjectParser
from .schema import ChatAPISchema
from .throttling import ChannelThrottle


class WireRenderer(JSONRenderer):
    """JSON in UTF-8 whatever the host's own API looks like."""

    compact = True
    ensure_ascii = False
    strict = True


class AcceptHeaderOnly(DefaultContentNegotiation):
    """A query parameter ``format`` is the caller's own, and none of REST framework's business."""

    def filter_renderers(self, renderers: Any, format: str) -> Any:
        return renderers


def _non_atomic(view: Callable[..., Any]) -> Callable[..., Any]:
    """Keep ``ATOMIC_REQUESTS`` away, on whichever database the host's routers put our models."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


# The request has to be committed before the bot is asked, and no transaction may be held while it thinks.
@method_decorator(_non_atomic, name="dispatch")
class ChannelViewSet(ViewSet):
    """A call on one channel. None of the host's REST framework settings apply, since the contract is fixed.

    Every check happens in this order: token, origin, active, throttle, body, client signature.
    """

    http_method_names = ["get", "post", "options"]
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    throttle_classes = [ChannelThrottle]
    parser_classes: list[Any] = [JSONObjectParser]
    renderer_classes: list[Any] = [WireRenderer]
    content_negotiation_class = AcceptHeaderOnly
    versioning_class = None
    schema = ChatAPISchema()

    channel: Channel

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        channel = Channel.objects.with_token(kwargs["token"])
        if channel is None:
            raise ChannelNotFound
        self.channel = channel
        cors.check_origin(request._request, channel)
        if request.method == "OPTIONS":
            return
        if not channel.active:
            raise ChannelDisabled
        super().initial(request, *args, **kwargs)
        if "Transfer-Encoding" in request.headers and "Content-Length" not in request.headers:
            # Django takes such a body for an empty one, which would blame a field.
            raise InvalidRequest(details={"body": [_("Send a Content-Length; a chunked body is not read.")]})

    def perform_authentication(self, request: Request) -> None:
        """Nobody logs in here: the token is in the path, and the site's session is none of the API's business."""

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        return handle_exception

    def handle_exception(self, exc: Exception) -> Response:
        response = self.get_exception_handler()(exc, {"view": self, "request": self.request._request})
        response.exception = True
        return response

    def options(self, request: Request, *args: Any, **kwargs: Any) -> Response:  # type: ignore[override]
        return Response(status=204)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"] = NEVER_CACHED
        if hasattr(self, "channel"):
            cors.add_headers(request._request, response, self.channel, ", ".join(self.allowed_methods))
        return response

    @property
    def token(self) -> str:
        """The token that the caller used. After a rotation it may be the old one."""
        return str(self.kwargs["token"])

    def client_from_path(self, request: Request) -> dict[str, Any]:
        """``client_id`` and ``connection_id`` of a path with a client in it, checked and signed."""
        fields = {"clientId": self.kwargs["client_id"]}
        if "cid" in request.query_params:
            fields["cid"] = request.query_params["cid"]
        valid = validated(ClientInput, fields)
        self.check_signature(request, valid["client_id"])
        return valid

    def check_signature(self, request: Request, client_id: str) -> None:
        """Section 12 of the contract.

        Raises:
            InvalidClientSignature
        """
        signature = request.headers.get("X-Client-Signature", "")
        if self.channel.require_signed_clients and not client_signature_is_valid(
            self.channel.identity_secret, client_id, signature
        ):
            raise InvalidClientSignature


def validated(serializer_class: type[BaseSerializer[Any]], data: Any) -> dict[str, Any]:
    """The data in the names of this package; absent and null fields alike are missing.

    Raises:
        ValidationError: of Django REST framework; becomes ``invalid_request``.
    """
    fields = _serializers.of(serializer_class).run_validation(data)
    return {name: value for name, value in fields.items() if value is not None}


class _Serializers(threading.local):
    """A thread's serializers, one of each class: to make one copies all its fields, and costs more than to use it.

    Deliberately not shared by threads, nor by languages: fields put some of their messages into words only once.
    """

    def __init__(self) -> None:
        self._made: dict[Any, BaseSerializer[Any]] = {}

    def of(self, serializer_class: type[BaseSerializer[Any]]) -> BaseSerializer[Any]:
        key = serializer_class, get_language()
        if key not in self._made:
            self._made[key] = serializer_class()
        return self._made[key]


_serializers = _Serializers()
