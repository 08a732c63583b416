"""Deliveries in the admin."""

import datetime as dt
import json
import re
import secrets
import uuid

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client as HTTPClient
from django.utils import timezone

from django_chatapi.actions import courier
from django_chatapi.identifiers import first_uuid
from django_chatapi.models import Channel, Client, Delivery, DeliveryAttempt, WebhookEndpoint
from django_chatapi.webhooks import verify

from .pages import html, queries, url, words
from .webhooks import deliver, fail, say

pytestmark = pytest.mark.django_db

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>"
SPAN = {"created_at__gte": "2020-01-01T00:00Z", "created_at__lt": "2100-01-01T00:00Z"}


def ids(page: str) -> list[str]:
    """The deliveries of a list, by their webhook ids."""
    return re.findall(r">(msg_[0-9a-f]{32})</a>", page)


def uuid_of(moment: dt.datetime) -> uuid.UUID:
    """As a delivery of that time has it."""
    return uuid.UUID(int=first_uuid(int(moment.timestamp() * 1000)).int | secrets.randbits(62))


class TestList:
    def test_it_says_what_went_where_and_what_became_of_it(self, admin_client, hooked, receiver):
        channel = hooked()
        say(channel, "one", "anna")
        say(channel, "two", "anna")
        deliver(channel)
        receiver.reply = lambda arrival: 500
        fail(channel, "three", "ben")

        page = words(html(admin_client, url("delivery")))

        failed, accepted = Delivery.objects.order_by("-pk")
        moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
        assert re.search(
            rf"{failed} ben Test failed 1 attempt: status 500 1 {moment} closed: {moment} "
            rf"{accepted} anna Test accepted 1 attempt 2 {moment} closed: {moment} ",
            page,
        )

    def test_what_is_pending_says_what_it_waits_for(self, admin_client, hooked):
        channel = hooked()
        say(channel, "hi")
        delivery = Delivery.objects.get()
        pages = [url("delivery"), url("delivery", "change", delivery.pk)]
        moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
        for page in pages:
            assert re.search(rf"[Nn]ext attempt: {moment}", words(html(admin_client, page))), page
        probe = dt.datetime(2100, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc)
        WebhookEndpoint.objects.create(channel=channel, opened_at=timezone.now(), next_probe_at=probe)
        for page in pages:
            assert re.search(
                "waits for the next probe[,:] 2100-01-02 03:04:05", words(html(admin_client, page))
            ), page

    def test_a_failed_one_stands_out(self, admin_client, hooked, receiver):
        receiver.reply = lambda arrival: 500
        fail(hooked(), "hi")
        assert '<strong class="chatapi-failed">failed</strong>' in html(admin_client, url("delivery"))

    def test_it_is_filtered_by_channel_and_state(self, admin_client, hooked, receiver):
        one, other = hooked(), hooked()
        say(one, "pending")
        receiver.reply = lambda arrival: 500
        fail(other, "failed")

        def rows(**query):
            return len(ids(html(admin_client, url("delivery"), **query)))

        assert rows() == 2
        assert rows(channel__id__exact=one.pk) == 1
        assert rows(state__exact="pending") == 1
        assert rows(state__exact="failed", channel__id__exact=one.pk) == 0
        assert rows(state__exact="failed", channel__id__exact=other.pk) == 1

    def test_it_is_filtered_by_time_to_the_second(self, admin_client, hooked):
        channel = hooked()
        start = timezone.now().replace(microsecond=0) - dt.timedelta(days=400)
        made = []
        for seconds in (-1, 0, 59, 60):
            moment = start + dt.timedelta(seconds=seconds)
            webhook_id = uuid_of(moment)
            made.append(str(Delivery.objects.create(channel=channel, created_at=moment, webhook_id=webhook_id)))
        span = {"created_at__gte": str(start), "created_at__lt": str(start + dt.timedelta(minutes=1))}

        assert ids(html(admin_client, url("delivery"), **span)) == [made[2], made[1]]

    def test_djangos_own_spans_find_todays_deliveries(self, admin_client, hooked):
        channel = hooked()
        say(channel, "hi")
        long_ago = timezone.now() - dt.timedelta(days=800)
        Delivery.objects.create(channel=channel, created_at=long_ago, webhook_id=uuid_of(long_ago))
        page = html(admin_client, url("delivery"))
        assert len(ids(page)) == 2
        links = re.findall(r'<a href="(\?created_at__gte=[^"]*)">\s*([^<]*?)\s*</a>', page)
        assert [name for _link, name in links] == ["Today", "Past 7 days", "This month", "This year"]
        for link, name in links:
            assert len(ids(html(admin_client, url("delivery") + link.replace("&amp;", "&")))) == 1, name

    @pytest.mark.parametrize(
        "time", ["0001-01-02 00:00+00:00", "9999-12-31 23:59:59+00:00", "1969-01-01 00:00Z", "soon", ""]
    )
    def test_times_at_the_edges_and_no_times_break_nothing(self, admin_client, hooked, time):
        say(hooked(), "hi")
        for name in ("created_at__gte", "created_at__lt"):
            assert admin_client.get(url("delivery"), {name: time}).status_code in (200, 302)

    @pytest.mark.parametrize(
        "query",
        [
            {},
            {"q": "ann"},
            {"state__exact": "failed"},
            {"channel__id__exact": "1"},
            SPAN,
            {"o": "2.-6"},
        ],
    )
    def test_it_never_counts_without_a_limit_and_sorts_by_the_key_alone(self, admin_client, hooked, query):
        say(hooked(), "hi")
        with queries() as statements:
            html(admin_client, url("delivery"), **query)
        counts = [statement for statement in statements if "COUNT(" in statement]
        assert counts
        assert all("LIMIT 10001" in statement for statement in counts)
        page = next(s for s in statements if '"django_chatapi_delivery"."items"' in s and "ORDER BY" in s)
        assert page.rsplit("ORDER BY", 1)[1].split("LIMIT")[0].strip() == '"django_chatapi_delivery"."id" DESC'

    def test_a_span_of_time_is_asked_of_the_webhook_id_as_well_since_that_has_an_index(self, admin_client, hooked):
        say(hooked(), "hi")
        with queries() as statements:
            html(admin_client, url("delivery"), **SPAN)
        about = [s for s in statements if '"django_chatapi_delivery"."created_at" >=' in s]
        assert about
        for statement in about:
            assert '"django_chatapi_delivery"."webhook_id" >=' in statement
            assert '"django_chatapi_delivery"."webhook_id" <=' in statement

    def test_it_takes_as_many_queries_for_many_deliveries_as_for_one(self, admin_client, hooked):
        say(hooked(), "hi")
        html(admin_client, url("delivery"))
        with queries() as few:
            html(admin_client, url("delivery"))
        other = hooked()
        for number in range(15):
            say(other, "hi", str(number))
        with queries() as many:
            html(admin_client, url("delivery"))
        assert len(many) == len(few)


