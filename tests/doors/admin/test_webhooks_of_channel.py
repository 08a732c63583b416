"""A channel's webhook in the admin: its health, and what one does about it."""

import datetime as dt
import re
import socket

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client as HTTPClient
from django.utils import timezone

from django_chatapi import selectors
from django_chatapi.actions import channels, deliveries
from django_chatapi.models import Channel, Client, Delivery, DeliveryAttempt, WebhookEndpoint
from django_chatapi.webhooks import InvalidSignature, verify

from .pages import errors, html, queries, url, words
from .test_channels import FORM, stored
from .webhooks import deliver, fail, say

pytestmark = pytest.mark.django_db

EVIL = "<script>alert(1)</script>"


def health(http: HTTPClient, channel: Channel) -> str:
    """The block on the channel's page, as it is read."""
    page = html(http, url("channel", "change", channel.pk))
    return words(page[page.index('id="chatapi-webhook"') :].split("</section>")[0])


def press(http: HTTPClient, name: str, channel: Channel, **data: str) -> str:
    """The page that a button leads to."""
    return words(http.post(url("channel", name, channel.pk), data, follow=True).content.decode())


def attempts(channel: Channel, count: int, **fields: object) -> None:
    delivery = Delivery.objects.filter(channel=channel).first() or Delivery.objects.create(channel=channel)
    values = {"number": 1, "started_at": timezone.now(), "seconds": 0.1, **fields}
    DeliveryAttempt.objects.bulk_create(
        DeliveryAttempt(delivery=delivery, channel=channel, **values) for _number in range(count)
    )


