"""The paths of the API. Mount them with ``path("chatapi/", include("django_chatapi.urls"))``."""

from django.urls import path, re_path, register_converter

from .api.errors import not_found
from .api.events import EventsViewSet
from .api.history import HistoryViewSet
from .api.requests import RequestViewSet
from .api.states import StateViewSet
from .api.statuses import StatusViewSet


class ClientIdConverter:
    """Any text, slashes and line breaks included: Django decodes ``a%2Fb`` before it looks at the pattern."""

    regex = r"[\s\S]+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(ClientIdConverter, "client_id")

app_name = "django_chatapi"

urlpatterns = [
    path("<token>", RequestViewSet.as_view({"post": "send", "get": "send_by_query"}), name="request"),
    path("<token>/async", RequestViewSet.as_view({"post": "send_async"}), name="async-request"),
    path("<token>/events", EventsViewSet.as_view({"get": "events"}), name="events"),
    path(
        "<token>/client/<client_id:client_id>/history",
        HistoryViewSet.as_view({"get": "history"}),
        name="history",
    ),
    path(
        "<token>/client/<client_id:client_id>/state",
        StateViewSet.as_view({"post": "save", "get": "load"}),
        name="state",
    ),
    path(
        "<token>/client/<client_id:client_id>/message/<question_id>/status",
        StatusViewSet.as_view({"get": "status", "post": "set_status"}),
        name="status",
    ),
    path(
        "<token>/client/<client_id:client_id>/message-statuses",
        StatusViewSet.as_view({"post": "set_statuses"}),
        name="statuses",
    ),
    path(
        "<token>/client/<client_id:client_id>/message-not-read-count",
        StatusViewSet.as_view({"get": "unread"}),
        name="unread-count",
    ),
    re_path(r"[\s\S]*", not_found),
]
