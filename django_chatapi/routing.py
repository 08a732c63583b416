"""What runs under ASGI beside Django: the events door, and the console's socket.

::

    http = URLRouter([events_path("chatapi/"), re_path("", get_asgi_application())])
    websocket = URLRouter([console_path("chatapi-agents/")])
    application = ProtocolTypeRouter({"http": http, "websocket": websocket})
"""

from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import URLPattern, path

from .agents.live import ConsoleSocket
from .consumers import EventsDoor


def events_path(prefix: str) -> URLPattern:
    """The route of the events door, for Channels' ``URLRouter``.

    Deliberately one pattern and not a nested router: each router on the way keeps a copy of the scope, about a
    kilobyte, for as long as a poll is held.

    Args:
        prefix: where ``django_chatapi.urls`` is mounted, without a leading slash: ``"chatapi/"``.
    """
    return path(f"{prefix}<token>/events", EventsDoor())  # type: ignore[arg-type]


def console_path(prefix: str) -> URLPattern:
    """The route of the console's socket. It takes the site's own pages only, with the session of an agent.

    Args:
        prefix: where ``django_chatapi.agents.urls`` is mounted, without a leading slash: ``"chatapi-agents/"``.
    """
    with_user = AuthMiddlewareStack(ConsoleSocket())  # type: ignore[no-untyped-call]
    socket: Any = AllowedHostsOriginValidator(with_user)  # type: ignore[no-untyped-call]
    route: URLPattern = path(f"{prefix}live", socket)
    return route
