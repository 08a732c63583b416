"""The console's socket: against real servers, with the layer of a real site, and inside this process."""

import asyncio
import contextlib
import datetime as dt
import json
import time

import httpx
import pytest
import redis
from django.db import OperationalError, transaction
from django.test import Client as HTTPClient
from django.utils import timezone

from django_chatapi.actions import channels, dialogs
from django_chatapi.agents import live
from django_chatapi.agents.live import ConsoleSocket, desk_of
from django_chatapi.models import AgentGroup, AgentPresence, Dialog
from django_chatapi.realtime.layer import SHARDS, group_of
from tests.events.conftest import one_database_thread, valkey
from tests.events.helpers import NEVER, in_thread, layer_server, site
from tests.servers import wait_until

from .api import ROW, make_dialog
from .conftest import dialog_of, take

__all__ = ["one_database_thread", "valkey"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_queued")]

#: News are there by then, if the machine has time for them.
SOON = 2
#: How long what must not come is waited for: as long as what was sent later takes to come, and never by itself.
PATIENCE = 20
SWEEP = 1.0


class Page:
    """A page of the console in a browser: a socket with the session of somebody who logged in."""

    def __init__(self, stack, address, user=None, *, origin=None, cookies=""):
        client = pytest.importorskip("websockets.sync.client", reason="the test's browser needs websockets")
        if user is not None:
            http = HTTPClient()
            http.force_login(user)
            cookies = f"sessionid={http.cookies['sessionid'].value}"
        connection = client.connect(
            address.replace("http", "ws", 1) + "/chatapi-agents/live",
            origin=origin or address,
            additional_headers={"Cookie": cookies} if cookies else {},
            open_timeout=PATIENCE,
        )
        self.socket = stack.enter_context(connection)

    def hear(self, seconds=PATIENCE):
        return json.loads(self.socket.recv(timeout=seconds))

    def say(self, message):
        self.socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    def ping(self):
        """Ping; what came before the pong."""
        self.say({"type": "ping"})
        return self.hear_until(lambda message: message["type"] == "pong")[:-1]

    def hear_until(self, condition, seconds=PATIENCE):
        """All messages up to the first one for which the condition holds."""
        heard, deadline = [], time.monotonic() + seconds
        while not (heard and condition(heard[-1])):
            heard.append(self.hear(max(0, deadline - time.monotonic())))
        return heard

    def row(self, client_id, seconds=PATIENCE, **expected):
        """Hear until the client's row comes with these values; the row."""
        found = []

        def comes(message):
            rows = [row for row in message.get("dialogs", []) if row["clientId"] == client_id]
            found[:] = [row for row in rows if expected.items() <= row.items()]
            return bool(found)

        self.hear_until(comes, seconds)
        return found[-1]

    def closed_with(self, seconds=PATIENCE):
        """The code with which the server closed."""
        from websockets.exceptions import ConnectionClosed

        with pytest.raises(ConnectionClosed) as closed:
            self.hear_until(lambda message: False, seconds)
        assert closed.value.rcvd is not None, "the connection broke"
        return closed.value.rcvd.code


@pytest.fixture
def open_page():
    """Open pages; they are closed at the end."""
    with contextlib.ExitStack() as stack:

        def open_one(address, user=None, *, greeted=True, **more):
            page = Page(stack, address, user, **more)
            if greeted:
                assert page.hear() == {"type": "hello", "agent": user.get_username()}
            return page

        yield open_one


@contextlib.contextmanager
def hearing_site(valkey, channel):
    """A server whose sweep does not come: what arrives, was told of.

    It joins the layer's groups one after the other, beside answering its first page or poll: before it is in the
    last one, what others tell may not reach it.
    """
    layer = redis.Redis.from_url(valkey.connection_url)
    last_group = f"asgi:group:{group_of(SHARDS - 1)}"
    known = layer.zcard(last_group)
    with site(env={"REDIS_URL": valkey.connection_url}, EVENTS_SWEEP=NEVER) as (address, _):
        poll = httpx.get(f"{address}/chatapi/{channel.token}/events?clientId=first&timeout=0", timeout=30)
        assert poll.status_code == 200, poll.text
        wait_until(lambda: layer.zcard(last_group) > known, what="that the server has joined the groups")
        yield address


@pytest.fixture(scope="module")
def address(django_db_setup, django_db_blocker, valkey):
    with django_db_blocker.unblock():
        channel = channels.create(name="First", bot="demo")
    with hearing_site(valkey, channel) as address:
        with django_db_blocker.unblock():
            channel.delete()
        yield address


@pytest.fixture
def channel(transactional_db):
    return channels.create(name="Shop", bot="demo")


@pytest.fixture
def shared_layer(settings, valkey):
    """This process tells the servers of what it does, as any process of a site."""
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [valkey.connection_url]},
        }
    }


