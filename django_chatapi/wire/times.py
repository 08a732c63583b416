"""Times on the wire (contract, section 1)."""

import datetime as dt
import re

from django.utils.dateparse import parse_datetime

# Python's own reader takes more with every version: dates alone, weeks, no separators.
_UNIX = re.compile(r"-?\d+", re.ASCII)
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


def format_time(moment: dt.datetime) -> str:
    """UTC without a zone, with milliseconds: ``2022-09-28T12:32:13.262``."""
    return moment.astimezone(dt.timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds")


def parse_time(value: str | int) -> dt.datetime:
    """Read what :func:`format_time` writes, ISO 8601 with a zone, or Unix time in milliseconds.

    Raises:
        ValueError: it is none of these, or lies outside the years 1 to 9999.
    """
    if isinstance(value, int) or _UNIX.fullmatch(value):
        try:
            return _EPOCH + dt.timedelta(milliseconds=int(value))
        except OverflowError as error:
            raise ValueError("out of range") from error
    # In a query string an unescaped "+" arrives as a space: 2022-09-28T12:32:13 02:00.
    value = value.replace(" ", "+")
    moment = parse_datetime(value) if _ISO.fullmatch(value) else None
    if moment is None:
        raise ValueError("not a time")
    if moment.tzinfo is None:
        return moment.replace(tzinfo=dt.timezone.utc)
    try:
        return moment.astimezone(dt.timezone.utc)
    except OverflowError as error:
        raise ValueError("out of range") from error
