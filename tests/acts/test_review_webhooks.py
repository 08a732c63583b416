"""What a second look at webhooks and asynchronous requests found."""

import contextlib
import threading

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from django_chatapi import selectors
from django_chatapi.actions import asking, courier, deliveries, requests
from django_chatapi.models import Channel, Client, Delivery, WebhookEndpoint
from django_chatapi.signals import delivery_accepted, delivery_failed
from django_chatapi.webhooks.transport import Outcome
from tests.acts.conftest import beside
from tests.acts.test_deliveries import claim, deliver, say, states
from tests.sinks import PATIENT, sink

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_queued")]


@pytest.fixture
def receiver():
    with sink() as taker:
        yield taker


@pytest.fixture
def hooked(make_channel, settings, receiver):
    """Make a channel with the sink as its webhook; arguments are CHATAPI settings."""

    def make(**chatapi):
        settings.CHATAPI = {"WEBHOOK_ALLOWED_NETWORKS": ["127.0.0.0/8"], **PATIENT, **chatapi}
        return make_channel(webhook_url=receiver.url)

    return make


def sent(delivery, status):
    """An attempt that the endpoint answered with this status."""
    outcome = Outcome(status=status, error="", response="", seconds=0.0, retry_after=None)
    return deliveries.Sent(delivery, deliveries.messages_of([delivery])[delivery.pk], timezone.now(), {}, outcome)


def end_leases():
    """As if the workers had died, and their leases were over."""
    Delivery.objects.filter(lease_expires_at__isnull=False).update(lease_expires_at=timezone.now())


@pytest.fixture
def heard():
    told = []

    def accepted(sender, delivery, **kwargs):
        told.append(("accepted", delivery.pk))

    def failed(sender, delivery, **kwargs):
        told.append(("failed", delivery.pk))

    delivery_accepted.connect(accepted)
    delivery_failed.connect(failed)
    yield told
    delivery_accepted.disconnect(accepted)
    delivery_failed.disconnect(failed)


def test_a_test_event_that_is_resent_arrives(hooked, receiver):
    channel = hooked()
    receiver.reply = lambda arrival: 500
    courier.send_test(channel=channel)
    WebhookEndpoint.objects.update(consecutive_failures=0)
    receiver.reply = lambda arrival: 200
    assert deliveries.resend(deliveries=Delivery.objects.all()) == 1
    deliver(channel)
    assert states() == ["accepted"]


def test_what_is_resent_waits_for_the_clients_array_that_is_under_way(hooked, receiver):
    channel = hooked()
    say(channel, "one")
    Delivery.objects.update(state="failed", sealed=True)
    say(channel, "two")
    assert len(claim(channel)) == 1
    deliveries.resend(deliveries=Delivery.objects.filter(state="failed"))
    assert claim(channel) == []


def test_raising_max_items_doubles_no_message(hooked, receiver, settings):
    channel = hooked(WEBHOOK_MAX_ITEMS=1)
    say(channel, "a")
    say(channel, "b")
    settings.CHATAPI = {**settings.CHATAPI, "WEBHOOK_MAX_ITEMS": 100}
    say(channel, "c")
    deliver(channel)
    assert receiver.answers == ["a", "b", "c"]


def test_a_client_deleted_during_the_call_costs_others_nothing(hooked, receiver):
    channel = hooked()
    for name in ("ann", "bob", "cid"):
        say(channel, name, client_id=name)

    def reply(arrival):
        if arrival.answers == ["cid"] and Client.objects.filter(client_id="cid").exists():
            Client.objects.get(client_id="cid").delete()
            connection.close()
        return 200

    receiver.reply = reply
    with contextlib.suppress(Exception):
        deliver(channel)
    end_leases()
    deliver(channel)
    assert receiver.answers == ["ann", "bob", "cid"]
    assert states() == ["accepted"] * 2


def test_a_client_deleted_right_after_the_claim(hooked, receiver, monkeypatch):
    channel = hooked()
    for name in ("ann", "bob"):
        say(channel, name, client_id=name)
    real = Client.objects.in_bulk

    def in_bulk(pks):
        Client.objects.filter(client_id="bob").delete()
        return real(pks)

    monkeypatch.setattr(deliveries.Client.objects, "in_bulk", in_bulk)
    deliver(channel)
    assert receiver.answers == ["ann"]


