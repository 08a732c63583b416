"""``manage.py chatapi_webhooks``, as a person reads it and as a script does."""

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from django_chatapi.actions import requests
from django_chatapi.constants import Route
from django_chatapi.models import Channel, Client, Delivery, Message, WebhookEndpoint
from django_chatapi.tokens import mask
from tests.doors.admin.webhooks import deliver, fail, say
from tests.servers import ROOT, environment
from tests.sinks import PATIENT, Sink, sink

pytestmark = pytest.mark.django_db


@pytest.fixture
def receiver() -> Iterator[Sink]:
    with sink() as taker:
        yield taker


@pytest.fixture
def hooked(make_channel, settings, receiver):
    settings.CHATAPI = {**settings.CHATAPI, "WEBHOOK_ALLOWED_NETWORKS": ["127.0.0.0/8"], **PATIENT}

    def make(**fields):
        return make_channel(**{"webhook_url": receiver.url, **fields})

    return make


@pytest.fixture
def outage(hooked, receiver):
    """A channel with three failed deliveries, made now, two hours and two days ago."""
    channel = hooked()
    receiver.reply = lambda arrival: 500
    for days, client_id in ((0, "now"), (2 / 24, "hours"), (2, "days")):
        made = timezone.now() - dt.timedelta(days=days)
        Delivery.objects.filter(pk=fail(channel, "hi", client_id).pk).update(created_at=made)
    receiver.reply = lambda arrival: 200
    return channel


def run(*arguments: str, **options) -> str:
    output = StringIO()
    call_command("chatapi_webhooks", *arguments, stdout=output, **options)
    return output.getvalue()


def pending() -> list[str]:
    return sorted(Delivery.objects.filter(state="pending").values_list("client__client_id", flat=True))


class TestStatus:
    def test_people_get_a_line_for_each_webhook_with_its_token_cut_short(self, hooked, make_channel, receiver):
        make_channel(name="No webhook")
        hooked(name="Unused")
        works = hooked(name="Works")
        say(works, "hi")
        deliver(works)
        gone = hooked(name="Gone", webhook_disabled_at=timezone.now())
        opened = hooked(name="An open one")
        WebhookEndpoint.objects.create(channel=opened, consecutive_failures=12, opened_at=timezone.now())
        fails = hooked(name="Fails")
        receiver.reply = lambda arrival: 500
        fail(fails, "hi", "anna")
        say(fails, "hi", "ben")

        header, *rows = run("status").splitlines()

        assert (
            " ".join(header.split())
            == "token state last success failures in a row failed/tried (1 h) pending oldest failed name"
        )
        # As stored: an hour may have ended since.
        oldest = Delivery.objects.get(client__client_id="ben").created_at
        success = WebhookEndpoint.objects.get(channel=works).last_success_at
        found = [" ".join(row.split()) for row in rows]
        assert found[0] == f"{mask(opened.token)} circuit open – 12 0/0 0 – 0 An open one"
        assert found[1].startswith(f"{mask(fails.token)} failing – 1 1/1 1 {oldest:%Y-%m-%d %H:%M} "), found
        assert found[1].endswith(" 1 Fails")
        assert found[2] == f"{mask(gone.token)} disabled – 0 0/0 0 – 0 Gone"
        assert found[3].endswith(" unused – 0 0/0 0 – 0 Unused")
        assert found[4].startswith(f"{mask(works.token)} works {success:%Y-%m-%d %H:%M} ")
        assert found[4].endswith(" 0 0/1 0 – 0 Works")
        assert len(found) == 5

    def test_scripts_get_all_numbers(self, outage, hooked):
        hooked(name="Another")
        assert len(json.loads(run("status", "--json"))) == 2

        [told] = json.loads(run("status", "--channel", outage.token, "--json"))

        assert told["token"] == outage.token
        assert told["webhook_url"] == outage.webhook_url
        assert {name: told[name] for name in told if name.endswith(("failed", "pending", "rate", "row"))} == {
            "failed": 3,
            "pending": 0,
            "failure_rate": 1.0,
            "failures_in_a_row": 3,
        }
        assert (told["recent_attempts"], told["recent_failures"]) == (3, 3)
        assert abs(parse_datetime(told["last_failure_at"]) - timezone.now()) < dt.timedelta(minutes=1)
        assert told["last_success_at"] is None

    def test_one_that_nobody_sends_to_is_overdue(self, hooked):
        channel = hooked()
        say(channel, "hi")
        deliver(channel)
        say(channel, "still there?")
        assert " works " in run("status")
        Delivery.objects.update(next_attempt_at=timezone.now() - dt.timedelta(seconds=61))
        WebhookEndpoint.objects.update(last_success_at=timezone.now() - dt.timedelta(seconds=61))
        _header, row, hint = run("status").splitlines()
        assert " overdue " in row
        assert hint == "overdue: is a Celery worker with beat running?"
        assert [told["overdue"] for told in json.loads(run("status", "--json"))] == [True]

    def test_one_that_takes_less_than_is_due_is_behind(self, hooked):
        channel = hooked()
        say(channel, "hi")
        deliver(channel)
        say(channel, "still there?")
        Delivery.objects.update(next_attempt_at=timezone.now() - dt.timedelta(seconds=61))
        _header, row, hint = run("status").splitlines()
        assert " behind " in row
        assert hint.startswith("behind: more is due than the endpoint takes")
        [told] = json.loads(run("status", "--json"))
        assert (told["behind"], told["overdue"]) == (True, False)

    def test_one_that_asked_to_be_left_alone_is_not_overdue(self, hooked, receiver):
        channel = hooked()
        receiver.reply = lambda arrival: (429, {"Retry-After": "200"})
        say(channel, "hi")
        deliver(channel)
        long_ago = timezone.now() - dt.timedelta(seconds=100)
        Delivery.objects.update(next_attempt_at=long_ago)
        WebhookEndpoint.objects.update(last_failure_at=long_ago)
        assert " failing " in run("status")
        [told] = json.loads(run("status", "--json"))
        assert (told["behind"], told["overdue"]) == (False, False)

    def test_a_later_attempt_and_an_open_circuit_are_not_overdue(self, hooked):
        waits, opened = hooked(), hooked()
        made = timezone.now() - dt.timedelta(hours=1)
        Delivery.objects.create(channel=waits, created_at=made)
        Delivery.objects.create(channel=opened, created_at=made, next_attempt_at=made)
        WebhookEndpoint.objects.create(channel=opened, consecutive_failures=12, opened_at=timezone.now())
        assert [told["overdue"] for told in json.loads(run("status", "--json"))] == [False, False]
        assert "overdue" not in run("status")

    def test_async_requests_that_no_worker_answers_are_counted(self, channel):
        for client_id in ("ann", "ben"):
            requests.accept(channel=channel, client_id=client_id, query="hi", route=Route.ASYNC)
        Message.objects.update(lease_expires_at=timezone.now())
        assert run("status").splitlines()[-1] == "Clients whose async requests wait for a Celery worker: 2"

    def test_a_site_without_webhooks_has_none(self, channel):
        assert json.loads(run("status", "--json")) == []
        assert run("status") == "No channel has a webhook.\n"