class TestHealth:
    def test_of_a_webhook_that_nothing_was_sent_to(self, admin_client, hooked):
        block = health(admin_client, hooked())
        assert "Nothing was sent yet" in block
        assert "Last success –" in block
        assert "No attempts" in block
        assert "Pending 0" in block
        assert "Failed 0" in block

    def test_of_one_that_asked_to_be_left_alone(self, admin_client, hooked, receiver):
        channel = hooked()
        receiver.reply = lambda arrival: (429, {"Retry-After": "60"})
        say(channel, "hi")
        deliver(channel)
        until = timezone.localtime(WebhookEndpoint.objects.get().next_probe_at)
        block = health(admin_client, channel)
        assert f"The latest attempt failed Nothing is sent before {until:%H:%M:%S}, as it asked." in block

    def test_a_channel_without_a_webhook_has_none(self, admin_client, channel):
        page = html(admin_client, url("channel", "change", channel.pk))
        assert "chatapi-webhook" not in page
        assert "chatapi-test-webhook" not in page

    def test_of_one_that_works(self, admin_client, hooked):
        channel = hooked()
        say(channel, "hi")
        deliver(channel)
        block = health(admin_client, channel)
        assert "Now It works" in block
        assert "0.0 % failed: 0 of 1 attempts" in block
        assert "Last failure –" in block

    def test_of_one_that_fails(self, admin_client, hooked, receiver):
        channel = hooked()
        say(channel, "hi", "anna")
        deliver(channel)
        receiver.reply = lambda arrival: 500
        fail(channel, "hi", "ben")
        say(channel, "hi", "cara")
        deliver(channel)

        block = health(admin_client, channel)

        assert "The latest attempt failed" in block
        assert "2 failures in a row" in block
        assert "66.7 % failed: 2 of 3 attempts" in block
        assert re.search(r"Pending 1 · the oldest since .* \(0\sminutes\)", block)
        assert "Failed 1 ·" in block
        assert "Enable the webhook again" not in block

    def test_what_is_more_than_an_hour_old_does_not_count(self, hooked):
        channel = hooked()
        attempts(channel, 3, error="timeout", started_at=timezone.now() - dt.timedelta(minutes=61))
        attempts(channel, 1, status_code=204)
        attempts(channel, 1, status_code=200, error="timeout")
        attempts(channel, 1, error="connection refused")
        attempts(channel, 1, status_code=301)
        attempts(hooked(), 5, status_code=500)
        found = selectors.webhook_health(channel)
        assert (found.recent_attempts, found.recent_failures, found.failure_rate) == (4, 3, 0.75)

    def test_counts_stop_at_a_limit(self, admin_client, hooked, monkeypatch):
        monkeypatch.setattr("django_chatapi.selectors.HEALTH_LIMIT", 3)
        channel = hooked()
        for _number in range(3):
            Delivery.objects.create(channel=channel)
        assert "Pending 3 ·" in health(admin_client, channel)
        for _number in range(3):
            Delivery.objects.create(channel=channel)
        assert selectors.webhook_health(channel).pending == 4
        attempts(channel, 2, status_code=500, started_at=timezone.now() - dt.timedelta(minutes=1))
        attempts(channel, 3, status_code=200)
        block = health(admin_client, channel)
        assert "Pending more than 3 ·" in block
        assert "0 of 3 attempts" in block

    def test_of_one_that_no_worker_sends_to(self, admin_client, hooked):
        channel = hooked()
        say(channel, "hi")
        deliver(channel)
        say(channel, "still there?")
        Delivery.objects.update(next_attempt_at=timezone.now() - dt.timedelta(seconds=61))
        assert "Now Behind: more is due than the endpoint takes" in health(admin_client, channel)
        WebhookEndpoint.objects.update(last_success_at=timezone.now() - dt.timedelta(seconds=61))
        assert "Now Overdue: is a Celery worker with beat running?" in health(admin_client, channel)

    def test_of_one_whose_circuit_is_open(self, admin_client, hooked):
        channel = hooked()
        now = timezone.now()
        WebhookEndpoint.objects.create(
            channel=channel, consecutive_failures=12, opened_at=now, next_probe_at=now + dt.timedelta(seconds=30)
        )
        block = health(admin_client, channel)
        assert "Circuit open since" in block
        assert re.search(r"Next probe: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.", block)
        assert "12 failures in a row" in block
        assert "Enable the webhook again" in block

    def test_of_one_that_is_gone(self, admin_client, hooked, receiver):
        channel = hooked()
        receiver.reply = lambda arrival: 410
        say(channel, "hi")
        deliver(channel)
        block = health(admin_client, channel)
        assert "Disabled since" in block
        assert "410 (gone)" in block
        assert "Enable the webhook again" in block

    def test_it_leads_to_the_deliveries_that_it_counts(self, admin_client, hooked, receiver):
        channel, other = hooked(), hooked()
        receiver.reply = lambda arrival: 500
        failed = fail(channel, "hi")
        fail(other, "hi")
        page = html(admin_client, url("channel", "change", channel.pk))
        link = re.search(r'<a href="([^"]*)">1</a> · <a href="([^"]*)">All deliveries', page)
        for address in (link[1], link[2]):
            assert re.findall(r">(msg_\w+)</a>", html(admin_client, address.replace("&amp;", "&"))) == [
                str(failed)
            ]

    def test_those_who_may_not_see_deliveries_get_no_links_and_readers_no_buttons(self, staff, hooked):
        channel = hooked()
        page = html(staff("view_channel"), url("channel", "change", channel.pk))
        assert "Webhook health" in page
        assert url("delivery") not in page
        assert "chatapi-test-webhook" not in page
        page = html(staff("change_channel"), url("channel", "change", channel.pk))
        assert 'form="chatapi-test-webhook"' in page
        assert url("channel", "resend", channel.pk) not in page

    def test_it_takes_five_queries_however_much_there_is(self, hooked, receiver, django_assert_num_queries):
        channel = hooked()
        with django_assert_num_queries(5):
            selectors.webhook_health(channel)
        for number in range(4):
            say(channel, "hi", str(number))
        deliver(channel)
        with django_assert_num_queries(5):
            selectors.webhook_health(channel)

    def test_each_of_its_queries_reads_an_index(self, hooked):
        channel = hooked()
        now = timezone.now()
        for each in (channel, hooked(), hooked()):
            client = Client.objects.create(channel=each, client_id="ann")
            Delivery.objects.bulk_create(
                Delivery(channel=each, client=client, state=state, created_at=now)
                for state in ("pending", "failed", *["accepted"] * 98)
                for _number in range(10)
            )
            delivery = Delivery.objects.filter(channel=each).first()
            DeliveryAttempt.objects.bulk_create(
                DeliveryAttempt(
                    delivery=delivery,
                    channel=each,
                    number=1,
                    started_at=now - dt.timedelta(minutes=number),
                    seconds=0.1,
                )
                for number in range(2000)
            )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        with queries() as statements:
            found = selectors.webhook_health(channel)
        assert (found.pending, found.failed, found.recent_attempts) == (10, 10, 60)
        explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
        for statement in statements:
            if "webhookendpoint" in statement:
                continue
            with connection.cursor() as cursor:
                cursor.execute(f"{explain} {statement}".replace("%", "%%"))
                plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            index = "chatapi_attempt_rate" if "deliveryattempt" in statement else "chatapi_delivery_"
            assert index in plan, (statement, plan)
            assert "Seq Scan" not in plan, (statement, plan)


