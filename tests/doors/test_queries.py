"""How many statements a call costs: never more for a longer talk."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.conftest import Caller

from .histories import START, make_history

pytestmark = pytest.mark.django_db(transaction=True)


def statements(call) -> list[str]:
    """What the call asks of the database, without the frames of its transactions."""
    with CaptureQueriesContext(connection) as captured:
        call()
    frames = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
    return [query["sql"] for query in captured.captured_queries if not query["sql"].startswith(frames)]


@pytest.mark.parametrize("more", [{}, {"cid": "tab 1"}, {"data": {"a": 1}}])
def test_a_request_of_a_known_client_costs_at_most_eight(caller, more):
    caller.send("hi", **more)

    costs = [statements(lambda: caller.send("hi", **more)) for _ in range(2)]

    assert len(costs[0]) == len(costs[1]) <= 8, "\n".join(costs[0])


def test_a_request_costs_the_same_however_long_the_history_is(channel, caller):
    make_history(channel, "short", 2)
    make_history(channel, "long", 3000)

    short = statements(lambda: caller.send("hi", client_id="short"))
    long = statements(lambda: caller.send("hi", client_id="long"))

    assert len(short) == len(long) <= 8


def test_a_repeated_request_costs_no_more_than_the_first(caller):
    caller.send("hi")
    calls = [
        statements(lambda: caller.post(body={"clientId": "test", "query": "hi"}, headers={"Idempotency-Key": "k"}))
        for _ in range(2)
    ]

    assert len(calls[1]) <= len(calls[0]) <= 8


@pytest.mark.parametrize("limit", [1, 10, 1000])
def test_a_page_of_history_costs_the_same_whatever_it_holds(channel, caller, limit):
    make_history(channel, "short", 2)
    make_history(channel, "long", 3000)
    times = {"from": str(int(START.timestamp() * 1000)), "to": str(int(START.timestamp() * 1000) + 2000)}

    for query in ({}, times, {"cursor": caller.history("long", limit=1)["cursor"]}):
        costs = [
            len(
                statements(
                    lambda client_id=client_id, query=query: caller.history(client_id, limit=limit, **query)
                )
            )
            for client_id in ("short", "long")
        ]
        assert costs[0] == costs[1] <= 5


def test_everything_costs_one_query_for_some_hundred_messages(channel, caller):
    make_history(channel, "short", 2)
    make_history(channel, "long", 3000)

    short, long = (len(statements(lambda name=name: caller.history(name))) for name in ("short", "long"))

    assert long - short <= 3000 / 100


@pytest.mark.parametrize(
    "path",
    [["message-not-read-count"], ["state"]],
    ids=lambda path: path[0],
)
def test_a_look_costs_the_same_however_long_the_history_is(channel, caller, path):
    for client_id, count in (("short", 2), ("long", 3000)):
        make_history(channel, client_id, count)
        caller.post("client", client_id, "state", body=1)

    short, long = (
        len(statements(lambda name=name: caller.get("client", name, *path))) for name in ("short", "long")
    )

    assert short == long <= 3


def test_a_thousand_statuses_cost_no_more_than_ten(channel, caller):
    make_history(channel, "ann", 2000)
    ids = [
        item["event"]["questionId"]
        for page in (caller.history("ann"),)
        for item in page["messages"]
        if item["type"] == "botResponse"
    ]

    def report(names: list[str], status: str):
        items = [{"questionId": name, "status": status} for name in names]
        return lambda: caller.post("client", "ann", "message-statuses", body={"statuses": items})

    few, many = statements(report(ids[:10], "READ")), statements(report(ids, "DELIVERED"))

    assert len(few) <= 6
    # SQLite takes a limited number of values in one statement, so that many are written in a few.
    assert len(many) <= len(few) + 10


def test_an_unknown_token_costs_at_most_two(channel):
    stranger = Caller(channel)
    stranger.token = "x" * 40

    assert len(statements(lambda: stranger.get(clientId="ann", query="hi"))) <= 2
