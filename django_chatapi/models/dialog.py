"""A client's stays with agents, and who the agents are (contract, section 11).

No constraint of the database points at the host's users: routers may put these tables on another database, where
bots go on to answer, although agents need their users beside them.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..constants import MAX_NAME_LENGTH, PREVIEW_LENGTH, DialogChangeKind, DialogState, PresenceState
from .channel import Channel
from .client import Client
from .fields import ExactCharField, JSONTextField


class AgentGroup(models.Model):
    """Agents of one channel. Who is in one sees the channel's clients, but for those of other groups."""

    channel = models.ForeignKey(
        Channel, models.CASCADE, related_name="agent_groups", db_index=False, verbose_name=_("channel")
    )
    name = models.CharField(
        _("name"),
        max_length=MAX_NAME_LENGTH,
        help_text=_("What a bot puts into the destination of its switch reply to reach these agents."),
    )
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        related_name="chatapi_groups",
        db_constraint=False,
        blank=True,
        verbose_name=_("members"),
        help_text=_("Each also needs the permission “Can answer clients”."),
    )

    class Meta:
        verbose_name = _("group of agents")
        verbose_name_plural = _("groups of agents")
        ordering = ["channel", "name"]
        constraints = [models.UniqueConstraint(fields=["channel", "name"], name="chatapi_agent_group_unique")]

    def __str__(self) -> str:
        return self.name


class AgentPresence(models.Model):
    """Whether an agent takes clients now. It holds only for a while after the agent was last seen."""

    agent = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        primary_key=True,
        db_constraint=False,
        related_name="chatapi_presence",
        verbose_name=_("agent"),
    )
    state = models.CharField(
        _("state"), max_length=7, choices=PresenceState.choices, default=PresenceState.OFFLINE
    )
    changed_at = models.DateTimeField(_("changed"), default=timezone.now)
    seen_at = models.DateTimeField(_("last seen"), default=timezone.now)

    class Meta:
        verbose_name = _("presence of an agent")
        verbose_name_plural = _("presences of agents")

    def __str__(self) -> str:
        return self.get_state_display()


def _of_list(state: str, *order: str) -> list[models.Index]:
    """The indexes of a list of dialogs. Each dialog is in two of them.

    Deliberately not one of channel and group for both parts: that a column is null does not tell PostgreSQL that
    the index goes on in the order of the next one.
    """
    of_state = Q(state=state)
    name = f"chatapi_dialog_{state}"
    return [
        models.Index(fields=order, condition=of_state, name=name),
        models.Index(
            fields=["channel", *order], condition=of_state & Q(group__isnull=True), name=f"{name}_channel"
        ),
        models.Index(fields=["group", *order], condition=of_state & Q(group__isnull=False), name=f"{name}_group"),
    ]


class Dialog(models.Model):
    """One stay of a client with agents: it waits, one agent has it, it is closed.

    ``Client.dialog`` names the one that a client is in; it changes under the client's row lock only (see
    ``actions.dialogs``). Columns that lists need are kept here, so that a page of a list reads one table.
    """

    channel = models.ForeignKey(
        Channel, models.CASCADE, related_name="dialogs", db_index=False, verbose_name=_("channel")
    )
    client = models.ForeignKey(
        Client, models.CASCADE, related_name="dialogs", db_index=False, verbose_name=_("client")
    )
    #: The client's id in lower case, so that a search for its beginning is a look-up in an index. One letter
    #: becomes two at most (İ), and an index of MySQL takes 3072 bytes, four for each character.
    search_key = models.CharField(_("search key"), max_length=2 * MAX_NAME_LENGTH, editable=False)
    state = models.CharField(_("state"), max_length=7, choices=DialogState.choices)
    group = models.ForeignKey(
        AgentGroup,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="dialogs",
        verbose_name=_("group"),
        help_text=_("None: for all agents of the channel."),
    )
    agent = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="chatapi_dialogs",
        db_index=False,
        db_constraint=False,
        verbose_name=_("agent"),
    )
    one_time = models.BooleanField(
        _("one-time message"),
        default=False,
        help_text=_("A message for the agents; the client stays with the bot."),
    )

    created_at = models.DateTimeField(_("handed over"))
    waiting_since = models.DateTimeField(_("waiting since"), null=True)
    taken_at = models.DateTimeField(_("taken"), null=True)
    closed_at = models.DateTimeField(_("closed"), null=True)
    changed_at = models.DateTimeField(_("changed"))

    unread = models.PositiveIntegerField(
        _("unread"), default=0, help_text=_("The client's messages that no agent has seen.")
    )
    last_message = models.CharField(_("last message"), max_length=PREVIEW_LENGTH, blank=True, default="")
    last_message_at = models.DateTimeField(_("time of the last message"))
    #: Agents see the client's messages with sequence numbers above this one.
    visible_after = models.BigIntegerField(_("visible after"), default=0, editable=False)
    #: The last sequence number while it was not closed; later messages are none of it.
    visible_until = models.BigIntegerField(_("visible until"), null=True, editable=False)
    typing_at = models.DateTimeField(_("agent typing"), null=True, editable=False)
    typing_sequence = models.BigIntegerField(_("sequence number of typing"), default=0, editable=False)

    # What the bot's switch reply said.
    first_message = models.TextField(_("first message"), blank=True, default="")
    farewell = models.TextField(
        _("farewell"), blank=True, default="", help_text=_("What the client gets who ends it with a phrase.")
    )
    close_phrases = JSONTextField(_("phrases that close it"), default=list)
    append_close_button = models.BooleanField(_("append a close button"), default=False)
    attributes = JSONTextField(_("attributes"), default=dict)
    hidden_attributes = JSONTextField(_("hidden attributes"), default=dict)

    class Meta:
        verbose_name = _("dialog")
        verbose_name_plural = _("dialogs")
        indexes = [
            # Each list in its order: all of it; what is for all agents of a channel; what is for a group.
            *_of_list("waiting", "waiting_since", "id"),
            *_of_list("open", "-last_message_at", "-id"),
            *_of_list("closed", "-closed_at", "-id"),
            models.Index(
                fields=["agent", "-last_message_at", "-id"], condition=Q(state="open"), name="chatapi_dialog_mine"
            ),
            models.Index(
                fields=["search_key", "state"],
                opclasses=["varchar_pattern_ops", "varchar_ops"],
                name="chatapi_dialog_search",
            ),
            models.Index(fields=["client", "-id"], name="chatapi_dialog_client"),
            models.Index(fields=["changed_at"], name="chatapi_dialog_changed"),
            # A user or a channel that is deleted.
            models.Index(fields=["agent"], condition=Q(agent__isnull=False), name="chatapi_dialog_agent"),
            models.Index(fields=["channel", "-id"], name="chatapi_dialog_channel"),
        ]

    def __str__(self) -> str:
        return f"{self.search_key} ({self.get_state_display()})"


