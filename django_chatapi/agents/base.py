"""What every endpoint of the agents' API has in common: who may call, and what they see."""

from collections.abc import Callable
from typing import Any

from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from ..actions import presences
from ..api.base import AcceptHeaderOnly, WireRenderer
from ..api.errors import NEVER_CACHED, handle_exception
from ..api.parsers import JSONObjectParser
from ..dialog_selectors import Sight, find_dialog, is_agent, sight_of
from ..exceptions import DialogNotFound
from ..models import Dialog


class IsAgent(BasePermission):
    """Users with ``django_chatapi.answer_client``."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return is_agent(request.user)


class AgentViewSet(ViewSet):
    """A call of an agent. Who it is, the host's own authentication says; sessions are held to CSRF tokens."""

    permission_classes = [IsAgent]
    parser_classes: list[Any] = [JSONObjectParser]
    renderer_classes: list[Any] = [WireRenderer]
    content_negotiation_class = AcceptHeaderOnly
    versioning_class = None

    sight: Sight

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.sight = sight_of(request.user)
        presences.saw(agent_pk=request.user.pk)

    def get_authenticators(self) -> list[Any]:
        """The host's, and sessions in any case: the console has one."""
        found: list[Any] = super().get_authenticators()
        if not any(isinstance(one, SessionAuthentication) for one in found):
            found.append(SessionAuthentication())
        return found

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        return handle_exception

    def handle_exception(self, exc: Exception) -> Response:
        response = self.get_exception_handler()(exc, {"view": self, "request": self.request._request})
        response.exception = True
        return response

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"] = NEVER_CACHED
        return response

    def dialog(self, pk: int) -> Dialog:
        """The dialog, if the agent sees it.

        Raises:
            DialogNotFound
        """
        found = find_dialog(self.sight, pk)
        if found is None:
            raise DialogNotFound
        return found
