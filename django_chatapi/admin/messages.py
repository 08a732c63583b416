"""Messages: each with all that is known of it."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..constants import WRONG_ANSWER_STATES, MessageType
from ..models import Channel, Client, Message, MessageStatus
from .bounds import RecordAdmin
from .clients import may_view, named
from .links import page_url
from .texts import pretty, shown_time, visible
from .transcript import entry, summary

#: Characters of a message that the list shows.
SUMMARY_LIMIT = 80
#: Status changes that a message's page shows, the latest ones.
STATUS_CHANGES = 100
#: Clients of that name whose messages a search lists: on every channel there may be one.
CLIENTS_OF_ONE_NAME = 100

CREATED, STATUS_CHANGED = shown_time(Message, "created_at"), shown_time(Message, "status_changed_at")
LEASE_EXPIRES = shown_time(Message, "lease_expires_at")


@admin.register(Message)
class MessageAdmin(RecordAdmin):
    list_display = [CREATED, "type", "short_text", "client_and_channel", "state"]
    list_select_related = ["client__channel"]
    list_filter = ["type", "status", "answer_state", "client__channel"]
    search_fields = ["question_id"]
    search_help_text = _("A whole client id, or a whole questionId.")
    readonly_fields = [
        "shown_client",
        "channel",
        CREATED,
        STATUS_CHANGED,
        LEASE_EXPIRES,
        "shown_answer_state",
        "shown_data",
        "shown_raw_request",
    ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # A history with a hole is no history. Messages go with their client.
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        # A list of bodies as large as callers may send would be read for nothing.
        return super().get_queryset(request).defer("raw_request")

    def get_fieldsets(self, request: HttpRequest, obj: Message | None = None) -> Any:
        origin = ["shown_client", "channel", CREATED, "sequence", "route", "question_id", "connection_id"]
        content = ["query", "event_name", "shown_data"]
        progress = ["status", STATUS_CHANGED, "block_form"]
        if obj is not None and obj.type == MessageType.REQUEST:
            content = [*content, "shown_raw_request"]
            progress = ["shown_answer_state", "failure", "ask_count", "lease_holder", LEASE_EXPIRES]
            origin = [*origin, "new_session", "idempotency_key", "body_digest"]
        return [
            (None, {"fields": ["type", *progress]}),
            (_("Origin"), {"fields": origin}),
            (_("As stored"), {"fields": content}),
        ]

    @admin.display(description=_("text"))
    def short_text(self, message: Message) -> SafeString:
        return format_html('<bdi class="chatapi-id">{}</bdi>', summary(message, SUMMARY_LIMIT))

    @admin.display(description=_("client"))
    def shown_client(self, message: Message) -> SafeString:
        return format_html(
            '<a href="{}" class="chatapi-id"><bdi>{}</bdi></a>',
            self._client_url(message),
            visible(message.client.client_id),
        )

    @admin.display(description=_("client, channel"))
    def client_and_channel(self, message: Message) -> SafeString:
        # In one column, so that the text has room.
        return format_html(
            '{}<div class="chatapi-quiet">{}</div>', self.shown_client(message), message.client.channel.name
        )

    @admin.display(description=_("channel"))
    def channel(self, message: Message) -> Channel:
        return message.client.channel

    @admin.display(description=_("answer"))
    def shown_answer_state(self, message: Message) -> str | SafeString:
        words = message.get_answer_state_display() or self.get_empty_value_display()
        if message.answer_state in WRONG_ANSWER_STATES:
            return format_html('<strong class="chatapi-failed">{}</strong>', words)
        return words

    @admin.display(description=_("state"))
    def state(self, message: Message) -> str | SafeString:
        # A request has no status, and an answer is not answered: one column has room for both.
        return message.get_status_display() if message.status else self.shown_answer_state(message)

    @admin.display(description=_("data"))
    def shown_data(self, message: Message) -> str | SafeString:
        return self._json(message.data)

    @admin.display(description=_("request as sent"))
    def shown_raw_request(self, message: Message) -> str | SafeString:
        return self._json(message.raw_request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Message], search_term: str
    ) -> tuple[QuerySet[Message], bool]:
        if not search_term.strip():
            return queryset, False
        # The client first: a client's id is often a UUID as well.
        clients = list(named(Client.objects.all(), search_term).values_list("pk", flat=True)[:CLIENTS_OF_ONE_NAME])
        if clients:
            return queryset.filter(client__in=clients), False
        try:
            return queryset.filter(question_id=UUID(search_term.strip())), False
        except ValueError:
            return queryset.none(), False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        message: Message = context["original"]
        context["entry"] = entry(message, limit=None)
        context["transcript_url"] = f"{self._client_url(message)}?before={message.sequence + 1}#chatapi-transcript"
        if message.initial_status and may_view(request, MessageStatus):
            context["initial_status"] = message.initial_status
            latest = MessageStatus.objects.filter(message=message).order_by("-pk")[:STATUS_CHANGES]
            context["statuses"] = list(latest)[::-1]
        return super().render_change_form(request, context, *args, **kwargs)

    def _client_url(self, message: Message) -> str:
        return page_url(self.admin_site, "client_change", message.client_id)

    def _json(self, value: Any) -> str | SafeString:
        if value is None:
            return self.get_empty_value_display()
        return format_html('<pre class="chatapi-json" dir="auto">{}</pre>', pretty(value))
