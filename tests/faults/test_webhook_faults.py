"""Receivers that misbehave: what is sent again, when, and who is held up by it. With a real worker."""

import itertools
import socket
import struct
import threading
import time
from pathlib import Path

import pytest
import standardwebhooks
from kombu import Connection

from django_chatapi.models import Delivery, DeliveryAttempt, Message, WebhookEndpoint
from django_chatapi.tasks import deliver_webhooks
from django_chatapi.webhooks import verify
from tests.faults.conftest import say
from tests.servers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


# What a receiver does instead of an answer


def hang(handler):
    """Say nothing for as long as the caller waits."""
    handler.connection.recv(1)


def drip(handler):
    """A byte a second."""
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok":
        handler.connection.sendall(bytes([byte]))
        time.sleep(1)  # that is what it is about


def reset(handler):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


class Flood:
    """A response of 100 MB; keeps how much of it was taken."""

    size = 100 * 1024 * 1024

    def __init__(self, status):
        self.status = status
        self.sent = 0

    def __call__(self, handler):
        block = b"x" * 65536
        head = f"HTTP/1.1 {self.status} Much\r\nContent-Length: {self.size}\r\n\r\n"
        handler.connection.sendall(head.encode())
        while self.sent < self.size:
            handler.connection.sendall(block)
            self.sent += len(block)


def first(fault, then=200):
    """A reply: the fault at the first attempt, and from then on well."""
    replies = itertools.chain([fault], itertools.repeat(then))
    return lambda arrival: next(replies)


