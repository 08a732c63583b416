"""The API, and what it is compared with."""

from django.contrib import admin
from django.urls import include, path

from . import controls, floor

urlpatterns = [
    path("admin/", admin.site.urls),
    path("chatapi/", include("django_chatapi.urls")),
    path("chatapi-agents/", include("django_chatapi.agents.urls")),
    path("floor/<token>", floor.FloorView.as_view()),
    path("control/<token>/client/<client_id>/history", controls.materialised_history),
]
