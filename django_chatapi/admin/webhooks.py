"""A channel's webhook: how it is doing, and what to do about it."""

import datetime as dt
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from .. import selectors
from ..actions import courier, deliveries, resends
from ..constants import DeliveryState
from ..models import Channel, Delivery
from .bounds import bounded_count
from .clients import may_view
from .deliveries import no_webhook, report_resent
from .forms import ResendForm
from .links import page_url
from .pages import pages_of_one
from .texts import clip

#: Characters of a response to a test event that are shown at once; the delivery's page has more.
RESPONSE_LIMIT = 200


class WebhookPages(admin.ModelAdmin):  # type: ignore[type-arg]
    """What a channel's admin does about its webhook."""

    def get_urls(self) -> list[URLPattern]:
        views: dict[str, Callable[..., HttpResponse]] = {
            "test_webhook": require_POST(self.test_webhook_view),
            "enable_webhook": require_POST(self.enable_webhook_view),
            "resend": self.resend_view,
        }
        return [*pages_of_one(self, views), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        channel: Channel | None = context.get("original")
        if channel is not None and channel.webhook_url:
            health = selectors.webhook_health(channel)
            context["webhook_health"] = health
            context["webhook_counts"] = {name: _at_most(getattr(health, name)) for name in ("pending", "failed")}
            if health.failure_rate is not None:
                context["webhook_failure_percent"] = health.failure_rate * 100
            if may_view(request, Delivery):
                context["webhook_links"] = {
                    "all": self._deliveries_url(channel),
                    **{state.value: self._deliveries_url(channel, state) for state in DeliveryState},
                }
        return super().render_change_form(request, context, *args, **kwargs)

    def test_webhook_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send a test event, and say what came of it."""
        channel = self._changeable(request, object_id)
        if not channel.webhook_url:
            self.message_user(request, no_webhook(), messages.ERROR)
            return self._back(channel)
        sent = courier.send_test(channel=channel)
        outcome = sent.outcome
        status = _("status %(status)d") % {"status": outcome.status} if outcome.status else ""
        facts = {
            "what": ", ".join(filter(None, [status, outcome.error])),
            "time": round(outcome.seconds * 1000),
        }
        words = (
            _("The test event was accepted: %(what)s, after %(time)d ms.")
            if outcome.accepted
            else _("The test event was not accepted: %(what)s, after %(time)d ms.")
        ) % facts
        if outcome.response:
            words = format_html("{} {} <q>{}</q>", words, _("Response:"), clip(outcome.response, RESPONSE_LIMIT))
        if may_view(request, Delivery):
            url = page_url(self.admin_site, "delivery_change", sent.delivery.pk)
            words = format_html('{} <a href="{}">{}</a>', words, url, _("Show the delivery"))
        self.message_user(request, words, messages.SUCCESS if outcome.accepted else messages.ERROR)
        return self._back(channel)

    def enable_webhook_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send again after a 410, or at once while the circuit is open."""
        channel = self._changeable(request, object_id)
        deliveries.enable_webhook(channel=channel)
        self.log_change(request, channel, _("Enabled the webhook again."))
        self.message_user(request, _("The webhook is enabled: what is pending is sent now."), messages.SUCCESS)
        return self._back(channel)

    def resend_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask since when, then resend all that failed."""
        channel = self._changeable(request, object_id)
        if not request.user.has_perm("django_chatapi.change_delivery"):
            raise PermissionDenied
        form = ResendForm(
            request.POST if request.method == "POST" else None,
            initial={"since": timezone.now() - dt.timedelta(days=1)},
        )
        if form.is_valid():
            if not channel.webhook_enabled:
                self.message_user(request, no_webhook(), messages.ERROR)
                return self._back(channel)
            failed = selectors.failed_deliveries(channel, form.cleaned_data["since"])
            count = resends.resend_all(failed=failed)
            if count:
                self.log_change(request, channel, _("Resent failed deliveries: %(count)d.") % {"count": count})
            report_resent(self, request, count, [channel.pk])
            return self._back(channel)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Resend failed deliveries"),
            "subtitle": str(channel),
            "opts": self.opts,
            "original": channel,
            "form": form,
            "failed": _at_most(bounded_count(selectors.failed_deliveries(channel))),
            "time_zone": timezone.get_current_timezone_name(),
            "media": self.media + form.media,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/django_chatapi/channel/resend.html", context)

    def _changeable(self, request: HttpRequest, object_id: str) -> Channel:
        channel: Channel | None = self.get_object(request, unquote(object_id))
        if not self.has_change_permission(request, channel):
            raise PermissionDenied
        if channel is None:
            raise Http404
        return channel

    def _back(self, channel: Channel) -> HttpResponseRedirect:
        return HttpResponseRedirect(page_url(self.admin_site, "channel_change", channel.pk))

    def _deliveries_url(self, channel: Channel, state: DeliveryState | None = None) -> str:
        query = {"channel__id__exact": channel.pk, **({"state__exact": state.value} if state else {})}
        return f"{page_url(self.admin_site, 'delivery_changelist')}?{urlencode(query)}"


def _at_most(count: int) -> str:
    limit = selectors.HEALTH_LIMIT
    return str(count) if count <= limit else _("more than %(limit)d") % {"limit": limit}
