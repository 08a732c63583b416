"""Channels: connect them, copy and rotate their tokens."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db import models, router, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..actions import channels
from ..models import Channel, Client, Message
from ..tokens import mask
from .bounds import BoundedDeletion
from .forms import ChannelForm, RotateTokenForm

_BOT = (gettext_lazy("Bot"), {"fields": ["bot", "bot_options", "disable_text_with_buttons"]})


@admin.register(Channel)
class ChannelAdmin(BoundedDeletion):
    form = ChannelForm
    list_display = ["name", "token_to_copy", "bot", "active", "created_at"]
    list_filter = ["active"]
    search_fields = ["name"]
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    deleted_along = {Client: "channel", Message: "client__channel"}
    instead_of_deletion = gettext_lazy("switch the channel off instead")

    class Media:
        css = {"all": ["django_chatapi/admin/chatapi.css"]}
        js = ["django_chatapi/admin/copy.js"]

    @admin.display(description=gettext_lazy("token"))
    def token_to_copy(self, channel: Channel) -> SafeString:
        return copyable(channel.token, _("Copy token"), shown=mask(channel.token))

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
            (gettext_lazy("Webhook"), {"fields": ["webhook_url", *(["webhook_secret"] if secrets else [])]}),
            (gettext_lazy("Security"), {"fields": [*security, *(["identity_secret"] if secrets else [])]}),
        ]

    def save_model(self, request: HttpRequest, obj: Channel, form: Any, change: bool) -> None:
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
        rotate = path(
            "<path:object_id>/rotate-token/",
            self.admin_site.admin_view(self.rotate_token_view),
            name="django_chatapi_channel_rotate_token",
        )
        return [rotate, *super().get_urls()]

    def rotate_token_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask how long the old token keeps working, then rotate it."""
        with transaction.atomic(using=router.db_for_write(Channel)):
            channel = self.get_object(request, unquote(object_id))
            if not self.has_change_permission(request, channel):
                raise PermissionDenied
            if channel is None:
                raise Http404
            if request.method == "POST":
                # Of two people who rotate at once the second one waits, and is told.
                channel = get_object_or_404(Channel.objects.select_for_update(), pk=channel.pk)
            form = RotateTokenForm(request.POST if request.method == "POST" else None, channel=channel)
            if form.is_valid():
                channels.rotate_token(channel=channel, grace=form.span)
                self._report_rotation(request, channel)
                return HttpResponseRedirect(
                    reverse(
                        "admin:django_chatapi_channel_change",
                        args=[quote(channel.pk)],
                        current_app=self.admin_site.name,
                    )
                )
        context = {
            **self.admin_site.each_context(request),
            "title": _("Rotate token"),
            "subtitle": str(channel),
            "opts": self.opts,
            "original": channel,
            "form": form,
            "previous_token": previous_token(channel),
            "media": self.media + form.media,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/django_chatapi/channel/rotate_token.html", context)

    def _report_rotation(self, request: HttpRequest, channel: Channel) -> None:
        until = previous_token(channel) or _("The old token no longer works.")
        report = _("Rotated; the new token begins with %(start)s. %(until)s")
        report %= {"start": channel.token[:4], "until": until}
        self.log_change(request, channel, _("Rotated the token. %(until)s") % {"until": until})
        self.message_user(request, report, messages.SUCCESS)


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
    """A line on the token that a rotation left working; None when there is none. Times end with a full stop."""
    expires = channel.previous_token_expires_at
    if not channel.previous_token or expires is None or expires <= timezone.now():
        return None
    return _("The old token %(token)s works until %(until)s") % {
        "token": mask(channel.previous_token),
        "until": localize(timezone.localtime(expires) if timezone.is_aware(expires) else expires),
    }
