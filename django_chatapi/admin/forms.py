"""The forms of a channel."""

import datetime as dt
import json
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminURLFieldWidget
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _

from ..actions import channels
from ..bots.registry import UnknownBot, bot_class, registered
from ..conf import chatapi_settings
from ..models import Channel
from ..webhooks.signing import sign
from .texts import sendable

HOUR, DAY, WEEK = 3600, 24 * 3600, 7 * 24 * 3600  # seconds

_WIDE = {"class": "vLargeTextField", "autocomplete": "off", "spellcheck": "false"}


class _Indented(json.JSONEncoder):
    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "indent": 2})

    def encode(self, o: Any) -> str:
        return sendable(super().encode(o))


class AddressField(forms.URLField):
    """An address that ``channels.check_webhook`` judges, alone: Django's own check refuses internal names."""

    default_validators = []

    def __init__(self, **options: Any) -> None:
        super().__init__(assume_scheme="https", **options)


class ChannelForm(forms.ModelForm):  # type: ignore[type-arg]
    """A channel, with the bot's own word on its options."""

    class Meta:
        # The model and the fields are the admin's to choose.
        widgets = {
            **dict.fromkeys(["name", "token", "identity_secret"], forms.TextInput(attrs=_WIDE)),
            **dict.fromkeys(["bot_options", "allowed_origins"], forms.Textarea(attrs={**_WIDE, "rows": 4})),
            "webhook_url": AdminURLFieldWidget(),
        }
        field_classes = {"webhook_url": AddressField}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            # Django would put each default that is made by a function, secrets too, into the page once more.
            field.show_hidden_initial = False
        # Both are missing when the page is only to be read.
        if "bot" in self.fields:
            self.fields["bot"].widget = forms.Select(choices=self._bots())
        if "bot_options" in self.fields:
            self.fields["bot_options"].encoder = _Indented  # type: ignore[attr-defined]
            self.fields["bot_options"].help_text = options_help()

    def clean_bot_options(self) -> dict[str, Any]:
        options = self.cleaned_data["bot_options"]
        if options is None:
            return {}
        if not isinstance(options, dict):
            raise ValidationError(_("The options are a JSON object, such as {}."))
        return options

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        # A channel whose bot is gone can still be switched off.
        matters = cleaned.get("active") or not {"bot", "bot_options"}.isdisjoint(self.changed_data)
        if matters and "bot" in cleaned and "bot_options" in cleaned:
            try:
                channels.check_bot(bot=cleaned["bot"], bot_options=cleaned["bot_options"])
            except ValidationError as error:
                self.add_error(None, error)
        # Likewise one whose webhook cannot be reached any more.
        url = cleaned.get("webhook_url")
        if url and (cleaned.get("active") or "webhook_url" in self.changed_data):
            try:
                channels.check_webhook(url=url)
            except ValidationError as error:
                self.add_error(None, error)
        return cleaned

    def _bots(self) -> list[tuple[str, Any]]:
        names: list[tuple[str, Any]] = [(name, name) for name in registered()]
        current = self.instance.bot
        if current not in dict(names):
            # Not left out: the browser would choose another one without a word.
            names.append((current, _("%(name)s (not registered)") % {"name": current}))
        return names


def options_help() -> SafeString:
    """What each bot takes, a line each."""
    lines = []
    for name in registered():
        try:
            cls, given = bot_class(name)
        except UnknownBot:
            continue
        fields = cls.Options().fields.items()
        taken = [f"{key}*" if field.required else key for key, field in fields if key not in given]
        if taken:
            lines.append((name, ", ".join(taken)))
    return format_html(
        "{}<ul>{}</ul>",
        _("A JSON object. What the bots take (* is required); a bot that is not named here takes no options:"),
        format_html_join("", "<li>{}: {}</li>", lines),
    )


class RotationForm(forms.Form):
    """How long what is replaced keeps working."""

    grace = forms.ChoiceField(widget=forms.RadioSelect)
    #: Stands for the value that the person saw: a form that is sent twice must not end the one in use.
    replaces = forms.CharField(widget=forms.HiddenInput)

    #: What is rotated: a field of the channel.
    rotates: str
    #: The setting that says how long the old one keeps working.
    setting: str
    label: Any
    help_text: Any
    changed_meanwhile: Any

    def __init__(self, data: QueryDict | None, *, channel: Channel) -> None:
        default = int(getattr(chatapi_settings, self.setting))
        super().__init__(data, initial={"grace": str(default), "replaces": self._fingerprint(channel)})
        self._channel = channel
        spans = {
            default: _("for %(span)s") % {"span": _in_words(default)},
            0: _("not at all"),
            HOUR: _("for 1 hour"),
            DAY: _("for 1 day"),
            WEEK: _("for 1 week"),
        }
        grace: Any = self.fields["grace"]
        grace.choices = [(str(seconds), spans[seconds]) for seconds in sorted(spans)]
        grace.label, grace.help_text = self.label, self.help_text

    def clean_replaces(self) -> str:
        replaces: str = self.cleaned_data["replaces"]
        if not constant_time_compare(replaces, self._fingerprint(self._channel)):
            raise ValidationError(self.changed_meanwhile)
        return replaces

    @property
    def span(self) -> dt.timedelta:
        """The chosen time. Only after ``is_valid``."""
        return dt.timedelta(seconds=int(self.cleaned_data["grace"]))

    def _fingerprint(self, channel: Channel) -> str:
        value = getattr(channel, self.rotates)
        return salted_hmac(f"django_chatapi.rotate_{self.rotates}", value, algorithm="sha256").hexdigest()


class RotateTokenForm(RotationForm):
    rotates, setting = "token", "TOKEN_ROTATION_GRACE"
    label = _("The old token keeps working")
    help_text = _("Callers have this long to change over. “Not at all” is for a token that leaked.")
    changed_meanwhile = _("The token was changed meanwhile. Look at the channel before you go on.")


class RotateWebhookSecretForm(RotationForm):
    secret = forms.CharField(
        label=_("New secret"),
        max_length=255,
        required=False,
        widget=forms.TextInput(attrs=_WIDE),
        help_text=_("Leave blank to have one made."),
    )

    rotates, setting = "webhook_secret", "WEBHOOK_ROTATION_GRACE"
    label = _("Sign with the old secret as well")
    help_text = _("The receiver has this long to change over. “Not at all” is for a secret that leaked.")
    changed_meanwhile = _("The secret was changed meanwhile. Look at the channel before you go on.")

    def clean_secret(self) -> str:
        secret: str = self.cleaned_data["secret"]
        if secret:
            try:
                sign([secret], "", 0, b"")
            except ValueError:
                raise ValidationError(_("This is only the beginning of a secret.")) from None
        if secret == self._channel.webhook_secret:
            raise ValidationError(_("The channel has this secret already."))
        return secret


class ResendForm(forms.Form):
    """From when on failed deliveries are resent."""

    since = forms.DateTimeField(
        label=_("Made since"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S"),
        help_text=_("Leave blank to resend all of them."),
    )


def _in_words(seconds: int) -> str:
    start = dt.datetime(2000, 1, 1)
    return timesince(start, start + dt.timedelta(seconds=seconds))
