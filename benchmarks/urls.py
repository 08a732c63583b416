"""The API, and what it is compared with."""

from django.urls import include, path

from . import controls, floor

urlpatterns = [
    path("chatapi/", include("django_chatapi.urls")),
    path("floor/<token>", floor.FloorView.as_view()),
    path("control/<token>/client/<client_id>/history", controls.materialised_history),
]
