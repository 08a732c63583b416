"""``manage.py chatapi_webhooks``: how webhooks are doing, and what to do about it."""

import dataclasses
import datetime as dt
import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from ... import selectors
from ...actions import courier, resends
from ...constants import DeliveryState
from ...models import Channel, Delivery, WebhookEndpoint
from ...selectors import HEALTH_LIMIT, WebhookHealth
from ...tokens import mask

ROW = (
    "{token:<7}  {state:<12}  {success:<16}  {failures:>17}  {rate:>18}  "
    "{pending:>7}  {oldest:<16}  {failed:>7}  {name}"
)


class Command(BaseCommand):
    help = "Shows how webhooks are doing, resends what failed, and sends test events."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)

        status = actions.add_parser("status", help="Show the webhooks of all channels, or of one.")
        status.add_argument("--channel", metavar="TOKEN", help="Only this channel, by its token.")

        resend = actions.add_parser("resend", help="Try failed deliveries of a channel anew, the oldest first.")
        which = resend.add_mutually_exclusive_group()
        which.add_argument("--since", metavar="ISO", help="Only those made since then, such as 2026-01-31T08:00Z.")
        which.add_argument(
            "--id", dest="ids", action="append", metavar="msg_…", help="Only this one; may be repeated."
        )

        test = actions.add_parser("test", help="Send a test event now. Status 1 when it is not accepted.")

        for action in (resend, test):
            action.add_argument("--channel", required=True, metavar="TOKEN", help="The channel's token.")
        for action in (status, resend, test):
            action.add_argument(
                "--json", dest="as_json", action="store_true", help="For scripts: JSON, tokens included."
            )

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(**options)

    def _status(self, *, channel: str | None, as_json: bool, **options: Any) -> None:
        if channel is None:
            channels = list(Channel.objects.exclude(webhook_url="").order_by("name", "pk"))
        else:
            channels = [_with_webhook(channel)]
        healths = [(each, selectors.webhook_health(each)) for each in channels]
        if as_json:
            self.stdout.write(json.dumps([_as_dict(*pair) for pair in healths], cls=DjangoJSONEncoder))
            return
        if healths:
            self._show(healths)
        else:
            self.stdout.write(_("No channel has a webhook."))
        if channel is None and (clients := selectors.clients_with_due_requests(limit=HEALTH_LIMIT + 1)):
            self.stdout.write(
                _("Clients whose async requests wait for a Celery worker: %(count)s")
                % {"count": _at_most(len(clients))}
            )

    def _show(self, healths: list[tuple[Channel, WebhookHealth]]) -> None:
        self.stdout.write(
            ROW.format(
                token=_("token"),
                state=_("state"),
                success=_("last success"),
                failures=_("failures in a row"),
                rate=_("failed/tried (1 h)"),
                pending=_("pending"),
                oldest=_("oldest"),
                failed=_("failed"),
                name=_("name"),
            )
        )
        for each, health in healths:
            self.stdout.write(
                ROW.format(
                    token=mask(each.token),
                    state=_state(health),
                    success=_minute(health.last_success_at),
                    failures=health.failures_in_a_row,
                    rate=f"{health.recent_failures}/{health.recent_attempts}",
                    pending=_at_most(health.pending),
                    oldest=_minute(health.oldest_pending_at),
                    failed=_at_most(health.failed),
                    name=" ".join(each.name.split()),
                )
            )
        if any(health.overdue for _channel, health in healths):
            self.stdout.write(_("overdue: is a Celery worker with beat running?"))
        if any(health.behind for _channel, health in healths):
            self.stdout.write(
                _("behind: more is due than the endpoint takes; WEBHOOK_CONCURRENCY calls it more often.")
            )

    def _resend(
        self,
        *,
        channel: str,
        since: str | None,
        ids: list[str] | None,
        as_json: bool,
        verbosity: int,
        **options: Any,
    ) -> None:
        found = _with_webhook(channel)
        if not found.webhook_enabled:
            raise CommandError(
                _("The webhook answered 410 (gone) and is disabled: enable it on the channel's page in the admin.")
            )
        failed = selectors.failed_deliveries(found, _read_time(since))
        if ids is not None:
            # By its id a test event is sent again as well.
            failed = Delivery.objects.filter(pk__in=[_named(found, text) for text in ids])
        # Not to stdout, and not into the logs of a script that did not ask for it.
        shown = verbosity > 1 or (verbosity == 1 and self.stderr.isatty())
        count = 0
        for count in resends.resend_in_steps(failed=failed):
            if shown:
                self.stderr.write(_("%(count)d so far") % {"count": count}, style_func=str)
        endpoint = WebhookEndpoint.objects.filter(channel=found).first() or WebhookEndpoint()
        if as_json:
            told = {"resent": count, "open_since": endpoint.opened_at, "next_probe_at": endpoint.next_probe_at}
            self.stdout.write(json.dumps(told, cls=DjangoJSONEncoder))
            return
        self.stdout.write(_("Failed deliveries that are sent again: %(count)d") % {"count": count})
        if count and endpoint.opened_at is not None:
            self.stdout.write(
                _("The circuit is open: what is due waits for the next probe, %(time)s.")
                % {"time": _second(endpoint.next_probe_at)}
            )

    def _test(self, *, channel: str, as_json: bool, **options: Any) -> None:
        sent = courier.send_test(channel=_with_webhook(channel))
        outcome = sent.outcome
        if as_json:
            told = {
                "webhook_id": str(sent.delivery),
                "accepted": outcome.accepted,
                "status": outcome.status,
                "error": outcome.error,
                "seconds": round(outcome.seconds, 3),
                "response": outcome.response,
            }
            self.stdout.write(json.dumps(told))
        status = _("status %(status)d") % {"status": outcome.status} if outcome.status else ""
        what = ", ".join(filter(None, [status, outcome.error]))
        facts = {"what": what, "time": round(outcome.seconds * 1000), "id": sent.delivery}
        if not outcome.accepted:
            raise CommandError(_("Not accepted: %(what)s, after %(time)d ms (%(id)s).") % facts)
        if not as_json:
            self.stdout.write(_("Accepted: %(what)s, after %(time)d ms (%(id)s).") % facts)