class TestResend:
    def test_all_that_failed(self, outage, receiver):
        assert run("resend", "--channel", outage.token) == "Failed deliveries that are sent again: 3\n"
        assert pending() == ["days", "hours", "now"]
        before = len(receiver.arrivals)
        deliver(outage)
        assert set(Delivery.objects.values_list("state", flat=True)) == {"accepted"}
        assert len(receiver.arrivals) == before + 3

    def test_since_a_time(self, outage):
        since = (timezone.now() - dt.timedelta(hours=3)).isoformat()
        assert json.loads(run("resend", "--channel", outage.token, "--since", since, "--json"))["resent"] == 2
        assert pending() == ["hours", "now"]

    def test_a_day_is_a_time_and_begins_in_the_sites_own_zone(self, outage, settings):
        settings.TIME_ZONE = "Pacific/Kiritimati"
        midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        for client_id, seconds in (("now", 0), ("hours", -1)):
            made = midnight + dt.timedelta(seconds=seconds)
            Delivery.objects.filter(client__client_id=client_id).update(created_at=made)
        run("resend", "--channel", outage.token, "--since", f"{midnight:%Y-%m-%d}")
        assert pending() == ["now"]

    def test_that_the_circuit_is_open_is_said(self, outage):
        closed = {"open_since": None, "next_probe_at": None}
        assert json.loads(run("resend", "--channel", outage.token, "--json")) == {"resent": 3, **closed}
        Delivery.objects.update(state="failed")
        WebhookEndpoint.objects.update(opened_at="2026-01-31T12:00Z", next_probe_at="2026-01-31T12:34:56Z")
        assert run("resend", "--channel", outage.token).splitlines() == [
            "Failed deliveries that are sent again: 3",
            "The circuit is open: what is due waits for the next probe, 2026-01-31 12:34:56 UTC.",
        ]
        Delivery.objects.update(state="failed")
        assert json.loads(run("resend", "--channel", outage.token, "--json")) == {
            "resent": 3,
            "open_since": "2026-01-31T12:00:00Z",
            "next_probe_at": "2026-01-31T12:34:56Z",
        }

    def test_some_by_their_ids(self, outage):
        one, other, _left = Delivery.objects.order_by("pk")
        output = run("resend", "--channel", outage.token, "--id", str(one), "--id", str(other.webhook_id))
        assert output == "Failed deliveries that are sent again: 2\n"
        assert pending() == ["hours", "now"]

    def test_no_other_channels(self, outage, hooked, receiver):
        other = hooked()
        receiver.reply = lambda arrival: 500
        theirs = fail(other, "hi", "theirs")
        run("resend", "--channel", outage.token)
        with pytest.raises(CommandError, match=f"--id: the channel has no delivery “{theirs}”"):
            run("resend", "--channel", outage.token, "--id", str(theirs))
        theirs.refresh_from_db()
        assert theirs.state == "failed"

    def test_what_is_not_failed_is_named(self, outage):
        run("resend", "--channel", outage.token)
        delivery = Delivery.objects.first()
        with pytest.raises(CommandError, match=f"--id: “{delivery}” is pending, not failed"):
            run("resend", "--channel", outage.token, "--id", str(delivery))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--id", "msg_1234"], "--id: “msg_1234” is no webhook id"),
            (["--since", "yesterday"], "--since: “yesterday” is no time"),
            (["--since", "2026-02-30"], "--since: “2026-02-30” is no time"),
            (["--since", "2026-01-01", "--id", "msg_1"], "not allowed with argument --since"),
        ],
    )
    def test_what_makes_no_sense_resends_nothing(self, outage, arguments, message):
        with pytest.raises(CommandError, match=message):
            run("resend", "--channel", outage.token, *arguments)
        assert pending() == []

    def test_a_disabled_webhook_has_to_be_enabled_first(self, outage):
        Channel.objects.update(webhook_disabled_at=timezone.now())
        with pytest.raises(CommandError, match="is disabled: enable it"):
            run("resend", "--channel", outage.token)
        assert pending() == []

    def test_many_go_in_steps_that_are_told_when_asked_for(self, outage, monkeypatch):
        monkeypatch.setattr("django_chatapi.actions.resends.STEP", 2)
        errors = StringIO()
        run("resend", "--channel", outage.token, verbosity=2, stderr=errors)
        assert errors.getvalue() == "2 so far\n3 so far\n"
        Delivery.objects.update(state="failed")
        quiet = StringIO()
        run("resend", "--channel", outage.token, stderr=quiet)
        assert quiet.getvalue() == ""

    def test_each_step_is_one_update_that_names_no_rows(self, outage, django_assert_max_num_queries):
        client = Client.objects.first()
        Delivery.objects.bulk_create(
            Delivery(channel=outage, client=client, state="failed", token=outage.token) for _number in range(5000)
        )
        # For each of six steps: the keys, BEGIN, the channel, the UPDATE, COMMIT; one more look at the end.
        with django_assert_max_num_queries(40) as captured:
            assert json.loads(run("resend", "--channel", outage.token, "--json"))["resent"] == 5003
        assert max(len(query["sql"]) for query in captured) < 2000


