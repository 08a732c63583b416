"""``manage.py chatapi_sink``: a webhook receiver for trying things out."""

import contextlib
import itertools
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.utils import timezone

from ...models import Channel
from ...webhooks import InvalidSignature, verify
from ...wire.times import format_time
from ..arguments import check_text


class Command(BaseCommand):
    help = (
        "Receives webhooks, checks their signatures and prints what arrives. It takes everything, also what is "
        "not signed, unless told to refuse. Ctrl+C ends it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, required=True, help="Where to listen; 0 takes a free port.")
        parser.add_argument("--host", default="127.0.0.1", help="The address to listen at (127.0.0.1).")
        secret = parser.add_mutually_exclusive_group()
        secret.add_argument("--secret", metavar="whsec_…", help="Check signatures with this secret.")
        secret.add_argument(
            "--channel",
            metavar="TOKEN",
            help="Check them with the secret of this channel (default: of any channel that has a webhook).",
        )
        parser.add_argument("--fail", type=int, metavar="N", help="Refuse the first N calls, resends included.")
        parser.add_argument(
            "--status", type=int, help="The status of refusals (500). Without --fail every call is refused."
        )
        parser.add_argument("--delay", type=float, default=0, metavar="SECONDS", help="Wait before each answer.")
        parser.add_argument("--json", dest="as_json", action="store_true", help="Print one JSON line per call.")

    def handle(self, *args: Any, **options: Any) -> None:
        _check(options)
        try:
            server = Sink((options["host"], options["port"]), self, options)
        except (OSError, OverflowError) as error:
            where = f"{options['host']}:{options['port']}"
            raise CommandError(f"Cannot listen at {where}: {error}. Choose another --port or --host.") from error
        # What ends a service ends this as quietly as Ctrl+C does, which a shell takes away from what it starts in
        # the background. Signals reach the main thread alone.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.default_int_handler)
        # Not to stdout: that holds what arrives and nothing else.
        self.stderr.write(f"Listening at {server.url}", style_func=str)
        self.stderr.flush()
        with server, contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


class Sink(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], command: Command, options: Mapping[str, Any]) -> None:
        super().__init__(address, _Handler)
        self.url = f"http://{address[0]}:{self.server_port}/"
        self.options = options
        self._command = command
        self._lock = threading.Lock()
        self._calls = itertools.count(1)
        self._last_secret = ""

    def receive(self, headers: Mapping[str, str], body: bytes) -> int:
        """Show what arrived and return the status to answer with."""
        at = format_time(timezone.now())
        problem = self._problem(headers, body)
        status = self._status(next(self._calls))
        call = {
            "time": at,
            "webhookId": headers.get("webhook-id"),
            "verified": not problem,
            "problem": problem,
            "status": status,
            "items": _read(body),
        }
        time.sleep(self.options["delay"])
        text = json.dumps(call) if self.options["as_json"] else _describe(call)
        with self._lock:
            self._command.stdout.write(text)
            self._command.stdout.flush()
        return status

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Who gives up waiting is often what is being tried out.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def _status(self, call: int) -> int:
        refused: int = self.options["status"] or 500
        if self.options["fail"] is None:
            return refused if self.options["status"] else 200
        return refused if call <= self.options["fail"] else 200

    def _problem(self, headers: Mapping[str, str], body: bytes) -> str:
        """Why the signature is not good; blank when it is."""
        problem = "There is no secret to check it with: no channel has a webhook."
        for secret in self._secrets():
            try:
                verify(secret, headers, body)
            except (InvalidSignature, ValueError) as error:
                problem = str(error)
            else:
                self._last_secret = secret
                return ""
        return problem

    def _secrets(self) -> Iterator[str]:
        if self.options["secret"]:
            yield self.options["secret"]
            return
        if self._last_secret:
            yield self._last_secret
        channels = Channel.objects.exclude(webhook_url="")
        if self.options["channel"]:
            channels = Channel.objects.filter(pk=self.options["channel_pk"])
        try:
            # Anew each time: channels are made and secrets changed while this runs.
            secrets = list(channels.values_list("webhook_secret", flat=True))
        finally:
            connection.close()  # each connection of a sender has a thread, and each thread a database connection
        yield from secrets


class _Handler(BaseHTTPRequestHandler):
    server: Sink
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        length = self.headers["Content-Length"] or ""
        if not (length.isascii() and length.isdigit()):
            self.send_error(411)
            self.close_connection = True
            return
        status = self.server.receive(dict(self.headers.items()), self.rfile.read(int(length)))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what arrives is printed already."""


def _check(options: dict[str, Any]) -> None:
    check_text("--host", options["host"])
    if not 0 <= options["delay"] <= 3600:
        raise CommandError("--delay: give it 0 to 3600 seconds.")
    if options["status"] is not None and not 200 <= options["status"] <= 599:
        raise CommandError("--status: give it a number from 200 to 599.")
    if options["channel"]:
        channel = Channel.objects.with_token(options["channel"])
        if channel is None:
            raise CommandError("--channel: there is no channel with this token; see chatapi_channel list --json.")
        options["channel_pk"] = channel.pk


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def _describe(call: Mapping[str, Any]) -> str:
    checked = "verified" if call["verified"] else f"NOT VERIFIED: {call['problem']}"
    lines = [f"{call['time']}  {call['webhookId'] or 'no webhook-id'}  {checked}  -> {call['status']}"]
    items = call["items"] if isinstance(call["items"], list) else [call["items"]]
    for item in items:
        if isinstance(item, dict):
            data = item.get("data")
            answer = data.get("answer") if isinstance(data, dict) else data
            if isinstance(data, dict) and data.get("handedOver") is True:
                answer = "(handed over)"
            lines.append(f"    {item.get('type', 'no type')}  {item.get('clientId')}: {answer}")
        else:
            lines.append(f"    {str(item)[:200]}")
    return "\n".join(_printable(line) for line in lines)


def _printable(text: str) -> str:
    """One line, and nothing that a terminal would obey."""
    return "".join(char if char.isprintable() else " " for char in text)
