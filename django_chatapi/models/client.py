"""The end user, and the pages, tabs and devices they have open."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ..constants import MAX_NAME_LENGTH
from .channel import Channel
from .fields import ExactCharField


class Client(models.Model):
    """An end user of a channel, known by the id that the caller chose.

    This row is the lock under which a client's sequence numbers and times are given out (see
    ``actions.turns``). None of the columns that change with every message is indexed: PostgreSQL then updates
    the row in place. ``dialog`` says who answers: an agent or, without one, the bot.
    """

    channel = models.ForeignKey(
        Channel, models.CASCADE, related_name="clients", db_index=False, verbose_name=_("channel")
    )
    client_id = ExactCharField(_("client id"), max_length=MAX_NAME_LENGTH)
    created_at = models.DateTimeField(_("first seen"), auto_now_add=True)
    last_sequence = models.BigIntegerField(_("last sequence number"), default=0, editable=False)
    last_activity_at = models.DateTimeField(_("last activity"), null=True, editable=False)
    session_number = models.PositiveIntegerField(
        _("session"), default=0, editable=False, help_text=_("How many sessions were started.")
    )
    session_open = models.BooleanField(_("in a session"), default=False, editable=False)
    # None: the client is with the bot. Without a constraint: the dialog refers to its client, and the rows of both
    # go together.
    dialog = models.ForeignKey(
        "Dialog",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
        editable=False,
        verbose_name=_("dialog"),
    )

    class Meta:
        verbose_name = _("client")
        verbose_name_plural = _("clients")
        permissions = [("answer_client", _("Can answer clients"))]
        constraints = [models.UniqueConstraint(fields=["channel", "client_id"], name="chatapi_client_unique")]
        indexes = [
            models.Index(fields=["dialog"], condition=Q(dialog__isnull=False), name="chatapi_client_dialog"),
            # The beginning of an id. The order of the unique index is the collation's, in which the ids with one
            # beginning need not stand together.
            models.Index(
                fields=["channel", "client_id"],
                opclasses=["int8_ops", "varchar_pattern_ops"],
                name="chatapi_client_search",
            ),
        ]

    def __str__(self) -> str:
        return str(self.client_id)


class Connection(models.Model):
    """One open page, tab or device of a client, known by ``cid``; without one, by the empty text."""

    client = models.ForeignKey(
        Client, models.CASCADE, related_name="connections", db_index=False, verbose_name=_("client")
    )
    connection_id = ExactCharField(_("connection id (cid)"), max_length=MAX_NAME_LENGTH)
    created_at = models.DateTimeField(_("first seen"), auto_now_add=True)
    position = models.BigIntegerField(
        _("position"),
        default=0,
        editable=False,
        help_text=_("The sequence number up to which its events requests have read."),
    )

    class Meta:
        verbose_name = _("connection")
        verbose_name_plural = _("connections")
        constraints = [
            models.UniqueConstraint(fields=["client", "connection_id"], name="chatapi_connection_unique")
        ]

    def __str__(self) -> str:
        return str(self.connection_id)