class TestTestEvent:
    def test_an_accepted_one(self, admin_client, hooked, receiver):
        channel = hooked()
        page = press(admin_client, "test_webhook", channel)
        assert re.search(r"The test event was accepted: status 200, after \d+ ms\. Response: ok", page)
        assert "Now It works" in page
        [arrival] = receiver.arrivals
        [item] = verify(channel.webhook_secret, arrival.headers, arrival.body)
        assert item["data"]["answer"] == "This is a test event: your webhook works."

    def test_a_refused_one(self, admin_client, hooked, receiver):
        channel = hooked()
        receiver.reply = lambda arrival: 302
        page = press(admin_client, "test_webhook", channel)
        assert re.search(r"The test event was not accepted: status 302, after \d+ ms\.", page)
        assert "The latest attempt failed" in page
        assert len(receiver.arrivals) == 1
        assert Delivery.objects.get().state == "failed"

    def test_one_that_nobody_listens_for(self, admin_client, hooked):
        channel = hooked(webhook_url="http://127.0.0.1:1/")
        page = press(admin_client, "test_webhook", channel)
        assert re.search(r"The test event was not accepted: connection refused, after \d+ ms\.", page)

    def test_what_the_endpoint_says_is_never_markup_and_is_cut(self, admin_client, hooked, receiver):
        channel = hooked()

        def scold(handler):
            body = (EVIL + "x" * 3000 + "END").encode()
            handler.send_response(500)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        receiver.reply = lambda arrival: scold
        page = admin_client.post(url("channel", "test_webhook", channel.pk), follow=True).content.decode()
        assert EVIL not in page
        assert "&lt;script&gt;alert(1)" in page
        assert "x" * 300 not in page
        link = re.search(r'<a href="([^"]*)">Show the delivery', page)
        delivery = html(admin_client, link[1])
        assert "x" * 2000 in delivery
        assert EVIL not in delivery

    def test_without_a_webhook_it_sends_nothing(self, admin_client, channel):
        assert "Give it a webhook URL" in press(admin_client, "test_webhook", channel)
        assert not Delivery.objects.exists()

    def test_those_who_may_not_see_deliveries_get_no_link(self, staff, hooked):
        page = press(staff("change_channel"), "test_webhook", hooked())
        assert "The test event was accepted" in page
        assert "Show the delivery" not in page


