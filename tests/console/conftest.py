"""A shop whose bot hands its clients over, its agents in browsers, and its clients at the API."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connections
from django.test import Client as HTTPClient

from django_chatapi.actions import channels, presences
from django_chatapi.constants import PresenceState
from django_chatapi.models import AgentGroup, Channel
from tests.events.conftest import Listener, valkey
from tests.events.helpers import NEVER, site_environment
from tests.servers import web_server

if TYPE_CHECKING:
    from concurrent.futures import Future

    from playwright.sync_api import Browser

    from .browser import Desk

__all__ = ["valkey"]

#: What the shop's bot says about a hand-over, unless a test says otherwise.
SWITCH = {
    "type": "switch",
    "ignoreOffline": True,
    "sendMessagesToOperator": True,
    "closeChatPhrases": ["bye", "/bot"],
    "lastMessage": "You talk with the bot again.",
    "attributes": {"Plan": "Gold", "Orders": 3},
}


def script(**switch: Any) -> dict[str, Any]:
    """The options of a recorded bot that hands over who says “human”."""
    one_moment = {"type": "text", "text": "One moment, please."}
    return {
        "script": [
            {"query": "human", "replies": [one_moment, {**SWITCH, **switch}]},
            {"event": "livechatFinished", "text": "The agent has left."},
        ],
        "default": {"text": "The bot says hello."},
    }


@pytest.fixture(scope="package")
def chromium() -> "Iterator[Browser]":
    """A browser for all tests of this folder, and for none beyond: its loop runs in this thread."""
    from playwright.sync_api import sync_playwright

    from .browser import ARGUMENTS, CHROMIUM

    with pytest.MonkeyPatch.context() as patch:
        # Django sees that loop, and would take what tests do for asynchronous code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            yield browser
            browser.close()
            connections.close_all()  # beside a loop, Django keeps others than without


#: What the servers of these tests have in common. No sweep comes: what appears, was told of.
ENVIRONMENT = {**site_environment(EVENTS_SWEEP=NEVER), "DJANGO_ALLOW_ASYNC_UNSAFE": ""}


@pytest.fixture(scope="package")
def address(django_db_setup: None, django_db_blocker: object, valkey: Any) -> Iterator[str]:
    """The address of a server with websockets."""
    with web_server("asgi", REDIS_URL=valkey.connection_url, **ENVIRONMENT) as (address, _process):
        yield address


@pytest.fixture
def make_shop(transactional_db: None) -> Callable[..., Channel]:
    """Make a channel whose bot hands over who says “human”; the arguments are more of its switch reply."""

    def make(name: str = "Shop", **switch: Any) -> Channel:
        return channels.create(name=name, bot="recorded", bot_options=script(**switch))

    return make


@pytest.fixture
def shop(make_shop: Callable[..., Channel]) -> Channel:
    return make_shop()


@pytest.fixture
def hire(transactional_db: None) -> Callable[..., Any]:
    """Make an agent of a channel, in these groups of it, online."""

    def hire(channel: Channel, username: str, name: str = "", groups: tuple[str, ...] = ("Sales",)) -> Any:
        first, _, last = name.partition(" ")
        names = {"first_name": first, "last_name": last}
        user = get_user_model().objects.create_user(username, is_staff=True, **names)
        permission = Permission.objects.get(content_type__app_label="django_chatapi", codename="answer_client")
        user.user_permissions.add(permission)
        for group in groups:
            AgentGroup.objects.get_or_create(channel=channel, name=group)[0].members.add(user)
        presences.set_presence(agent=user, state=PresenceState.ONLINE)
        return user

    return hire


@pytest.fixture
def kim(shop: Channel, hire: Callable[..., Any]) -> Any:
    return hire(shop, "kim", "Kim Lee")


@pytest.fixture
def lou(shop: Channel, hire: Callable[..., Any]) -> Any:
    return hire(shop, "lou", "Lou Park")


class Visitor(Listener):
    """A client of the shop, in an app or on a page of theirs."""

    def start(self, **query: Any) -> "Future[dict[str, Any]]":
        """Held as long as the API holds a poll: steps in a browser may take their time."""
        self.http.timeout = 90
        return super().start(timeout=60, **query)

    def ask_for_a_person(self) -> None:
        assert self.send("human")["data"]["replies"]

    def history(self) -> list[dict[str, Any]]:
        response = self.http.get(f"{self._own}/history")
        assert response.status_code == 200, response.text
        messages: list[dict[str, Any]] = response.json()["messages"]
        return messages

    def report(self, question_id: str, status: str) -> None:
        response = self.http.post(f"{self._own}/message/{question_id}/status", json={"status": status})
        assert response.status_code == 200, response.text

    def save_state(self, state: Any) -> None:
        assert self.http.post(f"{self._own}/state", json=state).status_code == 200

    @property
    def _own(self) -> str:
        return f"{self.base}/client/{quote(self.client_id, safe='')}"


@pytest.fixture
def visit(shop: Channel, address: str) -> Iterator[Callable[..., Visitor]]:
    """Let a client come to the shop."""
    visitors = []

    def visit(client_id: str = "ann", channel: Channel = shop, address: str = address) -> Visitor:
        visitor = Visitor(address, channel, client_id)
        visitors.append(visitor)
        return visitor

    yield visit
    for visitor in visitors:
        visitor.close()


@pytest.fixture
def ann(visit: Callable[..., Visitor]) -> Visitor:
    return visit("ann")


@pytest.fixture
def sit_down(chromium: "Browser", address: str, transactional_db: None) -> "Iterator[Callable[..., Desk]]":
    """Open the console as an agent, in a browser where nobody else is logged in.

    Args of what it gives: the agent; where to look (``#dialog-7``); what to do with the page before; what
    Playwright should know of the browser.
    """
    from .browser import CONSOLE, PATIENCE, Desk

    desks: list[Desk] = []

    def sit_down(
        agent: Any,
        *,
        place: str = "",
        address: str = address,
        before: "Callable[[Desk], object] | None" = None,
        **options: Any,
    ) -> Desk:
        options = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **options}
        context = chromium.new_context(**options)
        context.set_default_timeout(PATIENCE)
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session_of(agent), "url": address}])
        desk = Desk(context.new_page())
        desks.append(desk)
        if before is not None:
            before(desk)
        desk.page.goto(f"{address}{CONSOLE}{place}")
        return desk

    yield sit_down
    try:
        for desk in desks:
            desk.check()
    finally:
        for desk in desks:
            desk.leave()


def session_of(agent: Any) -> str:
    """A session in which the agent is logged in."""
    http = HTTPClient()
    http.force_login(agent)
    return str(http.cookies[settings.SESSION_COOKIE_NAME].value)


@pytest.fixture
def desk(kim: Any, sit_down: "Callable[..., Desk]") -> "Desk":
    """Kim's console, ready."""
    return sit_down(kim).live()
