"""What the tests read out of a page."""

import contextlib
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

from django.db import connection
from django.http import HttpResponse
from django.test import Client as HTTPClient
from django.test.utils import CaptureQueriesContext
from django.urls import reverse


def url(model: str, page: str = "changelist", *args: Any) -> str:
    return reverse(f"admin:django_chatapi_{model}_{page}", args=args)


def html(http: HTTPClient, path: str, **query: Any) -> str:
    response = http.get(path, query)
    assert response.status_code == 200, response
    return response.content.decode()


def words(page: str) -> str:
    """The page as it is read: without markup, white space folded."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


def errors(response: HttpResponse) -> dict[str, list[str]]:
    assert response.status_code == 200, response
    return {name: list(texts) for name, texts in response.context["adminform"].form.errors.items()}


@contextlib.contextmanager
def queries() -> Iterator[list[str]]:
    """The SQL of a block."""
    statements: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield statements
    statements += [query["sql"] for query in captured]
