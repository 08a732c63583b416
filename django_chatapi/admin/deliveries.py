"""Deliveries: what was sent to webhooks, what came back, and what to send again."""

import datetime as dt
from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from ..actions import courier, resends
from ..actions.deliveries import messages_of
from ..constants import DeliveryState
from ..identifiers import first_uuid
from ..models import Channel, Client, Delivery, DeliveryAttempt, Message, WebhookEndpoint
from ..tokens import mask
from .bounds import RecordAdmin
from .clients import may_view, named
from .links import page_url
from .messages import CLIENTS_OF_ONE_NAME
from .pages import pages_of_one
from .texts import clip, pretty_bytes, shown_time, to_the_second, visible

#: Attempts that a delivery's page shows, the latest ones.
ATTEMPTS = 100
#: Characters of a failure that the list shows.
FAILURE_LIMIT = 80
#: Characters of a payload that a page shows; all of it can be downloaded.
PAYLOAD_LIMIT = 100_000

#: What a delivery's time and the time in its webhook id may differ by, in seconds.
_SLACK = 60.0

LEASE_EXPIRES = shown_time(Delivery, "lease_expires_at")


class CreatedFilter(admin.DateFieldListFilter):
    """Django's spans of time, found by an index.

    The time has none of its own, but the webhook id begins with it (RFC 9562, version 7).
    """

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        for name, lookup, slack in (
            (self.lookup_kwarg_since, "webhook_id__gte", -_SLACK),
            (self.lookup_kwarg_until, "webhook_id__lte", _SLACK),
        ):
            bound = _first_id(self.field, self.date_params.get(name), slack)
            if bound is not None:
                queryset = queryset.filter(**{lookup: bound})
        return super().queryset(request, queryset)


def _first_id(field: Any, text: str | None, slack: float) -> UUID | None:
    """The least webhook id of that time; None for what is no time, which the other filter complains about."""
    try:
        moment = field.to_python(text or None)
        if moment is None:
            return None
        if settings.USE_TZ and timezone.is_naive(moment):
            moment = timezone.make_aware(moment, timezone.get_default_timezone())
        milliseconds = int((moment.timestamp() + slack) * 1000)
    except (ValidationError, ValueError, OverflowError):
        return None
    return first_uuid(milliseconds)