def send(address, channel, query, client_id="ann"):
    response = httpx.post(
        f"{address}/chatapi/{channel.token}", json={"clientId": client_id, "query": query}, timeout=30
    )
    assert response.status_code == 200, response.text
    return response.json()


def lost_presence(agent, seconds=60):
    """The agent was seen last so many seconds ago."""
    before = timezone.now() - dt.timedelta(seconds=seconds)
    AgentPresence.objects.filter(agent=agent).update(seen_at=before)


# Who is let in


def test_hello_ping_and_pong(address, agent, open_page):
    page = open_page(address, agent)

    assert [page.ping() for _ in range(3)] == [[]] * 3


def test_a_ping_keeps_the_agents_presence(address, agent, open_page):
    page = open_page(address, agent)
    lost_presence(agent)
    before = timezone.now()

    page.ping()

    assert AgentPresence.objects.get(agent=agent).seen_at > before


def test_opening_the_console_does_too_and_nothing_else_of_the_socket(address, agent, open_page):
    lost_presence(agent)
    before = timezone.now()
    page = open_page(address, agent)
    assert AgentPresence.objects.get(agent=agent).seen_at > before

    lost_presence(agent)
    page.say("not a ping")
    page.socket.close()

    assert AgentPresence.objects.get(agent=agent).seen_at < timezone.now() - dt.timedelta(seconds=50)


@pytest.mark.parametrize("who", ["nobody", "a wrong session", "a guest", "switched off", "logged out"])
def test_who_is_no_agent_is_told_so(address, channel, agent, open_page, django_user_model, who):
    if who == "nobody":
        page = open_page(address, greeted=False)
    elif who == "a wrong session":
        page = open_page(address, greeted=False, cookies="sessionid=" + "x" * 32)
    elif who == "a guest":
        guest = django_user_model.objects.create_user("guest", is_staff=True)
        AgentGroup.objects.create(channel=channel, name="Guests").members.add(guest)
        page = open_page(address, guest, greeted=False)
    else:
        http = HTTPClient()
        http.force_login(agent)
        cookie = f"sessionid={http.cookies['sessionid'].value}"
        if who == "switched off":
            agent.is_active = False
            agent.save()
        else:
            http.logout()
        page = open_page(address, greeted=False, cookies=cookie)

    assert page.closed_with() == 4403


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost.evil.example", "null"])
def test_a_page_of_another_site_is_refused(address, agent, open_page, origin):
    exceptions = pytest.importorskip("websockets.exceptions", reason="the test's browser needs websockets")

    with pytest.raises(exceptions.InvalidStatus) as refused:
        open_page(address, agent, origin=origin)

    assert refused.value.response.status_code == 403


def test_another_path_has_no_socket(address, agent, open_page):
    exceptions = pytest.importorskip("websockets.exceptions", reason="the test's browser needs websockets")

    with pytest.raises((exceptions.InvalidStatus, exceptions.InvalidMessage)):
        open_page(f"{address}/elsewhere", agent, origin=address)


@pytest.mark.parametrize("how", ["permission", "inactive", "deleted", "logged out", "new password"])
def test_who_is_no_agent_any_more_has_to_leave_at_the_next_ping(address, agent, open_page, how):
    http = HTTPClient()
    http.force_login(agent)
    page = open_page(address, agent, cookies="", greeted=True)
    own = open_page(address, greeted=False, cookies=f"sessionid={http.cookies['sessionid'].value}")
    assert own.hear()["type"] == "hello"
    page.ping()
    if how == "permission":
        agent.user_permissions.clear()
    elif how == "inactive":
        agent.is_active = False
        agent.save()
    elif how == "deleted":
        agent.delete()
    elif how == "new password":
        agent.set_password("another")
        agent.save()
    else:
        http.logout()

    own.say({"type": "ping"})

    assert own.closed_with() == 4403
    if how == "logged out":
        assert page.ping() == []  # another browser's session goes on
    else:
        page.say({"type": "ping"})
        assert page.closed_with() == 4403


