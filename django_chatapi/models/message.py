"""Everything that was said, and how far it got."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ..constants import (
    MAX_NAME_LENGTH,
    QUEUED_ROUTES,
    UNREAD_STATUSES,
    WRONG_ANSWER_STATES,
    AnswerState,
    MessageType,
    Route,
    Status,
)
from .client import Client
from .fields import ExactCharField, JSONTextField


class Message(models.Model):
    """A request, a bot answer or an agent reply.

    ``sequence`` numbers a client's messages and state changes in the order in which they were committed:
    auto-increment ids become visible out of order, so a reader with an id cursor would skip rows.
    An answer repeats ``query``, ``event_name`` and ``connection_id`` of its request, since its envelope does.
    """

    client = models.ForeignKey(
        Client, models.CASCADE, related_name="messages", db_index=False, verbose_name=_("client")
    )
    sequence = models.BigIntegerField(_("sequence number"))
    created_at = models.DateTimeField(_("time"))
    type = models.CharField(_("type"), max_length=16, choices=MessageType.choices)
    route = models.CharField(_("route"), max_length=8, choices=Route.choices)
    question_id = models.UUIDField(_("question id"))
    connection_id = ExactCharField(_("connection id (cid)"), max_length=MAX_NAME_LENGTH, null=True)
    query = models.TextField(_("text"), null=True)  # noqa: DJ001
    event_name = models.CharField(_("event"), max_length=MAX_NAME_LENGTH, null=True)  # noqa: DJ001
    data = JSONTextField(
        _("data"), null=True, help_text=_("Of a request: what it sent. Of an answer: the envelope's data.")
    )

    # Answers and replies
    block_form = models.BooleanField(_("blocks the form"), default=False)
    status = models.CharField(_("status"), max_length=9, choices=Status.choices, null=True)  # noqa: DJ001
    status_changed_at = models.DateTimeField(_("status changed"), null=True)

    #: As text, so that it outlives the user.
    agent_name = models.CharField(  # noqa: DJ001
        _("agent"), max_length=MAX_NAME_LENGTH, null=True, help_text=_("The username of who wrote an agent reply.")
    )

    # Requests
    raw_request = JSONTextField(_("request as sent"), null=True)
    new_session = models.BooleanField(_("starts a session"), default=False)
    answer_state = models.CharField(  # noqa: DJ001
        _("answer"), max_length=11, choices=AnswerState.choices, null=True
    )
    failure = models.TextField(_("failure"), blank=True, default="")
    ask_count = models.PositiveSmallIntegerField(_("times asked"), default=0)
    lease_holder = models.UUIDField(_("asked by"), null=True)
    lease_expires_at = models.DateTimeField(_("asked until"), null=True)
    idempotency_key = ExactCharField(_("idempotency key"), max_length=MAX_NAME_LENGTH, null=True)
    body_digest = models.CharField(_("digest of the body"), max_length=64, blank=True, default="")

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [
            models.UniqueConstraint(fields=["client", "sequence"], name="chatapi_message_sequence"),
        ]
        indexes = [
            models.Index(fields=["client", "created_at", "sequence"], name="chatapi_message_time"),
            models.Index(fields=["question_id"], name="chatapi_message_question"),
            models.Index(
                # The status for MySQL, which makes an index without its condition.
                fields=["client", "status"],
                condition=Q(status__in=UNREAD_STATUSES),
                name="chatapi_message_unread",
            ),
            models.Index(
                fields=["lease_expires_at"],
                condition=Q(lease_expires_at__isnull=False),
                name="chatapi_message_open",
            ),
            # A client's requests that workers answer, one after the other.
            models.Index(
                fields=["client", "sequence"],
                condition=Q(route__in=QUEUED_ROUTES, lease_expires_at__isnull=False),
                name="chatapi_message_queue",
            ),
            models.Index(
                fields=["client", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="chatapi_message_idempotency",
            ),
            # What operators look for among millions: requests that went wrong, newest first.
            models.Index(
                fields=["-id"], condition=Q(answer_state__in=WRONG_ANSWER_STATES), name="chatapi_message_wrong"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_type_display()} {self.question_id}"

    @property
    def initial_status(self) -> Status | None:
        """The status that the message was stored with; every later one is a :class:`MessageStatus`.

        The synchronous response is a transport: what it carries is sent. Nothing else is, to begin with.
        """
        if self.type == MessageType.REQUEST:
            return None
        return Status.SENT if self.route == Route.RESPONSE else Status.NOT_SENT


class MessageStatus(models.Model):
    """One change of a message's status. The current one stands on the message, for counting."""

    message = models.ForeignKey(Message, models.CASCADE, related_name="statuses", verbose_name=_("message"))
    status = models.CharField(_("status"), max_length=9, choices=Status.choices)
    changed_at = models.DateTimeField(_("changed"), help_text=_("The receipt's own time, if it named one."))
    recorded_at = models.DateTimeField(_("recorded"), auto_now_add=True)

    class Meta:
        verbose_name = _("status change")
        verbose_name_plural = _("status changes")

    def __str__(self) -> str:
        return self.get_status_display()
