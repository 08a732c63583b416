"""One client's messages: numbered 1 to n in the order of their commits, at times that never go back."""

import datetime as dt
import itertools
import threading
from types import SimpleNamespace

import pytest
from django.db import IntegrityError, connection, transaction

from django_chatapi.actions import answers, asking, requests, states, turns
from django_chatapi.models import Client, Message
from tests.acts.conftest import together

UTC = dt.timezone.utc
#: SQLite has one writer at a time, and others wait by polling.
THREADS = 50 if connection.vendor != "sqlite" else 8


def numbers(client_id="ann"):
    return list(
        Message.objects.filter(client__client_id=client_id).order_by("sequence").values_list("sequence", flat=True)
    )


def times(client_id="ann"):
    messages = Message.objects.filter(client__client_id=client_id).order_by("sequence")
    return list(messages.values_list("created_at", flat=True))


@pytest.mark.django_db(transaction=True)
def test_a_crowd_of_threads_as_one_client_is_numbered_without_gap_or_repeat(channel):
    def send():
        accepted = requests.accept(channel=channel, client_id="ann", query="hi")
        return asking.ask(request=accepted.request)

    outcomes = together(*[send] * THREADS)

    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert numbers() == list(range(1, 2 * THREADS + 1))
    assert times() == sorted(times())
    assert Client.objects.get().last_sequence == 2 * THREADS
    # Every answer stands behind its request, and is the only one to it.
    order = list(Message.objects.order_by("sequence").values_list("question_id", "type"))
    requested = {question_id: place for place, (question_id, kind) in enumerate(order) if kind == "request"}
    answered = {question_id: place for place, (question_id, kind) in enumerate(order) if kind == "botResponse"}
    assert requested.keys() == answered.keys()
    assert all(answered[question_id] > place for question_id, place in requested.items())
    assert len(order) == 2 * len(requested)


@pytest.mark.django_db(transaction=True)
def test_the_first_requests_of_a_client_may_come_at_once(channel):
    together(*[lambda: requests.accept(channel=channel, client_id="new", query="hi")] * 8)
    assert Client.objects.filter(client_id="new").count() == 1
    assert numbers("new") == list(range(1, 9))
    assert list(Message.objects.values_list("new_session", flat=True)).count(True) == 1


@pytest.mark.django_db(transaction=True)
def test_clients_do_not_share_their_numbers(channel):
    jobs = [
        lambda name=name: requests.accept(channel=channel, client_id=name, query="hi")
        for name in ["ann", "bob", "Ann"] * 4
    ]
    together(*jobs)
    assert numbers("ann") == numbers("bob") == numbers("Ann") == [1, 2, 3, 4]


@pytest.mark.django_db(transaction=True)
def test_the_control_reading_and_then_writing_without_the_lock_fails(channel, monkeypatch):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time, so that even the naive way holds there.")
    both_have_read = threading.Barrier(2)

    def naive_turn(client, change=None):
        client.refresh_from_db()
        both_have_read.wait(timeout=20)
        client.last_sequence += 1
        client.save(update_fields=["last_sequence"])
        return dt.datetime.now(UTC)

    turns.client_for(channel=channel, client_id="ann")
    monkeypatch.setattr(requests, "take_turn", naive_turn)
    outcomes = together(*[lambda: requests.accept(channel=channel, client_id="ann", query="hi")] * 2)

    assert sorted(type(outcome) for outcome in outcomes if isinstance(outcome, Exception)) == [IntegrityError]


def clock(monkeypatch, *moments):
    ticking = itertools.chain(moments, itertools.repeat(moments[-1]))
    monkeypatch.setattr(turns, "timezone", SimpleNamespace(now=lambda: next(ticking)))


@pytest.mark.django_db
def test_times_never_go_back_when_the_clock_does(channel, accept, monkeypatch):
    noon = dt.datetime(2030, 1, 1, 12, tzinfo=UTC)
    seconds = [0, -3600, 5, 4, -86_400, 6]
    clock(monkeypatch, *[noon + dt.timedelta(seconds=second) for second in seconds])
    for second in seconds:
        accept(channel, query=str(second))
    expected = [0, 0, 5, 5, 5, 6]
    assert times() == [noon + dt.timedelta(seconds=second) for second in expected]
    assert numbers() == [1, 2, 3, 4, 5, 6]


@pytest.mark.django_db(transaction=True)
def test_times_never_go_back_between_threads_whose_clocks_differ(channel, monkeypatch):
    local = threading.local()
    now = dt.datetime(2030, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(turns, "timezone", SimpleNamespace(now=lambda: now + dt.timedelta(seconds=local.skew)))

    def sender(skew):
        def send():
            local.skew = skew
            for _ in range(5):
                requests.accept(channel=channel, client_id="ann", query="hi")

        return send

    together(*[sender(skew) for skew in (0, -60, 30, -5, 7, 0)])
    assert numbers() == list(range(1, 31))
    assert times() == sorted(times())


@pytest.mark.django_db
def test_times_have_milliseconds_as_on_the_wire(channel, accept, monkeypatch):
    clock(monkeypatch, dt.datetime(2030, 1, 1, 0, 0, 0, 123_999, UTC))
    assert accept(channel).created_at == dt.datetime(2030, 1, 1, 0, 0, 0, 123_000, UTC)
    assert times() == [dt.datetime(2030, 1, 1, 0, 0, 0, 123_000, UTC)]


@pytest.mark.django_db
def test_what_is_rolled_back_leaves_no_gap(channel, accept):
    accept(channel)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        accept(channel)
        raise ZeroDivisionError
    accept(channel)
    assert numbers() == [1, 2]


@pytest.mark.django_db
def test_a_state_takes_a_number_too(channel, accept):
    accept(channel)
    state = states.save(channel=channel, client_id="ann", value=b"{}")
    assert state.sequence == 2
    accept(channel)
    assert numbers() == [1, 3]


@pytest.mark.django_db
def test_a_client_read_long_ago_takes_the_next_free_number(channel, accept):
    request = accept(channel)  # its client stands at number 1
    accept(channel)
    accept(channel)
    answer = asking.ask(request=request)
    assert answer.sequence == 4
    assert request.client.last_sequence == 4


@pytest.mark.django_db
def test_a_client_that_was_deleted_meanwhile_is_an_error_that_says_so(channel, accept):
    request = accept(channel)
    client = request.client
    Client.objects.all().delete()
    with pytest.raises(Client.DoesNotExist), transaction.atomic():
        turns.take_turn(client)
    with pytest.raises(answers.ClaimLost):
        answers.close(request=request, state="answered")
