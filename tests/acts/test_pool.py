"""The threads in which slow bots think."""

import subprocess
import sys
import textwrap
import threading

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from django_chatapi.actions import asking, leases
from django_chatapi.bots import pool
from django_chatapi.bots.pool import BotPool
from django_chatapi.models import Message
from tests.acts.conftest import beside, dialogue, together
from tests.servers import ROOT, environment, wait_until


class Work:
    """Jobs that wait at a gate, and what became of them."""

    def __init__(self, gate):
        self.gate = gate
        self.begun = []
        self.ended = []
        self.threads = set()

    def job(self, number):
        def run():
            self.threads.add(threading.current_thread())
            self.begun.append(number)
            self.gate.wait()
            self.ended.append(number)

        return run


@pytest.fixture
def work(gate):
    return Work(gate)


def test_never_more_threads_than_its_size_and_every_job_is_done(work):
    threads = BotPool(3)
    for number in range(20):
        threads.submit(work.job(number))
    wait_until(lambda: len(work.begun) == 3)
    assert threads.drain(0) == 20
    assert len(work.begun) == 3
    work.gate.set()
    assert threads.drain(20) == 0
    assert sorted(work.ended) == list(range(20))
    assert len(work.threads) == 3


def test_jobs_are_begun_in_the_order_in_which_they_came(work):
    threads = BotPool(1)
    for number in range(20):
        threads.submit(work.job(number))
    work.gate.set()
    assert threads.drain(20) == 0
    assert work.begun == work.ended == list(range(20))


def test_threads_are_made_when_needed_and_used_again(work):
    threads = BotPool(8)
    work.gate.set()
    for number in range(10):
        threads.submit(work.job(number))
        assert threads.drain(20) == 0
    assert len(work.threads) == 1


@pytest.mark.parametrize(
    "error", [ValueError("a"), SystemExit(1), KeyboardInterrupt()], ids=lambda e: type(e).__name__
)
def test_a_job_that_fails_costs_no_thread(work, error):
    def failing():
        raise error

    threads = BotPool(1)
    for _ in range(3):
        threads.submit(failing)
    threads.submit(work.job(1))
    work.gate.set()
    assert threads.drain(20) == 0
    assert work.ended == [1]


def test_a_thread_that_cannot_be_had_is_an_error_and_counts_for_nothing(work, monkeypatch):
    def no_thread(self):
        raise RuntimeError("can't start new thread")

    threads = BotPool(2)
    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            threads.submit(work.job(1))
    assert threads.drain(0) == 0
    work.gate.set()
    threads.submit(work.job(2))
    assert threads.drain(20) == 0
    assert work.ended == [2]


@pytest.mark.django_db(transaction=True)
def test_a_request_that_finds_no_thread_is_left_to_the_sweep(told, accept, monkeypatch):
    request = accept(told(lambda question: "ok"))
    with monkeypatch.context() as crowded:
        crowded.setattr(pool, "submit", lambda job: (_ for _ in ()).throw(RuntimeError("can't start new thread")))
        with pytest.raises(RuntimeError):
            asking.ask(request=request)
    # Nobody renews the claim for ever.
    assert request.lease_holder not in leases._keeper._holders


@pytest.mark.django_db(transaction=True)
def test_a_question_that_has_to_queue_is_answered_in_its_turn(told, accept, gate, monkeypatch):
    monkeypatch.setattr(pool, "_pool", BotPool(2))
    thinking = []

    def answer(question):
        thinking.append(question.query)
        gate.wait()
        return question.query

    channel = told(answer, SYNC_TIMEOUT=300.0)
    asked = [accept(channel, str(number), client_id=f"client-{number}") for number in range(6)]
    callers = beside(lambda: together(*[lambda r=r: asking.ask(request=r) for r in asked]))
    wait_until(lambda: len(thinking) == 2 and pool._pool.drain(0) == 6, what="six questions, two of them asked")
    assert len(thinking) == 2
    gate.set()
    callers.join()
    assert sorted(thinking) == ["0", "1", "2", "3", "4", "5"]
    for number in range(6):
        assert dialogue(f"client-{number}")[1:] == [("botResponse", "response", str(number))]
    assert pool._pool.drain(20) == 0


@pytest.mark.django_db(transaction=True)
def test_an_async_bot_that_leaves_a_foreign_connection_behind_harms_nobody(told, accept, monkeypatch):
    monkeypatch.setattr(pool, "_pool", BotPool(1))

    async def answer(question):
        # A thread of nobody's: the connection that it opens cannot be closed by any other.
        return str(await sync_to_async(Message.objects.count, thread_sensitive=False)())

    def plain(question):
        return "ok"

    from tests.bots import Told

    channel = told(answer, SYNC_TIMEOUT=20.0)
    asking.ask(request=accept(channel))
    Told.function = staticmethod(plain)
    assert asking.ask(request=accept(channel)).data["answer"] == "ok"
    connections.close_all()


# Shutting down


PROCESS = """
import django, os, sys, threading, time
django.setup()
from django.conf import settings
settings.CHATAPI = {"BOT_SHUTDOWN_GRACE": float(sys.argv[1]), "SYNC_TIMEOUT": 0.0, "RESPONSE_GAP": 0.0,
                    "BOTS": {"told": "tests.bots.Told"}}
from django_chatapi.actions import asking, requests
from django_chatapi.exceptions import BotTimeout
from django_chatapi.models import Channel
from tests.bots import Told

at_exit = threading.Event()

def answer(question):
    if sys.argv[2] == "hangs":
        threading.Event().wait()
    # Goes on as soon as the process begins to end.
    threading.main_thread().join()
    yield "one"
    yield "two"

Told.function = staticmethod(answer)
accepted = requests.accept(channel=Channel.objects.get(), client_id="ann", query="hi")
try:
    asking.ask(request=accepted.request)
except BotTimeout:
    print("timeout", flush=True)
"""


def run_process(*arguments):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROCESS), *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.django_db(transaction=True)
def test_a_process_that_ends_lets_a_bot_finish(told):
    told(None)
    ended = run_process("30", "finishes")
    assert (ended.returncode, ended.stdout) == (0, "timeout\n"), ended.stderr
    assert dialogue()[1:] == [("botResponse", "late", "one"), ("botResponse", "late", "two")]
    assert Message.objects.get(type="request").answer_state == "answered"


@pytest.mark.django_db(transaction=True)
def test_a_bot_that_hangs_keeps_no_process_from_ending(told):
    told(None)
    ended = run_process("0.2", "hangs")
    assert (ended.returncode, ended.stdout) == (0, "timeout\n"), ended.stderr
    assert "1 questions were left to the sweep" in ended.stderr
    request = Message.objects.get(type="request")
    assert request.answer_state == "pending"
    assert request.lease_holder is not None
