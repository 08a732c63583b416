"""What people and programs sent, as text that can be shown."""

import datetime as dt
import json
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
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
    if moment is None:
        return "–"
    local = timezone.localtime(moment) if timezone.is_aware(moment) else moment
    return date_format(local, "Y-m-d H:i:s")


def shown_time(model: type[Model], name: str) -> Any:
    """A time of a row to the second, for a list or a page; Django's own has no seconds."""

    @admin.display(description=model._meta.get_field(name).verbose_name, ordering=name)  # type: ignore[union-attr]
    def shown(row: Any) -> SafeString:
        return format_html('<span class="nowrap">{}</span>', to_the_second(getattr(row, name)))

    shown.__name__ = name  # the class of its column
    return shown
