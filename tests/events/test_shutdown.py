"""What becomes of held polls when a server is told to stop."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from django_chatapi.actions.turns import client_for
from django_chatapi.models import Connection
from tests.servers import ROOT, environment, wait_until

from .helpers import NEVER, end, site

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_server_that_is_told_to_stop_answers_the_polls_it_holds(kind, channel):
    client_for(channel=channel, client_id="ann")
    cids = ["a", "b", "c"]

    def poll(cid, timeout=50):
        query = {"clientId": "ann", "cid": cid, "timeout": timeout}
        response = httpx.get(f"{address}/chatapi/{channel.token}/events", params=query, timeout=60)
        return response.status_code, response.json()["events"], time.monotonic()

    with site(kind, EVENTS_SWEEP=NEVER) as (address, running), ThreadPoolExecutor(len(cids)) as threads:
        held = [threads.submit(poll, cid) for cid in cids]
        wait_until(lambda: Connection.objects.filter(connection_id__in=cids).count() == 3, what="the polls' begin")
        assert poll("comes behind all others", 0.3)[0] == 200
        told = time.monotonic()
        end(running)
        outcomes = [waiting.result() for waiting in held]

    for status, events, moment in outcomes:
        assert (status, events) == (200, [])
        assert moment - told < 10


# How servers treat signals, in a process of its own

PROCESS = """
import asyncio, os, signal, socket, threading
import django
{before}
django.setup()
from django_chatapi.realtime import hub
from django_chatapi.realtime.background import background_loop
hub.answer_waiters_at_shutdown()
{after}

async def wait():
    waiter = hub.hub_of(background_loop(), None).register(hub.Key(1, ""), 0, 1)
    held.set()
    return await waiter.wait(30)

def hold():
    return asyncio.run_coroutine_threadsafe(wait(), background_loop())

held = threading.Event()
"""
HANDLER = "signal.signal(signal.SIGTERM, lambda number, frame: print('stopping', flush=True))"
OWN_WRITING = "own = socket.socketpair(); own[1].setblocking(False); signal.set_wakeup_fd(own[1].fileno())"

STOPPED = """
waiting = hold(); held.wait(20)
os.kill(os.getpid(), signal.SIGTERM)
print(waiting.result(20).value)
"""
IN_A_FORK = """
reading, writing = os.pipe()
child = os.fork()
waiting = hold(); held.wait(20)
if child == 0:
    os.write(writing, b"held")
    print(waiting.result(20).value, flush=True)
    os._exit(0)
os.read(reading, 4)
os.kill(child, signal.SIGTERM)
os.waitpid(child, 0)
# What the parent were told would be read before what it is asked now.
for _ in range(3):
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), background_loop()).result()
print("parent done:", waiting.done())
"""


def run(before, after, then):
    script = PROCESS.format(before=before, after=after) + then
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_handlers_that_a_server_sets_after_it_loaded_the_site_leave_waiters_their_answer():
    assert run("", HANDLER, STOPPED) == ["stopping", "shutdown"]


def test_a_server_that_has_signals_written_down_for_itself_goes_on_having_it():
    came = "\nprint(own[0].recv(1) == bytes([signal.SIGTERM]))"
    assert run(f"{OWN_WRITING}\n{HANDLER}", "", STOPPED + came) == ["stopping", "shutdown", "True"]


def test_what_a_forked_process_is_told_is_not_for_its_parent():
    assert run("", HANDLER, IN_A_FORK) == ["stopping", "shutdown", "parent done: False"]
