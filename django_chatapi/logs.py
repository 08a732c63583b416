"""Keep tokens out of log lines."""

import copy
import logging
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from django.urls import LocalePrefixPattern, URLResolver, get_resolver, get_urlconf

from .tokens import mask

#: Loggers that write request paths: Django's own and those of the common servers.
PATH_LOGGERS = (
    "django.request",
    "django.server",
    "django.security",
    "django.security.csrf",  # a filter on a logger is not asked for what its children log
    "django.channels.server",
    "uvicorn.access",
    "gunicorn.access",
    "hypercorn.access",
    "granian.access",
    "_granian.access",
)

_GENERATED = re.compile(r"[A-Za-z]{8}(:|%3A|%3a)[0-9a-f]{40}")


@lru_cache(maxsize=8)
def _path_pattern(urlconf: str | None) -> re.Pattern[str]:
    """A pattern for the path segment behind the places where the host mounted the API.

    The place of the site itself, its script prefix, is left out: some servers log paths without it.
    """
    mounts = list(_mounts(get_resolver(urlconf), ""))
    return re.compile(rf"/(?:{'|'.join(mounts)})(?P<token>[^/?\s\"'#]+)" if mounts else "(?!)")


def _mounts(resolver: URLResolver, prefix: str) -> Iterator[str]:
    """Patterns of the paths up to each ``include("django_chatapi.urls")``.

    Deliberately not ``reverse``: it knows one of several places, one language, and no namespace around ours.
    """
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            own = r"(?:[\w@.-]+/)?" if isinstance(entry.pattern, LocalePrefixPattern) else _unanchored(entry)
            if entry.app_name == "django_chatapi":
                yield prefix + own
            else:
                yield from _mounts(entry, prefix + own)


def _unanchored(entry: URLResolver) -> str:
    """The entry's own part of the path. Names of groups go, since they may stand in a pattern only once."""
    return re.sub(r"\(\?P<\w+>", "(?:", str(entry.pattern.regex.pattern).removeprefix("^"))


def mask_tokens(text: str) -> str:
    """The text with every channel token in it cut short."""
    try:
        pattern = _path_pattern(get_urlconf())
    except Exception:  # noqa: S110
        # Whatever it is: a URLconf that cannot be loaded is being logged right now, most likely. The next line
        # tries again.
        pass
    else:
        text = pattern.sub(lambda match: match[0].removesuffix(match["token"]) + mask(match["token"]), text)
    return _GENERATED.sub(lambda match: mask(match[0]), text)


class MaskTokens(logging.Filter):
    """Masks tokens in a record's message and arguments. Installed on ``PATH_LOGGERS`` by the app."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self._masked(record.msg)
        if isinstance(record.args, dict):
            # A copy of its own class: gunicorn's has an answer for every key that a format may name.
            args = copy.copy(record.args)
            args.update({key: self._masked(value) for key, value in args.items()})
            record.args = args
        elif record.args:
            record.args = tuple(self._masked(value) for value in record.args)
        return True

    def _masked(self, value: Any) -> Any:
        if value is None or isinstance(value, (int, float)):
            return value
        try:
            text = str(value)
        except Exception:
            return value
        masked = mask_tokens(text)
        return value if masked == text else masked


def install() -> None:
    """Put the filter on the loggers that write request paths."""
    for name in PATH_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(present, MaskTokens) for present in logger.filters):
            logger.addFilter(MaskTokens())