def test_a_secret_that_cannot_sign_is_refused(make_channel, settings):
    settings.CHATAPI = {"WEBHOOK_ALLOWED_NETWORKS": ["127.0.0.0/8"]}
    with pytest.raises(ValidationError):
        make_channel(webhook_url="http://127.0.0.1:9/", webhook_secret="whsec_")


def test_what_cannot_be_signed_does_not_have_its_neighbours_sent_for_ever(hooked, receiver, monkeypatch):
    channel = hooked()
    say(channel, "good", client_id="ann")
    say(channel, "bad", client_id="bob")
    real = courier.payload

    def payload(delivery, messages):
        if messages[0].data["answer"] == "bad":
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        return real(delivery, messages)

    monkeypatch.setattr(courier, "payload", payload)
    for _ in range(3):
        with contextlib.suppress(Exception):
            deliver(channel)
        end_leases()
    assert receiver.answers == ["good"]


def test_a_late_record_tells_nobody_that_the_delivery_failed(hooked, receiver, heard):
    channel = hooked()
    say(channel, "hi")
    [mine] = claim(channel)
    Delivery.objects.update(lease_expires_at=timezone.now())
    [its] = claim(channel)
    deliveries.record(channel=channel, sent=[sent(its, 200)])
    mine.attempts = 3
    deliveries.record(channel=channel, sent=[sent(mine, 500)])
    assert states() == ["accepted"]
    assert heard == [("accepted", its.pk)]


def test_what_is_given_up_with_a_410_is_told(hooked, receiver, heard):
    channel = hooked()
    receiver.reply = lambda arrival: 410
    say(channel, "one", client_id="ann")
    say(channel, "two", client_id="bob")
    deliver(channel)
    assert states() == ["failed"] * 2
    assert sorted(heard) == sorted(("failed", pk) for pk in Delivery.objects.values_list("pk", flat=True))


def test_enabling_while_a_410_is_recorded_is_no_deadlock(hooked, receiver, monkeypatch):
    if connection.vendor == "sqlite":
        pytest.skip("one writer")
    channel = hooked()
    say(channel, "hi")
    [mine] = claim(channel)
    locked, waiting = threading.Event(), threading.Event()
    real = deliveries._locked

    def brake(pk):
        endpoint = real(pk)
        locked.set()
        waiting.wait(5)
        return endpoint

    monkeypatch.setattr(deliveries, "_locked", brake)
    errors = []

    def record():
        try:
            deliveries.record(channel=channel, sent=[sent(mine, 410)])
        except Exception as error:
            errors.append(error)

    def enable():
        original = Channel.save

        def save(self, *args, **kwargs):
            original(self, *args, **kwargs)
            waiting.set()

        monkeypatch.setattr(Channel, "save", save)
        try:
            deliveries.enable_webhook(channel=Channel.objects.get(pk=channel.pk))
        except Exception as error:
            errors.append(error)

    first = beside(record)
    locked.wait(5)
    second = beside(enable)
    first.join()
    second.join()
    assert errors == []


def test_lowering_bot_retries_blocks_no_client(told, accept, settings):
    def bot(question):
        if question.query == "bad":
            raise RuntimeError("no")
        return "fine"

    channel = told(bot, BOT_RETRIES=2, BOT_RETRY_DELAY=0.0)
    bad = accept(channel, "bad", route="async")
    good = accept(channel, "good", route="async")
    asking.ask_left(request=requests.claim_next(client_pk=bad.client_id))
    settings.CHATAPI = {**settings.CHATAPI, "BOT_RETRIES": 0}
    for _ in range(3):
        request = requests.claim_next(client_pk=bad.client_id)
        if request is not None:
            asking.ask_left(request=request)
    # What stays due and cannot be claimed also has tasks.answer_due_requests ask the database without a pause.
    assert selectors.clients_with_due_requests() == []
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.answer_state, good.answer_state) == ("failed", "answered")


def test_a_time_before_all_others_is_no_crash(hooked):
    channel = hooked()
    with contextlib.suppress(CommandError):  # one line, where the database cannot hold it
        call_command("chatapi_webhooks", "resend", "--channel", channel.token, "--since", "0001-01-01T00:00+05:00")


def test_an_empty_schedule_resends_nothing(hooked, receiver):
    channel = hooked(WEBHOOK_RETRY_SCHEDULE=[])
    receiver.reply = lambda arrival: 500
    say(channel, "hi")
    deliver(channel)
    assert states() == ["failed"]