GARBAGE = [
    "",
    "ping",
    "{",
    "[]",
    "null",
    "5",
    '"ping"',
    "9" * 5000,
    "[" * 100_000,
    '{"type": 5}',
    '{"type": "pong"}',
    '{"type": ["ping"]}',
    '{"type": "dialogs", "dialogs": []}',
    '{"type": "websocket.close", "code": 1000}',
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    b"",
    b"\xff\x00",
    b'{"type": "ping"}',
]


def test_garbage_is_ignored(address, agent, open_page):
    page = open_page(address, agent)

    for garbage in GARBAGE:
        page.say(garbage)

    assert page.ping() == []


# What arrives


def test_a_client_who_writes_is_shown_soon(address, channel, agent, open_page):
    page = open_page(address, agent)

    send(address, channel, "/agent")
    waiting = page.row("ann", state="waiting")
    took = []
    for unread in range(2, 7):  # the best of several: other tests run beside this one
        begun = time.monotonic()
        send(address, channel, "My parcel is lost")
        again = page.row("ann", unread=unread)
        took.append(time.monotonic() - begun)

    assert min(took) < SOON
    assert list(waiting) == ROW
    assert (again["id"], again["channel"], again["lastMessage"]) == (waiting["id"], "Shop", "My parcel is lost")


def test_what_another_process_does_is_shown_soon(address, channel, agent, other, open_page, shared_layer):
    page = open_page(address, agent)
    dialog = make_dialog(channel, "ann")

    dialogs.take(dialog=dialog_of("ann"), agent=other)
    assert page.row("ann", state="open")["agent"] == "lou"
    dialogs.write_note(dialog=dialog_of("ann"), agent=other, text="Careful")
    assert page.row("ann")["id"] == dialog.pk
    dialogs.transfer(dialog=dialog_of("ann"), by=other, agent=agent)
    assert page.row("ann", agent="kim")["agentName"] == "Kim Lee"
    dialogs.close(dialog=dialog_of("ann"), agent=agent)
    assert page.row("ann", state="closed")["closedAt"]


def test_a_burst_comes_in_few_messages_and_ends_with_the_truth(address, channel, agent, open_page, shared_layer):
    page = open_page(address, agent)
    for number in range(30):
        make_dialog(channel, f"client {number}")
    with transaction.atomic():  # the news of all go out together
        for number in range(30):
            take(agent, f"client {number}")

    rows, messages = {}, 0
    while len(rows) < 30:
        message = page.hear()
        messages += 1
        rows.update({row["id"]: row["state"] for row in message["dialogs"] if row["state"] == "open"})

    assert messages < 30


def test_a_dialog_that_moves_to_a_group_of_others_is_gone(
    address, channel, agent, make_agent, open_page, shared_layer
):
    sales = make_agent(channel, username="sara", group="Sales")
    page, hers = open_page(address, agent), open_page(address, sales)
    dialog = make_dialog(channel, "ann", state="open", agent=agent, group="Support")

    group = AgentGroup.objects.get(name="Sales")
    dialogs.transfer(dialog=dialog_of("ann"), by=agent, group=group)

    *before, last = page.hear_until(lambda message: message["type"] == "gone")
    assert last == {"type": "gone", "ids": [dialog.pk]}
    assert before == []
    assert hers.row("ann", state="waiting")["group"] == "Sales"


def test_a_group_that_one_joins_is_seen_from_the_next_ping_on(
    address, channel, agent, make_agent, open_page, shared_layer
):
    make_agent(channel, group="Sales")
    page = open_page(address, agent)
    make_dialog(channel, "ann", group="Sales")
    AgentGroup.objects.get(name="Sales").members.add(agent)
    page.ping()

    take(make_agent(channel, username="sara", group="Sales"), "ann")

    assert page.row("ann")["agent"] == "sara"


