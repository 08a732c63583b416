"""Keep tokens out of log lines."""

import logging
import re
from functools import lru_cache
from typing import Any

from django.urls import get_urlconf, reverse

from .tokens import mask

#: Loggers that write request paths: Django's own and those of the common servers.
PATH_LOGGERS = (
    "django.request",
    "django.server",
    "django.security",
    "uvicorn.access",
    "gunicorn.access",
    "granian.access",
    "_granian.access",
)

_PROBE = "token-of-a-channel"
_GENERATED = re.compile(r"\b[A-Za-z]{8}(:|%3A|%3a)[0-9a-f]{40}\b")


@lru_cache(maxsize=8)
def _path_pattern(urlconf: str | None) -> re.Pattern[str] | None:
    """A pattern for the path segment behind the place where the host mounted the API."""
    try:
        path = reverse("django_chatapi:request", args=[_PROBE], urlconf=urlconf)
    except Exception:
        # Not only NoReverseMatch: a URLconf that cannot be loaded is being logged right now, most likely.
        return None
    return re.compile(re.escape(path.removesuffix(_PROBE)) + r"([^/?\s\"'#]+)")


def mask_tokens(text: str) -> str:
    """The text with every channel token in it cut short."""
    pattern = _path_pattern(get_urlconf())
    if pattern is not None:
        text = pattern.sub(lambda match: match[0].removesuffix(match[1]) + mask(match[1]), text)
    return _GENERATED.sub(lambda match: mask(match[0]), text)


class MaskTokens(logging.Filter):
    """Masks tokens in a record's message and arguments. Installed on ``PATH_LOGGERS`` by the app."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self._masked(record.msg)
        if isinstance(record.args, dict):
            record.args = {key: self._masked(value) for key, value in record.args.items()}
        elif record.args:
            record.args = tuple(self._masked(value) for value in record.args)
        return True

    def _masked(self, value: Any) -> Any:
        return mask_tokens(value) if isinstance(value, str) else value


def install() -> None:
    """Put the filter on the loggers that write request paths."""
    for name in PATH_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(present, MaskTokens) for present in logger.filters):
            logger.addFilter(MaskTokens())
