"""The events door for ASGI.

::

    http = URLRouter([events_path("chatapi/"), re_path("", get_asgi_application())])
    application = ProtocolTypeRouter({"http": http})
"""

from django.urls import URLPattern, path

from .consumers import EventsDoor


def events_path(prefix: str) -> URLPattern:
    """The route of the events door, for Channels' ``URLRouter``.

    Deliberately one pattern and not a nested router: each router on the way keeps a copy of the scope, about a
    kilobyte, for as long as a poll is held.

    Args:
        prefix: where ``django_chatapi.urls`` is mounted, without a leading slash: ``"chatapi/"``.
    """
    return path(f"{prefix}<token>/events", EventsDoor())  # type: ignore[arg-type]
