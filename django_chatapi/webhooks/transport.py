"""One POST to a receiver: what it said, or why it could not be asked."""

import contextlib
import http.client
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.utils.http import parse_http_date_safe

from .. import __version__
from ..conf import chatapi_settings
from .addresses import AddressRefused, ResolutionFailed, Target, parse
from .pool import Connection, pool

#: How much of a response is kept, in bytes.
MAX_RESPONSE = 2 * 1024
#: Largest response that is read to its end, in bytes, so that its connection can be used again.
MAX_READ = 16 * 1024
#: Longest time that ``retry_after`` names, in seconds: a year.
MAX_RETRY_AFTER = 366 * 24 * 3600.0

_HEADERS = {"Accept": "*/*", "Content-Type": "application/json", "User-Agent": f"django-chatapi/{__version__}"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt."""

    #: The status that the receiver answered with.
    status: int | None
    #: A few stable words when the exchange failed, such as ``timeout``. A status beside them came, but not the
    #: end of the response within the time.
    error: str
    #: The first 2 KiB of the response, without U+0000.
    response: str
    #: How long it took.
    seconds: float
    #: How many seconds the receiver asks to be left alone, at most a year.
    retry_after: float | None

    @property
    def accepted(self) -> bool:
        """Whether the receiver has it: any 2xx, within the time."""
        return self.status is not None and 200 <= self.status < 300 and not self.error


@dataclass(slots=True)
class _Reply:
    status: int
    retry_after: str | None
    content: bytes = b""
    late: bool = False


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout: float | None = None) -> Outcome:
    """POST a JSON body and read what the receiver says, all within ``timeout`` (WEBHOOK_TIMEOUT) seconds.

    Redirects are not followed, and proxies of the environment are not used. Never raises for what the receiver or
    the network does.
    """
    started = time.monotonic()
    deadline = started + (chatapi_settings.WEBHOOK_TIMEOUT if timeout is None else timeout)
    reply, error = None, ""
    try:
        target = parse(url)
        connection = pool.take(target) or Connection(target, deadline)
        reply = _ask(connection, target, body, {"Host": target.netloc, **_HEADERS, **headers}, deadline)
        error = "timeout" if reply.late else ""
    except (OSError, http.client.HTTPException, AddressRefused, ResolutionFailed, ValidationError) as problem:
        error = "timeout" if time.monotonic() >= deadline else _words(problem)
    return Outcome(
        status=reply.status if reply else None,
        error=error,
        response=reply.content.decode(errors="replace").replace("\0", "\ufffd") if reply else "",
        seconds=time.monotonic() - started,
        retry_after=_seconds(reply.retry_after) if reply else None,
    )


def _ask(
    connection: Connection, target: Target, body: bytes, headers: Mapping[str, str], deadline: float
) -> _Reply:
    connection.sock.deadline = deadline
    again = False
    try:
        # Who refuses early closes while we still send; what it said before can be read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", target.path, body, headers)
        with connection.getresponse() as response:
            reply = _Reply(response.status, response.getheader("Retry-After"))
            again = _read(response, reply) and not response.will_close and response.status >= 200
    except (ConnectionError, http.client.BadStatusLine):
        if connection.was_kept:
            pool.distrust(connection)
        raise
    else:
        return reply
    finally:
        if again:
            pool.put(connection)
        else:
            connection.close()


def _read(response: http.client.HTTPResponse, reply: _Reply) -> bool:
    """Read what is kept of the response; whether that was all of it.

    The status counts, whatever comes of the rest, unless the rest keeps us waiting to the end of the time.
    """
    limit = MAX_READ if (response.length or 0) <= MAX_READ else MAX_RESPONSE
    content = b""
    try:
        while len(content) < limit and (piece := response.read1(limit - len(content))):
            content += piece
    except TimeoutError:
        reply.late = len(content) < MAX_RESPONSE
    except (OSError, http.client.HTTPException):
        return False
    finally:
        reply.content = content[:MAX_RESPONSE]
    return not reply.late and (response.isclosed() or response.length == 0)


def _words(problem: Exception) -> str:
    match problem:
        case ValidationError():
            return "no address to send to"
        case AddressRefused():
            return "address refused"
        case ResolutionFailed():
            return "name not found"
        case TimeoutError():
            return "timeout"
        case ssl.SSLCertVerificationError():
            return f"TLS error: {problem.verify_message}"[:200]
        case ssl.SSLError():
            return f"TLS error: {problem.reason}"[:200]
        case ConnectionRefusedError():
            return "connection refused"
        case ConnectionError():
            return "connection closed"
        case OSError():
            return f"connection failed: {problem.strerror}"[:200]
    return "no HTTP response"


def _seconds(retry_after: str | None) -> float | None:
    """Read Retry-After (RFC 9110, section 10.2.3): seconds or a date."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER)
    moment = parse_http_date_safe(text) if text else None
    return None if moment is None else min(max(moment - time.time(), 0.0), MAX_RETRY_AFTER)
