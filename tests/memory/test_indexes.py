"""The queries that every call makes find their rows by an index, and never sort."""

import datetime as dt
import re

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from django_chatapi import selectors
from django_chatapi.actions import requests
from django_chatapi.constants import AnswerState, Status
from django_chatapi.models import Client, Message
from tests.doors.histories import MILLISECOND, START, make_history

COUNT = 5000
#: SQLite names no constraints.
BY_NUMBER = "client_id=? AND sequence" if connection.vendor == "sqlite" else "chatapi_message_sequence"


@pytest.fixture
def client(channel) -> Client:
    """One long talk among many short ones, all read to the end but for its last answers, all requests closed."""
    client = make_history(channel, "ann", COUNT)
    for number in range(10):
        make_history(channel, f"other {number}", 100)
    Message.objects.filter(status__isnull=False, sequence__lte=COUNT - 10).update(status=Status.READ)
    with connection.cursor() as cursor:
        if connection.vendor != "mysql":  # which keeps its statistics by itself
            cursor.execute("ANALYZE")
    return client


def selected(call, model=Message) -> list[tuple[str, str]]:
    """Each query that the call makes on messages, or on another model, and how the database means to answer it."""
    queries = []

    def note(execute, sql, params, many, context):
        if sql.startswith("SELECT") and model._meta.db_table in sql:
            queries.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        call()
    assert queries
    return [(sql, plan(sql, params)) for sql, params in queries]


def plan(sql: str, params) -> str:
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}", params)
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


def check(call, index: str | None = None) -> None:
    for sql, steps in selected(call):
        if connection.vendor == "sqlite":
            assert "SCAN" not in steps, (sql, steps)
            assert "TEMP B-TREE FOR ORDER BY" not in steps, (sql, steps)
        else:
            assert "Seq Scan" not in steps, (sql, steps)
            # What is left to sort is the messages of one millisecond.
            assert not re.search(r"(?<!Incremental )Sort  \(", steps), (sql, steps)
        if index:
            assert index in steps, (sql, steps)


def test_a_page_of_history_is_read_by_its_numbers(client):
    for after in (0, COUNT // 2, COUNT - 5):
        span = selectors.history_span(client, after=after)
        check(lambda span=span: selectors.history_page(span, 101), BY_NUMBER)


def test_a_span_of_time_is_found_by_its_ends(client):
    for number in (0, COUNT // 2, COUNT - 1):
        moment = START + number * MILLISECOND
        check(lambda moment=moment: selectors.history_span(client, since=moment), "chatapi_message_time")
        check(lambda moment=moment: selectors.history_span(client, before=moment), "chatapi_message_time")


def test_the_last_messages_are_read_by_their_numbers(client):
    check(lambda: selectors.latest_message(client, COUNT + 1), BY_NUMBER)
    check(lambda: selectors.recent_history(client, COUNT + 1, 20), BY_NUMBER)


def test_answers_are_found_by_their_id(client):
    question_id = Message.objects.filter(client=client).last().question_id

    for sql, steps in selected(lambda: selectors.answers_to(client, [question_id])):
        assert "chatapi_message_question" in steps, (sql, steps)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL tells how it counts")
def test_what_is_not_read_is_counted_by_the_index_of_what_is_not_read(client):
    assert selectors.unread_count(client) == 5

    for sql, steps in selected(lambda: selectors.unread_count(client)):
        assert "chatapi_message_unread" in steps, (sql, steps)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite chooses without looking at the values")
def test_the_sweep_reads_the_index_of_open_requests(client):
    left = Message.objects.filter(client=client, type="request").order_by("-sequence")[:2]
    old = timezone.now() - dt.timedelta(minutes=5)
    states = (AnswerState.PENDING, AnswerState.PARTIAL)
    for message, state in zip(left, states, strict=True):
        Message.objects.filter(pk=message.pk).update(answer_state=state, lease_expires_at=old)

    assert len(selectors.left_requests()) == 2
    check(selectors.left_requests, "chatapi_message_open")


def test_an_idempotency_key_is_found_by_its_index(client):
    def repeat():
        for _ in range(2):
            requests.accept(channel=client.channel, client_id="ann", query="hi", idempotency_key="k")

    looked_up = [steps for sql, steps in selected(repeat) if '"idempotency_key" =' in sql]
    assert len(looked_up) == 2
    for steps in looked_up:
        assert "chatapi_message_idempotency" in steps


def test_the_order_of_a_history_comes_with_the_index(client):
    page: QuerySet = Message.objects.filter(client=client, sequence__gt=10).order_by("sequence")[:100]

    check(lambda: list(page))
