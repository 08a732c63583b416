"""What reaches a webhook, in which order, and what becomes of it when it does not (contract, section 10)."""

import datetime as dt
import threading
import types
import uuid

import pytest
from django.db import OperationalError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from django_chatapi import selectors, tasks
from django_chatapi.actions import answers, asking, courier, deliveries, pushes, requests, resends, statuses
from django_chatapi.actions.turns import client_for
from django_chatapi.bots import Answer
from django_chatapi.constants import MessageType
from django_chatapi.models import Channel, Delivery, DeliveryAttempt, Message, MessageStatus, WebhookEndpoint
from django_chatapi.signals import deliveries_due, delivery_accepted, delivery_failed
from django_chatapi.webhooks import verify
from tests.acts.conftest import beside, together
from tests.servers import wait_until
from tests.sinks import PATIENT, sink

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_queued")]

#: The original's own example.
EXAMPLE = {
    "token": "token",
    "clientId": "test",
    "questionId": "12345",
    "data": {
        "nlpClass": "/CatchAll",
        "confidence": -0.010999999999999979,
        "replies": [{"type": "text", "text": "Tell the bot something", "state": "/CatchAll"}],
        "answer": "Tell the bot something",
        "newSessionStarted": False,
        "debugData": [],
        "endSession": False,
    },
    "timestamp": "2022-09-28T12:32:13.262",
    "blockForm": False,
}


@pytest.fixture
def receiver():
    with sink() as taker:
        yield taker


@pytest.fixture
def hooked(make_channel, settings, receiver):
    """Make a channel with the sink as its webhook; arguments are CHATAPI settings."""

    def make(bot="echo", **chatapi):
        settings.CHATAPI = {"WEBHOOK_ALLOWED_NETWORKS": ["127.0.0.0/8"], **PATIENT, **chatapi}
        return make_channel(bot=bot, webhook_url=receiver.url)

    return make


def say(channel, text, client_id="ann"):
    client = client_for(channel=channel, client_id=client_id)
    replies = [{"type": "text", "text": text}]
    return pushes.push(client=client, replies=replies, type=MessageType.HUMAN_RESPONSE)


def deliver(channel):
    return courier.deliver(channel_pk=channel.pk, seconds=60)


def claim(channel):
    return deliveries.claim(channel_pk=channel.pk, holder=uuid.uuid4())


def send_claimed(channel):
    return courier._Batch(claim(channel)).send()


@pytest.fixture
def clock(monkeypatch):
    """The courier's clock, which only the test moves."""
    clock = types.SimpleNamespace(now=1_000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(courier, "time", clock)
    return clock


@pytest.fixture
def by_the_second(monkeypatch, receiver):
    """What is done beside a POST that takes long is done once the second POST arrived, not after some time."""

    class Timer(threading.Timer):
        def run(self):
            receiver.wait_for(2)
            super().run()

    monkeypatch.setattr(courier.threading, "Timer", lambda seconds, function: Timer(0.0, function))
    monkeypatch.setattr(courier, "_RECORD_EVERY", 60.0)  # so the first POST is not slow by itself


def make_due():
    """As if the time until the next attempts had passed."""
    Delivery.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=timezone.now())


def make_probe_due():
    """As if the endpoint had been left alone for as long as it asked for, or its circuit wants."""
    WebhookEndpoint.objects.update(next_probe_at=timezone.now())


def states():
    return list(Delivery.objects.order_by("pk").values_list("state", flat=True))


# What is sent


def test_messages_that_wait_together_travel_in_one_array(hooked, receiver):
    channel = hooked()
    first, second = say(channel, "one"), say(channel, "two")

    assert deliver(channel) is None

    [arrival] = receiver.arrivals
    assert [item["questionId"] for item in arrival.items] == [str(first.question_id), str(second.question_id)]
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.items) == ("accepted", 1, 2)
    assert {message.status for message in Message.objects.all()} == {"SENT"}
    assert MessageStatus.objects.count() == 2


def test_an_item_has_every_key_of_the_originals_example_and_its_type(hooked, receiver, accept):
    channel = hooked()
    request = accept(channel, "Tell the bot something", client_id="test", route="async")
    asking.ask_left(request=requests.claim_next(client_pk=request.client.pk))

    deliver(channel)

    [item] = receiver.items
    assert set(item) == set(EXAMPLE) | {"type", "query", "event", "cid"}
    assert set(item["data"]) == set(EXAMPLE["data"])
    assert (item["type"], item["clientId"], item["token"]) == ("botResponse", "test", channel.token)
    assert item["questionId"] == str(request.question_id)
    for key, value in EXAMPLE.items():
        assert type(item[key]) is type(value), key
    for key in ("replies", "answer", "newSessionStarted", "debugData", "endSession"):
        assert type(item["data"][key]) is type(EXAMPLE["data"][key]), key


