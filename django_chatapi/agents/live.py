"""The socket that keeps the console's pages live.

News of a client reach every process already (see ``realtime``). One desk per event loop gathers them, asks the
database once which dialogs they are about, and tells each agent of those that they see. The database is the truth:
dialogs whose news were lost are found by a sweep.
"""

import asyncio
import datetime as dt
import json
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.db import Error
from django.http.request import split_domain_port
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.http import is_same_domain

from .. import dialog_selectors
from ..actions import presences
from ..api.hubs import read_sequences
from ..conf import chatapi_settings
from ..dialog_selectors import Sight
from ..models import Dialog
from ..realtime.database import in_database_thread
from ..realtime.hub import Hub, hub_of
from ..wire.dialogs import dialog_row

logger = logging.getLogger("django_chatapi.agents")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

#: How long news gather before the database is asked about them, in seconds. The first ask at once.
_PAUSE = 0.1
#: The sweep looks back further than the last one by this, in seconds: transactions take a while to commit.
_OVERLAP = 10
#: Most dialogs that a sweep looks at.
_SWEPT = 500
#: A page that has not pinged for this long is let go, in seconds: what its agent sees is looked up at each ping.
#: Pages ping every 30 s, and once a minute where a browser slows down those that nobody looks at.
_SILENCE = 150.0
#: Close codes of ours (RFC 6455, section 7.4.2): who is not an agent, or is no more; who was silent.
NOT_AN_AGENT = 4403
SILENT = 4408
#: The registered code for “try again later”: the database is away.
TRY_LATER = 1013


class Desk:
    """All consoles of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._hub: Hub = hub_of(loop, read_sequences)
        self._consoles: set[Console] = set()
        self._news: set[int] = set()
        self._task: asyncio.Task[None] | None = None
        self._sweeper: asyncio.Task[None] | None = None
        #: When each dialog that was told of lately was changed last: the sweep passes over those.
        self._told: dict[int, dt.datetime] = {}
        #: Those that were told of while the sweep was reading: what it has read may be older.
        self._told_meanwhile: set[int] = set()

    def __len__(self) -> int:
        return len(self._consoles)

    def join(self, console: "Console") -> None:
        self._consoles.add(console)
        if len(self._consoles) == 1:
            self._hub.listen(self._hear)
            self._sweeper = self._loop.create_task(self._sweep())

    def leave(self, console: "Console") -> None:
        self._consoles.discard(console)
        console.stop()
        if not self._consoles and self._sweeper is not None:
            self._hub.listen(None)
            self._sweeper.cancel()
            self._sweeper = None

    def _hear(self, news: dict[int, int]) -> None:
        self._news.update(news)
        if self._task is None:
            self._task = self._loop.create_task(self._tell_all())

    async def _tell_all(self) -> None:
        try:
            while self._news:
                news, self._news = self._news, set()
                try:
                    changed = partial(dialog_selectors.changed_dialogs, news)
                    self._tell(await in_database_thread(changed, urgent=True))
                except Exception as error:
                    logger.warning("Dialogs could not be read: %s", type(error).__name__)
                await asyncio.sleep(_PAUSE)
        finally:
            self._task = None

    async def _sweep(self) -> None:
        """Tell of changes that no news told of."""
        since = timezone.now()
        while True:
            await asyncio.sleep(chatapi_settings.EVENTS_SWEEP)
            begun = timezone.now()
            horizon = since - dt.timedelta(seconds=_OVERLAP)
            self._told_meanwhile.clear()
            try:
                look = partial(dialog_selectors.dialogs_changed_since, horizon, _SWEPT)
                found = await in_database_thread(look)
            except Exception as error:  # nothing ends this: nobody would start it again
                logger.warning("The sweep for dialogs failed: %s", type(error).__name__)
                continue
            found = [dialog for dialog in found if dialog.pk not in self._told_meanwhile]
            self._tell([dialog for dialog in found if self._told.get(dialog.pk) != dialog.changed_at])
            self._told = {pk: moment for pk, moment in self._told.items() if moment >= horizon}
            since = begun

    def _tell(self, dialogs: list[Dialog]) -> None:
        self._told.update((dialog.pk, dialog.changed_at) for dialog in dialogs)
        self._told_meanwhile.update(dialog.pk for dialog in dialogs)
        # The same text for all who see the dialog.
        rows = [(dialog, json.dumps(dialog_row(dialog), ensure_ascii=False)) for dialog in dialogs]
        for console in self._consoles:
            console.tell(rows)


_desks: dict[asyncio.AbstractEventLoop, Desk] = {}


def desk_of(loop: asyncio.AbstractEventLoop) -> Desk:
    """The loop's desk, made when it is first asked for."""
    if loop not in _desks:
        for ended in [known for known in _desks if known.is_closed()]:
            del _desks[ended]
        _desks[loop] = Desk(loop)
    return _desks[loop]