def test_nothing_of_another_channel_ever_arrives(address, channel, agent, make_agent, open_page, superuser):
    foreign = channels.create(name="Foreign", bot="demo")
    theirs = open_page(address, make_agent(foreign, username="mark"))
    page, root = open_page(address, agent), open_page(address, superuser)

    for client_id in ("bob", "eve"):
        send(address, foreign, "/agent", client_id)
    assert theirs.row("bob")["channel"] == "Foreign"
    # Whoever hears of all hears of it first; then comes what the page may hear.
    root.row("eve")
    send(address, channel, "/agent", "ann")
    heard = page.hear_until(lambda message: message["type"] == "dialogs")

    assert [row["clientId"] for message in heard for row in message["dialogs"]] == ["ann"]
    assert page.ping() == []
    assert channel.token not in json.dumps(heard)


def test_two_servers_with_one_layer(address, channel, agent, valkey, open_page):
    with hearing_site(valkey, channel) as second:
        page, beside = open_page(second, agent), open_page(address, agent)

        send(address, channel, "/agent")

        assert page.row("ann")["state"] == beside.row("ann")["state"] == "waiting"


def test_a_wsgi_server_beside_it(address, channel, agent, valkey, open_page):
    page = open_page(address, agent)
    with site("wsgi", env={"REDIS_URL": valkey.connection_url}) as (wsgi, _):
        send(wsgi, channel, "/agent")

        assert page.row("ann")["state"] == "waiting"


def test_with_the_layer_down_the_sweep_tells(channel, agent, other, open_page):
    with (
        layer_server() as server,
        site(env={"REDIS_URL": server.connection_url}, EVENTS_SWEEP=SWEEP) as (address, _),
    ):
        page = open_page(address, agent)
        redis.Redis.from_url(server.connection_url).shutdown(nosave=True)
        make_dialog(channel, "ann", changed_at=timezone.now())

        # This process has no layer in common with the server: nobody tells it.
        take(other, "ann")

        assert page.row("ann", state="open")["agent"] == "lou"
        dialogs.close(dialog=dialog_of("ann"), agent=other)
        assert page.row("ann", state="closed")["agent"] == "lou"
        # What was told of once is not told of at each sweep.
        Dialog.objects.filter(client__client_id="ann").update(changed_at=timezone.now())
        page.row("ann")
        make_dialog(channel, "bob", changed_at=timezone.now())
        (heard,) = page.hear_until(lambda message: True)
        assert [row["clientId"] for row in heard["dialogs"]] == ["bob"]
        assert page.ping() == []


def test_a_server_that_is_told_to_stop_does_not_wait_for_pages(channel, agent, open_page):
    with site(EVENTS_SWEEP=NEVER) as (address, running):
        page = open_page(address, agent)

        running.terminate()

        assert page.closed_with() in (1001, 1012)
        assert running.wait(timeout=PATIENCE) in (0, -15)


# Inside this process


class Inside:
    """A page whose socket is a pair of queues."""

    def __init__(self, user, session=None):
        self.scope = {"type": "websocket", "user": user, **({"session": session} if session else {})}
        self.said, self.sent = asyncio.Queue(), []
        self.said.put_nowait({"type": "websocket.connect"})

    async def send(self, message):
        self.sent.append(message)

    def say(self, text):
        self.said.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self):
        self.said.put_nowait({"type": "websocket.disconnect", "code": 1006})

    def open(self):
        return asyncio.ensure_future(ConsoleSocket()(self.scope, self.said.get, self.send))

    @property
    def texts(self):
        return [json.loads(message["text"]) for message in self.sent if message["type"] == "websocket.send"]


async def until(condition, what="the condition"):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not hold"
        await asyncio.sleep(0.01)


@pytest.fixture
def no_sweep(settings):
    settings.CHATAPI = {**settings.CHATAPI, "EVENTS_SWEEP": NEVER}


def test_pages_that_leave_are_forgotten_at_once(agent, other, one_database_thread, no_sweep):
    async def run():
        desk = desk_of(asyncio.get_running_loop())
        pages = [Inside(user) for user in (agent, other) for _ in range(10)]
        tasks = [page.open() for page in pages]
        await until(lambda: len(desk) == 20, "that all pages are there")
        for page in pages[:15]:
            page.leave()
        await asyncio.gather(*tasks[:15])
        assert len(desk) == 5
        for page in pages[15:]:
            page.leave()
        await asyncio.gather(*tasks[15:])
        assert len(desk) == 0
        await until(lambda: len(asyncio.all_tasks()) == 2, "that only the hub's sweep is left")
        # And a page that comes later is told again.
        page = Inside(agent)
        again = page.open()
        await until(lambda: page.texts, "the hello")
        assert len(desk) == 1
        page.leave()
        await again

    asyncio.run(run())


