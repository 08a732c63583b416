"""Where the processor time of a POST goes, layer by layer."""

import cProfile
import pstats
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from django.test import Client

POSTS = 300
#: The first part of a file's path that fits names its layer.
LAYERS = {
    "django_chatapi": "/django_chatapi/",
    "the floor's view": "/benchmarks/",
    "psycopg": "/psycopg",
    "django.db": "/django/db/",
    "Django REST framework": "/rest_framework/",
    "the rest of Django": "/django/",
    "Python's library": "",
}
#: A function as pstats names it: file, line, name.
Function = tuple[str, int, str]


def print_layers(paths: dict[str, str], body: dict[str, Any]) -> None:
    """Profile POSTs in this process, through Django's test client.

    Waiting for PostgreSQL does not count. The profiler makes each call of a Python function dearer, and so
    overstates layers of many small functions.
    """
    http = Client(headers={"host": "localhost"})
    stats = {
        name: profiled(partial(http.post, path, body, content_type="application/json"))
        for name, path in paths.items()
    }
    layers = {name: by_layer(each) for name, each in stats.items()}
    print("CPU milliseconds of a POST under the profiler, by the layer that spends them")
    print(f"  {'':24} {'chatapi':>8} {'floor':>8}")
    for layer in LAYERS:
        print(f"  {layer:24} {layers['chatapi'][layer]:8.2f} {layers['floor'][layer]:8.2f}")
    print(f"  {'together':24} {layers['chatapi'].total():8.2f} {layers['floor'].total():8.2f}")
    print("the package's functions, with all that they call")
    print_own(stats["chatapi"])


def profiled(call: Callable[[], Any]) -> dict[Function, Any]:
    for _ in range(20):
        call()
    profiler = cProfile.Profile(time.thread_time)
    profiler.enable()
    for _ in range(POSTS):
        call()
    profiler.disable()
    stats: dict[Function, Any] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    return stats


def by_layer(stats: dict[Function, Any]) -> Counter[str]:
    """CPU milliseconds of one POST; what is written in C counts for the function that calls it."""
    layers: Counter[str] = Counter()
    for (file, _line, _name), (_calls, _primitive, own, _cumulative, callers) in stats.items():
        spent = {file: own} if file != "~" else Counter()
        if file == "~":
            for (calling_file, _, _), (_, _, part, _) in callers.items():
                spent[calling_file] += part
        for spender, seconds in spent.items():
            layers[layer_of(spender)] += seconds * 1000 / POSTS
    return layers


def layer_of(file: str) -> str:
    return next(layer for layer, part in LAYERS.items() if part in file)


def print_own(stats: dict[Function, Any]) -> None:
    own = {
        f"{Path(file).stem}.{name}": (calls, cumulative)
        for (file, _line, name), (calls, _, _, cumulative, _) in stats.items()
        if layer_of(file) == "django_chatapi" and not name.startswith("<")
    }
    for name, (calls, cumulative) in sorted(own.items(), key=lambda item: -item[1][1])[:25]:
        print(f"  {name:24} {cumulative * 1000 / POSTS:8.2f}  x{calls / POSTS:g}")
