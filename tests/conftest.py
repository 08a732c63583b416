"""What most tests need: a channel, and a caller of the API."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import hypothesis
import pytest
from django.db import OperationalError
from django.db.backends.base.operations import BaseDatabaseOperations
from django.http import HttpResponse
from django.test import Client as HTTPClient

from django_chatapi import queueing
from django_chatapi.actions import channels
from django_chatapi.models import Channel

# How long an example takes says nothing on a machine that runs other tests beside it.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


#: How often emptying the database may lose a deadlock, at a second each.
TURNS = 10


@pytest.fixture(scope="session", autouse=True)
def emptied_beside_servers() -> Iterator[None]:
    """A server may still store what a test asked of it last, while the database is emptied after that test.

    TRUNCATE locks table after table, so one of both can lose a deadlock; as whoever loses one, it begins again
    (PostgreSQL manual, 13.3.4).
    """
    empty = BaseDatabaseOperations.execute_sql_flush

    def empty_at_last(operations: BaseDatabaseOperations, sql_list: list[str]) -> None:
        for _ in range(TURNS - 1):
            with contextlib.suppress(OperationalError):
                return empty(operations, sql_list)
        return empty(operations, sql_list)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseDatabaseOperations, "execute_sql_flush", empty_at_last)
        yield


class Caller:
    """Calls the API of one channel, as an app or a web page would."""

    def __init__(self, channel: Channel, **headers: str) -> None:
        self.token = channel.token
        self.headers = headers
        self.http = HTTPClient(raise_request_exception=False)

    def path(self, *parts: str) -> str:
        return "/".join(["/chatapi", quote(self.token, safe=":"), *(quote(part, safe="") for part in parts)])

    def get(self, *parts: str, headers: dict[str, str] | None = None, **query: Any) -> HttpResponse:
        return self._kept(self.http.get(self.path(*parts), query, headers={**self.headers, **(headers or {})}))

    def post(
        self, *parts: str, body: Any = None, headers: dict[str, str] | None = None, **query: Any
    ) -> HttpResponse:
        """POST a JSON body; bytes and text are sent as they are."""
        content = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return self._kept(
            self.http.post(
                self.path(*parts),
                content,
                content_type="application/json",
                query_params=query,
                headers={**self.headers, **(headers or {})},
            )
        )

    def send(self, query: str | None = None, client_id: str = "test", **more: Any) -> dict[str, Any]:
        """Send a request that has to succeed; return the envelope."""
        body = {"clientId": client_id, **({"query": query} if query is not None else {}), **more}
        response = self.post(body=body)
        assert response.status_code == 200, response.content
        return response.json()

    def history(self, client_id: str = "test", **query: Any) -> dict[str, Any]:
        response = self.get("client", client_id, "history", **query)
        assert response.status_code == 200, response.content
        return json.loads(response.content)

    def _kept(self, response: Any) -> Any:
        """A streamed response read to its end, as any HTTP client does."""
        if response.streaming:
            content = b"".join(response.streaming_content)
            read = HttpResponse(content, status=response.status_code, headers=dict(response.headers))
            read.json = lambda: json.loads(content)  # type: ignore[attr-defined]
            return read
        return response


@pytest.fixture
def make_channel(db: None) -> Callable[..., Channel]:
    """Make a channel; the echo bot unless told otherwise."""

    def make(**fields: Any) -> Channel:
        return channels.create(**{"name": "Test", "bot": "echo", **fields})

    return make


@pytest.fixture
def channel(make_channel: Callable[..., Channel]) -> Channel:
    return make_channel()


@pytest.fixture
def caller(channel: Channel) -> Caller:
    return Caller(channel)


@pytest.fixture
def nothing_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody queues tasks: the test runs what is to be run."""
    monkeypatch.setattr(queueing, "_nudge", lambda task, pk: None)
