from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache

from . import bots as bots_module


@pytest.fixture
def configure(settings: Any) -> Callable[..., None]:
    """Change ``CHATAPI`` settings for the rest of the test."""

    def change(**values: Any) -> None:
        settings.CHATAPI = {**settings.CHATAPI, **values}

    return change


@pytest.fixture
def bots(configure: Callable[..., None]) -> Iterator[Any]:
    """The bots of ``tests.doors.bots`` by their names in lower case: ``listener`` and so on."""
    names = ("Listener", "Dictated", "Steps", "Nonsense", "Patient")
    configure(BOTS={name.lower(): f"{bots_module.__name__}.{name}" for name in names})
    bots_module.reset()
    yield bots_module
    bots_module.go.set()


@pytest.fixture
def throttled(configure: Callable[..., None]) -> Iterator[None]:
    """One call a minute."""
    cache.clear()
    configure(THROTTLE_RATE="1/min")
    yield
    cache.clear()
