"""System checks: what is wrong with the host's settings, and how to mend it."""

import difflib
import ipaddress
import math
import re
import typing
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from celery import current_app
from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import router

from .bots.registry import UnknownBot, bot_class, registered
from .conf import Defaults, chatapi_settings
from .models import Dialog

#: The task that has to be scheduled.
SWEEP = "django_chatapi.tasks.sweep"
#: Twice the longest time that a task of this app stands in a queue, in seconds.
MIN_VISIBILITY_TIMEOUT = 120
#: The channel layer that ends with its process.
IN_MEMORY = "channels.layers.InMemoryChannelLayer"

#: What Django REST framework reads: of the unit, it looks at the first letter only.
_RATE = re.compile(r"\d+/[smhd][a-z]*", re.ASCII)

_AT_LEAST_ONE = (
    "EVENTS_DB_THREADS",
    "WEBHOOK_CONCURRENCY",
    "WEBHOOK_MAX_ITEMS",
    "WEBHOOK_MAX_BYTES",
    "WEBHOOK_CIRCUIT_FAILURES",
)


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
    lease = chatapi_settings.WEBHOOK_LEASE
    if lease < 2 * chatapi_settings.WEBHOOK_TIMEOUT:
        hint = "Give it twice WEBHOOK_TIMEOUT or more: what is being sent must not be sent by others too."
        problems.append(Error(f"CHATAPI['WEBHOOK_LEASE'] is {lease!r}.", hint=hint, id="django_chatapi.E005"))
    for name in dict.fromkeys([*registered(), chatapi_settings.DEFAULT_BOT]):
        try:
            bot_class(name)
        except UnknownBot as error:
            hint = "Name a django_chatapi.bots.Bot class or a function by its dotted path."
            problems.append(Error(str(error), hint=hint, id="django_chatapi.E004"))
    return problems


def check_agents(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W007 agents whose users are on another database."""
    if router.db_for_write(Dialog) == router.db_for_write(get_user_model()):
        return []
    return [
        Warning(
            "The routers put the users of this site on another database than its chats: nobody can be an agent, "
            "and Django cannot delete users, since it looks for their dialogs beside them.",
            hint="Have DATABASE_ROUTERS put django_chatapi on the database of the users.",
            id="django_chatapi.W007",
        )
    ]


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
                    hint='Set CONN_MAX_AGE to 0 and, with psycopg, OPTIONS = {"pool": {"min_size": 2, '
                    '"max_size": 20}}: as many as requests are answered at once, and EVENTS_DB_THREADS more.',
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


def check_celery(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W003 no sweep · W004 results kept · W005 short visibility timeout · W006 redis-py 8 with channels_redis."""
    problems: list[CheckMessage] = []
    conf = current_app.conf
    # What stands in a database is not looked at: checks run before there is one.
    in_database = "django_celery_beat" in settings.INSTALLED_APPS or "database" in str(conf.beat_scheduler).lower()
    scheduled = [entry.get("task") for entry in dict(conf.beat_schedule or {}).values()]
    if SWEEP not in scheduled and not in_database:
        problems.append(
            Warning(
                "Celery beat does not run the sweep: what a killed worker or a lost task leaves behind is not "
                "answered, and webhooks are not resent.",
                hint=f'CELERY_BEAT_SCHEDULE = {{"chatapi-sweep": {{"task": "{SWEEP}", "schedule": 5.0}}}}, in a '
                "Celery application that the site's package imports.",
                id="django_chatapi.W003",
            )
        )
    if conf.result_backend and conf.task_store_errors_even_if_ignored:
        problems.append(
            Warning(
                "Celery keeps the errors of tasks that ignore their results: those of this app pile up unread.",
                hint="Set CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = False.",
                id="django_chatapi.W004",
            )
        )
    timeout = dict(conf.broker_transport_options or {}).get("visibility_timeout")
    if _is_redis(conf.broker_url) and timeout is not None and timeout < MIN_VISIBILITY_TIMEOUT:
        problems.append(
            Warning(
                f"The broker's visibility_timeout is {timeout} s: what waits for longer is handed out twice.",
                hint=f"Give it {MIN_VISIBILITY_TIMEOUT} s or more, or leave it at Celery's own hour.",
                id="django_chatapi.W005",
            )
        )
    layers = getattr(settings, "CHANNEL_LAYERS", {}).values()
    if any("channels_redis" in str(layer.get("BACKEND")) for layer in layers) and _redis_major() >= 8:
        problems.append(
            Warning(
                "redis-py 8 gives every read five seconds, which breaks the waiting of channels_redis 4.3.",
                hint="pip install 'redis<8'",
                id="django_chatapi.W006",
            )
        )
    return problems


def check_layer(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W008 no channel layer that reaches other processes. For deployments only: one process needs none."""
    layer = getattr(settings, "CHANNEL_LAYERS", {}).get("default", {})
    if layer.get("BACKEND", IN_MEMORY) != IN_MEMORY:
        return []
    return [
        Warning(
            "No channel layer reaches other processes: events and the agents' console learn of what these stored "
            "up to EVENTS_SWEEP seconds late.",
            hint='pip install \'django-chatapi[redis]\', and set CHANNEL_LAYERS = {"default": {"BACKEND": '
            '"channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": ["redis://localhost:6379/0"]}}}.',
            id="django_chatapi.W008",
        )
    ]


def _is_redis(url: Any) -> bool:
    return str(url or "").startswith(("redis", "valkey"))


def _redis_major() -> int:
    try:
        return int(metadata.version("redis").split(".")[0])
    except (metadata.PackageNotFoundError, ValueError):
        return 0


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
    if isinstance(value, float) and not math.isfinite(value):
        return "Give it a finite number."
    if isinstance(value, (int, float)) and value < 0:
        return "Give it zero or more."
    if name == "CID_FILTER" and value not in ("exclude", "only"):
        return 'Write "exclude" or "only".'
    if name == "ANSWER_LEASE" and not value:
        return "Give it some seconds: claims are renewed three times in this span."
    if name == "BOT_TIMEOUT" and not value:
        return "Give it some seconds: longer than any bot takes over a request."
    if name in _AT_LEAST_ONE and value < 1:
        return "Give it one or more."
    if name == "WEBHOOK_RETRY_SCHEDULE" and value is not None and not all(_is_seconds(pause) for pause in value):
        return "Write pauses in seconds, such as [3, 30, 300]."
    if name == "WEBHOOK_ALLOWED_NETWORKS":
        return _unreadable_network(value)
    return None


def _is_seconds(pause: Any) -> bool:
    return isinstance(pause, (int, float)) and not isinstance(pause, bool) and 0 <= pause < math.inf


def _unreadable_network(networks: Sequence[Any]) -> str | None:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            return f"{error}. Write networks such as 10.0.0.0/8."
    return None


def _name(expected: Any) -> str:
    return getattr(expected, "__name__", None) or str(expected)


def install() -> None:
    register(check_settings, "django_chatapi")
    register(check_connections, "django_chatapi")
    register(check_celery, "django_chatapi")
    register(check_agents, "django_chatapi")
    register(check_layer, "django_chatapi", deploy=True)