def peak_memory(pid):
    """Most memory that the process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def attempts(channel):
    return list(DeliveryAttempt.objects.filter(channel=channel).order_by("started_at"))


def outcomes(channel):
    return [attempt.status_code or attempt.error for attempt in attempts(channel)]


def test_a_receiver_that_misbehaves_gets_it_again_and_holds_up_no_other(site, hook, make_sink):
    # One at a time: what the gone one's other client has waits for the record of its 410.
    site.chatapi |= {"WEBHOOK_TIMEOUT": 4.0, "WEBHOOK_RETRY_DELAY": 0.4, "WEBHOOK_CONCURRENCY": 1}
    target = make_sink()
    large, refusing = Flood(200), Flood(500)
    flapping = itertools.cycle([500, 200])
    replies = {
        "hang": first(hang),
        "drip": first(drip),
        "reset": first(reset),
        "redirect": first((307, {"Location": target.url})),
        "redirect as a GET": first((302, {"Location": target.url})),
        "busy": first((429, {"Retry-After": "3"})),
        "large": first(large),
        "large and refusing": first(refusing),
        "flap": lambda arrival: next(flapping),
        "gone": lambda arrival: 410,
        "never": lambda arrival: hang,
    }
    sinks, channels = {}, {}
    for name, reply in replies.items():
        sinks[name] = make_sink()
        sinks[name].reply = reply
        channels[name] = hook(sinks[name], name=name)
    healthy = make_sink()
    well = hook(healthy)
    with site.worker("threads", concurrency=6) as worker:
        say(well, "the worker is there")
        healthy.wait_for(1, 40)
        before = peak_memory(worker.pid)
        for name, channel in channels.items():
            for client_id in ["ann", "bob"] if name in ("flap", "gone") else ["ann"]:
                say(channel, f"{client_id}: {name}", client_id)
        bad = [name for name in replies if name not in ("gone", "never")]
        took = []
        for number in range(6):
            began = time.monotonic()
            say(well, f"healthy {number}", f"client {number % 2}")
            healthy.wait_for(number + 2)
            took.append(time.monotonic() - began)
        # A sweep is due every half second; the others' time is 4 s and more, again and again. The machine's own
        # work may be in the way of some.
        assert sorted(took)[2] < 4
        of_bad = Delivery.objects.filter(channel__name__in=bad)
        wait_until(lambda: not of_bad.exclude(state="accepted").exists(), 40, "the acceptance of what was refused")
        memory = peak_memory(worker.pid) - before
        # Nothing more goes where the webhook was said to be gone.
        wait_until(lambda: outcomes(channels["gone"]) == [410], what="the 410")
        say(channels["gone"], "more", "dora")
        say(well, "the end")
        wait_until(lambda: healthy.answers[-1] == "the end", what="another round")
        never = Delivery.objects.filter(channel=channels["never"])
        wait_until(lambda: never.filter(state="failed").exists(), 40, "the end of the attempts")

    timed_out = ["timeout", 200]
    assert outcomes(channels["hang"]) == timed_out
    assert outcomes(channels["drip"]) == timed_out
    assert outcomes(channels["reset"]) == ["connection closed", 200]
    assert outcomes(channels["redirect"]) == [307, 200]
    assert outcomes(channels["redirect as a GET"]) == [302, 200]
    assert outcomes(channels["busy"]) == [429, 200]
    assert outcomes(channels["large"]) == [200]
    assert outcomes(channels["large and refusing"]) == [500, 200]
    assert sorted(outcomes(channels["flap"])) == [200] * 2 + [500] * 2
    for name in bad:
        by_id = {}
        for arrival in sinks[name].arrivals:
            by_id.setdefault(arrival.webhook_id, set()).add(arrival.body)
        assert all(len(bodies) == 1 for bodies in by_id.values()), name
        assert len(by_id) == Delivery.objects.filter(channel=channels[name]).count()
    assert target.arrivals == []
    refused, accepted = sinks["busy"].arrivals
    assert accepted.moment - refused.moment >= 3.0
    assert attempts(channels["drip"])[0].seconds < 20  # of 40
    for flood in (large, refusing):
        assert flood.sent < Flood.size / 10
    assert [len(attempt.response) for attempt in attempts(channels["large and refusing"])] == [2048, 2]
    assert memory < 30 * 1024 * 1024
    assert len(sinks["gone"].arrivals) == 1
    channels["gone"].refresh_from_db()
    assert channels["gone"].webhook_disabled_at is not None
    assert set(Delivery.objects.filter(channel=channels["gone"]).values_list("state", flat=True)) == {"failed"}


def test_four_attempts_three_seconds_apart_and_then_the_next_array(site, hook, make_sink):
    receiver = make_sink()
    channel = hook(receiver)
    receiver.reply = lambda arrival: 500 if "refused" in arrival.answers else 200
    with site.worker("threads"):
        say(channel, "refused")
        receiver.wait_for(1, 40)
        say(channel, "next")
        say(channel, "and next")
        receiver.wait_for(5, 40)
        wait_until(lambda: Delivery.objects.filter(state="accepted").exists(), what="the record")

    *refused, last = receiver.arrivals
    assert [arrival.answers for arrival in receiver.arrivals] == [["refused"]] * 4 + [["next", "and next"]]
    gaps = [after.moment - before.moment for before, after in itertools.pairwise(refused)]
    assert all(gap >= 3.0 for gap in gaps), gaps
    assert len({(arrival.webhook_id, arrival.body) for arrival in refused}) == 1
    assert last.webhook_id != refused[0].webhook_id
    assert len({arrival.headers["webhook-timestamp"] for arrival in refused}) == 4
    assert len({arrival.headers["webhook-signature"] for arrival in refused}) == 4
    theirs = standardwebhooks.Webhook(channel.webhook_secret)
    for arrival in receiver.arrivals:
        assert verify(channel.webhook_secret, arrival.headers, arrival.body, tolerance=60) == arrival.items
        theirs.verify(arrival.body, arrival.headers)
        assert abs(int(arrival.headers["webhook-timestamp"]) - time.time()) < 60
    failed, accepted = Delivery.objects.order_by("pk")
    assert (failed.state, failed.attempts, failed.failure, failed.next_attempt_at) == (
        "failed",
        4,
        "status 500",
        None,
    )
    assert (accepted.state, accepted.attempts) == ("accepted", 1)
    assert [attempt.number for attempt in attempts(channel)] == [1, 2, 3, 4, 1]
    statuses = {message.data["answer"]: message.status for message in Message.objects.all()}
    assert statuses == {"refused": "NOT_SENT", "next": "SENT", "and next": "SENT"}


def test_an_endpoint_that_fails_steadily_is_only_probed(site, hook, make_sink):
    site.chatapi |= {
        "WEBHOOK_CIRCUIT_FAILURES": 3,
        "WEBHOOK_PROBE_INTERVAL": 1.2,
        "WEBHOOK_RETRY_SCHEDULE": [0.05] * 50,
    }
    receiver = make_sink()
    channel = hook(receiver)
    receiver.reply = lambda arrival: 500
    clients = [f"client {number}" for number in range(8)]
    for client_id in clients:
        say(channel, f"to {client_id}", client_id)
    endpoint = WebhookEndpoint.objects.filter(channel=channel)
    with site.worker("threads", concurrency=4):
        wait_until(lambda: endpoint.filter(opened_at__isnull=False).exists(), 40, "an open circuit")
        receiver.wait_for(5, 40)
        receiver.reply = lambda arrival: 200
        wait_until(lambda: not Delivery.objects.exclude(state="accepted").exists(), 40, "all deliveries")
    failed = [attempt for attempt in attempts(channel) if not attempt.accepted]
    moments = [arrival.moment for arrival in receiver.arrivals]
    assert len(moments) == len(failed) + len(clients)
    probes = moments[2 : len(failed) + 1]  # from the failure that opened it to the success that closed it
    assert len(probes) >= 4
    assert all(after - before >= 1.2 for before, after in itertools.pairwise(probes)), probes
    # Each of the backlog would have waited for a probe of its own.
    assert moments[-1] - probes[-1] < 1.2 * (len(clients) - 1)
    state = endpoint.get()
    assert (state.consecutive_failures, state.opened_at, state.next_probe_at) == (0, None, None)


def test_a_hanging_endpoint_takes_no_more_than_its_share_of_the_workers(site, hook, make_sink, broker):
    site.chatapi |= {"WEBHOOK_TIMEOUT": 60.0, "WEBHOOK_LEASE": 300.0, "WEBHOOK_CONCURRENCY": 3}
    receiver = make_sink()
    channel = hook(receiver)
    let_go = threading.Semaphore(0)
    receiver.reply = lambda arrival: 500 if let_go.acquire(timeout=60) else 200
    for number in range(70):
        say(channel, "hi", f"client {number}")
    well = make_sink()
    well_channel = hook(well)
    with site.worker("threads", concurrency=8, beat=False), Connection(broker.connection_url) as connection:

        def nudge():
            """Have all workers look; afterwards each has looked, since the last nudge is for another channel."""
            for _ in range(16):
                deliver_webhooks.apply_async((channel.pk,), connection=connection)
            arrived = len(well.arrivals)
            say(well_channel, "not held up", f"client {arrived}")
            deliver_webhooks.apply_async((well_channel.pk,), connection=connection)
            well.wait_for(arrived + 1, 40)

        nudge()
        receiver.wait_for(3, 40)
        nudge()
        assert len(receiver.arrivals) == 3
        # An endpoint that just failed gets one at a time.
        let_go.release(3)
        wait_until(lambda: len(outcomes(channel)) == 3, what="three failures")
        for number in (4, 5):
            nudge()
            receiver.wait_for(number, 40)
            nudge()
            assert len(receiver.arrivals) == number
            let_go.release()
            wait_until(lambda: len(outcomes(channel)) == number, what="one more")  # noqa: B023
    assert outcomes(channel) == [500] * 5