def test_the_answers_of_responses_and_requests_are_not_sent(hooked, receiver, accept):
    channel = hooked()
    asking.ask(request=accept(channel))

    assert deliver(channel) is None
    assert (receiver.arrivals, Delivery.objects.count()) == ([], 0)


def test_a_late_answer_is_sent(hooked, receiver, accept):
    channel = hooked()
    request = accept(channel)
    answers.publish(request=request, steps=[Answer.text("now")], route="response", state="partial")
    answers.publish(request=request, steps=[Answer.text("later")], route="late", state="answered")

    deliver(channel)

    assert receiver.answers == ["later"]


def test_what_lies_between_two_late_messages_is_not_sent(hooked, receiver, accept):
    channel = hooked()
    say(channel, "one")
    asking.ask(request=accept(channel, "in between"))
    say(channel, "two")

    deliver(channel)

    assert [arrival.answers for arrival in receiver.arrivals] == [["one", "two"]]


def test_without_a_webhook_nothing_is_kept_for_one(make_channel):
    say(make_channel(), "hi")
    assert Delivery.objects.count() == 0


def test_what_is_rolled_back_is_not_sent(hooked, receiver):
    channel = hooked()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        say(channel, "never")
        raise ZeroDivisionError
    assert Delivery.objects.count() == 0


def test_an_array_is_full_at_its_limit_and_the_next_one_waits_for_it(hooked, receiver):
    channel = hooked(WEBHOOK_MAX_ITEMS=2)
    for text in "abcde":
        say(channel, text)

    deliver(channel)

    assert [arrival.answers for arrival in receiver.arrivals] == [["a", "b"], ["c", "d"], ["e"]]


def test_an_array_is_full_before_it_is_too_large_and_what_is_too_large_by_itself_travels_alone(hooked, receiver):
    channel = hooked(WEBHOOK_MAX_BYTES=10_000)
    # 4 000 bytes each in both places where a text stands.
    texts = ["ä" * 1_000, "b" * 2_000, "c" * 2_000, "d" * 20_000, "e", "f"]
    for text in texts:
        say(channel, text)

    deliver(channel)

    assert [[text[0] for text in arrival.answers] for arrival in receiver.arrivals] == [
        ["ä", "b"],
        ["c"],
        ["d"],
        ["e", "f"],
    ]
    assert receiver.answers == texts
    assert [len(arrival.body) <= 10_000 for arrival in receiver.arrivals] == [True, True, False, True]


def test_many_long_texts_are_no_array_that_common_receivers_refuse(hooked, receiver):
    channel = hooked()
    receiver.reply = lambda arrival: 413 if len(arrival.body) > 1024 * 1024 else 200
    for _ in range(100):
        say(channel, "y" * 6_000)

    deliver(channel)

    assert len(receiver.answers) == 100
    assert set(states()) == {"accepted"}


def test_what_comes_after_the_claim_travels_in_the_next_array(hooked, receiver):
    channel = hooked()
    say(channel, "one")
    [claimed] = claim(channel)
    say(channel, "two")

    assert (claimed.first_sequence, claimed.last_sequence) == (1, 1)
    assert list(Delivery.objects.order_by("pk").values_list("items", "sealed")) == [(1, True), (1, False)]
    assert claim(channel) == []  # the client's next array waits


def test_every_item_is_kept_whole(hooked, receiver):
    channel = hooked()
    text = "Grüße \u2028\u0000 <b>&amp;</b> 😀 " + "x" * 50_000
    say(channel, text, client_id="a/b ü")

    deliver(channel)

    assert receiver.items[0]["data"]["replies"] == [{"type": "text", "text": text}]
    assert receiver.items[0]["clientId"] == "a/b ü"


# Signatures


