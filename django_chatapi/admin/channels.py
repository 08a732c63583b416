"""Channels: connect them, copy and rotate their tokens and signing secrets."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db import router, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..actions import channels, deliveries
from ..models import Channel, Client, Delivery, DeliveryAttempt, Dialog, DialogChange, DialogNote, Message
from ..tokens import mask
from .bounds import BoundedDeletion
from .forms import ChannelForm, RotateTokenForm, RotateWebhookSecretForm, RotationForm
from .pages import pages_of_one
from .texts import shown_time, to_the_second
from .webhooks import WebhookPages

_BOT = (gettext_lazy("Bot"), {"fields": ["bot", "bot_options", "disable_text_with_buttons"]})


@admin.register(Channel)
class ChannelAdmin(WebhookPages, BoundedDeletion):
    form = ChannelForm
    list_display = ["name", "token_to_copy", "bot", "active", shown_time(Channel, "created_at")]
    list_filter = ["active"]
    search_fields = ["name"]
    readonly_fields = ["signing_secret"]
    deleted_along = {
        Client: "channel",
        Message: "client__channel",
        Delivery: "channel",
        DeliveryAttempt: "channel",
        Dialog: "channel",
        DialogChange: "client__channel",
        DialogNote: "dialog__channel",
    }
    instead_of_deletion = gettext_lazy("switch the channel off instead")

    class Media:
        css = {"all": ["django_chatapi/admin/chatapi.css"]}
        js = ["django_chatapi/admin/copy.js"]

    @admin.display(description=gettext_lazy("token"))
    def token_to_copy(self, channel: Channel) -> SafeString:
        return copyable(channel.token, _("Copy token"), shown=mask(channel.token))

    @admin.display(description=gettext_lazy("signing secret"))
    def signing_secret(self, channel: Channel) -> SafeString:
        secret = copyable(channel.webhook_secret, _("Copy secret"))
        until = previous_webhook_secret(channel)
        return format_html('{}<div class="chatapi-quiet">{}</div>', secret, until) if until else secret

    def get_fieldsets(self, request: HttpRequest, obj: Channel | None = None) -> Any:
        security = ["allowed_origins", "require_signed_clients"]
        if obj is None:
            # Later the token is only rotated: changed by hand, it would cut off every caller at once.
            return [
                (None, {"fields": ["name", "token", "active"]}),
                _BOT,
                (gettext_lazy("Webhook"), {"fields": ["webhook_url"]}),
                (gettext_lazy("Security"), {"fields": security}),
            ]
        # Whoever may only look is not shown how to sign.
        secrets = self.has_change_permission(request, obj)
        return [
            (None, {"fields": ["name", "active"]}),
            _BOT,
            (gettext_lazy("Security"), {"fields": [*security, *(["identity_secret"] if secrets else [])]}),
            # Like the token, the secret is only rotated; how the webhook is doing follows.
            (gettext_lazy("Webhook"), {"fields": ["webhook_url", *(["signing_secret"] if secrets else [])]}),
        ]

    def save_model(self, request: HttpRequest, obj: Channel, form: Any, change: bool) -> None:
        if change and "webhook_url" in form.changed_data:
            deliveries.enable_webhook(channel=obj)
        # No more than the form holds: a token that is rotated at the same time stays rotated.
        obj.save(update_fields=form.fields if change else None)
        if obj.active:
            self.message_user(request, _("Channel connected."), messages.SUCCESS)
        else:
            self.message_user(
                request, _("Channel connected, but switched off: every call is refused."), messages.WARNING
            )

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        channel: Channel | None = context.get("original")
        if channel is not None:
            context["token_to_copy"] = copyable(channel.token, _("Copy token"))
            context["address_to_copy"] = (address := api_address(request, channel)) and copyable(
                address, _("Copy address")
            )
            context["previous_token"] = previous_token(channel)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        views = {
            "rotate_token": self.rotate_token_view,
            "rotate_webhook_secret": self.rotate_webhook_secret_view,
        }
        return [*pages_of_one(self, views), *super().get_urls()]

    def rotate_token_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask how long the old token keeps working, then rotate it."""

        def rotate(channel: Channel, form: RotationForm) -> tuple[str, str]:
            channels.rotate_token(channel=channel, grace=form.span)
            until = previous_token(channel) or _("The old token no longer works.")
            report = _("Rotated; the new token begins with %(start)s. %(until)s")
            return (
                report % {"start": channel.token[:4], "until": until},
                _("Rotated the token. %(until)s") % {"until": until},
            )

        words = {
            "title": _("Rotate token"),
            "introduction": _(
                "The channel gets a new token. Hand it to everybody who calls the channel before the old one ends."
            ),
            "ending": _("It will end now: only the latest two tokens can work."),
            "missing": _("Please choose how long the old token keeps working."),
        }
        return self._rotation(request, object_id, RotateTokenForm, rotate, previous_token, words)

    def rotate_webhook_secret_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask how long the old secret signs as well, then rotate it."""

        def rotate(channel: Channel, form: RotationForm) -> tuple[str, str]:
            channels.rotate_webhook_secret(channel=channel, grace=form.span, secret=form.cleaned_data["secret"])
            until = previous_webhook_secret(channel) or _("The old secret signs no longer.")
            report = _("Rotated the signing secret. %(until)s") % {"until": until}
            return report, report

        words = {
            "title": _("Rotate signing secret"),
            "introduction": _(
                "The channel gets a new signing secret. Until the old one ends, what is sent has a signature with "
                "each of them; hand the new one to the receiver by then."
            ),
            "ending": _("It will end now: only the latest two secrets can sign."),
            "missing": _("Please correct the errors below."),
        }
        return self._rotation(request, object_id, RotateWebhookSecretForm, rotate, previous_webhook_secret, words)

    def _rotation(
        self,
        request: HttpRequest,
        object_id: str,
        form_class: type[RotationForm],
        rotate: Callable[[Channel, RotationForm], tuple[str, str]],
        previous: Callable[[Channel], str | None],
        words: dict[str, str],
    ) -> HttpResponse:
        with transaction.atomic(using=router.db_for_write(Channel)):
            channel = self._changeable(request, object_id)
            if request.method == "POST":
                # Of two people who rotate at once the second one waits, and is told.
                channel = get_object_or_404(Channel.objects.select_for_update(), pk=channel.pk)
            form = form_class(request.POST if request.method == "POST" else None, channel=channel)
            if form.is_valid():
                report, logged = rotate(channel, form)
                self.log_change(request, channel, logged)
                self.message_user(request, report, messages.SUCCESS)
                return self._back(channel)
        context = {
            **self.admin_site.each_context(request),
            "subtitle": str(channel),
            "opts": self.opts,
            "original": channel,
            "form": form,
            "previous": previous(channel),
            "media": self.media + form.media,
            **words,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/django_chatapi/channel/rotate.html", context)


def copyable(value: str, label: str, shown: str | None = None) -> SafeString:
    """A value beside a button that copies it; ``shown`` stands in the page in its place."""
    return format_html(
        '<span class="chatapi-copyable"><code class="chatapi-code">{}</code> '
        '<button type="button" class="chatapi-copy" data-copy="{}" data-copied="{}" data-failed="{}">{}</button> '
        '<span role="status"></span></span>',
        value if shown is None else shown,
        value,
        _("Copied"),
        _("Copying failed"),
        label,
    )


def api_address(request: HttpRequest, channel: Channel) -> str | None:
    """Where this channel is called; None when the site does not mount the API."""
    try:
        return request.build_absolute_uri(reverse("django_chatapi:request", args=[channel.token]))
    except NoReverseMatch:
        return None


def previous_token(channel: Channel) -> str | None:
    """A line on the token that a rotation left working; None when there is none."""
    expires = channel.previous_token_expires_at
    if not channel.previous_token or expires is None or expires <= timezone.now():
        return None
    return _("The old token %(token)s works until %(until)s.") % {
        "token": mask(channel.previous_token),
        "until": to_the_second(expires),
    }


def previous_webhook_secret(channel: Channel) -> str | None:
    """A line on the secret that a rotation left signing; None when there is none."""
    expires = channel.previous_webhook_secret_expires_at
    if len(channel.webhook_secrets()) == 1 or expires is None:
        return None
    return _("The old secret signs as well until %(until)s.") % {"until": to_the_second(expires)}