class Console:
    """One page of an agent, as long as its socket is open."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._user = scope.get("user")
        self._session = scope.get("session")
        self._send = send
        self._looked_at = 0.0
        self._sight: Sight | None = None
        self._rows: dict[int, str | None] = {}
        self._sender: asyncio.Task[None] | None = None

    async def look(self) -> int | None:
        """Look up what the agent sees now, and note that they were here.

        Returns:
            The code to close with, unless the user is an agent. While the database is away: who was, is.
        """

        def look() -> Sight | None:
            if self._user is None or not self._user.is_authenticated:
                return None
            # Anew each time: permissions are taken away while pages are open.
            user = get_user_model()._default_manager.filter(pk=self._user.pk).first()
            if user is None or not dialog_selectors.is_agent(user) or not _logged_in(user, self._session):
                return None
            presences.saw(agent_pk=user.pk)
            return dialog_selectors.sight_of(user)

        self._looked_at = asyncio.get_running_loop().time()
        try:
            self._sight = await in_database_thread(look)
        except Error as error:
            logger.warning("An agent could not be looked up: %s", type(error).__name__)
            return TRY_LATER if self._sight is None else None
        return NOT_AN_AGENT if self._sight is None else None

    def patience(self) -> float:
        """How long the page may stay silent from now on, in seconds."""
        return self._looked_at + _SILENCE - asyncio.get_running_loop().time()

    def tell(self, rows: list[tuple[Dialog, str]]) -> None:
        """Tell the page of those dialogs that its agent sees. What a slow page has not got yet is replaced."""
        sight = self._sight
        if sight is None:
            return
        for dialog, row in rows:
            if sight.sees(dialog):
                self._rows[dialog.pk] = row
            elif sight.sees_channel(dialog.channel_id):
                self._rows[dialog.pk] = None
        if self._rows and self._sender is None:
            self._sender = asyncio.get_running_loop().create_task(self._send_rows())

    async def _send_rows(self) -> None:
        try:
            while self._rows:
                rows, self._rows = self._rows, {}
                shown = ", ".join(row for row in rows.values() if row is not None)
                gone = [pk for pk, row in rows.items() if row is None]
                if shown:
                    await self.say(f'{{"type": "dialogs", "dialogs": [{shown}]}}')
                if gone:
                    await self.say(json.dumps({"type": "gone", "ids": gone}))
        except Exception as error:
            # Whatever a server raises when the page is gone: the disconnect follows.
            logger.debug("A console could not be told: %s", type(error).__name__)
        finally:
            self._sender = None

    def stop(self) -> None:
        """Say nothing more: what a page that is gone would not take must not wait for it."""
        if self._sender is not None:
            self._sender.cancel()

    async def say(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})


class ConsoleSocket:
    """The ASGI application of the console's socket, to be routed with Channels (see ``routing``).

    It sends ``{"type": "hello", "agent": username}``, then ``{"type": "dialogs", "dialogs": [row, …]}`` for what
    changed, and ``{"type": "gone", "ids": [id, …]}`` for what the agent does not see. It takes
    ``{"type": "ping"}``, which keeps the agent's presence, and answers ``{"type": "pong"}``.

    Deliberately no consumer of Channels: each would have a channel of its own on the layer.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if not _of_this_site(scope):
            await send({"type": "websocket.close"})  # the handshake is refused
            return
        await send({"type": "websocket.accept"})  # before anything is refused, or the page would not learn why
        console = Console(scope, send)
        if (code := await console.look()) is not None:
            await send({"type": "websocket.close", "code": code})
            return
        desk = desk_of(asyncio.get_running_loop())
        desk.join(console)
        try:
            await console.say(json.dumps({"type": "hello", "agent": scope["user"].get_username()}))
            code = await self._answer_pings(console, receive)
        finally:
            desk.leave(console)
        if code is not None:
            await send({"type": "websocket.close", "code": code})

    async def _answer_pings(self, console: Console, receive: Receive) -> int | None:
        """Until the page leaves (None), or has to (the code to close with)."""
        while True:
            try:
                message = await asyncio.wait_for(receive(), console.patience())
            except asyncio.TimeoutError:
                return SILENT
            if message["type"] == "websocket.disconnect":
                return None
            if _is_ping(message.get("text")):
                if (code := await console.look()) is not None:
                    return code
                await console.say('{"type": "pong"}')


def _of_this_site(scope: Scope) -> bool:
    """Whether the page that opens the socket is of the host that it opens it to, or of a trusted origin.

    The hosts of ``ALLOWED_HOSTS`` would not do: they may be all, and no token protects a handshake. Ports are left
    alone: proxies leave them out of the host that they pass on.
    """
    headers = {name: value.decode("latin-1") for name, value in scope.get("headers", ())}
    origin = headers.get(b"origin")
    if origin is None:
        return True  # no browser
    try:
        page = urlsplit(origin)
        hostname = page.hostname
    except ValueError:
        return False
    names = [b"host", *([b"x-forwarded-host"] if settings.USE_X_FORWARDED_HOST else [])]
    if hostname and hostname in [split_domain_port(headers.get(name, ""))[0].strip("[]") for name in names]:
        return True
    trusted = [urlsplit(one) for one in settings.CSRF_TRUSTED_ORIGINS]
    return any(
        page.scheme == one.scheme and is_same_domain(page.netloc, one.netloc.lstrip("*")) for one in trusted
    )


def _logged_in(user: Any, session: Any) -> bool:
    """Whether the session is still this user's: they may have logged out, or changed their password, elsewhere."""
    if session is None:
        return True  # the host tells in its own way who it is
    now = session.__class__(session.session_key)
    same_user = now.get(SESSION_KEY) == user._meta.pk.value_to_string(user)
    return same_user and constant_time_compare(now.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())


def _is_ping(text: str | None) -> bool:
    try:
        message = json.loads(text or "")
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and message.get("type") == "ping"
