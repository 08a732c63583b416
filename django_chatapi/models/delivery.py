"""What has to reach a channel's webhook, and what was tried (contract, section 10)."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..constants import DeliveryState
from ..identifiers import make_uuid
from .channel import Channel
from .client import Client


class WebhookEndpoint(models.Model):
    """How a channel's webhook is doing. The row is the lock under which its deliveries are claimed."""

    channel = models.OneToOneField(
        Channel, models.CASCADE, primary_key=True, related_name="endpoint", verbose_name=_("channel")
    )
    claims = models.BigIntegerField(_("claims"), default=0, editable=False)
    consecutive_failures = models.PositiveIntegerField(_("failures in a row"), default=0, editable=False)
    last_success_at = models.DateTimeField(_("last success"), null=True, editable=False)
    last_failure_at = models.DateTimeField(_("last failure"), null=True, editable=False)
    opened_at = models.DateTimeField(
        _("circuit open since"),
        null=True,
        editable=False,
        help_text=_("It failed steadily: until it accepts something, it is only probed now and then."),
    )
    next_probe_at = models.DateTimeField(_("next probe"), null=True, editable=False)

    class Meta:
        verbose_name = _("webhook endpoint")
        verbose_name_plural = _("webhook endpoints")

    def __str__(self) -> str:
        return str(self.channel)


class Delivery(models.Model):
    """One array of envelopes for one client: its messages from ``first_sequence`` to ``last_sequence``.

    It is written in the transaction that writes its first message, and grows by later ones until it is claimed
    for the first time. A client's next delivery waits until this one was accepted or given up.
    """

    channel = models.ForeignKey(
        Channel, models.CASCADE, related_name="deliveries", db_index=False, verbose_name=_("channel")
    )
    client = models.ForeignKey(
        Client,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="deliveries",
        db_index=False,
        verbose_name=_("client"),
        help_text=_("None: a test event."),
    )
    webhook_id = models.UUIDField(_("webhook id"), default=make_uuid, unique=True, editable=False)
    #: The channel's token when the delivery was made: every resend carries the same body.
    token = models.CharField(_("token"), max_length=128, editable=False)
    first_sequence = models.BigIntegerField(_("first sequence number"), default=0)
    last_sequence = models.BigIntegerField(_("last sequence number"), default=0)
    items = models.PositiveIntegerField(_("messages"), default=1)
    # Not a positive one: with its constraint PostgreSQL would read the whole table when the column is added. The
    # default in the database is for processes that do not know the column yet.
    bytes = models.IntegerField(_("bytes"), default=0, db_default=0, editable=False)
    sealed = models.BooleanField(_("sealed"), default=False, help_text=_("It takes no more messages."))
    state = models.CharField(
        _("state"), max_length=8, choices=DeliveryState.choices, default=DeliveryState.PENDING
    )
    failure = models.CharField(_("failure"), max_length=255, blank=True, default="")
    attempts = models.PositiveIntegerField(
        _("attempts"), default=0, help_text=_("Since it was made, or resent by hand.")
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=timezone.now, null=True)
    closed_at = models.DateTimeField(_("closed"), null=True)
    lease_holder = models.UUIDField(_("worked on by"), null=True, editable=False)
    lease_expires_at = models.DateTimeField(_("worked on until"), null=True, editable=False)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        indexes = [
            models.Index(
                fields=["channel", "next_attempt_at"], condition=Q(state="pending"), name="chatapi_delivery_due"
            ),
            # The order of a client's deliveries; the last one may still grow.
            models.Index(
                fields=["client", "first_sequence"], condition=Q(state="pending"), name="chatapi_delivery_order"
            ),
            # How many workers are at a channel, however long its backlog is.
            models.Index(
                fields=["channel", "lease_expires_at"],
                condition=Q(lease_expires_at__isnull=False),
                name="chatapi_delivery_leased",
            ),
            models.Index(fields=["channel", "state", "-id"], name="chatapi_delivery_list"),
            models.Index(fields=["-id"], condition=Q(state="failed"), name="chatapi_delivery_failed"),
            # Cascades from a client.
            models.Index(fields=["client", "-id"], name="chatapi_delivery_client"),
        ]

    def __str__(self) -> str:
        return f"msg_{self.webhook_id.hex}"


class DeliveryAttempt(models.Model):
    """One POST of a delivery: what was sent, and what came back."""

    #: What ``accepted`` says, for queries.
    ACCEPTED = Q(status_code__range=(200, 299), error="")

    delivery = models.ForeignKey(
        Delivery, models.CASCADE, related_name="attempt_log", db_index=False, verbose_name=_("delivery")
    )
    #: Repeats the delivery's, for the failure rate of a channel.
    channel = models.ForeignKey(
        Channel, models.CASCADE, related_name="+", db_index=False, verbose_name=_("channel")
    )
    number = models.PositiveIntegerField(_("number"), help_text=_("1 is the first since it was made or resent."))
    started_at = models.DateTimeField(_("time"))
    seconds = models.FloatField(_("duration"), help_text=_("Seconds."))
    status_code = models.PositiveSmallIntegerField(_("status code"), null=True)
    error = models.CharField(_("error"), max_length=255, blank=True, default="")
    response = models.TextField(_("response"), blank=True, default="", help_text=_("Its first 2 KiB."))
    headers = models.JSONField(_("headers as sent"), default=dict)

    class Meta:
        verbose_name = _("delivery attempt")
        verbose_name_plural = _("delivery attempts")
        indexes = [
            models.Index(fields=["delivery", "started_at"], name="chatapi_attempt_order"),
            models.Index(fields=["channel", "started_at"], name="chatapi_attempt_rate"),
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.status_code or self.error}"

    @property
    def accepted(self) -> bool:
        """Whether the endpoint took it: any 2xx, with the end of the response within the time."""
        return self.status_code is not None and 200 <= self.status_code < 300 and not self.error
