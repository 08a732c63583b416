"""Wiring."""

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import pre_delete
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
        pre_delete.connect(_release_clients, sender=settings.AUTH_USER_MODEL)


def _release_clients(sender: Any, instance: Any, **kwargs: Any) -> None:
    """The clients of an agent who is deleted wait again."""
    from .actions import dialogs

    dialogs.release(agent=instance)