class TestSearch:
    def found(self, http, term):
        return ids(html(http, url("delivery"), q=term))

    def test_a_webhook_id_is_found_as_shown_in_hex_and_as_a_uuid(self, admin_client, hooked):
        channel = hooked()
        say(channel, "one", "anna")
        say(channel, "two", "ben")
        one = Delivery.objects.get(client__client_id="anna")
        for term in (str(one), f" {one} ", one.webhook_id.hex, str(one.webhook_id), str(one.webhook_id).upper()):
            assert self.found(admin_client, term) == [str(one)]

    def test_a_client_id_finds_that_clients_deliveries_on_every_channel(self, admin_client, hooked):
        for client_id in ("anna", "anna-2"):
            say(hooked(), "hi", client_id)
            say(hooked(), "hi", client_id)
        assert len(self.found(admin_client, "anna")) == 2

    def test_anything_else_finds_nothing(self, admin_client, hooked):
        say(hooked(), "hi", "anna")
        for term in ("ann", "hi", "msg_", "msg_1234", str(uuid.uuid4())):
            assert self.found(admin_client, term) == []


class TestPage:
    def test_every_attempt_has_its_time_outcome_response_and_headers(self, admin_client, hooked, receiver):
        channel = hooked()
        receiver.reply = lambda arrival: 503
        delivery = fail(channel, "hi")
        receiver.reply = lambda arrival: 200
        admin_client.post(url("delivery", "resend", delivery.pk))
        deliver(channel)

        page = words(html(admin_client, url("delivery", "change", delivery.pk)))

        table = page[page.index("Sent and received") :]
        moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
        assert re.search(rf"1 {moment} \d+ ms 503 .* Response ok 1 {moment} \d+ ms accepted \(200\) ", table)
        for arrival in receiver.arrivals:
            for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
                assert f"{name}: {arrival.headers[name]}" in page
        assert len(receiver.arrivals) == 2

    def test_a_2xx_that_came_too_late_is_not_called_accepted(self, admin_client, hooked):
        channel = hooked()
        say(channel, "hi")
        delivery = Delivery.objects.get()
        DeliveryAttempt.objects.create(
            delivery=delivery,
            channel=channel,
            number=1,
            started_at=timezone.now(),
            seconds=3,
            status_code=200,
            error="timeout",
        )
        page = words(html(admin_client, url("delivery", "change", delivery.pk)))
        assert "200, timeout" in page
        assert "accepted (" not in page

    def test_the_payload_is_what_was_sent_to_the_byte(self, admin_client, hooked, receiver):
        channel = hooked()
        say(channel, "Grüße — \u2028 \r\n \"<b>\" '&amp;'")
        deliver(channel)
        delivery = Delivery.objects.get()

        response = admin_client.get(url("delivery", "payload", delivery.pk))

        [arrival] = receiver.arrivals
        assert response.content == arrival.body
        assert response["Content-Type"] == "application/json"
        assert response["Content-Disposition"] == f'attachment; filename="{delivery}.json"'
        verify(channel.webhook_secret, arrival.headers, response.content)
        page = html(admin_client, url("delivery", "change", delivery.pk))
        shown = words(page)
        assert '"answer": "Grüße — ' in shown
        assert url("delivery", "payload", delivery.pk) in page
        assert " ".join(arrival.body.decode().split()) in shown

    def test_one_that_still_grows_says_so(self, admin_client, hooked):
        channel = hooked()
        say(channel, "hi")
        page = url("delivery", "change", Delivery.objects.get().pk)
        assert "further messages of the client join it" in words(html(admin_client, page))
        deliver(channel)
        assert "further messages of the client join it" not in words(html(admin_client, page))

    def test_a_test_event_has_no_client(self, admin_client, hooked):
        sent = courier.send_test(channel=hooked())
        page = words(html(admin_client, url("delivery", "change", sent.delivery.pk)))
        assert "Client: Test event" in page
        assert "This is a test event" in page
        assert "Test event" in words(html(admin_client, url("delivery")))

    def test_the_latest_attempts_of_very_many_are_shown(self, admin_client, hooked, monkeypatch):
        monkeypatch.setattr("django_chatapi.admin.deliveries.ATTEMPTS", 2)
        channel = hooked()
        say(channel, "hi")
        delivery, now = Delivery.objects.get(), timezone.now()
        for number in (1, 2, 3):
            DeliveryAttempt.objects.create(
                delivery=delivery,
                channel=channel,
                number=number,
                started_at=now + dt.timedelta(seconds=number),
                seconds=0.1,
                error=f"error {number}",
            )
        page = words(html(admin_client, url("delivery", "change", delivery.pk)))
        assert "error 1" not in page
        assert page.index("error 2") < page.index("error 3")

    @pytest.mark.parametrize("object_id", ["999999", "no-number", "9" * 30])
    def test_one_that_is_not_there_is_not_found(self, admin_client, object_id):
        assert admin_client.get(url("delivery", "payload", object_id)).status_code == 404
        assert admin_client.post(url("delivery", "resend", object_id)).status_code == 404


