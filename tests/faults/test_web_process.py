"""A web process that is killed, or told to end, while a bot is thinking: nothing that was stored is lost."""

import datetime as dt
import signal
import subprocess

import httpx
import pytest
from django.utils import timezone

from django_chatapi.actions import requests
from django_chatapi.models import Message
from tests.acts.conftest import dialogue
from tests.faults.conftest import Caller, expire_leases, kill, states, wait_for_states
from tests.servers import printed, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
KINDS = ["asgi", "wsgi"]


def test_what_a_killed_process_left_is_asked_again_and_answered_once(site):
    callers = {}
    for kind in KINDS:
        with site.server(kind) as (address, running):
            for query in ("wait", "half"):
                callers[kind, query] = Caller(address, query, f"{kind}-{query}")
            # The half answer's response leaves after RESPONSE_GAP; nothing is left of the other but its row.
            callers[kind, "half"].join()
            wait_until(lambda: states().get(f"{kind}-wait") == "pending", what="the stored request")  # noqa: B023
            wait_until(lambda: site.gate.asked().count("wait") == len(callers) // 2, what="the thinking bot")
            kill(running)
            callers[kind, "wait"].join()
            assert isinstance(callers[kind, "wait"].outcome, httpx.TransportError)
            assert callers[kind, "half"].outcome.json()["data"]["answer"] == "half"
            assert dialogue(f"{kind}-wait") == [("request", "response", "wait")]
    assert states() == {
        "asgi-wait": "pending", "asgi-half": "partial", "wsgi-wait": "pending", "wsgi-half": "partial",
    }  # fmt: skip

    site.gate.open()
    expire_leases()
    with site.worker():
        expected = {f"{kind}-{query}": state for kind in KINDS for query, state in OUTCOMES.items()}
        wait_for_states(**expected)
        # Another round of the sweep, to the end, finds nothing more to do.
        last = requests.accept(channel=site.channel, client_id="last", query="last").request
        Message.objects.filter(pk=last.pk).update(lease_expires_at=timezone.now() - dt.timedelta(seconds=1))
        wait_for_states(last="answered", **expected)

    for kind in KINDS:
        assert dialogue(f"{kind}-wait")[1:] == [("botResponse", "late", "answer to wait")]
        assert dialogue(f"{kind}-half")[1:] == [("botResponse", "response", "half")]
        interrupted = Message.objects.get(client__client_id=f"{kind}-half", type="request")
        assert "died half-way" in interrupted.failure
        (request, answer) = Message.objects.filter(client__client_id=f"{kind}-wait").order_by("sequence")
        assert answer.question_id == request.question_id
        assert (request.ask_count, request.lease_holder) == (2, None)
    assert sorted(site.gate.asked()) == ["half", "half", "last", "wait", "wait", "wait", "wait"]


OUTCOMES = {"wait": "answered", "half": "interrupted"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_is_told_to_end_lets_its_bots_finish(site, kind):
    with site.server(kind) as (address, running):
        half, wait = Caller(address, "half", "half"), Caller(address, "wait", "wait")
        half.join()
        wait_until(lambda: sorted(site.gate.asked()) == ["half", "wait"], what="two thinking bots")
        running.send_signal(signal.SIGTERM)
        wait_until(lambda: "hutting down" in printed(running), what="the beginning of the end")
        assert running.poll() is None
        site.gate.open()
        wait.join()
        running.wait(timeout=30)
    assert wait.outcome.json()["data"]["answer"] == "answer to wait"
    assert states() == {"half": "answered", "wait": "answered"}
    assert dialogue("half")[1:] == [("botResponse", "response", "half"), ("botResponse", "late", "answer to half")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_is_told_to_end_lets_a_late_answer_finish(site, kind):
    with site.server(kind) as (address, running):
        Caller(address, "half", "half").join()
        running.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(timeout=0.5)  # it stays for its bot
        site.gate.open()
        running.wait(timeout=30)
    assert dialogue("half")[1:] == [("botResponse", "response", "half"), ("botResponse", "late", "answer to half")]
    assert states() == {"half": "answered"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_bot_that_hangs_keeps_no_server_from_ending(site, kind):
    site.chatapi["BOT_SHUTDOWN_GRACE"] = 0.2
    with site.server(kind) as (address, running):
        Caller(address, "half", "half").join()
        running.send_signal(signal.SIGTERM)
        running.wait(timeout=30)
        assert "1 questions were left to the sweep" in printed(running)
    assert states() == {"half": "partial"}
    assert Message.objects.get(type="request").lease_holder is not None