@admin.register(Delivery)
class DeliveryAdmin(RecordAdmin):
    list_display = [
        "__str__",
        "client_and_channel",
        "state_and_attempts",
        "items",
        "times",
    ]
    list_select_related = ["channel__endpoint", "client"]
    list_filter = ["state", ("created_at", CreatedFilter), "channel"]
    search_fields = ["webhook_id"]
    search_help_text = gettext_lazy("A whole client id, or a whole webhook id (msg_…).")
    actions = ["resend_selected"]
    readonly_fields = [
        "shown_client",
        "shown_state",
        "masked_token",
        "created",
        "next_attempt",
        "closed",
        LEASE_EXPIRES,
    ]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "channel",
                    "shown_client",
                    "items",
                    "created",
                    "shown_state",
                    "failure",
                    "attempts",
                    "next_attempt",
                    "closed",
                ]
            },
        ),
        (
            gettext_lazy("Details"),
            {
                "classes": ["collapse"],
                "fields": [
                    "masked_token",
                    "first_sequence",
                    "last_sequence",
                    "sealed",
                    "lease_holder",
                    LEASE_EXPIRES,
                ],
            },
        ),
    ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # What is pending would be lost without a trace. Deliveries go with their client.
        return False

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("django_chatapi.change_delivery")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return super().get_queryset(request).select_related("channel__endpoint", "client")

    @admin.display(description=gettext_lazy("token"))
    def masked_token(self, delivery: Delivery) -> str:
        return mask(delivery.token)

    @admin.display(description=gettext_lazy("client"))
    def shown_client(self, delivery: Delivery) -> str | SafeString:
        if delivery.client is None:
            return format_html('<span class="chatapi-badge">{}</span>', _("Test event"))
        return format_html(
            '<a href="{}" class="chatapi-id"><bdi>{}</bdi></a>',
            page_url(self.admin_site, "client_change", delivery.client_id),
            visible(delivery.client.client_id),
        )

    @admin.display(description=gettext_lazy("client, channel"))
    def client_and_channel(self, delivery: Delivery) -> SafeString:
        # In one column: the list has many.
        return format_html(
            '{}<div class="chatapi-quiet">{}</div>', self.shown_client(delivery), delivery.channel.name
        )

    @admin.display(description=gettext_lazy("state"))
    def shown_state(self, delivery: Delivery) -> str | SafeString:
        words = delivery.get_state_display()
        if delivery.state == DeliveryState.FAILED:
            return format_html('<strong class="chatapi-failed">{}</strong>', words)
        return words

    @admin.display(description=gettext_lazy("state, attempts"))
    def state_and_attempts(self, delivery: Delivery) -> SafeString:
        words = ngettext("%(count)d attempt", "%(count)d attempts", delivery.attempts)
        words %= {"count": delivery.attempts}
        # What is pending may have failed before; what was accepted has no failure.
        if delivery.failure:
            words = f"{words}: {clip(delivery.failure, FAILURE_LIMIT)}"
        return format_html('{}<div class="chatapi-quiet">{}</div>', self.shown_state(delivery), words)

    @admin.display(description=gettext_lazy("created"))
    def created(self, delivery: Delivery) -> str:
        return to_the_second(delivery.created_at)

    @admin.display(description=gettext_lazy("next attempt"))
    def next_attempt(self, delivery: Delivery) -> str:
        probe = _next_probe(delivery)
        if probe is not None:
            return _("waits for the next probe, %(time)s") % {"time": probe}
        return to_the_second(_next_attempt(delivery))

    @admin.display(description=gettext_lazy("closed"))
    def closed(self, delivery: Delivery) -> str:
        return to_the_second(delivery.closed_at)

    @admin.display(description=gettext_lazy("created"))
    def times(self, delivery: Delivery) -> SafeString:
        # In one column as well.
        label, moment = _("next attempt:"), to_the_second(_next_attempt(delivery))
        if delivery.closed_at:
            label, moment = _("closed:"), to_the_second(delivery.closed_at)
        elif (probe := _next_probe(delivery)) is not None:
            label, moment = _("waits for the next probe:"), probe
        return format_html(
            '<span class="nowrap">{}</span><div class="chatapi-quiet">{} <span class="nowrap">{}</span></div>',
            self.created(delivery),
            label,
            moment,
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        if not search_term.strip():
            return queryset, False
        # The client first: a client's id is often a UUID as well.
        clients = list(named(Client.objects.all(), search_term).values_list("pk", flat=True)[:CLIENTS_OF_ONE_NAME])
        if clients:
            return queryset.filter(client__in=clients), False
        try:
            return queryset.filter(webhook_id=UUID(search_term.strip().removeprefix("msg_"))), False
        except ValueError:
            return queryset.none(), False

    @admin.action(description=gettext_lazy("Resend selected deliveries that failed"), permissions=["resend"])
    def resend_selected(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        chosen = queryset.filter(state=DeliveryState.FAILED)
        # Without a webhook they would only fail once more.
        able = chosen.filter(channel__webhook_disabled_at=None).exclude(channel__webhook_url="")
        if chosen.exists() and not able.exists():
            self.message_user(request, no_webhook(), messages.ERROR)
            return
        channels = list(able.order_by().values_list("channel", flat=True).distinct())
        report_resent(self, request, resends.resend_all(failed=able), channels)

    def get_urls(self) -> list[URLPattern]:
        views = {"resend": require_POST(self.resend_view), "payload": self.payload_view}
        return [*pages_of_one(self, views), *super().get_urls()]

    def resend_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Resend one delivery."""
        delivery = self._found(request, object_id)
        if not self.has_resend_permission(request):
            raise PermissionDenied
        if delivery.channel.webhook_enabled:
            count = resends.resend_all(failed=Delivery.objects.filter(pk=delivery.pk))
            if count:
                self.log_change(request, delivery, _("Resent."))
            report_resent(self, request, count, [delivery.channel_id])
        else:
            self.message_user(request, no_webhook(), messages.ERROR)
        return HttpResponseRedirect(self._url("change", delivery))

    def payload_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The body of the delivery, to the byte."""
        delivery = self._found(request, object_id)
        if not may_read_payload(request):
            raise PermissionDenied
        return HttpResponse(
            _payload(delivery),
            content_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="{delivery}.json"'},
        )

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        delivery: Delivery = context["original"]
        if delivery.state == DeliveryState.FAILED and self.has_resend_permission(request):
            context["resend_url"] = self._url("resend", delivery)
        if may_read_payload(request):
            body = _payload(delivery)
            context["payload"] = clip(pretty_bytes(body), PAYLOAD_LIMIT)
            context["payload_as_sent"] = clip(body.decode(), PAYLOAD_LIMIT)
            context["payload_size"] = len(body)
            context["payload_url"] = self._url("payload", delivery)
        if may_view(request, DeliveryAttempt):
            latest = DeliveryAttempt.objects.filter(delivery=delivery).order_by("-started_at", "-pk")[:ATTEMPTS]
            context["attempts"] = [_shown(attempt) for attempt in reversed(latest)]
            context["may_view_attempts"] = True
        return super().render_change_form(request, context, *args, **kwargs)

    def _found(self, request: HttpRequest, object_id: str) -> Delivery:
        delivery: Delivery | None = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, delivery):
            raise PermissionDenied
        if delivery is None:
            raise Http404
        return delivery

    def _url(self, page: str, delivery: Delivery) -> str:
        return page_url(self.admin_site, f"delivery_{page}", delivery.pk)


def _next_attempt(delivery: Delivery) -> dt.datetime | None:
    # The first one is due a little before the delivery was made (actions.clocks).
    return delivery.next_attempt_at and max(delivery.next_attempt_at, delivery.created_at)


def _next_probe(delivery: Delivery) -> str | None:
    """When something is tried again, while the circuit is open: a delivery's own time has no say then."""
    endpoint: WebhookEndpoint | None = getattr(delivery.channel, "endpoint", None)
    if delivery.next_attempt_at is None or endpoint is None or endpoint.opened_at is None:
        return None
    return to_the_second(endpoint.next_probe_at)


def report_resent(model_admin: Any, request: HttpRequest, count: int, channels: Collection[int]) -> None:
    """Say how many deliveries of these channels, by their keys, are sent again, and whether they have to wait."""
    if count:
        words = ngettext("%(count)d delivery is sent again.", "%(count)d deliveries are sent again.", count)
        words %= {"count": count}
        if WebhookEndpoint.objects.filter(channel__in=channels, opened_at__isnull=False).exists():
            words = f"{words} {_('The circuit is open: what is due waits for the next probe.')}"
        model_admin.message_user(request, words, messages.SUCCESS)
    else:
        model_admin.message_user(
            request, _("Nothing to resend: none of these deliveries is failed."), messages.WARNING
        )


def no_webhook() -> str:
    return _("The channel sends to no webhook now. Give it a webhook URL, or enable its webhook again, first.")


def may_read_payload(request: HttpRequest) -> bool:
    """Whether the person may see what was said, and the token that stands beside it."""
    return may_view(request, Message) and may_view(request, Channel)


def _payload(delivery: Delivery) -> bytes:
    return courier.payload(delivery, messages_of([delivery])[delivery.pk])


def _shown(attempt: DeliveryAttempt) -> dict[str, Any]:
    return {
        "attempt": attempt,
        # A 2xx whose rest did not come in time is no success.
        "accepted": attempt.accepted and not attempt.error,
        "milliseconds": round(attempt.seconds * 1000),
        "headers": "\n".join(f"{name}: {value}" for name, value in attempt.headers.items()),
    }