class TestResending:
    def select(self, http, deliveries, **more):
        chosen = {"action": "resend_selected", "_selected_action": [each.pk for each in deliveries], **more}
        return words(http.post(url("delivery"), chosen, follow=True).content.decode())

    def test_one_from_its_page(self, admin_client, hooked, receiver):
        channel = hooked()
        receiver.reply = lambda arrival: 500
        delivery = fail(channel, "hi")
        page = html(admin_client, url("delivery", "change", delivery.pk))
        assert (
            f'<form class="chatapi-tool" method="post" action="{url("delivery", "resend", delivery.pk)}">' in page
        )
        receiver.reply = lambda arrival: 200

        response = admin_client.post(url("delivery", "resend", delivery.pk), follow=True)

        assert "1 delivery is sent again." in words(response.content.decode())
        assert url("delivery", "resend", delivery.pk) not in response.content.decode()
        assert "Resent." in LogEntry.objects.get().change_message
        deliver(channel)
        delivery.refresh_from_db()
        assert (delivery.state, delivery.attempts) == ("accepted", 1)
        assert {arrival.webhook_id for arrival in receiver.arrivals} == {str(delivery)}

    def test_of_those_selected_only_the_failed_ones(self, admin_client, hooked, receiver):
        channel = hooked()
        say(channel, "well", "anna")
        deliver(channel)
        receiver.reply = lambda arrival: 500
        for client_id in ("ben", "cara", "dora"):
            fail(channel, "hi", client_id)
        before = {delivery.client.client_id: delivery for delivery in Delivery.objects.select_related("client")}

        page = self.select(admin_client, [before["anna"], before["ben"], before["cara"]])

        assert "2 deliveries are sent again." in page
        states = dict(Delivery.objects.values_list("client__client_id", "state"))
        assert states == {"anna": "accepted", "ben": "pending", "cara": "pending", "dora": "failed"}

    def test_while_the_circuit_is_open_one_is_told_so(self, admin_client, hooked, receiver):
        channel = hooked()
        receiver.reply = lambda arrival: 500
        failed = [fail(channel, "hi", str(number)) for number in range(3)]
        WebhookEndpoint.objects.update(opened_at=timezone.now())
        waits = "The circuit is open: what is due waits for the next probe."
        page = admin_client.post(url("delivery", "resend", failed[0].pk), follow=True)
        assert f"1 delivery is sent again. {waits}" in words(page.content.decode())
        assert f"1 delivery is sent again. {waits}" in self.select(admin_client, [failed[1]])
        page = admin_client.post(url("channel", "resend", channel.pk), {"since": ""}, follow=True)
        assert f"1 delivery is sent again. {waits}" in words(page.content.decode())

    def test_all_that_a_filter_found(self, admin_client, hooked, receiver):
        channel = hooked()
        receiver.reply = lambda arrival: 500
        failed = [fail(channel, "hi", str(number)) for number in range(3)]
        chosen = {"action": "resend_selected", "_selected_action": [failed[0].pk], "select_across": "1"}
        page = admin_client.post(url("delivery") + "?state__exact=failed", chosen, follow=True)
        assert "3 deliveries are sent again." in words(page.content.decode())
        assert set(Delivery.objects.values_list("state", flat=True)) == {"pending"}

    def test_when_nothing_is_failed_it_says_so(self, admin_client, hooked):
        channel = hooked()
        say(channel, "hi")
        deliver(channel)
        delivery = Delivery.objects.get()
        assert "Nothing to resend" in self.select(admin_client, [delivery])
        response = admin_client.post(url("delivery", "resend", delivery.pk), follow=True)
        assert "Nothing to resend" in words(response.content.decode())
        assert not LogEntry.objects.exists()

    @pytest.mark.parametrize("gone", [{"webhook_url": ""}, {"webhook_disabled_at": timezone.now()}])
    def test_without_a_webhook_it_stays_failed_and_the_page_says_what_to_do(
        self, admin_client, hooked, receiver, gone
    ):
        channel = hooked()
        receiver.reply = lambda arrival: 500
        delivery = fail(channel, "hi")
        Channel.objects.filter(pk=channel.pk).update(**gone)
        alone = admin_client.post(url("delivery", "resend", delivery.pk), follow=True)
        for page in (self.select(admin_client, [delivery]), words(alone.content.decode())):
            assert "Give it a webhook URL, or enable its webhook again, first." in page
        delivery.refresh_from_db()
        assert delivery.state == "failed"

    def test_looking_resends_nothing(self, admin_client, hooked, receiver):
        receiver.reply = lambda arrival: 500
        delivery = fail(hooked(), "hi")
        assert admin_client.get(url("delivery", "resend", delivery.pk)).status_code == 405
        assert Delivery.objects.get().state == "failed"

    def test_it_takes_the_csrf_token(self, admin_user, hooked, receiver):
        receiver.reply = lambda arrival: 500
        delivery = fail(hooked(), "hi")
        http = HTTPClient(enforce_csrf_checks=True)
        http.force_login(admin_user)
        assert http.post(url("delivery", "resend", delivery.pk)).status_code == 403
        assert Delivery.objects.get().state == "failed"


