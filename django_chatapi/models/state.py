"""What a client's page wants to find again."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..constants import MAX_NAME_LENGTH
from .client import Client
from .fields import ExactCharField


class ClientState(models.Model):
    """The latest state that was saved for a client: any JSON value, kept byte for byte (contract, section 8)."""

    client = models.OneToOneField(
        Client, models.CASCADE, primary_key=True, related_name="state", verbose_name=_("client")
    )
    value = models.BinaryField(_("value"))
    connection_id = ExactCharField(_("saved by (cid)"), max_length=MAX_NAME_LENGTH, null=True)
    sequence = models.BigIntegerField(_("sequence number"))
    saved_at = models.DateTimeField(_("saved"))

    class Meta:
        verbose_name = _("client state")
        verbose_name_plural = _("client states")

    def __str__(self) -> str:
        return str(self.client)