class TestResendingAll:
    @pytest.fixture
    def outage(self, hooked, receiver):
        """Three failed deliveries, made now, two hours and two days ago, and one of another channel."""
        channel, other = hooked(), hooked()
        receiver.reply = lambda arrival: 500
        for days, client_id in ((0, "now"), (2 / 24, "hours"), (2, "days")):
            made = timezone.now() - dt.timedelta(days=days)
            Delivery.objects.filter(pk=fail(channel, "hi", client_id).pk).update(created_at=made)
        fail(other, "hi")
        return channel

    def pending(self):
        found = Delivery.objects.filter(state="pending").values_list("client__client_id", flat=True)
        return sorted(found)

    def test_since_a_time(self, admin_client, outage):
        since = timezone.localtime() - dt.timedelta(hours=3)
        page = press(admin_client, "resend", outage, since=f"{since:%Y-%m-%dT%H:%M}")
        assert "2 deliveries are sent again." in page
        assert self.pending() == ["hours", "now"]
        assert "Resent failed deliveries: 2." in LogEntry.objects.get().change_message

    def test_all_of_the_channel(self, admin_client, outage):
        assert "3 deliveries are sent again." in press(admin_client, "resend", outage, since="")
        assert self.pending() == ["days", "hours", "now"]

    def test_not_the_test_events(self, admin_client, hooked, receiver):
        channel = hooked()
        receiver.reply = lambda arrival: 500
        press(admin_client, "test_webhook", channel)
        assert "Nothing to resend" in press(admin_client, "resend", channel, since="")

    def test_the_form_begins_a_day_ago_and_says_how_many_are_failed(self, admin_client, outage):
        page = html(admin_client, url("channel", "resend", outage.pk))
        assert "Failed deliveries of this channel: 3." in words(page)
        value = re.search(r'type="datetime-local" name="since" value="([^"]*)"', page)[1]
        day_ago = timezone.localtime() - dt.timedelta(days=1)
        assert abs(dt.datetime.fromisoformat(value) - day_ago.replace(tzinfo=None)) < dt.timedelta(minutes=5)
        assert self.pending() == []

    def test_no_time_resends_nothing(self, admin_client, outage):
        assert "Enter a valid date/time." in press(admin_client, "resend", outage, since="soon")
        assert self.pending() == []

    def test_a_disabled_webhook_has_to_be_enabled_first(self, admin_client, outage):
        Channel.objects.update(webhook_disabled_at=timezone.now())
        assert "enable its webhook again, first." in press(admin_client, "resend", outage, since="")
        assert self.pending() == []

    def test_many_go_in_steps(self, admin_client, outage, monkeypatch):
        monkeypatch.setattr("django_chatapi.actions.resends.STEP", 2)
        assert "3 deliveries are sent again." in press(admin_client, "resend", outage, since="")
        assert self.pending() == ["days", "hours", "now"]

    def test_it_takes_both_permissions(self, staff, outage):
        for http in (staff("change_channel"), staff("change_delivery", "view_channel")):
            assert http.get(url("channel", "resend", outage.pk)).status_code == 403
            assert http.post(url("channel", "resend", outage.pk), {"since": ""}).status_code == 403
        assert self.pending() == []


def test_a_webhook_that_was_gone_is_enabled_again(admin_client, hooked, receiver):
    channel = hooked()
    receiver.reply = lambda arrival: 410
    say(channel, "lost", "anna")
    deliver(channel)
    receiver.reply = lambda arrival: 200

    assert "The webhook is enabled" in press(admin_client, "enable_webhook", channel)

    channel.refresh_from_db()
    assert channel.webhook_disabled_at is None
    assert "Enabled the webhook again." in LogEntry.objects.get().change_message
    say(channel, "found", "anna")
    deliver(channel)
    assert receiver.answers[-1] == "found"


def test_a_new_address_is_sent_to_although_the_old_one_was_gone(admin_client, hooked, receiver):
    channel = hooked()
    endpoint = WebhookEndpoint.objects.filter(channel=channel)
    receiver.reply = lambda arrival: 410
    say(channel, "lost", "anna")
    deliver(channel)
    now = timezone.now()
    endpoint.update(consecutive_failures=12, opened_at=now, next_probe_at=now + dt.timedelta(hours=1))
    receiver.reply = lambda arrival: 200

    page = url("channel", "change", channel.pk)
    admin_client.post(page, stored(channel, name="Renamed"))
    assert Channel.objects.get().webhook_disabled_at is not None
    assert endpoint.get().opened_at is not None
    response = admin_client.post(page, stored(channel, webhook_url=receiver.url + "/new"), follow=True)

    assert "Channel connected" in words(response.content.decode())
    channel.refresh_from_db()
    assert (channel.webhook_url, channel.webhook_disabled_at) == (receiver.url + "/new", None)
    say(channel, "found", "anna")
    deliver(channel)
    assert receiver.arrivals[-1].path == "/hook/new"
    assert receiver.answers[-1] == "found"


