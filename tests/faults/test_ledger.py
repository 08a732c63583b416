"""What was accepted equals what was answered, in order, however often the server is killed in between."""

import random
import threading
from collections import Counter

import httpx
import pytest

from django_chatapi.models import Message
from tests.faults.conftest import expire_leases, kill
from tests.servers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

CLIENTS, REQUESTS, KILLS = 10, 3, 3


class Caller(threading.Thread):
    """One client: sends its requests one after the other, and goes on with the next when a connection breaks."""

    def __init__(self, number, server):
        super().__init__()
        self.name = f"client-{number}"
        self.server = server
        self.answers = {}

    def run(self):
        for number in range(REQUESTS):
            query = f"{self.name} request {number}"
            while True:
                address = self.server.address()
                try:
                    response = httpx.post(address, json={"clientId": self.name, "query": query}, timeout=60)
                except httpx.ConnectError:
                    continue  # it was not even sent
                except httpx.TransportError:
                    break  # who knows whether it was stored?
                assert response.status_code == 200, response.text
                self.answers[query] = response.json()
                break


class Server:
    """Where callers find the server that runs at the moment."""

    def __init__(self):
        self._current = None
        self._changed = threading.Condition()

    def address(self):
        with self._changed:
            assert self._changed.wait_for(lambda: self._current, timeout=60)
            return self._current

    def moved(self, address):
        with self._changed:
            self._current = address
            self._changed.notify_all()


def test_thirty_requests_of_ten_clients_while_the_server_is_killed_three_times(site):
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    site.chatapi |= {"BOT_RETRIES": 10, "RESPONSE_GAP": 3.0, "BOTS": {"gated": "tests.bots.pondering"}}
    server = Server()
    callers = [Caller(number, server) for number in range(CLIENTS)]
    for caller in callers:
        caller.start()
    for _ in range(KILLS):
        with site.server("wsgi") as (address, running):
            asked = len(site.gate.asked()) + chance.randrange(1, 5)
            server.moved(address)
            wait_until(lambda: len(site.gate.asked()) >= asked, what="some questions")  # noqa: B023
            server.moved(None)
            kill(running)
    with site.server("wsgi") as (address, _running):
        server.moved(address)
        for caller in callers:
            caller.join()

    requests = Message.objects.filter(type="request")
    still_open = requests.filter(answer_state__in=["pending", "partial"])
    assert still_open.exists(), "nothing was lost on the way: this test tests nothing"
    expire_leases()
    with site.worker():
        wait_until(lambda: not still_open.exists(), 40, what="the end of the sweep")

    assert set(requests.values_list("answer_state", flat=True)) == {"answered"}
    for caller in callers:
        messages = list(Message.objects.filter(client__client_id=caller.name).order_by("sequence"))
        assert [message.sequence for message in messages] == list(range(1, len(messages) + 1))
        assert [m.created_at for m in messages] == sorted(m.created_at for m in messages)
        asked = {message.question_id: message for message in messages if message.type == "request"}
        answers = [message for message in messages if message.type == "botResponse"]
        # Each stored request has one answer, its own; each was stored once, in the order in which it was sent.
        assert Counter(answer.question_id for answer in answers) == Counter(list(asked))
        for answer in answers:
            assert answer.data["answer"] == f"answer to {asked[answer.question_id].query}"
            assert answer.sequence > asked[answer.question_id].sequence
        queries = [message.query for message in messages if message.type == "request"]
        assert queries == sorted(set(queries))
        # Whatever a caller was answered is what was stored.
        for query, envelope in caller.answers.items():
            (stored,) = [answer for answer in answers if answer.query == query]
            assert envelope["questionId"] == str(stored.question_id)
            assert envelope["data"] == stored.data
            assert stored.route == "response"
