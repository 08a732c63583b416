"""What callers are told while the database is away, and when it is back."""

import logging
import os
import subprocess
import sys

import httpx
import pytest
from django.db import IntegrityError, InterfaceError, OperationalError, ProgrammingError, connection

from django_chatapi.exceptions import ServiceUnavailable
from tests.servers import ROOT, environment, postgresql_server, printed, wait_until, web_server

from .endpoints import ENDPOINTS

UNAVAILABLE = {"error": "service_unavailable", "message": str(ServiceUnavailable.message)}


# Every endpoint, with a database that fails each query


def failing(error):
    """Every query ends with this error, until the end of the ``with``."""

    def fail(*_):
        raise error

    return connection.execute_wrapper(fail)


@pytest.mark.django_db
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
@pytest.mark.parametrize("error", [OperationalError, InterfaceError], ids=lambda error: error.__name__)
def test_every_endpoint_tells_callers_to_come_again(endpoint, error, caller, caplog):
    caplog.set_level(logging.DEBUG)
    with failing(error("connection to the server was lost")):
        response = endpoint.call(caller)

    assert (response.status_code, response.json()) == (503, UNAVAILABLE)
    assert int(response["Retry-After"]) > 0
    assert response["Cache-Control"] == "private, no-store"
    ours = [record for record in caplog.records if record.name.startswith("django_chatapi")]
    [told] = [record for record in ours if record.levelno > logging.INFO]
    assert error.__name__ in told.getMessage()
    assert caller.token not in told.getMessage()
    assert [record.levelname for record in ours if record.exc_info] == ["DEBUG"]


@pytest.mark.django_db
@pytest.mark.parametrize("error", [ProgrammingError, IntegrityError], ids=lambda error: error.__name__)
def test_a_mistake_in_a_query_is_no_outage(error, caller):
    with failing(error("no such thing")):
        response = caller.get("client", "ann", "history")

    assert (response.status_code, response.json()["error"]) == (500, "internal_error")
    assert "Retry-After" not in response


# Real servers, whose database is really gone


def manage(server, *args):
    run = [sys.executable, "manage.py", *args]
    env = {**environment(), "DATABASE_URL": server.url}
    return subprocess.run(run, cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE).stdout.decode()


@pytest.fixture(scope="module")
def database():
    if "sqlite" in os.environ["DATABASE_URL"]:
        pytest.skip("SQLite has no server that could be gone")
    with postgresql_server() as server:
        manage(server, "migrate", "--verbosity", "0")
        yield server


@pytest.fixture(scope="module")
def token(database):
    make = "from django_chatapi.actions import channels; print(channels.create(name='Out', bot='echo').token)"
    return manage(database, "shell", "--no-imports", "-c", make).split()[-1]


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_server_whose_database_is_gone_says_so_and_recovers(kind, database, token):
    with web_server(kind, DATABASE_URL=database.url) as (address, running):
        path = f"{address}/chatapi/{token}"

        def send():
            return httpx.post(path, json={"clientId": "ann", "query": "hi"}, timeout=20)

        def poll():
            return httpx.get(f"{path}/events", params={"clientId": "ann", "timeout": 0}, timeout=20)

        assert (send().status_code, poll().status_code) == (200, 200)
        database.stop()
        try:
            refused = [call() for _ in range(3) for call in (send, poll)]
        finally:
            database.restart()

        for response in refused:
            assert (response.status_code, response.json()) == (503, UNAVAILABLE)
            assert int(response.headers["retry-after"]) > 0
            assert response.headers["content-type"].startswith("application/json")
        for call in (send, poll):
            wait_until(lambda call=call: call().status_code == 200, what=f"the return of {call.__name__}")
        log = printed(running)
        assert "OperationalError in" in log
        assert "Traceback" not in log
        assert token not in log