class DialogChange(models.Model):
    """What happened to a dialog, when, and by whom: the record, and the source of the agents' own events.

    ``sequence`` is a number of the client's, so that ``agentJoined`` and ``agentLeft`` have their place among the
    client's events.
    """

    dialog = models.ForeignKey(
        Dialog, models.CASCADE, related_name="changes", db_index=False, verbose_name=_("dialog")
    )
    client = models.ForeignKey(
        Client, models.CASCADE, related_name="dialog_changes", db_index=False, verbose_name=_("client")
    )
    sequence = models.BigIntegerField(_("sequence number"))
    kind = models.CharField(_("change"), max_length=11, choices=DialogChangeKind.choices)
    #: As text, so that the record outlives the user.
    agent_name = models.CharField(_("agent"), max_length=MAX_NAME_LENGTH, blank=True, default="")
    #: What clients see of the agent.
    shown_name = models.CharField(_("name for clients"), max_length=MAX_NAME_LENGTH, blank=True, default="")
    by_name = models.CharField(_("by"), max_length=MAX_NAME_LENGTH, blank=True, default="")
    detail = models.CharField(_("detail"), max_length=MAX_NAME_LENGTH, blank=True, default="")
    created_at = models.DateTimeField(_("time"))

    class Meta:
        verbose_name = _("change of a dialog")
        verbose_name_plural = _("changes of dialogs")
        indexes = [
            models.Index(fields=["client", "sequence"], name="chatapi_dialogchange_client"),
            models.Index(fields=["dialog", "id"], name="chatapi_dialogchange_dialog"),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()


class DialogNote(models.Model):
    """An internal note. It never reaches the client."""

    dialog = models.ForeignKey(
        Dialog, models.CASCADE, related_name="notes", db_index=False, verbose_name=_("dialog")
    )
    agent_name = models.CharField(_("agent"), max_length=MAX_NAME_LENGTH)
    text = models.TextField(_("text"))
    created_at = models.DateTimeField(_("time"))
    idempotency_key = ExactCharField(_("idempotency key"), max_length=MAX_NAME_LENGTH, null=True, editable=False)

    class Meta:
        verbose_name = _("internal note")
        verbose_name_plural = _("internal notes")
        # Deliberately without a condition: MySQL would leave it out. Notes without a key do not meet in it.
        constraints = [
            models.UniqueConstraint(fields=["dialog", "idempotency_key"], name="chatapi_dialognote_idempotency")
        ]
        indexes = [models.Index(fields=["dialog", "id"], name="chatapi_dialognote_dialog")]

    def __str__(self) -> str:
        return self.text[:50]


class CannedAnswer(models.Model):
    """A text that agents insert instead of typing it."""

    channel = models.ForeignKey(
        Channel,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="canned_answers",
        verbose_name=_("channel"),
        help_text=_("None: for all channels."),
    )
    shortcut = models.SlugField(
        _("shortcut"), max_length=50, allow_unicode=True, help_text=_("What an agent types after a slash.")
    )
    text = models.TextField(_("text"), max_length=10_000)

    class Meta:
        verbose_name = _("canned answer")
        verbose_name_plural = _("canned answers")
        ordering = ["shortcut", "pk"]

    def __str__(self) -> str:
        return self.shortcut


class Console(Dialog):
    """Stands for the agents' console in the admin's list of pages."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = _("agents' console")
        verbose_name_plural = _("agents' console")