class TestPermissions:
    @pytest.fixture
    def failed(self, hooked, receiver):
        receiver.reply = lambda arrival: 500
        return fail(hooked(), "my secret wish")

    def test_without_one_there_is_nothing_to_see(self, staff, failed):
        http = staff("view_channel", "view_message", "view_client")
        assert http.get(url("delivery")).status_code == 403
        for page in ("change", "payload"):
            assert http.get(url("delivery", page, failed.pk)).status_code == 403

    def test_resending_takes_the_one_to_change(self, staff, failed):
        http = staff("view_delivery")
        assert "resend_selected" not in html(http, url("delivery"))
        assert "chatapi-tool" not in html(http, url("delivery", "change", failed.pk))
        assert http.post(url("delivery", "resend", failed.pk)).status_code == 403
        http.post(url("delivery"), {"action": "resend_selected", "_selected_action": [failed.pk]})
        assert Delivery.objects.get().state == "failed"
        http = staff("view_delivery", "change_delivery")
        assert "resend_selected" in html(http, url("delivery"))
        http.post(url("delivery", "resend", failed.pk))
        assert Delivery.objects.get().state == "pending"

    def test_what_was_said_and_the_token_are_shown_to_those_who_may_see_both(self, staff, failed):
        page = url("delivery", "change", failed.pk)
        payload = url("delivery", "payload", failed.pk)
        for codenames in ([], ["view_message"], ["view_channel"]):
            http = staff("view_delivery", *codenames)
            content = html(http, page)
            assert "my secret wish" not in content
            assert failed.token not in content
            assert "you need the permissions to view messages and channels" in content
            assert http.get(payload).status_code == 403
        http = staff("view_delivery", "view_message", "view_channel")
        assert "my secret wish" in html(http, page)
        assert failed.token in html(http, payload)

    def test_attempts_take_their_own(self, staff, failed):
        page = url("delivery", "change", failed.pk)
        assert "webhook-signature" not in html(staff("view_delivery"), page)
        assert "you need the permission to view delivery attempts" in html(staff("view_delivery"), page)
        assert "webhook-signature" in html(staff("view_delivery", "view_deliveryattempt"), page)

    def test_nobody_adds_changes_or_deletes_one(self, admin_client, failed):
        assert admin_client.get(url("delivery", "add")).status_code == 403
        assert admin_client.post(url("delivery", "change", failed.pk), {"state": "accepted"}).status_code == 403
        assert admin_client.post(url("delivery", "delete", failed.pk), {"post": "yes"}).status_code == 403
        assert "delete_selected" not in html(admin_client, url("delivery"))
        assert Delivery.objects.get().state == "failed"