def test_a_page_that_breaks_off_while_it_is_told_harms_no_other(
    channel, agent, other, one_database_thread, no_sweep
):
    class Broken(Inside):
        async def send(self, message):
            if "dialogs" in message.get("text", ""):
                raise OSError("gone")
            await super().send(message)

    async def run():
        broken, page = Broken(agent), Inside(other)
        tasks = [broken.open(), page.open()]
        await until(lambda: broken.texts and page.texts, "both hellos")
        await asyncio.to_thread(in_thread(lambda: make_and_take(channel, agent)).join)
        await until(lambda: len(page.texts) > 1, "the row")
        broken.leave()
        page.leave()
        await asyncio.gather(*tasks)
        assert len(desk_of(asyncio.get_running_loop())) == 0

    asyncio.run(run())


def make_and_take(channel, agent):
    make_dialog(channel, "ann")
    take(agent, "ann")


def test_a_slow_page_gets_the_latest_row_only(channel, agent, one_database_thread, no_sweep):
    class Slow(Inside):
        def __init__(self, user):
            super().__init__(user)
            self.gate = asyncio.Event()

        async def send(self, message):
            if "dialogs" in message.get("text", ""):
                await self.gate.wait()
            await super().send(message)

    async def run():
        slow, quick = Slow(agent), Inside(agent)
        tasks = [slow.open(), quick.open()]
        await until(lambda: slow.texts and quick.texts, "both hellos")
        await asyncio.to_thread(in_thread(lambda: make_and_take(channel, agent)).join)

        def note(number):
            return lambda: dialogs.reply(dialog=dialog_of("ann"), agent=agent, replies=[text(number)])

        def latest(page):
            return page.texts[-1].get("dialogs", [{}])[-1]

        await until(lambda: latest(quick).get("state") == "open", "the row")
        for number in range(5):
            await asyncio.to_thread(in_thread(note(number)).join)
            await until(lambda number=number: latest(quick).get("lastMessage") == str(number), "the news")
        slow.gate.set()
        await until(lambda: latest(slow).get("lastMessage") == "4", "the last row")
        assert len(slow.texts) == 3  # the hello, the row that was on its way, and the latest
        for page in (slow, quick):
            page.leave()
        await asyncio.gather(*tasks)

    asyncio.run(run())


def text(number):
    return {"type": "text", "text": str(number)}


def test_a_page_that_does_not_ping_is_let_go(agent, one_database_thread, no_sweep, monkeypatch):
    monkeypatch.setattr(live, "_SILENCE", 0.3)

    async def run():
        silent = Inside(agent)
        noisy = Inside(agent)
        tasks = [silent.open(), noisy.open()]
        while not tasks[1].done():
            noisy.say("no ping")
            await asyncio.sleep(0.02)
        await asyncio.wait_for(tasks[0], PATIENCE)
        for page in (silent, noisy):
            assert page.sent[-1] == {"type": "websocket.close", "code": 4408}
        assert len(desk_of(asyncio.get_running_loop())) == 0

    asyncio.run(run())


def test_a_host_may_tell_in_its_own_way_who_it_is(agent, one_database_thread, no_sweep):
    async def run():
        page = Inside(agent)  # no session in the scope
        task = page.open()
        page.say('{"type": "ping"}')
        await until(lambda: {"type": "pong"} in page.texts, "the pong")
        page.leave()
        await task

    asyncio.run(run())


def test_while_the_database_is_away_who_was_an_agent_stays_one(agent, one_database_thread, no_sweep, monkeypatch):
    def away(*args, **kwargs):
        raise OperationalError("gone")

    async def run():
        page = Inside(agent)
        task = page.open()
        await until(lambda: page.texts, "the hello")
        monkeypatch.setattr("django_chatapi.dialog_selectors.is_agent", away)
        page.say('{"type": "ping"}')
        await until(lambda: {"type": "pong"} in page.texts, "the pong")
        late = Inside(agent)
        await late.open()
        assert late.sent[-1] == {"type": "websocket.close", "code": 1013}  # it comes again by itself
        page.leave()
        await task

    asyncio.run(run())