def test_deliveries_are_signed_and_during_a_rotation_with_both_secrets(hooked, receiver):
    channel = hooked()
    old = channel.webhook_secret
    say(channel, "one")
    deliver(channel)
    Channel.objects.filter(pk=channel.pk).update(
        webhook_secret="whsec_" + "bmV3" * 8,
        previous_webhook_secret=old,
        previous_webhook_secret_expires_at=timezone.now() + dt.timedelta(hours=1),
    )
    say(channel, "two")
    deliver(channel)
    Channel.objects.filter(pk=channel.pk).update(previous_webhook_secret_expires_at=timezone.now())
    say(channel, "three")
    deliver(channel)

    new = Channel.objects.get().webhook_secret
    first, second, third = receiver.arrivals
    assert verify(old, first.headers, first.body) == first.items
    assert verify(old, second.headers, second.body) == verify(new, second.headers, second.body)
    assert len(third.headers["webhook-signature"].split()) == 1
    assert verify(new, third.headers, third.body)


# When it fails


def test_a_refused_delivery_is_resent_three_times_and_then_given_up(hooked, receiver, clock):
    channel = hooked(WEBHOOK_RETRY_DELAY=3.0)
    receiver.reply = lambda arrival: 500
    message = say(channel, "hi")
    delays = []
    for _ in range(6):
        now = timezone.now()
        delays.append(deliver(channel))
        left = Delivery.objects.get().next_attempt_at
        if left is not None:
            assert left >= now + dt.timedelta(seconds=3)
        make_due()

    assert len(receiver.arrivals) == 4
    assert all(3 <= delay <= 3.3 for delay in delays[:3])
    assert delays[3:] == [None] * 3
    assert len({arrival.webhook_id for arrival in receiver.arrivals}) == 1
    assert len({arrival.body for arrival in receiver.arrivals}) == 1
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.failure) == ("failed", 4, "status 500")
    message.refresh_from_db()
    assert message.status == "NOT_SENT"


def test_each_attempt_is_recorded_with_what_was_sent_and_what_came_back(hooked, receiver):
    channel = hooked()
    replies = iter([503, 200])
    receiver.reply = lambda arrival: next(replies)
    say(channel, "hi")
    deliver(channel)
    make_due()
    deliver(channel)

    first, second = DeliveryAttempt.objects.order_by("pk")
    assert (first.number, first.status_code, first.accepted, first.response) == (1, 503, False, "ok")
    assert (second.number, second.status_code, second.accepted) == (2, 200, True)
    assert first.channel == channel
    assert 0 < first.seconds < 10
    for attempt, arrival in zip((first, second), receiver.arrivals, strict=True):
        for name, value in attempt.headers.items():
            assert arrival.headers[name.lower()] == value
        assert "webhook-signature" in attempt.headers


def test_the_next_array_of_a_client_waits_until_the_one_before_is_given_up(hooked, receiver):
    channel = hooked(WEBHOOK_RETRY_SCHEDULE=[60.0])
    receiver.reply = lambda arrival: 500 if "one" in arrival.answers else 200
    say(channel, "one")
    deliver(channel)
    say(channel, "two")
    say(channel, "of bob", client_id="bob")
    deliver(channel)
    assert receiver.answers == ["one", "of bob"]
    make_due()

    deliver(channel)

    assert receiver.answers == ["one", "of bob", "one", "two"]
    assert sorted(states()) == ["accepted", "accepted", "failed"]


def test_a_longer_schedule_is_followed(hooked, receiver, clock):
    channel = hooked(WEBHOOK_RETRY_SCHEDULE=[5, 50])
    receiver.reply = lambda arrival: 500
    say(channel, "hi")
    delays = []
    for _ in range(3):
        delays.append(deliver(channel))
        make_due()
    assert 5 <= delays[0] <= 5.5
    assert 50 <= delays[1] <= 55
    assert delays[2] is None
    assert states() == ["failed"]


def test_retry_after_is_honoured_within_its_bound(hooked, receiver, clock):
    channel = hooked(WEBHOOK_RETRY_AFTER_MAX=60.0)
    waits = iter(["20", "100000", "1"])
    receiver.reply = lambda arrival: (429, {"Retry-After": next(waits)})
    say(channel, "hi")
    delays = []
    for _ in range(3):
        delays.append(deliver(channel))
        make_due()
        make_probe_due()
    assert delays[:2] == [20.0, 60.0]
    assert 3 <= delays[2] <= 3.3


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_endpoint_is_left_alone_as_a_whole(hooked, receiver, clock, status):
    channel = hooked(WEBHOOK_RETRY_AFTER_MAX=60.0)
    receiver.reply = lambda arrival: (status, {"Retry-After": "100000"})
    for number in range(15):
        say(channel, "hi", client_id=f"client-{number}")
    before = timezone.now()

    assert deliver(channel) == 60.0
    make_due()
    assert deliver(channel) is None

    assert len(receiver.arrivals) == 1
    assert sorted(Delivery.objects.values_list("attempts", flat=True)) == [0] * 14 + [1]
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.opened_at is None
    assert 60 <= (endpoint.next_probe_at - before).total_seconds() < 70

    receiver.reply = lambda arrival: 200
    make_probe_due()
    deliver(channel)
    assert states() == ["accepted"] * 15
    assert WebhookEndpoint.objects.get().next_probe_at is None