class TestDeletionOfWhatTheyBelongTo:
    @pytest.mark.parametrize("model", [Client, Channel])
    def test_it_counts_them_in(self, admin_client, hooked, receiver, model):
        channel = hooked()
        receiver.reply = lambda arrival: 500
        fail(channel, "hi")
        name, key = model._meta.model_name, model.objects.get().pk
        page = words(html(admin_client, url(name, "delete", key)))
        assert "Deliveries: 1" in page
        assert "Delivery attempts: 1" in page
        admin_client.post(url(name, "delete", key), {"post": "yes"})
        assert not Delivery.objects.exists()

    def test_one_with_too_many_stays(self, admin_client, hooked, monkeypatch):
        monkeypatch.setattr("django_chatapi.admin.bounds.ROW_LIMIT", 3)
        channel = hooked()
        for _number in range(4):
            Delivery.objects.create(channel=channel)
        page = words(html(admin_client, url("channel", "delete", channel.pk)))
        assert "more than 3 deliveries, too many to delete from here" in page


def test_what_clients_and_endpoints_say_is_never_markup(admin_client, hooked, receiver):
    channel = hooked()
    say(channel, EVIL, EVIL)
    delivery = Delivery.objects.get()
    Delivery.objects.update(failure=EVIL, state="failed")
    DeliveryAttempt.objects.create(
        delivery=delivery,
        channel=channel,
        number=1,
        started_at=timezone.now(),
        seconds=1,
        error=EVIL,
        response=EVIL,
        headers={EVIL: EVIL},
    )
    Channel.objects.update(name=EVIL)
    for path in (url("delivery"), url("delivery", "change", delivery.pk)):
        page = html(admin_client, path)
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x" in page
        scripts = re.findall(r"<script\b([^>]*)>", page)
        assert all("src=" in attributes for attributes in scripts)
        assert not re.search(r'<[^>]*\s(style|on[a-z]+)="', page)
    assert json.loads(admin_client.get(url("delivery", "payload", delivery.pk)).content)
