"""Clients: who they are, and what was said."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from .. import selectors
from ..constants import DialogState
from ..models import (
    Channel,
    Client,
    ClientState,
    Connection,
    Delivery,
    DeliveryAttempt,
    Dialog,
    DialogChange,
    DialogNote,
    Message,
)
from .bounds import BoundedDeletion, RecordAdmin
from .links import page_url
from .texts import clip, pretty_bytes, shown_time, visible
from .transcript import TEXT_LIMIT, transcript_page

#: Connections, and dialogs with agents, that a client's page shows, latest first.
CONNECTIONS = DIALOGS = 20

CREATED, LAST_ACTIVITY = shown_time(Client, "created_at"), shown_time(Client, "last_activity_at")


def named(clients: QuerySet[Client], name: str) -> QuerySet[Client]:
    """Those of the clients that have exactly this id, on whatever channel.

    The channels are spelled out because the index begins with them.
    """
    return clients.filter(channel__in=Channel.objects.order_by(), client_id=name)


@admin.register(Client)
class ClientAdmin(BoundedDeletion, RecordAdmin):
    list_display = ["shown_id", "channel", LAST_ACTIVITY, "session"]
    list_select_related = ["channel"]
    list_filter = ["channel"]
    search_fields = ["client_id"]
    search_help_text = _("A whole client id, or the beginning of one.")
    fields = ["shown_id", "channel", CREATED, LAST_ACTIVITY, "session"]
    readonly_fields = ["shown_id", CREATED, LAST_ACTIVITY, "session", "with_whom"]
    deleted_along = {
        Message: "client",
        Delivery: "client",
        DeliveryAttempt: "delivery__client",
        Dialog: "client",
        DialogChange: "client",
        DialogNote: "dialog__client",
    }
    instead_of_deletion = _("delete them with a script, bit by bit")

    @admin.display(description=_("client id"))
    def shown_id(self, client: Client) -> SafeString:
        return format_html('<bdi class="chatapi-id">{}</bdi>', visible(client.client_id))

    @admin.display(description=_("session"))
    def session(self, client: Client) -> str:
        if not client.session_number:
            return "–"
        state = _("open") if client.session_open else _("ended")
        return f"{client.session_number} ({state})"

    @admin.display(description=_("with"))
    def with_whom(self, client: Client) -> str | SafeString:
        # Without select_related: one page asks, and the list does not.
        dialog = Dialog.objects.select_related("agent", "group").filter(pk=client.dialog_id or 0).first()
        if dialog is None:
            return str(_("the bot"))
        if dialog.agent is not None:
            words = _("the agent %(name)s") % {"name": dialog.agent.get_username()}
        elif dialog.state == DialogState.WAITING and dialog.group is not None:
            words = _("nobody; waits for %(group)s") % {"group": dialog.group.name}
        else:
            words = str(_("nobody; waits for an agent"))
        return format_html('<a href="{}"><bdi>{}</bdi></a>', self._dialog_url(dialog), words)

    def get_fields(self, request: HttpRequest, obj: Client | None = None) -> Any:
        return [*self.fields, "with_whom"] if may_view(request, Dialog) else self.fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Client], search_term: str
    ) -> tuple[QuerySet[Client], bool]:
        # Not with Django's search: it takes the spaces in an id for the gaps between words.
        if not search_term.strip():
            return queryset, False
        exact = named(queryset, search_term)
        if exact.exists():
            return exact, False
        return queryset.filter(client_id__startswith=search_term.strip()), False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        client: Client = context["original"]
        if may_view(request, Message):
            page = transcript_page(client, request.GET)
            context["transcript"] = page
            if page.older is not None:
                context["older_url"] = f"{request.path}?before={page.older}"
            if page.newer is not None:
                context["newer_url"] = f"{request.path}?after={page.newer}"
        if may_view(request, ClientState) and (state := selectors.state_of(client)):
            context["state"] = state
            context["state_text"] = clip(pretty_bytes(bytes(state.value)), TEXT_LIMIT * 4)
        if may_view(request, Connection):
            context["connections"] = Connection.objects.filter(client=client).order_by("-pk")[:CONNECTIONS]
        if may_view(request, Dialog):
            latest = Dialog.objects.filter(client=client).select_related("agent", "group").order_by("-pk")
            context["dialogs"] = [(dialog, self._dialog_url(dialog)) for dialog in latest[:DIALOGS]]
        return super().render_change_form(request, context, *args, **kwargs)

    def _dialog_url(self, dialog: Dialog) -> str:
        return page_url(self.admin_site, "dialog_change", dialog.pk)


def may_view(request: HttpRequest, model: Any) -> bool:
    """Whether the person may look at rows of another model that are part of this page."""
    options = model._meta
    names = [f"{options.app_label}.{action}_{options.model_name}" for action in ("view", "change")]
    return any(request.user.has_perm(name) for name in names)
