"""Wiring."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DjangoChatAPIConfig(AppConfig):
    name = "django_chatapi"
    verbose_name = _("Chat API")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, logs, queueing
        from .realtime import hub

        checks.install()
        logs.install()
        queueing.install()
        hub.answer_waiters_at_shutdown()
