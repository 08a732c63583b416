"""``POST`` and ``GET {token}/client/{clientId}/state`` (contract, section 8)."""

from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from .. import selectors
from ..actions import states
from ..exceptions import StateNotFound
from . import schema
from .base import ChannelViewSet
from .parsers import JSONValueParser


class StateViewSet(ChannelViewSet):
    """Keep any JSON value for a client, byte for byte."""

    parser_classes = [JSONValueParser]

    @schema.save
    def save(self, request: Request, token: str, client_id: str) -> Response:
        value: object = request.data  # of another type only when the body is empty
        if not isinstance(value, bytes):
            raise ParseError(_("The body is empty; send a JSON value."))
        states.save(channel=self.channel, value=value, **self.client_from_path(request))
        return Response({})

    @schema.load
    def load(self, request: Request, token: str, client_id: str) -> HttpResponse:
        client = selectors.find_client(self.channel, self.client_from_path(request)["client_id"])
        state = selectors.state_of(client) if client else None
        if state is None:
            raise StateNotFound
        return HttpResponse(bytes(state.value), content_type="application/json")