def test_a_refusal_of_one_delivery_holds_up_no_other(hooked, receiver):
    channel = hooked()
    receiver.reply = lambda arrival: (500, {"Retry-After": "60"}) if "bad" in arrival.answers else 200
    say(channel, "bad")
    say(channel, "good", client_id="bob")
    deliver(channel)
    assert receiver.answers == ["bad", "good"]


def test_what_was_under_way_does_not_end_the_pause_that_a_busy_endpoint_asked_for(hooked, receiver):
    channel = hooked(WEBHOOK_CONCURRENCY=2)
    for number in range(deliveries.BATCH * 2):
        say(channel, "hi", client_id=f"client-{number}")
    first, second = claim(channel), claim(channel)
    accepted = courier._attempt(second[0], deliveries.messages_of(second)[second[0].pk])
    receiver.reply = lambda arrival: (429, {"Retry-After": "60"})
    refused = courier._attempt(first[0], deliveries.messages_of(first)[first[0].pk])

    deliveries.record(channel=channel, sent=[refused], release=first[1:])
    deliveries.record(channel=channel, sent=[accepted], release=second[1:])

    assert claim(channel) == []
    make_probe_due()
    assert len(claim(channel)) == deliveries.BATCH


@pytest.mark.parametrize(("asked", "pause"), [("5", 30), ("90", 90)])
def test_a_probe_comes_no_earlier_than_a_busy_endpoint_asked_for(hooked, receiver, asked, pause):
    channel = hooked(WEBHOOK_CIRCUIT_FAILURES=1, WEBHOOK_PROBE_INTERVAL=30.0)
    receiver.reply = lambda arrival: (503, {"Retry-After": asked})
    say(channel, "hi")
    before = timezone.now()
    deliver(channel)
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.opened_at is not None
    assert pause <= (endpoint.next_probe_at - before).total_seconds() < pause + 10


def test_a_redirect_is_no_success_and_is_not_followed(hooked, receiver):
    channel = hooked()
    receiver.reply = lambda arrival: (302, {"Location": receiver.url + "/elsewhere"})
    say(channel, "hi")
    deliver(channel)
    assert [arrival.path for arrival in receiver.arrivals] == ["/hook"]
    assert states() == ["pending"]


def test_gone_disables_the_webhook_until_it_is_enabled_again(hooked, receiver):
    channel = hooked()
    receiver.reply = lambda arrival: 410
    say(channel, "one")
    say(channel, "of bob", client_id="bob")
    deliver(channel)

    channel.refresh_from_db()
    assert channel.webhook_disabled_at is not None
    assert states() == ["failed", "failed"]
    say(Channel.objects.get(), "two")
    say(Channel.objects.get(), "three")
    assert deliver(channel) is None
    assert len(receiver.arrivals) == 1
    assert states() == ["failed"] * 4

    receiver.reply = lambda arrival: 200
    deliveries.enable_webhook(channel=channel)
    assert deliver(channel) is None
    assert len(receiver.arrivals) == 1
    resends.resend_all(failed=selectors.failed_deliveries(channel))
    deliver(channel)

    assert sorted(receiver.answers[1:]) == ["of bob", "one", "three", "two"]
    assert [text for text in receiver.answers[1:] if text != "of bob"] == ["one", "two", "three"]
    assert states() == ["accepted"] * 4


def test_what_is_said_while_the_webhook_is_disabled_is_kept_as_failed_and_nudges_nobody(hooked):
    channel = hooked()
    Channel.objects.update(webhook_disabled_at=timezone.now())
    heard = []

    def due(sender, channel_pk, **kwargs):
        heard.append("due")

    def failed(sender, delivery, **kwargs):
        heard.append(delivery.pk)

    deliveries_due.connect(due)
    delivery_failed.connect(failed)
    try:
        say(Channel.objects.get(), "hi")
    finally:
        deliveries_due.disconnect(due)
        delivery_failed.disconnect(failed)

    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.sealed, delivery.next_attempt_at) == ("failed", True, None)
    assert "the webhook is disabled" in delivery.failure
    assert heard == [delivery.pk]
    assert selectors.failed_deliveries(channel).get() == delivery


