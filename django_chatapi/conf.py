"""The settings of this app: one dict, ``CHATAPI``, in the host's settings.

``from django_chatapi.conf import chatapi_settings`` and read an attribute. Nothing is frozen at import:
every access reads ``settings.CHATAPI`` again, so ``override_settings`` works.
"""

from collections.abc import Mapping
from typing import Any

from django.conf import settings


class Defaults:
    """Every setting with its type and default. Times are in seconds, sizes in bytes."""

    #: Bots by name: dotted paths of :class:`django_chatapi.bots.Bot` classes, or of plain functions from a
    #: ``Question`` to an answer. Added to the built-in ``echo``, ``recorded``, ``function`` and ``http``.
    BOTS: Mapping[str, str] = {}
    #: The bot of a new channel.
    DEFAULT_BOT: str = "echo"

    #: How long a synchronous request waits for a first answer before its 504.
    SYNC_TIMEOUT: float = 30.0
    #: A pause of the bot that is longer than this closes the synchronous response; what follows is late.
    RESPONSE_GAP: float = 3.0
    #: Silence after which the next request starts a new session.
    SESSION_TIMEOUT: float = 24 * 3600.0
    #: How long an ``Idempotency-Key`` is remembered.
    IDEMPOTENCY_WINDOW: float = 24 * 3600.0

    #: Threads per process in which bots think. 0 asks every bot in the request's own thread, without
    #: ``RESPONSE_GAP`` and ``SYNC_TIMEOUT``: for unit tests that run inside one transaction.
    BOT_POOL_SIZE: int = 32
    #: How long a process that is shutting down waits for bots that are still thinking.
    BOT_SHUTDOWN_GRACE: float = 10.0
    #: How long a request belongs to the process that asks the bot, unless that process renews its claim (it
    #: does, three times in this span). After that the sweep asks again.
    ANSWER_LEASE: float = 20.0
    #: How often a request is asked again after the process that was asking died.
    BOT_RETRIES: int = 2

    #: Largest request body.
    MAX_BODY_BYTES: int = 1024 * 1024
    #: Largest saved state of a client.
    MAX_STATE_BYTES: int = 256 * 1024

    #: What ``cid`` does to an events request: ``"exclude"`` leaves out what this connection has already seen in
    #: responses of its own; ``"only"`` keeps just this connection's events.
    CID_FILTER: str = "exclude"
    #: How long an events request waits that names no ``timeout``; up to a tenth of it is taken off at random.
    EVENTS_TIMEOUT: float = 25.0
    #: How often a process with waiters looks for events that no nudge told of.
    EVENTS_SWEEP: float = 5.0
    #: Seconds between two comments that keep an event stream open.
    EVENTS_HEARTBEAT: float = 15.0
    #: Threads, and so database connections, per process with which the ASGI door reads events.
    EVENTS_DB_THREADS: int = 4
    #: Polls that may wait at once in one process of a WSGI or plain Django site, where each holds a thread.
    MAX_SYNC_POLLS: int = 16

    #: How long the old token keeps working after a rotation, unless the person rotating says otherwise.
    TOKEN_ROTATION_GRACE: float = 24 * 3600.0
    #: Calls per channel and network address, for example ``"600/min"`` (Django REST framework's notation,
    #: counted in the default cache). ``None``: no limit.
    THROTTLE_RATE: str | None = None


class _Settings(Defaults):
    def __getattribute__(self, name: str) -> Any:
        if name in Defaults.__annotations__:
            return getattr(settings, "CHATAPI", {}).get(name, getattr(Defaults, name))
        return super().__getattribute__(name)


chatapi_settings = _Settings()
