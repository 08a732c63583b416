"""A bot behind a URL."""

import contextlib
import json
import re
import socket
import threading
import time
from typing import Any
from urllib.parse import unquote

import urllib3
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import HTTPResponse

from ..exceptions import BotFailed
from ..wire.bot_protocol import UnreadableAnswer, question_body, read_answers
from ..wire.json import UnsafeJSON, loads
from .base import Answer, Bot, Question

#: Largest answer that is read, in bytes.
MAX_ANSWER_BYTES = 4 * 1024 * 1024
#: Bytes read at a time.
_CHUNK = 64 * 1024

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


def validate_url(url: str) -> None:
    """Raise a ValidationError for anything but http and https. Names without a dot are good inner addresses."""
    with contextlib.suppress(urllib3.exceptions.LocationParseError):
        parsed = urllib3.util.parse_url(url)
        if parsed.scheme in ("http", "https") and parsed.host:
            return
    raise serializers.ValidationError(_("Write an address such as https://bots.example.com/answer."))


def validate_headers(headers: dict[str, str]) -> None:
    """Raise a ValidationError for what HTTP cannot send."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise serializers.ValidationError(
                _("“%(name)s” is no header: names and values are ASCII, without line breaks.") % {"name": name}
            )


class _Timed(HTTPConnection):
    """A connection that is shut when the time is over.

    A socket's own timeout counts from packet to packet, and one byte a second would pass it for ever.
    """

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        # urllib3 has set the timeout to what connecting and sending left of the total.
        timer = threading.Timer(float(self.timeout or 0), _shut, [self.sock])
        timer.daemon = True
        timer.start()
        try:
            response = super().getresponse()
        except BaseException:
            timer.cancel()
            raise
        response.timer = timer  # type: ignore[attr-defined]
        return response


class _TimedTLS(_Timed, HTTPSConnection):
    pass


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # The plain socket's own method: that of a TLS socket is not made for other threads.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class HttpBot(Bot):
    """POSTs each question as JSON and reads ``{"replies": [...]}`` or ``{"answers": [{"replies": [...]}, …]}``.

    Both bodies are described in the documentation on bots. The URL is set by the site's own staff, so inner
    addresses are allowed; redirects are not followed and proxies of the environment are not used.
    """

    class Options(serializers.Serializer[Any]):
        url = serializers.CharField(validators=[validate_url], help_text="Where the question is sent with POST.")
        timeout = serializers.FloatField(
            default=25.0, min_value=0.1, max_value=600, help_text="Seconds for the whole exchange."
        )
        headers = serializers.DictField(
            child=serializers.CharField(),
            required=False,
            validators=[validate_headers],
            help_text="Sent along, such as Authorization.",
        )

    _pool: urllib3.HTTPConnectionPool | None = None
    _pool_lock = threading.Lock()

    def answer(self, question: Question) -> list[Answer]:
        body = question_body(
            question_id=str(question.question_id),
            client_id=question.client.client_id,
            connection_id=question.connection_id,
            channel=question.channel.name,
            query=question.query,
            event_name=question.event_name,
            data=question.data,
            raw_request=question.raw_request,
            session_number=question.session_number,
            new_session=question.new_session,
        )
        try:
            return [Answer(**answer) for answer in read_answers(loads(self._exchange(body)))]
        except UnsafeJSON as error:
            raise BotFailed(
                f"The bot at {self._where()} answered with something else than JSON: {error}"
            ) from error
        except UnreadableAnswer as error:
            raise BotFailed(f"The bot at {self._where()} answered in another shape: {error}.") from error

    def _exchange(self, body: dict[str, Any]) -> bytes:
        """POST the body and read the answer, all within the timeout."""
        seconds = float(self.options["timeout"])
        deadline = time.monotonic() + seconds
        headers = urllib3.HTTPHeaderDict({"Content-Type": "application/json", "Accept": "application/json"})
        if auth := urllib3.util.parse_url(self.options["url"]).auth:
            headers.update(urllib3.util.make_headers(basic_auth=unquote(auth)))
        for name, value in (self.options.get("headers") or {}).items():
            headers[name] = value
        content = None
        try:
            response = self._connections().request(
                "POST",
                urllib3.util.parse_url(self.options["url"]).request_uri,
                body=json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(total=seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                with response:
                    if response.status >= 300:
                        raise BotFailed(f"The bot at {self._where()} answered with status {response.status}.")
                    content = self._read(response)
            finally:
                response.timer.cancel()  # type: ignore[attr-defined]
        except urllib3.exceptions.HTTPError as error:
            if time.monotonic() < deadline:
                raise BotFailed(
                    f"The bot at {self._where()} cannot be reached: {type(error).__name__}."
                ) from error
        # Of an exchange that was shut, no part is known to be whole.
        if content is None or time.monotonic() >= deadline:
            raise BotFailed(f"The bot at {self._where()} did not answer within {seconds:g} seconds.")
        return content

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        content = bytearray()
        while chunk := response.read1(_CHUNK):
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise BotFailed(f"The bot at {self._where()} answered with more than {MAX_ANSWER_BYTES} bytes.")
        return bytes(content)

    def _where(self) -> str:
        """The address without user, password, query and fragment, which may hold secrets."""
        url = urllib3.util.parse_url(self.options["url"])
        return f"{url.scheme}://{url.netloc}{url.path or '/'}"

    def _connections(self) -> urllib3.HTTPConnectionPool:
        with self._pool_lock:
            if self._pool is None:
                # Deliberately no PoolManager: it would look for the pool of every question anew.
                self._pool = urllib3.connection_from_url(self.options["url"], maxsize=16)
                self._pool.ConnectionCls = _TimedTLS if self._pool.scheme == "https" else _Timed
            return self._pool
