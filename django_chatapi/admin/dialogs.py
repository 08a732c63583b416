"""Agents: their groups, what they need not type, and the record of their dialogs with clients."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from .. import dialog_selectors
from ..models import AgentGroup, CannedAnswer, Client, Dialog, DialogChange, DialogNote, Message
from ..wire.dialogs import one_line
from .bounds import RecordAdmin
from .clients import may_view
from .links import page_url
from .texts import clip, pretty, sendable, to_the_second, visible
from .transcript import TEXT_LIMIT

#: Characters of a canned answer that the list shows.
SUMMARY_LIMIT = 80


@admin.register(AgentGroup)
class AgentGroupAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "channel", "member_count"]
    list_select_related = ["channel"]
    list_filter = ["channel"]
    search_fields = ["name"]
    ordering = ["name", "pk"]
    fields = ["channel", "name", "members"]
    # A site may have more users than a page has room for: they are searched or, where that fails, named by key.
    raw_id_fields = ["members"]

    def get_autocomplete_fields(self, request: HttpRequest) -> list[str]:
        # Deliberately not the attribute: Django refuses to start where the users are not searched in the admin.
        users = self.admin_site._registry.get(get_user_model())
        searched = users and users.get_search_fields(request) and users.has_view_permission(request)
        return ["members"] if searched else []

    def get_readonly_fields(self, request: HttpRequest, obj: AgentGroup | None = None) -> list[str]:
        # Its dialogs stay with their channel, and so do its agents.
        return ["channel"] if obj is not None else []

    def get_queryset(self, request: HttpRequest) -> QuerySet[AgentGroup]:
        groups: QuerySet[AgentGroup] = super().get_queryset(request).annotate(members_counted=Count("members"))
        return groups

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        # Both pages that ask for confirmation call it, and whoever confirms has read it.
        if "post" not in request.POST and Dialog.objects.filter(group__in=objs).exists():
            messages.warning(request, _("All agents of the channel will see the dialogs of what is deleted here."))
        return super().get_deleted_objects(objs, request)

    @admin.display(description=_("members"), ordering="members_counted")
    def member_count(self, group: Any) -> int:
        return int(group.members_counted)


@admin.register(CannedAnswer)
class CannedAnswerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["shortcut", "short_text", "for_channel"]
    list_select_related = ["channel"]
    list_filter = ["channel"]
    search_fields = ["shortcut"]
    search_help_text = _("A part of a shortcut.")
    fields = ["shortcut", "channel", "text"]

    class Media:
        css = {"all": ["django_chatapi/admin/chatapi.css"]}

    @admin.display(description=_("text"))
    def short_text(self, answer: CannedAnswer) -> SafeString:
        return format_html('<bdi class="chatapi-id">{}</bdi>', one_line(answer.text, SUMMARY_LIMIT))

    @admin.display(description=_("channel"), ordering="channel")
    def for_channel(self, answer: CannedAnswer) -> Any:
        return answer.channel or _("all")


@admin.register(Dialog)
class DialogAdmin(RecordAdmin):
    list_display = ["shown_id", "channel_name", "state", "agent_and_group", "waiting_or_closed"]
    list_filter = ["state", "channel"]
    search_fields = ["search_key"]
    search_help_text = _("The beginning of a client id.")
    readonly_fields = [
        "shown_client",
        "taken",
        "waiting",
        "closed",
        "handed_over",
        "shown_last_message",
        "last_message_time",
        "shown_first_message",
        "shown_farewell",
        "shown_phrases",
        "shown_attributes",
        "shown_hidden_attributes",
    ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # It is part of a client's history. Dialogs go with their client.
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dialog]:
        return super().get_queryset(request).select_related("client", "channel", "agent", "group")

    def get_fieldsets(self, request: HttpRequest, obj: Dialog | None = None) -> Any:
        said = ["unread", "shown_last_message"] if may_view(request, Message) else ["unread"]
        return [
            (None, {"fields": ["shown_client", "channel", "state", "agent", "group", "one_time"]}),
            (_("Times"), {"fields": ["handed_over", "waiting", "taken", "closed", "last_message_time", *said]}),
            (
                _("What the bot said"),
                {
                    "fields": [
                        "shown_first_message",
                        "shown_farewell",
                        "shown_phrases",
                        "append_close_button",
                        "shown_attributes",
                        "shown_hidden_attributes",
                    ]
                },
            ),
        ]

    @admin.display(description=_("client"))
    def shown_id(self, dialog: Dialog) -> SafeString:
        return format_html('<bdi class="chatapi-id">{}</bdi>', visible(dialog.client.client_id))

    # Text that wraps, where columns of the model would not: the list has many.

    @admin.display(description=_("channel"))
    def channel_name(self, dialog: Dialog) -> str:
        return dialog.channel.name

    @admin.display(description=_("agent, group"))
    def agent_and_group(self, dialog: Dialog) -> SafeString:
        agent = dialog.agent.get_username() if dialog.agent else "–"
        group = dialog.group.name if dialog.group else _("all")
        return format_html(
            '<bdi class="chatapi-id">{}</bdi><div class="chatapi-quiet"><bdi>{}</bdi></div>', agent, group
        )

    @admin.display(description=_("waiting since / closed"))
    def waiting_or_closed(self, dialog: Dialog) -> SafeString:
        # It is either or neither.
        moment = to_the_second(dialog.waiting_since or dialog.closed_at)
        return format_html('<span class="nowrap">{}</span>', moment)

    @admin.display(description=_("client"))
    def shown_client(self, dialog: Dialog) -> SafeString:
        return format_html(
            '<a href="{}" class="chatapi-id"><bdi>{}</bdi></a>',
            self._client_url(dialog),
            visible(dialog.client.client_id),
        )

    @admin.display(description=_("handed over"))
    def handed_over(self, dialog: Dialog) -> str:
        return to_the_second(dialog.created_at)

    @admin.display(description=_("waiting since"))
    def waiting(self, dialog: Dialog) -> str:
        return to_the_second(dialog.waiting_since)

    @admin.display(description=_("taken"))
    def taken(self, dialog: Dialog) -> str:
        return to_the_second(dialog.taken_at)

    @admin.display(description=_("closed"))
    def closed(self, dialog: Dialog) -> str:
        return to_the_second(dialog.closed_at)

    @admin.display(description=_("time of the last message"))
    def last_message_time(self, dialog: Dialog) -> str:
        return to_the_second(dialog.last_message_at)

    @admin.display(description=_("last message"))
    def shown_last_message(self, dialog: Dialog) -> str | SafeString:
        return self._text(dialog.last_message)

    @admin.display(description=_("first message"))
    def shown_first_message(self, dialog: Dialog) -> str | SafeString:
        return self._text(dialog.first_message)

    @admin.display(description=_("farewell"))
    def shown_farewell(self, dialog: Dialog) -> str | SafeString:
        return self._text(dialog.farewell)

    @admin.display(description=_("phrases that close it"))
    def shown_phrases(self, dialog: Dialog) -> str | SafeString:
        return self._json(dialog.close_phrases)

    @admin.display(description=_("attributes"))
    def shown_attributes(self, dialog: Dialog) -> str | SafeString:
        return self._json(dialog.attributes)

    @admin.display(description=_("hidden attributes"))
    def shown_hidden_attributes(self, dialog: Dialog) -> str | SafeString:
        return self._json(dialog.hidden_attributes)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Dialog], search_term: str
    ) -> tuple[QuerySet[Dialog], bool]:
        # Not with Django's search: it takes the spaces in an id for the gaps between words.
        beginning = search_term.strip().lower()
        return queryset.filter(search_key__startswith=beginning) if beginning else queryset, False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        dialog: Dialog = context["original"]
        if may_view(request, Client) and may_view(request, Message):
            end = "" if dialog.visible_until is None else f"?before={dialog.visible_until + 1}"
            context["transcript_url"] = f"{self._client_url(dialog)}{end}#chatapi-transcript"
        if may_view(request, DialogChange):
            context["changes"] = dialog_selectors.changes_of(dialog)
            context["may_view_changes"] = True
        if may_view(request, DialogNote):
            context["notes"] = dialog_selectors.notes_of(dialog)
            context["may_view_notes"] = True
        return super().render_change_form(request, context, *args, **kwargs)

    def _client_url(self, dialog: Dialog) -> str:
        return page_url(self.admin_site, "client_change", dialog.client_id)

    def _text(self, text: str) -> str | SafeString:
        if not text:
            return "–"
        return format_html(
            '<div class="chatapi-text" dir="auto">{}</div>', visible(sendable(clip(text, TEXT_LIMIT)))
        )

    def _json(self, value: Any) -> str | SafeString:
        if not value:
            return "–"
        return format_html('<pre class="chatapi-json" dir="auto">{}</pre>', clip(pretty(value), TEXT_LIMIT * 4))