def _with_webhook(token: str) -> Channel:
    channel = Channel.objects.with_token(token)
    if channel is None:
        raise CommandError(_("--channel: there is no channel with this token; see chatapi_channel list --json."))
    if not channel.webhook_url:
        raise CommandError(
            _("--channel: “%(name)s” has no webhook URL; give it one in the admin.") % {"name": channel}
        )
    return channel


def _named(channel: Channel, text: str) -> Any:
    """The primary key of the channel's delivery with this id."""
    try:
        found = Delivery.objects.filter(channel=channel, webhook_id=UUID(text.removeprefix("msg_"))).first()
    except ValueError as error:
        raise CommandError(_("--id: “%(id)s” is no webhook id, such as msg_… .") % {"id": text}) from error
    if found is None:
        raise CommandError(_("--id: the channel has no delivery “%(id)s”.") % {"id": text})
    if found.state != DeliveryState.FAILED:
        raise CommandError(
            _("--id: “%(id)s” is %(state)s, not failed.") % {"id": text, "state": found.get_state_display()}
        )
    return found.pk


def _read_time(text: str | None) -> dt.datetime | None:
    """A time in ISO 8601; without a zone, in the site's own."""
    if text is None:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError(
            _("--since: “%(text)s” is no time; write one such as 2026-01-31T08:00Z.") % {"text": text}
        )
    try:
        moment = timezone.make_aware(moment) if timezone.is_naive(moment) else moment
        return moment.astimezone(dt.timezone.utc)
    except OverflowError as error:
        raise CommandError(_("--since: “%(text)s” is out of range.") % {"text": text}) from error


def _state(health: WebhookHealth) -> str:
    if health.disabled_at:
        return _("disabled")
    if health.open_since:
        return _("circuit open")
    if health.overdue:
        return _("overdue")
    if health.failures_in_a_row:
        return _("failing")
    if health.behind:
        return _("behind")
    return _("works") if health.last_success_at else _("unused")


def _as_dict(channel: Channel, health: WebhookHealth) -> dict[str, Any]:
    return {
        "name": channel.name,
        "token": channel.token,
        "webhook_url": channel.webhook_url,
        **dataclasses.asdict(health),
        "failure_rate": health.failure_rate,
        "overdue": health.overdue,
        "behind": health.behind,
    }


def _minute(moment: dt.datetime | None) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _second(moment: dt.datetime | None) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S %Z}"


def _at_most(count: int) -> str:
    return str(count) if count <= HEALTH_LIMIT else f">{HEALTH_LIMIT}"
