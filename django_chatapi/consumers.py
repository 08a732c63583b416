"""``GET {token}/events`` for ASGI: thousands of waiters in one process.

Deliberately a plain ASGI callable and not an ``AsyncHttpConsumer``, which does not notice a disconnect while it
waits (django/channels 1302) and costs more memory for each held poll.
"""

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from io import BytesIO
from typing import Any, TypeVar

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import Error
from django.http import HttpResponse
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from .api.errors import error_response
from .api.events import EventsViewSet
from .api.hubs import read_sequences
from .api.polls import REPLACED_PAUSE, STREAM, Poll
from .conf import chatapi_settings
from .exceptions import InvalidRequest
from .realtime.database import in_database_thread
from .realtime.hub import Hub, Waiter, Woken, hub_of
from .realtime.nudges import announce_poll
from .selectors import Feed

logger = logging.getLogger("django_chatapi.api")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Headers = tuple[tuple[bytes, bytes], ...]
Send = Callable[[dict[str, Any]], Awaitable[None]]
#: Done when the caller has left.
Leaving = asyncio.Future[None]
T = TypeVar("T")

#: After so many heartbeats a stream looks whether it would still be opened.
_LOOK_AFTER = 4


class _Opened(HttpResponse):
    """Stands for the response of a poll that was opened: it has its headers, and the poll."""

    poll: Poll


class _OpeningViewSet(EventsViewSet):
    """The checks of the other door, up to the point where it would wait."""

    def events(self, request: Any, token: str) -> HttpResponse:
        opened = _Opened(content_type="application/json")
        opened.poll = self.open_poll(request)
        return opened

    def perform_content_negotiation(self, request: Any, force: bool = False) -> Any:
        if accepts_stream(request):
            return self.get_renderers()[0], "application/json"  # its errors are JSON all the same
        return super().perform_content_negotiation(request, force)


_open = _OpeningViewSet.as_view({"get": "events"})


def accepts_stream(request: Any) -> bool:
    """Whether the caller would rather have server-sent events than JSON."""
    return bool(request.get_preferred_type(["application/json", STREAM]) == STREAM)


class EventsDoor:
    """The ASGI application of ``{token}/events``, to be routed with Channels (see ``routing``)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leaving = asyncio.ensure_future(_disconnect(receive))
        try:
            opened, streams = await self._open(scope, leaving)
            if isinstance(opened, _Opened):
                poll, headers = opened.poll, _headers(opened)
                del opened, scope  # a held poll keeps no more than it needs
                await self._hold(poll, headers, leaving, send, streams=streams)
            elif opened is not None:
                await _send_response(send, opened)
        finally:
            leaving.cancel()

    async def _open(self, scope: Scope, leaving: Leaving) -> tuple[HttpResponse | None, bool]:
        token = scope["url_route"]["kwargs"]["token"]
        try:
            request = ASGIRequest(scope, BytesIO())
        except UnicodeDecodeError:  # servers may let any bytes through
            return error_response(InvalidRequest(details={"query": [_("Not UTF-8; percent-encode it.")]})), False

        def check() -> HttpResponse:
            with translation.override(_language(request)):
                response = _open(request, token=token)
                if hasattr(response, "render"):
                    response.render()
                return response

        return await _unless_left(leaving, check), accepts_stream(request)

    async def _hold(self, poll: Poll, headers: Headers, leaving: Leaving, send: Send, *, streams: bool) -> None:
        hub = hub_of(asyncio.get_running_loop(), read_sequences)
        _answer_waiters_at_shutdown(hub)
        waiter = hub.register(poll.key, poll.position, poll.started)
        announce_poll(poll.key, poll.started)
        leaving.add_done_callback(lambda _: waiter.wake(Woken.DISCONNECTED))
        try:
            await (self._stream if streams else self._answer)(poll, waiter, headers, leaving, send)
        finally:
            hub.unregister(waiter)

    async def _answer(self, poll: Poll, waiter: Waiter, headers: Headers, leaving: Leaving, send: Send) -> None:
        feed, reason = await self._next(poll, waiter, leaving, poll.timeout)
        if reason is Woken.REPLACED:
            await asyncio.wait([leaving], timeout=REPLACED_PAUSE)
        if leaving.done():
            return  # nobody is there to read it, so no position moves
        body = poll.text(feed).encode()
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [*headers, length]})
        await _send_chunk(send, body[:-1])
        if leaving.done():
            return
        # Who goes on by position and has the whole answer asks again at once, and has to find the position moved:
        # so the last byte comes after it.
        if poll.by_position:
            await _keep(poll, feed)
        await send({"type": "http.response.body", "body": body[-1:]})
        if not poll.by_position:
            await _keep(poll, feed)

    async def _stream(self, poll: Poll, waiter: Waiter, headers: Headers, leaving: Leaving, send: Send) -> None:
        others = [header for header in headers if header[0] != b"content-type"]
        own = [(b"content-type", STREAM.encode()), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": [*others, *own]})
        await _send_chunk(send, b": open\n\n")
        reason = Woken.NEWS
        loop = asyncio.get_running_loop()
        looked_at = loop.time()
        while reason in (Woken.NEWS, Woken.TIMEOUT):
            feed, reason = await self._next(poll, waiter, leaving, chatapi_settings.EVENTS_HEARTBEAT)
            if leaving.done():
                return
            if loop.time() - looked_at >= _LOOK_AFTER * chatapi_settings.EVENTS_HEARTBEAT:
                looked_at = loop.time()
                if not await _is_open(poll):
                    break
            if feed.entries:
                await _send_chunk(send, poll.stream_text(feed).encode())
                if leaving.done():
                    return
                await _keep(poll, feed)
            elif reason is Woken.TIMEOUT:
                await _send_chunk(send, b": still here\n\n")
        await send({"type": "http.response.body", "body": b""})

    async def _next(self, poll: Poll, waiter: Waiter, leaving: Leaving, seconds: float) -> tuple[Feed, Woken]:
        """Read until there is something, or something else ends the wait; the poll's position moves along."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        news = False  # who was told of news goes before those who only begin
        while True:
            try:
                feed = await _unless_left(leaving, poll.read, urgent=news) or Feed([], poll.position)
            except Error as error:
                feed = poll.nothing(error)
            poll.position = waiter.position = feed.upto
            if feed.entries:
                return feed, Woken.NEWS
            rest = deadline - loop.time()
            reason = await waiter.wait(rest) if rest > 0 else Woken.TIMEOUT
            if reason is not Woken.NEWS:
                return feed, reason
            news = True