@pytest.mark.parametrize("name", ["test_webhook", "enable_webhook"])
class TestButtons:
    def test_looking_does_nothing(self, admin_client, hooked, name, receiver):
        assert admin_client.get(url("channel", name, hooked().pk)).status_code == 405
        assert not receiver.arrivals

    def test_they_take_the_permission_to_change(self, staff, hooked, name, receiver):
        channel = hooked()
        assert staff("view_channel", "change_delivery").post(url("channel", name, channel.pk)).status_code == 403
        assert not receiver.arrivals

    def test_they_take_the_csrf_token(self, admin_user, hooked, name, receiver):
        http = HTTPClient(enforce_csrf_checks=True)
        http.force_login(admin_user)
        channel = hooked()
        assert http.post(url("channel", name, channel.pk)).status_code == 403
        page = html(http, url("channel", "change", channel.pk))
        form = re.search(rf'action="{url("channel", name, channel.pk)}">.*?value="(\w+)"', page)
        response = http.post(url("channel", name, channel.pk), {"csrfmiddlewaretoken": form[1]})
        assert response.status_code == 302

    def test_a_channel_that_is_not_there_is_not_found(self, admin_client, name):
        assert admin_client.post(url("channel", name, "999999")).status_code == 404


def test_the_enter_key_in_the_form_presses_save(admin_client, hooked):
    """A browser presses the first button of the form that the field belongs to."""
    page = html(admin_client, url("channel", "change", hooked().pk))
    form = page[page.index('id="channel_form"') :].split("</form>")[0]
    buttons = [tag for tag in re.findall(r"<(?:button|input)\b[^>]*>", form) if 'type="submit"' in tag]
    assert 'name="_save"' in next(tag for tag in buttons if " form=" not in tag)
    assert "chatapi-test-webhook" in form


