"""``manage.py chatapi_sink``, as a process that webhooks are sent to."""

import contextlib
import http.client
import json
import re
import signal
import socket
import time

import pytest
from django.core.management import CommandError, call_command

from django_chatapi.models import Channel
from django_chatapi.tokens import make_webhook_secret
from django_chatapi.webhooks import pool as pools
from django_chatapi.webhooks import signing, transport
from django_chatapi.wire.envelope import handed_over_data
from tests.servers import printed, process, wait_until

ITEM = {"clientId": "ann", "type": "botResponse", "data": {"answer": "How can I help? 😀\n\x1b[2J"}}
SECRET = make_webhook_secret()


@pytest.fixture(autouse=True)
def opened(settings):
    settings.CHATAPI = {"WEBHOOK_ALLOWED_NETWORKS": ["127.0.0.0/8"]}
    yield
    pools.pool.forget()


class Sink:
    def __init__(self, running):
        self.process = running
        wait_until(lambda: "Listening at " in self.printed, 60, what="the sink's start")
        self.url = re.search(r"Listening at (\S+)", self.printed)[1]

    @property
    def printed(self):
        assert self.process.poll() is None, printed(self.process)
        return printed(self.process)

    @property
    def calls(self):
        """What ``--json`` printed."""
        return [json.loads(line) for line in self.printed.splitlines() if line.startswith("{")]

    def send(self, *items, secret=SECRET, webhook_id="msg_1", at=None):
        body = json.dumps(items or [ITEM], ensure_ascii=False).encode()
        headers = signing.headers([secret], webhook_id, at or int(time.time()), body)
        return transport.post(self.url, body, headers, timeout=20).status


@contextlib.contextmanager
def sink(*options):
    with process("django", "chatapi_sink", "--port", "0", *options) as running:
        yield Sink(running)


def test_what_arrives_is_printed_for_people(transactional_db):
    with sink("--secret", SECRET) as receiver:
        assert receiver.send(ITEM, {**ITEM, "type": "humanResponse"}) == 200
        assert receiver.send(secret="whsec_b3RoZXI=", webhook_id="msg_2") == 200
        assert receiver.send({**ITEM, "data": handed_over_data()}) == 200
        good, first, second, bad, again, _good, handed_over = receiver.printed.splitlines()[1:]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+  msg_1  verified  -> 200", good)
        # One line each, and nothing in it that a terminal would obey.
        assert first == again == "    botResponse  ann: How can I help? 😀  [2J"
        assert second.startswith("    humanResponse  ann: ")
        assert handed_over == "    botResponse  ann: (handed over)"
        assert re.search(r"  msg_2  NOT VERIFIED: No signature matches.*  -> 200$", bad)


def test_what_arrives_is_printed_for_scripts(transactional_db):
    with sink("--secret", SECRET, "--json") as receiver:
        receiver.send()
        receiver.send(webhook_id="msg_2", at=1_000_000_000)
        good, old = receiver.calls
        assert good.pop("time")
        assert good == {"webhookId": "msg_1", "verified": True, "problem": "", "status": 200, "items": [ITEM]}
        assert (old["verified"], old["webhookId"]) == (False, "msg_2")
        assert "seconds old" in old["problem"]


def test_a_sender_without_signatures_and_json_is_shown_too(transactional_db):
    with sink("--secret", SECRET, "--json") as receiver:
        assert transport.post(receiver.url, b"hello \xff", {}, timeout=20).status == 200
        (call,) = receiver.calls
        assert (call["webhookId"], call["items"]) == (None, "hello \ufffd")
        assert call["problem"] == "The header webhook-id is missing."


@pytest.mark.django_db(transaction=True)
def test_the_secrets_are_those_of_the_channels(make_channel):
    with sink("--json") as receiver:
        receiver.send()
        # Made while it runs; those without a webhook send nothing that could be checked.
        one, two, none = (make_channel(webhook_url=url) for url in ("https://a.test/", "https://b.test/", ""))
        for channel in (one, two, one, none):
            receiver.send(secret=channel.webhook_secret)
        assert [call["verified"] for call in receiver.calls] == [False, True, True, True, False]
        assert "no channel has a webhook" in receiver.calls[0]["problem"]


@pytest.mark.django_db(transaction=True)
def test_one_channel_can_be_named(make_channel):
    one, other = make_channel(), make_channel(webhook_url="https://b.test/")
    with sink("--json", "--channel", one.token) as receiver:
        receiver.send(secret=one.webhook_secret)
        receiver.send(secret=other.webhook_secret)
        Channel.objects.filter(pk=one.pk).update(webhook_secret=SECRET)
        receiver.send()
        assert [call["verified"] for call in receiver.calls] == [True, False, True]


@pytest.mark.parametrize(
    ("options", "statuses"),
    [
        (["--fail", "2"], [500, 500, 200, 200]),
        (["--fail", "2", "--status", "429"], [429, 429, 200, 200]),
        (["--status", "410"], [410, 410, 410, 410]),
        (["--fail", "0"], [200, 200, 200, 200]),
    ],
)
def test_refusals(transactional_db, options, statuses):
    with sink("--secret", SECRET, "--json", *options) as receiver:
        assert [receiver.send() for _ in range(4)] == statuses
        assert [call["status"] for call in receiver.calls] == statuses


def test_a_delay(transactional_db):
    with sink("--secret", SECRET, "--delay", "0.5") as receiver:
        started = time.monotonic()
        receiver.send()
        assert time.monotonic() - started >= 0.5


def test_a_connection_serves_many_calls(transactional_db):
    with sink("--secret", SECRET) as receiver:
        host = receiver.url.removeprefix("http://").rstrip("/")
        with contextlib.closing(http.client.HTTPConnection(host, timeout=20)) as caller:
            caller.connect()
            caller.auto_open = 0  # a second connection would be an error
            for _ in range(3):
                caller.request("POST", "/", b"[]")
                assert caller.getresponse().read() == b""
            caller.putrequest("POST", "/")
            caller.endheaders()
            assert caller.getresponse().status == 411


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly(transactional_db, ending):
    with sink("--secret", SECRET, "--delay", "0.1") as receiver:
        receiver.send()
        before = receiver.printed
        receiver.process.send_signal(ending)
        assert receiver.process.wait(20) == 0
        assert printed(receiver.process) == before


def test_a_port_that_is_taken(db):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with pytest.raises(CommandError, match=rf"Cannot listen at 127\.0\.0\.1:{port}: .*in use.*another --port"):
            call_command("chatapi_sink", "--port", port, "--secret", SECRET)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["--channel", "x" * 20], "--channel: there is no channel"),
        (["--status", "42"], "--status"),
        (["--delay", "-1"], "--delay"),
        (["--delay", "nan"], "--delay"),
        (["--host", "203.0.113.1"], "Cannot listen at 203"),
        (["--host", "\udcff"], "--host: It is not UTF-8"),
        (["--secret", SECRET, "--channel", "x" * 20], "not allowed with"),
        (["--port", "70000"], "Cannot listen at"),
    ],
)
def test_wrong_options_are_refused_in_one_line(db, options, wrong):
    with pytest.raises(CommandError, match=wrong) as refused:
        call_command("chatapi_sink", "--port", "0", *options)
    assert "\n" not in str(refused.value)
