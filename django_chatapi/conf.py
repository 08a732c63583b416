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
    #: How long a bot may take over one request, with all its steps. After that the claim is renewed no more: the
    #: sweep has the request asked again, and what the bot says after all is dropped.
    BOT_TIMEOUT: float = 600.0
    #: How often a request is asked again after the process that was asking died or the bot hung, or after the bot
    #: failed and nobody waits for its response.
    BOT_RETRIES: int = 2
    #: The pause before it is asked again after the bot failed; doubled each time.
    BOT_RETRY_DELAY: float = 1.0

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

    #: Seconds within which a webhook's receiver has to answer, from the look-up of its name to its last byte.
    WEBHOOK_TIMEOUT: float = 3.0
    #: Seconds between the attempts of a delivery, never less, at random up to a tenth more.
    WEBHOOK_RETRY_DELAY: float = 3.0
    #: The pauses before each resend, in seconds, in place of three times ``WEBHOOK_RETRY_DELAY``: for example
    #: ``[3, 30, 300, 3600]``.
    WEBHOOK_RETRY_SCHEDULE: list[float] | tuple[float, ...] | None = None
    #: Longest ``Retry-After`` that is honoured.
    WEBHOOK_RETRY_AFTER_MAX: float = 300.0
    #: Deliveries to one channel's webhook that may be under way at once. An endpoint that just failed gets one.
    WEBHOOK_CONCURRENCY: int = 4
    #: Most messages in one array.
    WEBHOOK_MAX_ITEMS: int = 100
    #: Largest array. A message that is larger by itself travels alone.
    WEBHOOK_MAX_BYTES: int = 512 * 1024
    #: How long a delivery belongs to the worker that sends it. After that the sweep has it sent again.
    WEBHOOK_LEASE: float = 20.0
    #: Failed attempts in a row after which an endpoint is only probed. More than the attempts of one delivery.
    WEBHOOK_CIRCUIT_FAILURES: int = 10
    #: Seconds between two probes of such an endpoint.
    WEBHOOK_PROBE_INTERVAL: float = 30.0
    #: How long a webhook's previous signing secret is used beside the new one.
    WEBHOOK_ROTATION_GRACE: float = 24 * 3600.0
    #: Networks that webhooks may go to although they are not on the public internet, such as ``"10.0.0.0/8"``.
    WEBHOOK_ALLOWED_NETWORKS: list[str] | tuple[str, ...] = ()

    #: How long an agent who said to be online counts as such after having last been seen.
    AGENT_PRESENCE_TIMEOUT: float = 90.0

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