def test_the_410_of_an_address_that_was_replaced_meanwhile_disables_nothing(hooked, receiver):
    channel = hooked()

    def move(arrival):
        Channel.objects.update(webhook_url=receiver.url + "/new")
        connection.close()
        return 410 if arrival.path == "/hook" else 200

    receiver.reply = move
    say(channel, "one")
    say(channel, "of bob", client_id="bob")
    deliver(channel)

    assert Channel.objects.get().webhook_disabled_at is None
    assert [arrival.path for arrival in receiver.arrivals] == ["/hook", "/hook/new"]
    assert sorted(states()) == ["accepted", "failed"]


def test_a_webhook_that_was_taken_away_gives_up_what_waits(hooked, receiver):
    channel = hooked()
    say(channel, "hi")
    Channel.objects.update(webhook_url="")
    assert deliver(channel) is None
    assert states() == ["failed"]
    assert "no webhook" in Delivery.objects.get().failure


def test_what_failed_can_be_resent_with_the_whole_schedule_anew(hooked, receiver):
    channel = hooked(WEBHOOK_RETRY_SCHEDULE=[1.0])
    receiver.reply = lambda arrival: 500
    say(channel, "hi")
    for _ in range(2):
        deliver(channel)
        make_due()
    assert states() == ["failed"]

    assert deliveries.resend(deliveries=Delivery.objects.all()) == 1
    for _ in range(2):
        deliver(channel)
        make_due()

    assert len(receiver.arrivals) == 4
    assert len({arrival.webhook_id for arrival in receiver.arrivals}) == 1
    assert list(DeliveryAttempt.objects.order_by("pk").values_list("number", flat=True)) == [1, 2, 1, 2]
    assert deliveries.resend(deliveries=Delivery.objects.filter(state="accepted")) == 0


def test_an_array_that_is_resent_takes_no_later_messages(hooked, receiver):
    channel = hooked(WEBHOOK_RETRY_SCHEDULE=[])
    channel = hooked()
    Delivery.objects.all().delete()
    say(channel, "one")
    Delivery.objects.update(state="failed", sealed=True)
    say(channel, "two")
    deliver(channel)
    deliveries.resend(deliveries=Delivery.objects.filter(state="failed"))
    say(channel, "three")

    deliver(channel)

    assert [arrival.answers for arrival in receiver.arrivals] == [["two"], ["one"], ["three"]]


def test_signals_tell_of_both_ends(hooked, receiver):
    heard = []

    columns = ("state", "attempts", "failure", "next_attempt_at", "closed_at", "lease_holder", "lease_expires_at")

    def told(sender, delivery, **kwargs):
        heard.append((str(delivery), *(getattr(delivery, name) for name in columns)))

    channel = hooked(WEBHOOK_RETRY_SCHEDULE=[0.0])
    receiver.reply = lambda arrival: 500 if arrival.answers == ["bad"] else 200
    delivery_accepted.connect(told)
    delivery_failed.connect(told)
    try:
        say(channel, "bad")
        say(channel, "good", client_id="bob")
        for _ in range(3):
            deliver(channel)
            make_due()
    finally:
        delivery_accepted.disconnect(told)
        delivery_failed.disconnect(told)

    good, bad = Delivery.objects.order_by("state")
    # As it is stored now, not as it was claimed.
    assert sorted(heard) == sorted((str(each), *(getattr(each, name) for name in columns)) for each in (good, bad))
    assert (good.state, good.attempts, bad.state, bad.attempts) == ("accepted", 1, "failed", 2)


# Who delivers


def test_of_many_workers_each_delivery_is_claimed_by_one(hooked, receiver):
    channel = hooked(WEBHOOK_CONCURRENCY=8)
    for number in range(40):
        say(channel, "hi", client_id=f"client-{number}")

    batches = together(*[lambda: claim(channel)] * 8)

    claimed = [delivery.pk for batch in batches for delivery in batch]
    assert len(claimed) == len(set(claimed)) == 40


def test_no_more_work_at_once_than_the_channel_may_have(hooked, receiver):
    channel = hooked(WEBHOOK_CONCURRENCY=2)
    for number in range(100):
        say(channel, "hi", client_id=f"client-{number}")
    assert [len(claim(channel)) for _ in range(4)] == [deliveries.BATCH, deliveries.BATCH, 0, 0]


