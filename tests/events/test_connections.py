"""How many connections to the database the ASGI door uses for its polls."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.db import connection

from django_chatapi.actions.turns import client_for
from django_chatapi.models import Connection
from tests import servers

from .helpers import answers, say, site

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="PostgreSQL names its connections"),
]

POLLS = 30


@pytest.fixture
def held(channel):
    """Start a server and hold polls there; gives the channel's address and the futures of the responses."""
    client_for(channel=channel, client_id="ann")
    with ThreadPoolExecutor(POLLS) as threads:

        def hold(address, count):
            path = f"{address}/chatapi/{channel.token}"

            def poll(cid, timeout=60):
                query = {"clientId": "ann", "cid": cid, "timeout": timeout}
                return httpx.get(f"{path}/events", params=query, timeout=80).json()

            polls = [threads.submit(poll, cid) for cid in range(count)]
            servers.wait_until(lambda: Connection.objects.count() == count, what="the polls' begin")
            assert poll("comes behind all others", 0)["events"] == []
            return path, polls

        yield hold


def open_connections(name):
    """How many connections to the database are open under a name."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name])
        return cursor.fetchone()[0]


def test_polls_leave_the_connections_of_a_pool_to_requests(held):
    pool = {"min_size": 1, "max_size": 4, "timeout": 5}  # as many as there are threads for events
    with site(env={"CHATAPI_TEST_POOL": json.dumps(pool)}) as (address, _):
        path, polls = held(address, 4)
        say("ann", "hello")
        assert [answers(poll.result()) for poll in polls] == [["hello"]] * 4

        sent = [httpx.post(path, json={"clientId": "ann", "query": "hi"}, timeout=30) for _ in range(3)]

        assert [response.status_code for response in sent] == [200] * 3


@pytest.mark.parametrize("pool", [None, {"min_size": 0, "max_size": 20}], ids=["without a pool", "with a pool"])
def test_any_number_of_polls_is_held_with_a_few_connections(pool, held):
    name = "chatapi-held"
    env = {"DATABASE_URL": f"{servers.test_database_url()}&application_name={name}"}
    if pool:
        env["CHATAPI_TEST_POOL"] = json.dumps(pool)
    with site(env=env, EVENTS_DB_THREADS=4) as (address, _):
        _path, polls = held(address, POLLS)
        most = open_connections(name)
        say("ann", "hello")
        received = []
        while len(received) < POLLS:
            most = max(most, open_connections(name))
            received = [answers(poll.result()) for poll in polls if poll.done()]

    assert received == [["hello"]] * POLLS
    assert 0 < most <= 4
