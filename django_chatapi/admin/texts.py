"""What people and programs sent, as text that can be shown."""

import datetime as dt
import json
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format, localize
from django.utils.translation import gettext as _
from django.utils.translation import ngettext


def visible(text: str) -> str:
    """The text; spelled as JSON when a reader would see nothing of it, such as an id of spaces."""
    if any(character.isprintable() and not character.isspace() for character in text):
        return text
    return json.dumps(text)


def pretty(value: Any) -> str:
    """A JSON value over several lines."""
    return sendable(json.dumps(value, ensure_ascii=False, indent=2))


def pretty_bytes(value: bytes) -> str:
    """A JSON text over several lines; anything else as it is, with bytes that are no text spelled out."""
    try:
        return pretty(json.loads(value))
    except (ValueError, RecursionError):
        return value.decode("utf-8", "backslashreplace")


def clip(text: str, limit: int | None) -> str:
    """The text, cut after ``limit`` characters with a remark on how many are missing. None: all of it."""
    if limit is None or len(text) <= limit:
        return text
    rest = len(text) - limit
    remark = ngettext("%(rest)d more character", "%(rest)d more characters", rest) % {"rest": rest}
    return _("%(text)s… (%(remark)s)") % {"text": text[:limit], "remark": remark}


def sendable(text: str) -> str:
    """The text with half surrogate pairs spelled out: fine in JSON's own spelling, they cannot stand in a page."""
    return text.encode("utf-8", "backslashreplace").decode()


def to_the_second(moment: dt.datetime | None) -> str:
    """A time that is short and still tells one attempt from the next."""
    return "–" if moment is None else date_format(_local(moment), "Y-m-d H:i:s")


def to_the_minute(moment: dt.datetime) -> str:
    """A time as people write it."""
    return str(localize(_local(moment)))


def _local(moment: dt.datetime) -> dt.datetime:
    return timezone.localtime(moment) if timezone.is_aware(moment) else moment
