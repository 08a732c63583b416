"""Keep tokens out of log lines."""

import logging
import re
from functools import lru_cache
from typing import Any

from django.urls import get_script_prefix, get_urlconf, reverse

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
    "granian.access",
    "_granian.access",
)

_PROBE = "token-of-a-channel"
_GENERATED = re.compile(r"[A-Za-z]{8}(:|%3A|%3a)[0-9a-f]{40}")


@lru_cache(maxsize=8)
def _path_pattern(urlconf: str | None) -> re.Pattern[str]:
    """A pattern for the path segment behind the place where the host mounted the API.

    The place of the site itself, its script prefix, is left out: some servers log paths without it.
    """
    path = reverse("django_chatapi:request", args=[_PROBE], urlconf=urlconf)
    mount = "/" + path.removeprefix(get_script_prefix()).removesuffix(_PROBE)
    return re.compile(re.escape(mount) + r"([^/?\s\"'#]+)")


def mask_tokens(text: str) -> str:
    """The text with every channel token in it cut short."""
    try:
        pattern = _path_pattern(get_urlconf())
    except Exception:  # noqa: S110
        # Not only NoReverseMatch: a URLconf that cannot be loaded is being logged right now, most likely.
        # The next line tries again.
        pass
    else:
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
