"""The agents' console: one page, which talks to the agents' API.

The page's scripts know no text of their own. What they show is translated here, so that a site needs no catalogue
of translations for JavaScript.
"""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.request import HttpHeaders
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from ..dialog_selectors import is_agent, sight_of
from ..models import Console

#: What a host adds to its urls so that the console has something to talk to.
MOUNT_LINE = 'path("chatapi-agents/", include("django_chatapi.agents.urls")),'


@admin.register(Console)
class ConsoleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Stands where a list of objects would be; there are no other pages."""

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        return [path("", self.admin_site.admin_view(self.changelist_view), name=name)]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": capfirst(self.opts.verbose_name_plural),
            "config": config(request),
            "mount_line": MOUNT_LINE,
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/django_chatapi/console/console.html", context)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_agent(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_agent(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def config(request: HttpRequest) -> dict[str, Any] | None:
    """What the page's scripts need to know; None when the site has not mounted the agents' API."""
    try:
        dialogs = reverse("django_chatapi_agents:dialogs")
    except NoReverseMatch:
        return None
    base = dialogs.rstrip("/").rpartition("/")[0] + "/"
    return {
        "api": base,
        "socket": f"{base}live",
        "username": request.user.get_username(),
        "superuser": bool(getattr(request.user, "is_superuser", False)),
        "csrfCookie": settings.CSRF_COOKIE_NAME,
        "csrfHeader": HttpHeaders.parse_header_name(settings.CSRF_HEADER_NAME),
        "texts": {
            **_connection_texts(),
            **_list_texts(),
            **_nothing_to_see(request),
            **_transcript_texts(),
            **_panel_texts(),
            **_writing_texts(),
        },
    }


def _connection_texts() -> dict[str, str]:
    return {
        "connection_connecting": _("Connecting…"),
        "connection_live": _("Live"),
        "connection_polling": _("Updated every 3 seconds"),
        "connection_unreachable": _("No connection, trying again"),
        "connection_refused": _("Not allowed"),
        "online": _("Online"),
        "away": _("Away"),
        "offline": _("Offline"),
        "soundOn": _("Sound is on"),
        "soundOff": _("Sound is off"),
        "dismiss": _("Dismiss"),
        "loading": _("Loading…"),
        "failed": _("That did not work (%(status)s); try again."),
        "unreachable": _("The server could not be reached; try again."),
        "loggedOut": _("You are no longer logged in; log in again, in another tab if you were writing."),
        "otherAgent": _("%(agent)s is logged in now; load the page again."),
        "alreadyTaken": _("%(agent)s has already taken this client."),
        "notYours": _("%(agent)s has this dialog."),
        "gone": _("This dialog went to agents of another group."),
    }


def _nothing_to_see(request: HttpRequest) -> dict[str, str]:
    """Why the queue is empty for an agent who was put nowhere."""
    sight = sight_of(request.user)
    if sight.everything or sight.channel_pks:
        return {}
    return {"empty_waiting": _("You are in no group of agents yet. Ask who runs this site to add you to one.")}


def _list_texts() -> dict[str, str]:
    return {
        "empty_waiting": _("Nobody waits."),
        "empty_mine": _("You have no open dialogs."),
        "empty_others": _("No other agent has an open dialog."),
        "empty_closed": _("No dialog was closed yet."),
        "state_waiting": _("Waiting"),
        "state_open": _("Open"),
        "state_closed": _("Closed"),
        "waitingSince": _("Waiting since %(time)s"),
        "unreadCount": _("Unread: %(count)s"),
        "oneTime": _("One-time message"),
        "newWaiting": _("New in the queue: %(client)s"),
        "newMine": _("Now with you: %(client)s"),
        "newMessage": _("New message from %(client)s"),
        "foundDialogs": _("Dialogs"),
        "foundClients": _("Clients with the bot"),
        "foundCount": _("Found: %(count)s"),
        "foundNothing": _("No client id begins like this."),
        "withBot": _("Talks with the bot"),
        "takeClient": _("Take"),
        "notAnswered": _("%(client)s: the server has not answered yet…"),
    }


def _transcript_texts() -> dict[str, str]:
    return {
        "bot": _("Bot"),
        "agent": _("Agent"),
        "internalNote": _("Internal note"),
        "event": _("Event %(name)s"),
        "data": _("Data"),
        "noReplies": _("No replies"),
        "noAnswer": _("The bot gave no answer"),
        "buttons": _("Buttons"),
        "cards": _("Cards"),
        "image": _("Image"),
        "audio": _("Audio"),
        "location": _("Location: %(place)s"),
        "handOver": _("Hand-over to an agent"),
        "unknownReply": _("Reply"),
        "status_SENT": _("Sent"),
        "status_DELIVERED": _("Delivered"),
        "status_READ": _("Read"),
        "status_NOT_SENT": _("Not sent yet"),
        "changeHandedOver": _("Handed over by the bot"),
        "changeHandedOverTo": _("Handed over by the bot to %(group)s"),
        "changeTaken": _("Taken by %(agent)s"),
        "changeGiven": _("Transferred to %(agent)s by %(by)s"),
        "changeToGroup": _("Transferred to %(group)s by %(by)s"),
        "changeToAll": _("Given back to the queue by %(by)s"),
        "changeClosed": _("Closed by %(by)s"),
        "changeClosedByClient": _("Closed by the client"),
    }


def _panel_texts() -> dict[str, str]:
    return {
        "client": _("Client"),
        "clientId": _("Client id"),
        "firstSeen": _("First seen"),
        "lastActivity": _("Last activity"),
        "session": _("Session"),
        "connections": _("Connections"),
        "attributes": _("Attributes"),
        "stay": _("Dialog"),
        "stateLabel": _("State"),
        "channel": _("Channel"),
        "group": _("Group"),
        "handedOverAt": _("Handed over"),
        "closedAt": _("Closed"),
        "firstMessage": _("First message"),
        "savedState": _("Saved state"),
    }


def _writing_texts() -> dict[str, str]:
    return {
        "replyLabel": _("Reply to the client"),
        "replyHint": _("Write a reply, or / for canned answers"),
        "noteLabel": _("Internal note"),
        "noteHint": _("Write an internal note"),
        "send": _("Send"),
        "addNote": _("Add note"),
        "sends": _("sends"),
        "addsNote": _("adds the note"),
        "messageSent": _("Sent"),
        "noteAdded": _("Note added; you go on writing notes"),
        "notSent": _("Not sent: %(reason)s"),
        "gateWaiting": _("Nobody has taken %(client)s yet."),
        "gateOthers": _("%(agent)s has this dialog."),
        "gateGone": _("%(agent)s has this dialog, and works here no more."),
        "gateClosed": _("This dialog is closed; %(client)s is with the bot."),
        "take": _("Take"),
        "takeAgain": _("Take the client again"),
        "takeOver": _("Take over"),
        "cannedCount": _("Canned answers: %(count)s"),
        "noCanned": _("No canned answers"),
        "cannedFailed": _("The canned answers could not be loaded; Enter tries again."),
        "closingText": _("%(client)s goes back to the bot."),
        "transferText": _("%(client)s goes to:"),
        "agents": _("Agents"),
        "groups": _("Groups"),
        "you": _("%(name)s (you)"),
        "currentGroup": _("waits there now"),
        "noTargets": _("There is nobody to transfer to."),
    }