class TestTest:
    def test_an_accepted_event(self, hooked, receiver):
        output = run("test", "--channel", hooked().token)
        [arrival] = receiver.arrivals
        assert output.startswith("Accepted: status 200, after ")
        assert output.endswith(f" ms ({arrival.webhook_id}).\n")

    def test_a_refused_one_is_an_error(self, hooked, receiver):
        receiver.reply = lambda arrival: 401
        with pytest.raises(CommandError, match="Not accepted: status 401, after ") as refused:
            run("test", "--channel", hooked().token)
        assert refused.value.returncode == 1

    def test_scripts_get_all_of_the_outcome(self, hooked, receiver):
        told = json.loads(run("test", "--channel", hooked().token, "--json"))
        assert told.pop("seconds") < 10
        assert told == {
            "webhook_id": receiver.arrivals[0].webhook_id,
            "accepted": True,
            "status": 200,
            "error": "",
            "response": "ok",
        }

    def test_scripts_get_it_as_well_when_it_was_refused(self, hooked):
        output = StringIO()
        with pytest.raises(CommandError, match="Not accepted: connection refused"):
            call_command(
                "chatapi_webhooks",
                "test",
                "--channel",
                hooked(webhook_url="http://127.0.0.1:1/").token,
                "--json",
                stdout=output,
            )
        told = json.loads(output.getvalue())
        assert (told["accepted"], told["status"], told["error"]) == (False, None, "connection refused")


@pytest.mark.parametrize("action", ["status", "resend", "test"])
def test_a_channel_that_is_not_there_or_has_no_webhook_is_named(channel, action):
    with pytest.raises(CommandError, match="--channel: there is no channel with this token"):
        run(action, "--channel", "nobody:0123456789")
    with pytest.raises(CommandError, match="--channel: “Test” has no webhook URL"):
        run(action, "--channel", channel.token)


@pytest.mark.django_db(transaction=True)
def test_a_shell_sees_the_outcome_in_the_status(hooked, receiver):
    channel = hooked()
    run_it = [sys.executable, "-m", "django", "chatapi_webhooks", "test", "--channel", channel.token, "--json"]
    variables = {**environment(), "CHATAPI_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}

    def status() -> tuple[int, bool]:
        done = subprocess.run(run_it, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)["accepted"]

    assert status() == (0, True)
    receiver.reply = lambda arrival: 500
    assert status() == (1, False)