def test_an_endpoint_that_just_failed_gets_one_at_a_time(hooked, receiver):
    channel = hooked()
    for number in range(10):
        say(channel, "hi", client_id=f"client-{number}")
    receiver.reply = lambda arrival: 500

    send_claimed(channel)

    assert len(receiver.arrivals) == 1  # the rest of the batch went back
    assert len(claim(channel)) == 1
    assert claim(channel) == []


def test_a_lease_that_ran_out_is_taken_over_and_the_late_record_changes_nothing(hooked, receiver):
    channel = hooked()
    say(channel, "hi")
    [mine] = claim(channel)
    Delivery.objects.update(lease_expires_at=timezone.now())
    [its] = claim(channel)

    sent = courier._attempt(mine, deliveries.messages_of([mine])[mine.pk])
    deliveries.record(channel=channel, sent=[sent])
    assert states() == ["pending"]
    deliveries.record(channel=channel, sent=[courier._attempt(its, deliveries.messages_of([its])[its.pk])])

    assert states() == ["accepted"]
    assert len({arrival.webhook_id for arrival in receiver.arrivals}) == 1
    assert MessageStatus.objects.count() == 1


def test_a_steady_failure_opens_the_circuit_and_a_success_closes_it(hooked, receiver):
    channel = hooked(WEBHOOK_CIRCUIT_FAILURES=3, WEBHOOK_PROBE_INTERVAL=600.0)
    receiver.reply = lambda arrival: 500
    for number in range(10):
        say(channel, "hi", client_id=f"client-{number}")
    deliver(channel)
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.opened_at is not None
    assert len(receiver.arrivals) == 3
    make_due()
    assert deliver(channel) is None
    assert len(receiver.arrivals) == 3

    make_probe_due()
    deliver(channel)
    assert len(receiver.arrivals) == 4  # one probe

    receiver.reply = lambda arrival: 200
    make_due()
    make_probe_due()
    deliver(channel)
    assert states() == ["accepted"] * 10
    endpoint.refresh_from_db()
    assert (endpoint.opened_at, endpoint.consecutive_failures) == (None, 0)


def test_a_message_that_is_written_while_its_array_is_claimed_is_not_lost(hooked, receiver):
    channel = hooked()
    said = threading.Semaphore(0)
    texts = [str(number) for number in range(60)]

    def talk():
        for text in texts:
            say(channel, text)
            said.release()

    talking = beside(talk)
    for _ in texts:
        # One for each: without a break nobody else would get to write, where one writes at a time.
        assert said.acquire(timeout=60)
        deliver(channel)
    talking.join()
    deliver(channel)

    assert receiver.answers == texts


def test_a_post_that_takes_long_holds_up_no_other_client(hooked, receiver):
    channel = hooked()
    taken, nudged = threading.Event(), []
    receiver.reply = lambda arrival: 200 if arrival.answers != ["slow"] or taken.wait(60) else 500
    others = [f"client-{number}" for number in range(deliveries.BATCH - 2)]
    for client_id in ("first", "slow", *others):
        say(channel, client_id, client_id)

    def due(sender, channel_pk, **kwargs):
        nudged.append(channel_pk)

    deliveries_due.connect(due)
    slow = beside(lambda: deliver(channel))
    try:
        receiver.wait_for(2)
        wait_until(lambda: nudged, 20, "a nudge for the others")
        # Where the first POST took long, the others went back and were claimed once more, with the slow one.
        claimed = Delivery.objects.filter(lease_holder__isnull=False)
        wait_until(lambda: claimed.count() == 1, 20, "the return of the others")
        # What was sent before it is recorded, what was to follow it is free.
        assert Delivery.objects.get(state="accepted").client.client_id == "first"
        assert claimed.get().client.client_id == "slow"
        say(channel, "again", "first")
        deliver(channel)
        assert receiver.answers == ["first", "slow", *others, "again"]
        assert Delivery.objects.get(state="pending").client.client_id == "slow"
    finally:
        taken.set()
        slow.join()
        deliveries_due.disconnect(due)
    assert set(states()) == {"accepted"}
    assert set(Delivery.objects.values_list("attempts", flat=True)) == {1}
    assert DeliveryAttempt.objects.count() == len(receiver.arrivals) == deliveries.BATCH + 1


