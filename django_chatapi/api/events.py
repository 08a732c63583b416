"""``GET {token}/events`` (contract, section 6) for WSGI and plain Django: each waiting poll holds a thread."""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator

from django.db import Error, close_old_connections
from django.http import HttpResponseBase
from rest_framework.request import Request

from ..conf import chatapi_settings
from ..exceptions import TooManyPolls
from ..realtime.background import background_loop
from ..realtime.hub import Hub, Waiter, Woken, hub_of
from ..realtime.nudges import announce_poll
from ..selectors import Feed
from ..wire.inputs import EventsInput
from . import schema
from .base import ChannelViewSet, validated
from .hubs import read_sequences
from .polls import REPLACED_PAUSE, Poll, open_poll
from .streaming import streamed

logger = logging.getLogger("django_chatapi.api")


class EventsViewSet(ChannelViewSet):
    """Wait for what happens."""

    @schema.events
    def events(self, request: Request, token: str) -> HttpResponseBase:
        poll = self.open_poll(request)
        feed = _hold(poll)
        # What follows a yield runs when the server comes for more: then it has written most of what it got.
        return streamed(request, _chunks(poll, feed))

    def open_poll(self, request: Request) -> Poll:
        """Check the request and open its poll."""
        query = request.query_params.dict()
        if "types" in query:  # once for all, or once for each
            query["types"] = ",".join(request.query_params.getlist("types"))
        valid = validated(EventsInput, query)
        self.check_signature(request, valid["client_id"])
        if "Last-Event-ID" in request.headers:
            valid["cursor"] = request.headers["Last-Event-ID"]
        return open_poll(channel=self.channel, token=self.token, valid=valid)


#: How many polls of each client are held.
_held: Counter[int] = Counter()
_held_lock = threading.Lock()


def _hold(poll: Poll) -> Feed:
    """Read until there is something, the time is over or the poll is ended; wait without a connection.

    A client gets a quarter of the places at most: nobody notices here that a caller has left, and pages that are
    loaded again and again would take all of them.
    """
    feed = _read(poll)
    if feed.entries or not poll.timeout:
        return feed
    places = chatapi_settings.MAX_SYNC_POLLS
    with _held_lock:
        if _held.total() >= places or _held[poll.client_pk] >= max(2, places // 4):
            raise TooManyPolls
        _held[poll.client_pk] += 1
    try:
        return _wait(poll)
    finally:
        with _held_lock:
            _held[poll.client_pk] -= 1
            if not _held[poll.client_pk]:
                del _held[poll.client_pk]


def _wait(poll: Poll) -> Feed:
    deadline = time.monotonic() + poll.timeout
    loop = background_loop()
    hub = hub_of(loop, read_sequences)

    async def register() -> Waiter:
        return hub.register(poll.key, poll.position, poll.started)

    waiter = asyncio.run_coroutine_threadsafe(register(), loop).result()
    announce_poll(poll.key, poll.started)
    try:
        while True:
            feed = _read(poll)
            poll.position = waiter.position = feed.upto
            rest = deadline - time.monotonic()
            if feed.entries or rest <= 0:
                return feed
            close_old_connections()
            reason = asyncio.run_coroutine_threadsafe(waiter.wait(rest), loop).result()
            if reason is Woken.REPLACED:
                time.sleep(REPLACED_PAUSE)
            if reason is not Woken.NEWS:
                return feed
    finally:
        loop.call_soon_threadsafe(Hub.unregister, hub, waiter)


def _read(poll: Poll) -> Feed:
    try:
        return poll.read()
    except Error as error:
        return poll.nothing(error)


#: The size of the parts of a response, in bytes.
_PART = 65_536


def _chunks(poll: Poll, feed: Feed) -> Iterator[bytes]:
    body = poll.text(feed).encode()
    # In parts, since servers come for more before they have written what they got, but only so many times.
    for start in range(0, len(body), _PART):
        yield body[start : start + _PART]
    try:
        poll.written(feed)
    except Error as error:
        logger.warning("A position could not be kept: %s", type(error).__name__)
