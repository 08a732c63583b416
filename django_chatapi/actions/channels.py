"""Create channels, rotate their tokens and signing secrets."""

import datetime as dt
import json
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from ..bots.registry import InvalidOptions, UnknownBot, validate_options
from ..conf import chatapi_settings
from ..models import Channel
from ..tokens import make_token, make_webhook_secret
from ..webhooks.addresses import check_url
from ..wire.json import UnsafeJSON, check_storable


def check_bot(*, bot: str, bot_options: dict[str, Any]) -> None:
    """Let the bot check its options.

    Raises:
        ValidationError: for the fields ``bot`` and ``bot_options``, in the bot's own words.
    """
    try:
        check_storable(bot_options)
    except UnsafeJSON as error:
        raise ValidationError({"bot_options": str(error)}) from error
    if "\\u0000" in json.dumps(bot_options):
        raise ValidationError(
            {"bot_options": _("The options hold the character U+0000, which PostgreSQL refuses.")}
        )
    try:
        validate_options(bot, bot_options)
    except UnknownBot as error:
        raise ValidationError({"bot": str(error)}) from error
    except InvalidOptions as error:
        raise ValidationError({"bot_options": str(error)}) from error


def check_webhook(*, url: str) -> None:
    """Refuse an address that no webhook would be sent to.

    Raises:
        ValidationError: for the field ``webhook_url``.
    """
    if not url:
        return
    try:
        check_url(url)
    except ValidationError as error:
        raise ValidationError({"webhook_url": error}) from error


def create(**fields: Any) -> Channel:
    """Make a channel out of its model's fields, all of them checked.

    Raises:
        ValidationError: with a list of sentences for each field.
    """
    channel = Channel(**fields)
    wrong: dict[str, Any] = {}
    for check in (channel.full_clean, partial(check_webhook, url=channel.webhook_url)):
        try:
            check()
        except ValidationError as error:
            error.update_error_dict(wrong)
    if wrong:
        raise ValidationError(wrong)
    check_bot(bot=channel.bot, bot_options=channel.bot_options)
    channel.save()
    return channel


def rotate_token(*, channel: Channel, grace: dt.timedelta | None = None) -> str:
    """Give the channel a new token; the old one keeps working for ``grace``.

    Args:
        grace: None takes ``TOKEN_ROTATION_GRACE``; zero ends the old token at once. A token that was in its
            grace time already ends now.
    """
    if grace is None:
        grace = dt.timedelta(seconds=chatapi_settings.TOKEN_ROTATION_GRACE)
    channel.previous_token = channel.token if grace else None
    channel.previous_token_expires_at = timezone.now() + grace if grace else None
    token = channel.token = make_token()
    channel.save(update_fields=["token", "previous_token", "previous_token_expires_at"])
    return token


def rotate_webhook_secret(*, channel: Channel, grace: dt.timedelta | None = None, secret: str = "") -> str:
    """Give the channel a new signing secret; for ``grace`` what is sent is signed with the old one as well.

    Args:
        grace: None takes ``WEBHOOK_ROTATION_GRACE``; zero ends the old secret at once. A secret that was in its
            grace time already ends now.
        secret: the new one; blank has one made.
    """
    if grace is None:
        grace = dt.timedelta(seconds=chatapi_settings.WEBHOOK_ROTATION_GRACE)
    channel.previous_webhook_secret = channel.webhook_secret if grace else ""
    channel.previous_webhook_secret_expires_at = timezone.now() + grace if grace else None
    channel.webhook_secret = secret or make_webhook_secret()
    channel.save(update_fields=["webhook_secret", "previous_webhook_secret", "previous_webhook_secret_expires_at"])
    return channel.webhook_secret
