"""Every POST to a webhook, over all deliveries."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..models import DeliveryAttempt
from .bounds import ROW_LIMIT, NewestFirstList, RecordAdmin
from .deliveries import FAILURE_LIMIT
from .links import page_url
from .texts import clip, shown_time

#: The list's filter that an index goes with.
_CHANNEL = "channel__id__exact"

STARTED = shown_time(DeliveryAttempt, "started_at")


class OutcomeFilter(admin.SimpleListFilter):
    """Accepted or not. No index knows: only so many rows are looked at."""

    title = format_lazy(gettext_lazy("outcome, of the latest {limit}"), limit=ROW_LIMIT)
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("accepted", _("accepted")), ("failed", _("failed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        if self.value() is None:
            return None
        if _CHANNEL in request.GET:
            queryset = _latest(queryset, "started_at")
        accepted = DeliveryAttempt.ACCEPTED
        return queryset.filter(accepted) if self.value() == "accepted" else queryset.exclude(accepted)


class AttemptList(NewestFirstList):
    """The attempts of one channel by their time, as its index has them; of all channels the latest ones."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        if _CHANNEL not in request.GET:
            self.root_queryset = _latest(self.root_queryset, "pk")
        return super().get_queryset(request, *args, **kwargs)


def _latest(attempts: QuerySet[Any], column: str) -> QuerySet[Any]:
    """The last ones by a column that has an index: ``ROW_LIMIT`` and one, so that the page tells of more."""
    last = attempts.order_by(f"-{column}").values_list(column, flat=True)[ROW_LIMIT : ROW_LIMIT + 1].first()
    return attempts if last is None else attempts.filter(**{f"{column}__gte": last})


@admin.register(DeliveryAttempt)
class DeliveryAttemptAdmin(RecordAdmin):
    list_display = [STARTED, "outcome_and_duration", "delivery_and_channel"]
    list_select_related = ["delivery", "channel"]
    # The outcome last: it looks at what the others found.
    list_filter = ["channel", "started_at", OutcomeFilter]
    readonly_fields = [STARTED, "shown_delivery", "outcome", "duration"]
    fields = [STARTED, "shown_delivery", "channel", "number", "outcome", "duration", "response", "headers"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # They go with their delivery.
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return AttemptList

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        return ["-started_at", "-pk"] if _CHANNEL in request.GET else ["-pk"]

    @admin.display(description=gettext_lazy("delivery"))
    def shown_delivery(self, attempt: DeliveryAttempt) -> SafeString:
        return format_html(
            '<a href="{}">{}</a>',
            page_url(self.admin_site, "delivery_change", attempt.delivery_id),
            attempt.delivery,
        )

    @admin.display(description=gettext_lazy("outcome"))
    def outcome(self, attempt: DeliveryAttempt) -> str | SafeString:
        if attempt.accepted:
            return _("accepted (%(status)d)") % {"status": attempt.status_code}
        what = ", ".join(filter(None, [str(attempt.status_code or ""), attempt.error]))
        return format_html('<strong class="chatapi-failed">{}</strong>', clip(what, FAILURE_LIMIT))

    @admin.display(description=gettext_lazy("outcome, duration"))
    def outcome_and_duration(self, attempt: DeliveryAttempt) -> SafeString:
        words = _("attempt %(number)d, %(duration)s")
        words %= {"number": attempt.number, "duration": self.duration(attempt)}
        return format_html('{}<div class="chatapi-quiet">{}</div>', self.outcome(attempt), words)

    @admin.display(description=gettext_lazy("delivery, channel"))
    def delivery_and_channel(self, attempt: DeliveryAttempt) -> SafeString:
        # In one column, so that there is room for all.
        return format_html(
            '{}<div class="chatapi-quiet">{}</div>', self.shown_delivery(attempt), attempt.channel.name
        )

    @admin.display(description=gettext_lazy("duration"))
    def duration(self, attempt: DeliveryAttempt) -> str:
        return _("%(time)d ms") % {"time": round(attempt.seconds * 1000)}