def test_a_post_whose_others_cannot_be_given_back_has_them_recorded_behind_it(hooked, receiver, monkeypatch):
    monkeypatch.setattr(courier, "_RECORD_EVERY", 0.01)
    channel = hooked()
    record, failed = deliveries.record, threading.Event()

    def failing(**arguments):
        if threading.current_thread() is not threading.main_thread():
            failed.set()
            raise RuntimeError("the connection is closed")
        return record(**arguments)

    monkeypatch.setattr(deliveries, "record", failing)
    receiver.reply = lambda arrival: 200 if failed.wait(20) else 500
    for number in range(3):
        say(channel, "hi", f"client-{number}")
    deliver(channel)
    assert states() == ["accepted"] * 3
    assert len(receiver.arrivals) == 3


def test_who_waits_for_a_connection_keeps_nobody_from_recording(hooked, receiver, monkeypatch):
    monkeypatch.setattr(courier, "_RECORD_EVERY", 0.01)
    channel = hooked()
    connect, waiting, free = BaseDatabaseWrapper.ensure_connection, threading.Event(), threading.Event()

    def connect_later(self):
        if threading.current_thread() is not threading.main_thread():
            waiting.set()
            had_to_wait.append(not free.wait(20))
        connect(self)

    had_to_wait = []
    monkeypatch.setattr(BaseDatabaseWrapper, "ensure_connection", connect_later)
    receiver.reply = lambda arrival: 200 if waiting.wait(20) else 500
    for number in range(3):
        say(channel, "hi", f"client-{number}")
    send_claimed(channel)
    assert had_to_wait == []
    assert sorted(states()) == ["accepted", "pending", "pending"]
    assert not Delivery.objects.filter(lease_holder__isnull=False).exists()
    free.set()


def test_a_record_that_is_rolled_back_beside_a_post_is_made_behind_it(
    hooked, receiver, monkeypatch, by_the_second
):
    channel = hooked()
    mark_sent, failed, told = statuses.mark_sent, threading.Event(), []

    def failing(**arguments):
        if threading.current_thread() is not threading.main_thread():
            failed.set()
            raise OperationalError("deadlock detected")
        return mark_sent(**arguments)

    def tell(sender, delivery, **kwargs):
        told.append((delivery.client.client_id, delivery.attempts))

    monkeypatch.setattr(statuses, "mark_sent", failing)
    receiver.reply = lambda arrival: 200 if len(receiver.arrivals) == 1 else (failed.wait(20), 500)[1]
    for number in range(3):
        say(channel, "hi", f"client-{number}")
    delivery_accepted.connect(tell)
    try:
        send_claimed(channel)
    finally:
        delivery_accepted.disconnect(tell)
    assert told == [("client-0", 1)]
    assert states() == ["accepted", "pending", "pending"]
    assert not Delivery.objects.filter(lease_holder__isnull=False).exists()
    attempts = DeliveryAttempt.objects.order_by("pk").values_list("number", "status_code")
    assert list(attempts) == [(1, 200), (1, 500)]


def test_what_was_sent_before_a_last_post_that_takes_long_is_recorded_meanwhile(hooked, receiver, by_the_second):
    channel = hooked()
    taken = threading.Event()
    receiver.reply = lambda arrival: 200 if arrival.answers != ["slow"] or taken.wait(60) else 500
    for client_id in ("first", "slow"):
        say(channel, client_id, client_id)
    slow = beside(lambda: deliver(channel))
    try:
        wait_until(lambda: states() == ["accepted", "pending"], 20, "the record of the first")
        say(channel, "again", "first")
        deliver(channel)
        assert receiver.answers == ["first", "slow", "again"]
    finally:
        taken.set()
        slow.join()
    assert set(states()) == {"accepted"}


def test_where_no_thread_can_be_had_everything_is_sent_all_the_same(hooked, receiver, monkeypatch):
    def refuse(timer):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(courier.threading.Timer, "start", refuse)
    channel = hooked()
    for number in range(3):
        say(channel, "hi", f"client-{number}")
    deliver(channel)
    assert states() == ["accepted"] * 3


def test_inside_a_transaction_nothing_is_recorded_beside_it(hooked, receiver, monkeypatch):
    monkeypatch.setattr(courier.threading, "Timer", None)
    channel = hooked()
    for number in range(3):
        say(channel, "hi", f"client-{number}")
    with transaction.atomic():
        deliver(channel)
    assert states() == ["accepted"] * 3


