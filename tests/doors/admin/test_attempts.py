"""Attempts in the admin."""

import datetime as dt
import re

import pytest
from django.utils import timezone

from django_chatapi.models import Delivery, DeliveryAttempt

from .pages import html, queries, url, words
from .webhooks import deliver, fail, say

pytestmark = pytest.mark.django_db


def attempts(channel, count=1, **fields):
    """Attempts of one delivery of the channel, by their numbers the oldest first."""
    delivery = Delivery.objects.create(channel=channel)
    values = {"started_at": timezone.now(), "seconds": 0.1, "status_code": 200, **fields}
    made = [DeliveryAttempt(delivery=delivery, channel=channel, number=n + 1, **values) for n in range(count)]
    return DeliveryAttempt.objects.bulk_create(made)


def numbers(http, **query):
    """The numbers of the attempts of a list."""
    page = html(http, url("deliveryattempt"), **query)
    return [int(number) for number in re.findall(r"attempt (\d+), \d+ ms", words(page))]


def test_it_says_what_was_sent_when_and_what_came_back(admin_client, hooked, receiver):
    channel = hooked()
    say(channel, "one", "anna")
    deliver(channel)
    receiver.reply = lambda arrival: 500
    fail(channel, "two", "ben")
    page = html(admin_client, url("deliveryattempt"))
    failed, accepted = Delivery.objects.order_by("-pk")
    moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    rows = [
        rf"{moment} 500 attempt 1, \d+ ms {failed} Test ",
        rf"{moment} accepted \(200\) attempt 1, \d+ ms {accepted} Test ",
    ]
    assert re.search("".join(rows), words(page))
    assert f'href="{url("delivery", "change", failed.pk)}"' in page
    attempt = DeliveryAttempt.objects.latest("pk")
    details = words(html(admin_client, url("deliveryattempt", "change", attempt.pk)))
    assert "webhook-signature" in details
    assert admin_client.get(url("deliveryattempt", "delete", attempt.pk)).status_code == 403


def test_it_is_filtered_by_channel_outcome_and_time(admin_client, hooked):
    one, other = hooked(), hooked()
    yesterday = timezone.now() - dt.timedelta(days=1)
    attempts(one, started_at=yesterday)
    attempts(one, 2, status_code=None, error="timeout")
    attempts(other, 3)
    attempts(other, 4, status_code=200, error="timeout")
    of_one, of_other = ({"channel__id__exact": channel.pk} for channel in (one, other))
    recent = {"started_at__gte": str(yesterday + dt.timedelta(hours=1))}
    assert len(numbers(admin_client)) == 10
    assert len(numbers(admin_client, outcome="accepted")) == 4
    assert numbers(admin_client, outcome="failed") == [4, 3, 2, 1, 2, 1]
    assert numbers(admin_client, **of_one) == [2, 1, 1]
    assert numbers(admin_client, **of_one, outcome="accepted") == [1]
    assert numbers(admin_client, **of_one, **recent) == [2, 1]
    assert numbers(admin_client, **of_other, **recent, outcome="accepted") == [3, 2, 1]
    assert len(numbers(admin_client, **recent)) == 9


def test_of_more_than_the_limit_the_latest_are_looked_at(admin_client, hooked, monkeypatch):
    for module in ("attempts", "bounds"):
        monkeypatch.setattr(f"django_chatapi.admin.{module}.ROW_LIMIT", 3)
    channel = hooked()
    for number in range(5):
        started_at = timezone.now() - dt.timedelta(minutes=5 - number)
        attempts(channel, status_code=500 if number in (0, 4) else 200, started_at=started_at)
    of_channel = {"channel__id__exact": channel.pk}
    assert [len(numbers(admin_client, **query)) for query in ({}, of_channel)] == [4, 5]
    for query in ({}, of_channel):
        assert "There are more than these 3." in words(html(admin_client, url("deliveryattempt"), **query))
        assert len(numbers(admin_client, **query, outcome="failed")) == 1
        assert len(numbers(admin_client, **query, outcome="accepted")) == 3


@pytest.mark.parametrize("outcome", [{}, {"outcome": "failed"}])
@pytest.mark.parametrize("of_channel", [False, True])
def test_it_takes_as_many_queries_for_many_and_counts_and_sorts_by_what_has_an_index(
    admin_client, hooked, outcome, of_channel
):
    channel = hooked()
    query = {**outcome, **({"channel__id__exact": channel.pk} if of_channel else {})}
    attempts(channel, status_code=500)
    html(admin_client, url("deliveryattempt"), **query)
    with queries() as few:
        html(admin_client, url("deliveryattempt"), **query)
    for _number in range(15):
        attempts(channel, status_code=500)
    with queries() as many:
        html(admin_client, url("deliveryattempt"), **query)
    assert len(many) == len(few)
    counts = [statement for statement in many if "COUNT(" in statement]
    assert counts
    assert all("LIMIT 10001" in statement for statement in counts)
    page = next(s for s in many if '"django_chatapi_deliveryattempt"."seconds"' in s and "ORDER BY" in s)
    order = page.rsplit("ORDER BY", 1)[1].split("LIMIT")[0].replace('"django_chatapi_deliveryattempt".', "")
    assert order.strip() == ('"started_at" DESC, "id" DESC' if of_channel else '"id" DESC')


def test_it_needs_the_permission_to_view_attempts(staff, hooked):
    attempts(hooked())
    assert staff("view_delivery").get(url("deliveryattempt")).status_code == 403
    assert numbers(staff("view_deliveryattempt")) == [1]
