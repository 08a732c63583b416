"""One events request, the same at both doors: opened, read as often as it takes, answered."""

import logging
import random
import time
from dataclasses import dataclass
from typing import Any

from django.db import Error, router, transaction
from django.utils import timezone

from .. import selectors
from ..actions import connections, statuses
from ..actions.turns import client_for
from ..conf import chatapi_settings
from ..constants import MAX_EVENTS
from ..models import Channel, Client, Message, rows
from ..realtime.hub import Key
from ..selectors import EventFilter, Feed
from ..wire.envelope import read_cursor
from ..wire.events import events_text, stream_text

#: The media type of an event stream.
STREAM = "text/event-stream"

logger = logging.getLogger("django_chatapi.api")

#: How long the answer to a poll is held back that a newer one of its connection has ended, in seconds. Two pages
#: that send no ``cid`` end each other's polls, and would do so as fast as the server can answer.
REPLACED_PAUSE = 1.0


@dataclass(slots=True)
class Poll:
    """What has to be remembered while an events request waits. Nothing else of the request is kept."""

    token: str
    client_pk: int
    client_id: str
    connection_pk: int
    connection_id: str
    wanted: EventFilter
    #: Whether the channel required a signature when it began.
    signed: bool
    #: Whether it goes on from its connection's position, which a caller relies on who sends no cursor.
    by_position: bool
    #: The sequence number up to which this poll has read.
    position: int
    #: How far its connection had read when this poll last looked. That never moves back.
    kept: int
    #: How long it waits, in seconds.
    timeout: float
    #: When it began, in nanoseconds since the epoch: the newer poll of a connection ends the older one.
    started: int

    @property
    def key(self) -> Key:
        return Key(self.client_pk, self.connection_id)

    def read(self) -> Feed:
        """What there is to tell, now."""
        return selectors.events_after(self.client_pk, self.position, self.wanted, MAX_EVENTS)

    def is_open(self) -> bool:
        """Whether what it was opened with still holds: streams last longer than tokens, channels and clients."""
        channel = Channel.objects.with_token(self.token)
        if channel is None or not channel.active or (channel.require_signed_clients and not self.signed):
            return False
        return rows.find(Client, id=self.client_pk) is not None

    def nothing(self, error: Error) -> Feed:
        """What there is to tell while the database is away: the caller asks again from the same place."""
        logger.warning("Events could not be read: %s", type(error).__name__)
        return Feed([], self.position)

    def text(self, feed: Feed) -> str:
        """The body of the response."""
        return events_text(
            feed.entries, upto=feed.upto, has_more=feed.has_more, token=self.token, client_id=self.client_id
        )

    def stream_text(self, feed: Feed) -> str:
        """The same events for an event stream."""
        parts = [
            stream_text(entry, place=selectors.place(entry), token=self.token, client_id=self.client_id)
            for entry in feed.entries
        ]
        return "".join(parts)

    def written(self, feed: Feed) -> None:
        """The response was written out: the connection's position moves, and what it carried is sent.

        When this fails the caller has its events all the same; at worst they come once more by position.
        """
        if not feed.entries and feed.upto <= self.kept:
            return
        with transaction.atomic(using=router.db_for_write(Message)):  # one commit, since each waits for the disk
            statuses.mark_sent(messages=[entry for entry in feed.entries if isinstance(entry, Message)])
            connections.move(connection_pk=self.connection_pk, position=feed.upto)
        self.kept = feed.upto


def open_poll(*, channel: Channel, token: str, valid: dict[str, Any]) -> Poll:
    """A poll for what the query asks, from where it says.

    Args:
        valid: the fields of ``EventsInput``.

    Raises:
        InvalidRequest: the cursor is none.
    """
    started = time.time_ns()
    client = client_for(channel=channel, client_id=valid["client_id"])
    connection_id = valid.get("connection_id")
    connection = connections.connection_for(client=client, connection_id=connection_id)
    since = valid.get("since")
    cursor = valid.get("cursor")
    by_position = False
    if cursor is not None and (position := read_cursor(cursor)) <= client.last_sequence:
        since = None
    elif since is not None:
        position = selectors.sequence_before(client, since, of_agents=bool(valid.get("types")))
    else:
        # Also with a cursor of what is not there: another client's, or from before a backup was restored. To wait
        # until the numbers get there would lose what comes until then.
        position, by_position = connection.position, True
    wanted = EventFilter(
        everything=valid["everything"],
        connection_id=connection_id,
        only=chatapi_settings.CID_FILTER == "only",
        since=since if since is not None and since > timezone.now() else None,
        types=frozenset(types) if (types := valid.get("types")) else None,
    )
    timeout = valid.get("timeout")
    if timeout is None:
        # Jitter, so that clients that were cut off together do not come back together for ever.
        timeout = chatapi_settings.EVENTS_TIMEOUT * random.uniform(0.9, 1.0)  # noqa: S311
    return Poll(
        token=token,
        client_pk=client.pk,
        client_id=client.client_id,
        connection_pk=connection.pk,
        connection_id=connection_id or "",
        wanted=wanted,
        signed=channel.require_signed_clients,
        by_position=by_position,
        position=position,
        kept=connection.position,
        timeout=timeout,
        started=started,
    )