class TestRotation:
    def form(self, http, channel, grace, **more):
        page = html(http, url("channel", "rotate_webhook_secret", channel.pk))
        replaces = re.search(r'name="replaces" value="([^"]+)"', page)[1]
        return {"grace": str(grace), "replaces": replaces, **more}

    def rotate(self, http, channel, grace, **more):
        return press(http, "rotate_webhook_secret", channel, **self.form(http, channel, grace, **more))

    def test_what_is_sent_is_signed_with_both_secrets(self, admin_client, hooked, receiver):
        channel = hooked()
        old = channel.webhook_secret

        page = self.rotate(admin_client, channel, 3600)

        channel.refresh_from_db()
        assert channel.webhook_secret != old
        assert channel.webhook_secret.startswith("whsec_")
        assert "Rotated the signing secret. The old secret signs as well until " in page
        left = channel.previous_webhook_secret_expires_at - timezone.now()
        assert abs(left - dt.timedelta(hours=1)) < dt.timedelta(minutes=5)
        say(channel, "hi")
        deliver(channel)
        [arrival] = receiver.arrivals
        for secret in (channel.webhook_secret, old):
            verify(secret, arrival.headers, arrival.body)

    def test_a_secret_that_leaked_ends_at_once(self, admin_client, hooked, receiver):
        channel = hooked()
        old = channel.webhook_secret
        assert "The old secret signs no longer." in self.rotate(admin_client, channel, 0)
        say(channel, "hi")
        deliver(channel)
        [arrival] = receiver.arrivals
        with pytest.raises(InvalidSignature):
            verify(old, arrival.headers, arrival.body)

    def test_a_secret_of_ones_own_is_taken(self, admin_client, channel):
        self.rotate(admin_client, channel, 0, secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        assert Channel.objects.get().webhook_secret == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    @pytest.mark.parametrize("secret", ["whsec_", "whsec_ ", "x" * 256])
    def test_one_that_signs_nothing_is_refused(self, admin_client, channel, secret):
        self.rotate(admin_client, channel, 0, secret=secret)
        assert Channel.objects.get().webhook_secret == channel.webhook_secret

    def test_the_one_in_use_is_refused(self, admin_client, channel):
        page = self.rotate(admin_client, channel, 3600, secret=channel.webhook_secret)
        assert "The channel has this secret already." in page
        assert Channel.objects.get().previous_webhook_secret == ""

    def test_the_setting_is_what_is_chosen_to_begin_with(self, admin_client, channel, settings):
        settings.CHATAPI = {**settings.CHATAPI, "WEBHOOK_ROTATION_GRACE": 5400.0}
        page = html(admin_client, url("channel", "rotate_webhook_secret", channel.pk))
        choices = re.findall(r'<input type="radio"[^>]*value="(\d+)"([^>]*)>', page)
        assert [value for value, rest in choices if "checked" in rest] == ["5400"]
        before = timezone.now()
        channels.rotate_webhook_secret(channel=channel)
        left = channel.previous_webhook_secret_expires_at - before
        assert abs(left - dt.timedelta(seconds=5400)) < dt.timedelta(seconds=60)

    def test_a_form_that_is_sent_twice_does_not_end_the_secret_in_use(self, admin_client, channel):
        data = self.form(admin_client, channel, 3600)
        press(admin_client, "rotate_webhook_secret", channel, **data)
        after_one = Channel.objects.values().get()
        page = press(admin_client, "rotate_webhook_secret", channel, **data)
        assert "The secret was changed meanwhile." in page
        assert Channel.objects.values().get() == after_one

    def test_saving_a_page_from_before_does_not_bring_the_old_secret_back(self, admin_client, channel):
        before = stored(channel, name="Renamed")
        self.rotate(admin_client, channel, 3600)
        rotated = Channel.objects.get().webhook_secret
        admin_client.post(url("channel", "change", channel.pk), before)
        saved = Channel.objects.get()
        assert (saved.name, saved.webhook_secret) == ("Renamed", rotated)

    def test_it_is_logged_without_the_secrets(self, admin_client, channel):
        old = channel.webhook_secret
        self.rotate(admin_client, channel, 3600)
        channel.refresh_from_db()
        message = LogEntry.objects.get().change_message
        assert "Rotated the signing secret." in message
        assert old not in message
        assert channel.webhook_secret not in message

    def test_it_takes_the_permission_to_change(self, staff, channel):
        address = url("channel", "rotate_webhook_secret", channel.pk)
        assert staff("view_channel").get(address).status_code == 403
        assert staff("view_channel").post(address, {"grace": "0"}).status_code == 403
        assert address not in html(staff("view_channel"), url("channel", "change", channel.pk))
        assert address in html(staff("change_channel"), url("channel", "change", channel.pk))

    def test_the_page_says_until_when_the_old_one_signs(self, admin_client, channel):
        Channel.objects.update(
            previous_webhook_secret="whsec_b2xk",
            previous_webhook_secret_expires_at=dt.datetime(2100, 1, 2, 3, 4, tzinfo=dt.timezone.utc),
        )
        page = words(html(admin_client, url("channel", "change", channel.pk)))
        assert "The old secret signs as well until 2100-01-02 03:04:00." in page
        assert "whsec_b2xk" not in page
        page = words(html(admin_client, url("channel", "rotate_webhook_secret", channel.pk)))
        assert "It will end now: only the latest two secrets can sign." in page
        Channel.objects.update(previous_webhook_secret_expires_at=timezone.now())
        assert "signs as well" not in words(html(admin_client, url("channel", "change", channel.pk)))


class TestAddress:
    @pytest.mark.parametrize("address", ["http://127.0.0.1/hook", "http://[::1]/", "http://10.0.0.1:8080/"])
    def test_one_that_is_not_on_the_public_internet_is_refused(self, admin_client, channel, address):
        response = admin_client.post(url("channel", "add"), {**FORM, "webhook_url": address})
        [complaint] = errors(response)["webhook_url"]
        assert "CHATAPI['WEBHOOK_ALLOWED_NETWORKS']" in complaint
        data = stored(channel, webhook_url=address)
        assert list(errors(admin_client.post(url("channel", "change", channel.pk), data))) == ["webhook_url"]
        assert Channel.objects.get().webhook_url == ""

    def test_scripts_are_refused_it_too(self):
        with pytest.raises(ValidationError) as refused:
            channels.create(name="Shop", bot="echo", webhook_url="http://127.0.0.1/hook")
        assert list(refused.value.message_dict) == ["webhook_url"]
        assert not Channel.objects.exists()

    @pytest.mark.parametrize(
        "address", ["http://receiver:8080/hook", "http://my_service.internal:8080/", "http://receiver/"]
    )
    def test_a_name_of_an_allowed_network_is_taken(self, admin_client, channel, settings, monkeypatch, address):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.5", 8080))]
        monkeypatch.setattr("django_chatapi.webhooks.addresses.lookups.find", lambda *asked: found)
        data = stored(channel, webhook_url=address)
        [complaint] = errors(admin_client.post(url("channel", "change", channel.pk), data))["webhook_url"]
        assert "CHATAPI['WEBHOOK_ALLOWED_NETWORKS']" in complaint

        settings.CHATAPI = {"WEBHOOK_ALLOWED_NETWORKS": ["10.0.0.0/8"]}
        admin_client.post(url("channel", "change", channel.pk), data)
        channels.create(name="Shop", bot="echo", webhook_url=address)
        assert list(Channel.objects.values_list("webhook_url", flat=True)) == [address] * 2

    @pytest.mark.parametrize("address", ["nonsense: x", "javascript:alert(1)", "http://a b/", "http://["])
    def test_what_is_no_address_is_refused_once(self, admin_client, channel, address):
        data = stored(channel, webhook_url=address)
        [complaint] = errors(admin_client.post(url("channel", "change", channel.pk), data))["webhook_url"]
        assert "Write an address such as https://" in complaint
        with pytest.raises(ValidationError) as refused:
            channels.create(name="Shop", bot="echo", webhook_url=address)
        assert refused.value.message_dict == {"webhook_url": [complaint]}

    def test_an_address_without_a_scheme_is_an_https_one(self, admin_client, channel):
        data = stored(channel, webhook_url="93.184.215.14/hook")
        admin_client.post(url("channel", "change", channel.pk), data)
        assert Channel.objects.get().webhook_url == "https://93.184.215.14/hook"
        assert 'type="url" name="webhook_url"' in html(admin_client, url("channel", "change", channel.pk))

    def test_an_allowed_network_opens_it(self, admin_client, hooked, receiver):
        admin_client.post(url("channel", "add"), {**FORM, "webhook_url": receiver.url})
        hooked()
        assert list(Channel.objects.values_list("webhook_url", flat=True)) == [receiver.url] * 2

    def test_a_channel_whose_address_is_refused_by_now_can_be_switched_off(self, admin_client, channel):
        Channel.objects.update(webhook_url="http://127.0.0.1/hook")
        channel.refresh_from_db()
        data = stored(channel)
        assert list(errors(admin_client.post(url("channel", "change", channel.pk), data))) == ["webhook_url"]
        del data["active"]
        admin_client.post(url("channel", "change", channel.pk), data)
        assert not Channel.objects.get().active


def test_the_new_pages_need_no_inline_script_or_style(admin_client, hooked):
    channel = hooked()
    deliveries.make_test_delivery(channel=channel)
    for path in (
        url("channel", "change", channel.pk),
        url("channel", "rotate_webhook_secret", channel.pk),
        url("channel", "resend", channel.pk),
    ):
        page = html(admin_client, path)
        assert all("src=" in attributes for attributes in re.findall(r"<script\b([^>]*)>", page)), path
        assert not re.search(r'<[^>]*\s(style|on[a-z]+)="', page), path
