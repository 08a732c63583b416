"""The tenant: one connected Chat API channel."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..conf import chatapi_settings
from ..tokens import TOKEN_PATTERN, make_identity_secret, make_token, make_webhook_secret
from . import rows
from .fields import ExactCharField


def default_bot() -> str:
    return chatapi_settings.DEFAULT_BOT


def validate_origins(value: str) -> None:
    """Each word is ``*`` or an origin as browsers send it: scheme, host, optional port (RFC 6454)."""
    origin = RegexValidator(r"\A[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:\d{1,5})?\Z")
    for word in split_origins(value):
        if word == "*":
            continue
        try:
            origin(word)
        except ValidationError:
            raise ValidationError(
                _(
                    "“%(word)s” is not an origin; write it as browsers send it, in lower case and without a "
                    "path, for example https://www.example.com."
                ),
                params={"word": word},
            ) from None


def split_origins(value: str) -> list[str]:
    """The origins in a text that separates them with white space or commas."""
    return value.replace(",", " ").split()


class ChannelManager(models.Manager["Channel"]):
    def with_token(self, token: str) -> "Channel | None":
        """The channel that this token opens, be it the current one or a rotated one in its grace time."""
        if not TOKEN_PATTERN.match(token):
            return None  # nor would a database take every text that a path can hold
        return (
            rows.find(self.model, token=token)
            or self.filter(previous_token=token, previous_token_expires_at__gt=timezone.now()).first()
        )


class Channel(models.Model):
    """One connected "Chat API channel". All other data belongs to one channel and is seen through no other."""

    name = models.CharField(_("name"), max_length=255)
    token = ExactCharField(
        _("token"),
        max_length=128,
        unique=True,
        blank=True,
        validators=[
            RegexValidator(TOKEN_PATTERN, _("A token is 16 to 128 characters out of A-Z a-z 0-9 : _ . -"))
        ],
        help_text=_("What callers put into the address. Leave blank to have one made."),
    )
    previous_token = ExactCharField(
        _("previous token"), max_length=128, unique=True, null=True, blank=True, editable=False
    )
    previous_token_expires_at = models.DateTimeField(
        _("previous token works until"), null=True, blank=True, editable=False
    )
    active = models.BooleanField(
        _("active"), default=True, help_text=_("Off: every call is refused with channel_disabled.")
    )

    bot = models.CharField(
        _("bot"), max_length=100, default=default_bot, help_text=_("Who answers: a name from CHATAPI['BOTS'].")
    )
    bot_options = models.JSONField(
        _("bot options"), default=dict, blank=True, help_text=_("A JSON object; each bot says what it takes.")
    )
    disable_text_with_buttons = models.BooleanField(
        _("disable text input when using buttons"),
        default=False,
        help_text=_("While the latest answer shows buttons, only the text of one of them is accepted."),
    )

    # Deliberately no URLField, which refuses names of internal networks such as http://receiver:8080/. What may be
    # sent to is for ``actions.channels.check_webhook`` to say.
    webhook_url = models.CharField(
        _("webhook URL"),
        max_length=2000,
        blank=True,
        help_text=_("Where answers are sent that nobody is waiting for in a request."),
    )
    webhook_secret = models.CharField(
        _("webhook signing secret"),
        max_length=255,
        default=make_webhook_secret,
        validators=[RegexValidator(r"\A(?!whsec_\Z)", _("This is only the beginning of a secret."))],
        help_text=_("The receiver checks the webhook-signature header with it."),
    )
    previous_webhook_secret = models.CharField(
        _("previous signing secret"), max_length=255, blank=True, default="", editable=False
    )
    previous_webhook_secret_expires_at = models.DateTimeField(
        _("previous signing secret is used until"), null=True, blank=True, editable=False
    )
    webhook_disabled_at = models.DateTimeField(
        _("webhook disabled"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("The endpoint answered 410 (gone): nothing is sent until somebody enables it again."),
    )
    allowed_origins = models.TextField(
        _("allowed origins"),
        blank=True,
        validators=[validate_origins],
        help_text=_(
            "Web pages that may call this channel from a browser, separated by spaces or line breaks, such as "
            "https://www.example.com. * allows every page; blank allows none but this site's own."
        ),
    )
    require_signed_clients = models.BooleanField(
        _("require signed clients"),
        default=False,
        help_text=_("Every call must carry X-Client-Signature, so that no visitor can pose as another."),
    )
    identity_secret = models.CharField(
        _("identity secret"),
        max_length=255,
        default=make_identity_secret,
        help_text=_("Your server signs a visitor's clientId with it: hex HMAC-SHA256."),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = ChannelManager()

    class Meta:
        verbose_name = _("channel")
        verbose_name_plural = _("channels")
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.token = self.token or make_token()
        super().save(*args, **kwargs)

    def clean(self) -> None:
        super().clean()
        retired = Channel.objects.filter(Q(previous_token=self.token)).exclude(pk=self.pk)
        if TOKEN_PATTERN.match(self.token) and retired.exists():
            raise ValidationError({"token": _("Another channel used this token before; choose another one.")})
        if not isinstance(self.bot_options, dict):
            raise ValidationError({"bot_options": _("The options are a JSON object, such as {}.")})

    @property
    def webhook_enabled(self) -> bool:
        """Whether messages are sent to a webhook."""
        return bool(self.webhook_url) and self.webhook_disabled_at is None

    def webhook_secrets(self) -> list[str]:
        """What deliveries are signed with: during a rotation with the previous secret too."""
        until = self.previous_webhook_secret_expires_at
        if self.previous_webhook_secret and until is not None and until > timezone.now():
            return [self.webhook_secret, self.previous_webhook_secret]
        return [self.webhook_secret]

    def allows_origin(self, origin: str) -> bool:
        """Whether pages of this origin may call the channel from a browser."""
        allowed = split_origins(self.allowed_origins)
        return "*" in allowed or origin in allowed