@pytest.mark.parametrize("seconds", [-3, 3])
def test_what_is_due_at_once_does_not_wait_for_the_clock_of_another_host(
    hooked, receiver, accept, monkeypatch, seconds
):
    channel = hooked(WEBHOOK_RETRY_SCHEDULE=[])
    now = timezone.now

    def there(job):
        with monkeypatch.context() as host:
            host.setattr(timezone, "now", lambda: now() + dt.timedelta(seconds=seconds))
            return job()

    there(lambda: say(channel, "hi"))
    request = there(lambda: accept(channel, "hi", client_id="bob", route="async"))
    receiver.reply = lambda arrival: 500
    deliver(channel)
    assert receiver.answers == ["hi"]
    assert requests.claim_next(client_pk=request.client.pk) == request
    there(lambda: resends.resend_all(failed=Delivery.objects.all()))
    deliver(channel)
    assert receiver.answers == ["hi", "hi"]


def test_the_pause_until_the_next_attempt_is_counted_from_now(hooked, receiver, clock):
    channel = hooked(WEBHOOK_RETRY_DELAY=3.0)

    def reply(arrival):
        if arrival.answers == ["bad"]:
            return 500
        clock.now += 2.0
        return 200

    receiver.reply = reply
    say(channel, "bad")
    say(channel, "slow", "bob")
    assert 1.0 <= deliver(channel) <= 1.3


def test_an_answer_after_the_webhook_was_enabled_again_is_sent(hooked, receiver, accept):
    channel = hooked()
    Channel.objects.update(webhook_disabled_at=timezone.now())
    request = accept(channel, "hi", route="async")
    claimed = requests.claim_next(client_pk=request.client.pk)
    deliveries.enable_webhook(channel=Channel.objects.get())
    asking.ask_left(request=claimed)
    deliver(channel)
    assert receiver.answers == ["hi"]
    assert states() == ["accepted"]


def test_a_connection_that_ends_without_an_answer_is_a_failed_attempt(hooked, receiver):
    channel = hooked(WEBHOOK_RETRY_DELAY=3.0)
    say(channel, "taken")
    deliver(channel)
    receiver.reply = lambda arrival: lambda handler: None
    say(channel, "dropped")
    deliver(channel)
    assert receiver.answers == ["taken", "dropped"]
    attempt = DeliveryAttempt.objects.order_by("-pk").first()
    assert (attempt.number, attempt.status_code, attempt.error) == (1, None, "connection closed")


def test_a_slow_endpoint_gets_its_batch_recorded_in_parts(hooked, receiver, monkeypatch):
    monkeypatch.setattr(courier, "_RECORD_EVERY", 0.0)
    channel = hooked()
    for number in range(3):
        say(channel, "hi", client_id=f"client-{number}")
    send_claimed(channel)
    assert sorted(states()) == ["accepted", "pending", "pending"]
    deliver(channel)
    assert states() == ["accepted"] * 3


def test_the_sweep_nudges_channels_with_something_due(hooked, receiver, monkeypatch):
    nudged = []
    monkeypatch.setattr(tasks.deliver_webhooks, "apply_async", lambda args, **options: nudged.append(*args))
    channel = hooked()
    say(channel, "hi")
    say(channel, "hi", client_id="bob")
    tasks.sweep()
    assert nudged == [channel.pk]
    claim(channel)
    tasks.sweep()
    assert nudged == [channel.pk]
    Delivery.objects.update(lease_expires_at=timezone.now())
    assert selectors.channels_with_due_deliveries() == [channel.pk]


def test_a_test_event_that_is_accepted_says_so(hooked, receiver):
    courier.send_test(channel=hooked())
    assert states() == ["accepted"]


def test_a_test_event_is_sent_at_once_and_never_again(hooked, receiver):
    channel = hooked()
    receiver.reply = lambda arrival: 500

    sent = courier.send_test(channel=channel)

    assert sent.outcome.status == 500
    assert receiver.items[0]["clientId"] == "test"
    assert states() == ["failed"]
    make_due()
    assert deliver(channel) is None
    assert len(receiver.arrivals) == 1


def test_the_queries_of_a_batch_do_not_grow_with_it(hooked, receiver, django_assert_max_num_queries, monkeypatch):
    monkeypatch.setattr(courier, "_RECORD_EVERY", 60.0)  # one batch, however slow the machine is
    channel = hooked()
    say(channel, "warm")
    deliver(channel)
    for number in range(deliveries.BATCH):
        say(channel, "hi", client_id=f"client-{number}")
    with django_assert_max_num_queries(30):
        send_claimed(channel)
    assert states() == ["accepted"] * (deliveries.BATCH + 1)


def test_a_nudge_for_a_channel_that_was_deleted_does_nothing(hooked):
    channel = hooked()
    pk = channel.pk
    channel.delete()
    assert courier.deliver(channel_pk=pk, seconds=10) is None
