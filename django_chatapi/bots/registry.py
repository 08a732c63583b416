"""Bots by name."""

import difflib
import inspect
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.utils.module_loading import import_string

from ..conf import chatapi_settings
from ..models import Channel
from .base import Bot
from .function import FunctionBot

BUILT_IN = {
    "echo": "django_chatapi.bots.EchoBot",
    "recorded": "django_chatapi.bots.RecordedBot",
    "function": "django_chatapi.bots.FunctionBot",
    "http": "django_chatapi.bots.HttpBot",
}


class UnknownBot(LookupError):
    """No bot can be had under this name. The message says why and names the fix."""


class InvalidOptions(ValueError):
    """The options are not what the bot takes; ``errors`` has a list of sentences for each field."""

    def __init__(self, errors: dict[str, Any]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{name}: {_flat(reasons)}" for name, reasons in errors.items()))


def registered() -> dict[str, str]:
    """Names and dotted paths of all bots: the built-in ones and those of ``CHATAPI["BOTS"]``."""
    return {**BUILT_IN, **chatapi_settings.BOTS}


def bot_class(name: str) -> tuple[type[Bot], dict[str, Any]]:
    """The class behind a name, and the options that its entry brings along.

    Raises:
        UnknownBot: there is no such name, or its path does not lead to a bot.
    """
    paths = registered()
    if name not in paths:
        near = difflib.get_close_matches(name, paths, n=1)
        hint = f" Did you mean “{near[0]}”?" if near else f" Known: {', '.join(sorted(paths))}."
        raise UnknownBot(f"CHATAPI['BOTS'] has no bot “{name}”.{hint}")
    try:
        target = import_string(str(paths[name]))
    except Exception as error:  # not only ImportError: importing runs the host's code
        reason = f"{type(error).__name__}: {error}"
        raise UnknownBot(f"CHATAPI['BOTS']['{name}'] cannot be imported. {reason}") from error
    if inspect.isclass(target) and issubclass(target, Bot):
        return target, {}
    if inspect.isfunction(target):
        return FunctionBot, {"function": paths[name]}
    raise UnknownBot(f"CHATAPI['BOTS']['{name}'] ({paths[name]}) is neither a Bot class nor a function.")


def validate_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the bot will see them, defaults filled in.

    Raises:
        UnknownBot, InvalidOptions
    """
    cls, entry_options = bot_class(name)
    serializer = cls.Options(data={**options, **entry_options})
    errors: dict[str, Any] = {}
    own = set(serializer.fields) - set(entry_options)
    for key in sorted(set(options) - own):
        near = difflib.get_close_matches(key, own, n=1)
        errors[key] = [f"Unknown option. Did you mean “{near[0]}”?" if near else "Unknown option."]
    if not serializer.is_valid():
        errors |= dict(serializer.errors)
    if errors:
        raise InvalidOptions(errors)
    return dict(serializer.validated_data)


def bot_for(channel: Channel) -> Bot:
    """The bot of a channel; the same instance for the same settings.

    Raises:
        UnknownBot, InvalidOptions
    """
    entry = json.dumps([registered().get(channel.bot), channel.bot_options], sort_keys=True)
    return _instance(channel.pk, channel.bot, entry)


@lru_cache(maxsize=1024)
def _instance(channel_pk: int, name: str, entry: str) -> Bot:
    # All of it is in the key: a change of the settings or of the channel makes a new instance.
    cls, _entry_options = bot_class(name)
    return cls(validate_options(name, json.loads(entry)[1]))


def _flat(reasons: Any) -> str:
    if isinstance(reasons, Mapping):
        return "; ".join(f"{key}: {_flat(value)}" for key, value in reasons.items())
    if isinstance(reasons, list):
        return " ".join(_flat(reason) for reason in reasons)
    return str(reasons)
