"""The paths of the agents' API, and of the console's socket (see ``django_chatapi.routing.console_path``)."""

from django.urls import path, re_path

from ..api.errors import not_found
from .desk import DeskViewSet
from .dialogs import DialogViewSet

app_name = "django_chatapi_agents"

_dialog = {name: DialogViewSet.as_view({"post": name}) for name in ("take", "transfer", "typing", "read", "close")}

urlpatterns = [
    path("dialogs", DialogViewSet.as_view({"get": "list", "post": "take_client"}), name="dialogs"),
    path("dialogs/<int:pk>", DialogViewSet.as_view({"get": "retrieve"}), name="dialog"),
    path("dialogs/<int:pk>/targets", DialogViewSet.as_view({"get": "targets"}), name="targets"),
    path("dialogs/<int:pk>/messages", DialogViewSet.as_view({"post": "messages"}), name="messages"),
    path("dialogs/<int:pk>/notes", DialogViewSet.as_view({"post": "notes"}), name="notes"),
    *[path(f"dialogs/<int:pk>/{name}", view, name=name) for name, view in _dialog.items()],
    path("clients", DeskViewSet.as_view({"get": "clients"}), name="clients"),
    path("presence", DeskViewSet.as_view({"get": "presence", "post": "set_presence"}), name="presence"),
    path("canned-answers", DeskViewSet.as_view({"get": "canned_answers"}), name="canned-answers"),
    re_path(r"[\s\S]*", not_found),
]
