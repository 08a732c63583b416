"""System checks: what is wrong with the host's settings, and how to mend it."""

import difflib
import re
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from .bots.registry import UnknownBot, bot_class, registered
from .conf import Defaults, chatapi_settings

#: What Django REST framework reads: of the unit, it looks at the first letter only.
_RATE = re.compile(r"\d+/[smhd][a-z]*", re.ASCII)


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E001 CHATAPI is no dict · E002 unknown name · E003 wrong type · E004 no such bot · E005 out of range."""
    chatapi = getattr(settings, "CHATAPI", {})
    if not isinstance(chatapi, Mapping):
        return [Error("CHATAPI must be a dict.", hint="CHATAPI = {}", id="django_chatapi.E001")]
    problems: list[CheckMessage] = []
    types = typing.get_type_hints(Defaults)
    for name, value in chatapi.items():
        if name not in types:
            near = difflib.get_close_matches(str(name).upper(), types, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(types)}."
            problems.append(Error(f"CHATAPI has no setting {name}.", hint=hint, id="django_chatapi.E002"))
        elif not _fits(value, types[name]):
            problems.append(
                Error(
                    f"CHATAPI['{name}'] is {value!r}, of type {type(value).__name__}.",
                    hint=f"The type is {_name(types[name])}, the default {getattr(Defaults, name)!r}.",
                    id="django_chatapi.E003",
                )
            )
        elif reason := _out_of_range(name, value):
            problems.append(Error(f"CHATAPI['{name}'] is {value!r}.", hint=reason, id="django_chatapi.E005"))
    if problems:
        return problems
    for name in dict.fromkeys([*registered(), chatapi_settings.DEFAULT_BOT]):
        try:
            bot_class(name)
        except UnknownBot as error:
            hint = "Name a django_chatapi.bots.Bot class or a function by its dotted path."
            problems.append(Error(str(error), hint=hint, id="django_chatapi.E004"))
    return problems


def check_connections(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W001 persistent connections under ASGI · W002 SQLite that upgrades its locks."""
    problems: list[CheckMessage] = []
    for alias, database in settings.DATABASES.items():
        options = database.get("OPTIONS") or {}
        if getattr(settings, "ASGI_APPLICATION", None) and database.get("CONN_MAX_AGE", 0) != 0:
            problems.append(
                Warning(
                    f"The database “{alias}” keeps connections open (CONN_MAX_AGE) and the site runs under ASGI, "
                    "where each request has a thread of its own: connections pile up until the server refuses.",
                    hint='Set CONN_MAX_AGE to 0 and, with psycopg, OPTIONS = {"pool": True}.',
                    id="django_chatapi.W001",
                )
            )
        if str(database.get("ENGINE", "")).endswith("sqlite3") and options.get("transaction_mode") != "IMMEDIATE":
            problems.append(
                Warning(
                    f"The SQLite database “{alias}” starts its transactions as readers: a host that reads "
                    "before it writes in one gets “database is locked” under load.",
                    hint='Set OPTIONS = {"transaction_mode": "IMMEDIATE"} and switch to WAL in its init_command.',
                    id="django_chatapi.W002",
                )
            )
    return problems


def _fits(value: Any, expected: Any) -> bool:
    options = typing.get_args(expected) if typing.get_origin(expected) not in (Mapping, None) else (expected,)
    kinds = tuple(typing.get_origin(option) or option for option in options)
    if isinstance(value, bool) and bool not in kinds:
        return False
    return isinstance(value, (*kinds, int) if float in kinds else kinds)


def _out_of_range(name: str, value: Any) -> str | None:
    """What is wrong with a value of the right type, if anything."""
    if name == "THROTTLE_RATE" and value is not None and not _RATE.fullmatch(value):
        return "Write a number of calls per second, minute, hour or day, such as 600/min."
    if isinstance(value, (int, float)) and value < 0:
        return "Give it zero or more."
    if name == "ANSWER_LEASE" and not value:
        return "Give it some seconds: claims are renewed three times in this span."
    return None


def _name(expected: Any) -> str:
    return getattr(expected, "__name__", None) or str(expected)


def install() -> None:
    register(check_settings, "django_chatapi")
    register(check_connections, "django_chatapi")