def _language(request: ASGIRequest) -> str | None:
    """What the site would answer in: its middleware, among it this choice, does not see the calls of this door."""
    if "django.middleware.locale.LocaleMiddleware" in settings.MIDDLEWARE:
        return translation.get_language_from_request(request)
    return translation.get_language()


async def _is_open(poll: Poll) -> bool:
    try:
        return await in_database_thread(poll.is_open)
    except Error:
        return True  # the next look tells


async def _keep(poll: Poll, feed: Feed) -> None:
    try:
        await in_database_thread(partial(poll.written, feed))
    except Error as error:
        logger.warning("A position could not be kept: %s", type(error).__name__)


async def _unless_left(leaving: Leaving, work: Callable[[], T], *, urgent: bool = False) -> T | None:
    """Run the work in a database thread; nothing is done, and None comes back, once the caller has left.

    Callers that come and go faster than the database answers would otherwise be worked off long after they went.
    """
    return await in_database_thread(lambda: None if leaving.done() else work(), urgent=urgent)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_response(send: Send, response: HttpResponse) -> None:
    await send({"type": "http.response.start", "status": response.status_code, "headers": [*_headers(response)]})
    await send({"type": "http.response.body", "body": response.content})


async def _send_chunk(send: Send, body: bytes) -> None:
    """Send a part of the body, and return when the server has rid itself of it, as far as it tells."""
    await send({"type": "http.response.body", "body": body, "more_body": True})
    # A server lets its callers wait for a slow reader when they come with more, not before.
    await send({"type": "http.response.body", "body": b"", "more_body": True})


def _headers(response: HttpResponse) -> Headers:
    return _encoded(tuple(response.items()))


@lru_cache(maxsize=1024)
def _encoded(headers: tuple[tuple[str, str], ...]) -> Headers:
    # Most polls have the same headers: they share them while they wait.
    return tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers)


_signals_of: Hub | None = None


def _answer_waiters_at_shutdown(hub: Hub) -> None:
    """On SIGTERM and SIGINT answer all waiters at once.

    A server tells its applications of a shutdown only after it has waited for their responses, and the waiters
    would keep it for as long as they wait. So this stands in front of the server's own signal handlers.
    """
    global _signals_of
    if _signals_of is hub or threading.current_thread() is not threading.main_thread():
        return
    _signals_of = hub
    for number in (signal.SIGTERM, signal.SIGINT):
        previous = signal.getsignal(number)
        if callable(previous):
            signal.signal(number, _chained(hub, previous))


def _chained(hub: Hub, previous: Callable[[int, Any], Any]) -> Callable[[int, Any], None]:
    def handler(number: int, frame: Any) -> None:
        hub.shut_down_soon()
        previous(number, frame)

    return handler
