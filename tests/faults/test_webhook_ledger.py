"""What was accepted equals what the webhook got, per client in order, however often workers are killed in between.

The default is less than an eighth of what is promised, 5 000 requests of 300 clients. That takes some five minutes
on two cores, so it is for releases and for changes of how webhooks are kept:
``CHATAPI_LEDGER_SCALE=1 pytest -n0 -s tests/faults/test_webhook_ledger.py``.
"""

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from functools import partial

import httpx
import pytest

from django_chatapi.models import Delivery, Message
from tests.faults.conftest import kill
from tests.servers import printed, process, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SCALE = float(os.environ.get("CHATAPI_LEDGER_SCALE", "0.12"))
REQUESTS, CLIENTS, KILLS = round(5_000 * SCALE), round(300 * SCALE), round(4 + 20 * SCALE)
#: How long any of it may take, in seconds.
PATIENCE = 120 + 600 * SCALE


class Received:
    """The questionIds that the webhook got."""

    def __init__(self):
        self._changed = threading.Condition()
        self._ids = set()

    def __len__(self):
        return len(self._ids)

    def take(self, arrival):
        with self._changed:
            self._ids.update(item["questionId"] for item in arrival.items)
            self._changed.notify_all()
        return 200

    def wait_for(self, question_id):
        with self._changed:
            assert self._changed.wait_for(lambda: question_id in self._ids, timeout=PATIENCE), question_id


class Caller(threading.Thread):
    """One client: sends a few requests one after the other, waits for the last answer, and so on."""

    def __init__(self, http, address, received, name, count, chance):
        super().__init__(daemon=True)
        self.http, self.address, self.received, self.name = http, address, received, name
        self.count, self.chance = count, chance
        #: The questionIds of the accepted requests, in their order.
        self.accepted = []
        #: What the server answered, or did not, when it took no request: of 300 clients at once some have to wait.
        self.refused = []
        self.failure = None

    def run(self):
        try:
            self._call()
        except BaseException as error:  # told by the test, which waits for what will never come
            self.failure = error

    def _call(self):
        pause = 0
        for number in range(self.count):
            self.accepted.append(self._post(number))
            if number >= pause:
                self.received.wait_for(self.accepted[-1])
                pause = number + self.chance.randrange(1, 6)

    def _post(self, number):
        """As clients do: under the same key until the server has taken it."""
        body = {"clientId": self.name, "query": f"{self.name} request {number}"}
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                response = self.http.post(self.address, json=body, headers={"Idempotency-Key": f"{number}"})
            except httpx.TransportError as error:
                self.refused.append(type(error).__name__)
            else:
                if response.status_code < 500:
                    assert response.status_code == 200, response.text
                    return response.json()["questionId"]
                self.refused.append(response.status_code)
            time.sleep(0.5)
        raise AssertionError(f"{self.name} request {number} was not taken: {Counter(self.refused)}")


class Workers:
    """Two workers, one of each pool. Who is killed is replaced."""

    def __init__(self, site, stack):
        self.site, self.stack = site, stack
        self.running = {}
        self.killed = Counter()
        for pool in ("prefork", "threads"):
            self.start(pool)
        for worker in self.running.values():
            wait_until(lambda: " ready." in printed(worker), 60, "the start")  # noqa: B023

    def start(self, pool):
        self.running[pool] = self.stack.enter_context(self.site.worker(pool, concurrency=3, beat=False))

    def kill(self, chance):
        """SIGKILL to the process that has sent last, or to a whole worker."""
        pool = chance.choice(["child", "prefork", "threads"])
        if pool == "child":
            sender = self.site.gate.notes("attempts")[-1][1]
            with contextlib.suppress(ProcessLookupError):
                if sender != self.running["threads"].pid and os.getpgid(sender) == self.running["prefork"].pid:
                    os.kill(sender, signal.SIGKILL)
                    self.killed[pool] += 1
                    return
            pool = "threads"
        kill(self.running[pool])
        self.start(pool)
        self.killed[pool] += 1


def test_every_request_reaches_the_webhook_while_workers_are_killed(site, hook, make_sink, broker):
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    site.chatapi |= {"ANSWER_LEASE": 1.5, "WEBHOOK_LEASE": 2.0, "BOT_RETRIES": 10}
    site.more["CHATAPI_TEST_SWEEP"] = str(5 * SCALE)  # one task per client that waits: of many, not so often
    receiver = make_sink()
    hook(receiver, name="ledger")
    received = Received()
    receiver.reply = received.take
    with contextlib.ExitStack() as stack:
        address, _running = stack.enter_context(site.server("wsgi"))
        beat = ["celery", "-A", "example_project", "beat", "--schedule", site.schedule()]
        stack.enter_context(process(*beat, **site.environment()))
        workers = Workers(site, stack)
        # A server ends connections that nobody uses; none is kept, so none is used at that moment.
        limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=0)
        http = stack.enter_context(httpx.Client(limits=limits, timeout=PATIENCE))
        shares = [REQUESTS // CLIENTS + (number < REQUESTS % CLIENTS) for number in range(CLIENTS)]
        callers = [
            Caller(http, f"{address}/async", received, f"client-{number}", share, random.Random(seed + number))
            for number, share in enumerate(shares)
        ]

        def arrived(count):
            for caller in callers:
                if caller.failure is not None:
                    raise caller.failure
            return len(received) >= count

        began = time.monotonic()
        for caller in callers:
            caller.start()
        for moment in sorted(chance.sample(range(1, REQUESTS * 9 // 10), KILLS)):
            wait_until(partial(arrived, moment), PATIENCE, f"the arrival of {moment} answers")
            workers.kill(chance)
        wait_until(partial(arrived, REQUESTS), PATIENCE, "the arrival of all")
        for caller in callers:
            caller.join()
        arrived_in = time.monotonic() - began
        pending = Delivery.objects.exclude(state="accepted")
        wait_until(lambda: not pending.exists(), 60, "the record of the last delivery")
        took = time.monotonic() - began

    arrays = {}
    for arrival in receiver.arrivals:
        body = arrays.setdefault(arrival.webhook_id, arrival.body)
        assert arrival.body == body
    repeats = len(receiver.arrivals) - len(arrays)
    refused = sum((Counter(caller.refused) for caller in callers), Counter())
    print(
        f"{REQUESTS} requests of {CLIENTS} clients: arrived in {arrived_in:.1f} s, recorded in {took:.1f} s; "
        f"POSTs that had to be repeated: {dict(refused)}; "
        f"{workers.killed.total()} kills {dict(workers.killed)}; {len(arrays)} arrays, {repeats} repeats"
    )
    by_client = {caller.name: [] for caller in callers}
    seen = set()
    for arrival in receiver.arrivals:
        if arrival.webhook_id not in seen:
            seen.add(arrival.webhook_id)
            for item in arrival.items:
                by_client[item["clientId"]].append(item["questionId"])
                assert item["data"]["answer"] == item["query"]
    # Nothing lost, nothing twice under another webhook-id, nothing out of order.
    assert by_client == {caller.name: caller.accepted for caller in callers}
    assert sum(map(len, by_client.values())) == REQUESTS
    assert Message.objects.filter(type="botResponse").count() == REQUESTS
    assert not Message.objects.filter(type="botResponse").exclude(status="SENT").exists()
    assert workers.killed.total() == KILLS
