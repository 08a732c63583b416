"""``manage.py chatapi_channel``: make, list and rotate channels, by hand or from a script."""

import datetime as dt
import json
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from ...actions import channels
from ...models import Channel
from ...tokens import mask
from ...wire.json import UnsafeJSON, check_storable
from ..arguments import check_text

#: The options of ``create``, named as the model's fields are.
OPTIONS = (
    "name",
    "token",
    "bot",
    "bot_options",
    "webhook_url",
    "allowed_origins",
    "disable_text_with_buttons",
    "require_signed_clients",
)

#: What ``--json`` tells about a channel.
FIELDS = (
    "name",
    "token",
    "previous_token",
    "previous_token_expires_at",
    "active",
    "bot",
    "bot_options",
    "disable_text_with_buttons",
    "webhook_url",
    "webhook_secret",
    "allowed_origins",
    "require_signed_clients",
    "identity_secret",
    "created_at",
)

#: Longest time that --keep-old takes, in seconds: ten years.
MAX_KEEP_OLD = 10 * 365 * 24 * 3600

ROW = "{token:<7} {active:<8} {bot:<16} {created:<18} {name}"


class Command(BaseCommand):
    help = "Makes, lists and rotates channels. A value that is refused ends it with status 1 and one line."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)

        create = actions.add_parser("create", help="Make a channel.")
        create.add_argument("--name", required=True, help="What people call it.")
        create.add_argument("--token", help="16 to 128 characters out of A-Z a-z 0-9 : _ . - (default: made).")
        create.add_argument("--bot", help="A name from CHATAPI['BOTS'] (default: CHATAPI['DEFAULT_BOT']).")
        create.add_argument("--bot-options", metavar="JSON", help="What the bot takes, as a JSON object.")
        create.add_argument(
            "--webhook-url", metavar="URL", help="Where answers without a response are sent (default: none)."
        )
        create.add_argument(
            "--allowed-origins", metavar="ORIGINS", help="Separated by spaces or commas; * for all."
        )
        create.add_argument(
            "--disable-text-with-buttons",
            action="store_true",
            help="While buttons are shown, take only the text of one of them.",
        )
        create.add_argument(
            "--require-signed-clients",
            action="store_true",
            help="Refuse clients whose id the site's server did not sign.",
        )

        rotate = actions.add_parser("rotate", help="Give a channel a new token.")
        rotate.add_argument("token", help="The token that the channel has now.")
        rotate.add_argument(
            "--keep-old",
            metavar="SECONDS",
            help="How long the old token keeps working; 0 ends it now (default: CHATAPI['TOKEN_ROTATION_GRACE']).",
        )

        for action in (create, rotate, actions.add_parser("list", help="Show all channels, tokens cut short.")):
            action.add_argument(
                "--json", dest="as_json", action="store_true", help="For scripts: JSON, secrets included."
            )

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action}")(**options)
        except ValidationError as error:
            raise CommandError(_one_line(error)) from error

    def _create(self, *, as_json: bool, **options: Any) -> None:
        fields = {name: options[name] for name in OPTIONS if options[name] is not None}
        for name, value in fields.items():
            check_text(_option(name), str(value))
        if "bot_options" in fields:
            fields["bot_options"] = _read_json("bot_options", fields["bot_options"])
        channel = channels.create(**fields)
        if as_json:
            self.stdout.write(_as_json(channel))
            return
        self.stdout.write(_("Channel “%(name)s” connected.") % {"name": channel.name})
        self._show_token(channel)

    def _rotate(self, *, token: str, keep_old: str | None, as_json: bool, **options: Any) -> None:
        check_text("token", token)
        # Deliberately not the previous token too: a script that runs twice would rotate twice.
        channel = Channel.objects.filter(token=token).first()
        if channel is None:
            raise CommandError(_("token: no channel has this token now."))
        channels.rotate_token(channel=channel, grace=_read_seconds("keep_old", keep_old))
        if as_json:
            self.stdout.write(_as_json(channel))
            return
        self._show_token(channel)
        until = channel.previous_token_expires_at
        self.stdout.write(
            _("The old token works until %(time)s.") % {"time": f"{until:%Y-%m-%d %H:%M:%S %Z}"}
            if until
            else _("The old token works no more.")
        )

    def _list(self, *, as_json: bool, **options: Any) -> None:
        rows = Channel.objects.order_by("name", "pk").iterator()
        if as_json:
            opening = "["
            for channel in rows:
                self.stdout.write(opening + _as_json(channel), ending="")
                opening = ",\n"
            self.stdout.write("[]" if opening == "[" else "]")
            return
        self.stdout.write(
            ROW.format(token=_("token"), active=_("active"), bot=_("bot"), created=_("created"), name=_("name"))
        )
        for channel in rows:
            self.stdout.write(
                ROW.format(
                    token=mask(channel.token),
                    active=_("yes") if channel.active else _("no"),
                    bot=channel.bot,
                    created=f"{channel.created_at:%Y-%m-%d %H:%M}",
                    name=" ".join(channel.name.split()),
                )
            )

    def _show_token(self, channel: Channel) -> None:
        self.stdout.write(_("Token: %(token)s") % {"token": channel.token})
        try:
            path = reverse("django_chatapi:request", args=[channel.token])
        except NoReverseMatch:
            return
        self.stdout.write(_("Path of its API: %(path)s") % {"path": path})


def _read_json(name: str, text: str) -> Any:
    try:
        value = json.loads(text)
        check_storable(value)
    except UnsafeJSON as error:
        raise ValidationError({name: str(error)}) from error
    except (ValueError, RecursionError) as error:
        raise ValidationError({name: _("It is not JSON: %(error)s.") % {"error": error}}) from error
    return value


def _read_seconds(name: str, text: str | None) -> dt.timedelta | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_KEEP_OLD:
        raise ValidationError({name: _("Give a number of seconds from 0 to %(most)d.") % {"most": MAX_KEEP_OLD}})
    return dt.timedelta(seconds=seconds)


def _as_json(channel: Channel) -> str:
    return json.dumps({name: getattr(channel, name) for name in FIELDS}, cls=DjangoJSONEncoder)


def _one_line(error: ValidationError) -> str:
    """``--option: what is wrong``, for each option that is refused."""
    parts = [f"{_option(name)}: {' '.join(sentences)}" for name, sentences in error.message_dict.items()]
    return " ".join(" ".join(parts).split())


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
