"""What people rely on when something unlikely happens between agents, clients and the site around them."""

import asyncio
import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone

from django_chatapi import checks, dialog_selectors
from django_chatapi.actions import dialogs
from django_chatapi.agents import live
from django_chatapi.constants import MAX_NAME_LENGTH, MessageType
from django_chatapi.exceptions import ClientNotFound, DialogNotFound, IdempotencyConflict
from django_chatapi.models import AgentGroup, Client, Dialog, DialogChange, DialogNote, Message
from django_chatapi.routing import console_path

from .api import Colleague, make_dialog, refused
from .conftest import check, client_of, dialog_of, take

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_queued")]

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = [{"type": "text", "text": "Hello"}]


def said():
    """What the agents have said."""
    return [
        (message.agent_name, message.data["answer"])
        for message in Message.objects.filter(type=MessageType.HUMAN_RESPONSE).order_by("sequence")
    ]


def reply(agent, text, key):
    replies = [{"type": "text", "text": text}]
    return dialogs.reply(dialog=dialog_of(), agent=agent, replies=replies, idempotency_key=key)


# Nothing an agent says is lost without a word


def test_another_text_with_a_used_key_is_refused_and_not_taken_for_said(channel, agent, caller):
    caller.send("hi")
    take(agent)
    reply(agent, "Hello", "k1")

    with pytest.raises(IdempotencyConflict):
        reply(agent, "Your parcel is lost", "k1")

    assert said() == [("kim", "Hello")]
    check()


def test_two_agents_whose_consoles_count_their_keys_do_not_answer_for_each_other(channel, agent, other, caller):
    caller.send("hi")
    take(agent)
    reply(agent, "Hello", "1")
    dialogs.transfer(dialog=dialog_of(), by=agent, agent=other)

    with pytest.raises(IdempotencyConflict):
        reply(other, "Hello", "1")

    assert said() == [("kim", "Hello")]


def test_the_api_says_that_a_key_was_used(channel, agent, caller):
    dialog = make_dialog(channel, "ann", state="open", agent=agent)
    kim, path, key = Colleague(agent), f"dialogs/{dialog.pk}/messages", {"Idempotency-Key": "1"}
    kim.do(path, {"text": "Hello"}, key)

    assert refused(kim.post(path, {"text": "Hello again"}, key)) == (409, "idempotency_conflict")
    assert kim.do(path, {"text": "Hello"}, key)["data"]["answer"] == "Hello"
    assert len(said()) == 1


# Who sees what, also in the moment in which it changes


def test_a_dialog_that_went_to_another_group_meanwhile_is_not_taken(channel, agent, make_agent, caller):
    make_agent(channel, username="sara", group="Sales")
    make_dialog(channel, "test", group="Support")
    seen = dialog_of()
    sales = AgentGroup.objects.get(channel=channel, name="Sales")
    dialogs.transfer(dialog=dialog_of(), by=agent, group=sales)

    with pytest.raises(DialogNotFound):
        dialogs.take(dialog=seen, agent=agent)

    assert dialog_of().state == "waiting"
    check()


def test_a_dialog_that_went_to_another_group_meanwhile_is_neither_closed_nor_transferred(
    channel, agent, other, make_agent
):
    make_agent(channel, username="sara", group="Sales")
    make_dialog(channel, "test", group="Support")
    seen = dialog_of()
    sales = AgentGroup.objects.get(name="Sales")
    dialogs.transfer(dialog=dialog_of(), by=agent, group=sales)

    for call in (
        lambda: dialogs.close(dialog=seen, agent=other),
        lambda: dialogs.transfer(dialog=seen, by=other, agent=agent),
        lambda: dialogs.say_typing(dialog=seen, agent=other),
    ):
        with pytest.raises(DialogNotFound):
            call()
    assert (dialog_of().state, dialog_of().group) == ("waiting", sales)
    check()


def test_a_client_whom_the_bot_hands_to_another_group_meanwhile_is_not_taken(channel, agent, make_agent, caller):
    make_agent(channel, username="sara", group="Sales")
    caller.send("hi")
    with_bot = client_of()
    make_dialog(channel, "test", group="Sales")
    Client.objects.update(last_sequence=5)  # as the hand-over would have

    with pytest.raises(ClientNotFound):
        dialogs.take_client(client=with_bot, agent=agent)

    check()


def test_agents_do_not_learn_who_has_an_account(channel, agent, django_user_model):
    django_user_model.objects.create_user("boss")
    dialog = make_dialog(channel, "ann", state="open", agent=agent)
    kim = Colleague(agent)

    known = kim.post(f"dialogs/{dialog.pk}/transfer", {"agent": "boss"})
    unknown = kim.post(f"dialogs/{dialog.pk}/transfer", {"agent": "nobody"})

    assert refused(known) == refused(unknown) == (400, "invalid_request")
    assert known.json() == unknown.json()


# Sites with users of their own


@pytest.fixture
def nameless(monkeypatch):
    """Users without full names, as those on Django's ``AbstractBaseUser`` are."""
    monkeypatch.delattr(AbstractUser, "get_full_name")


def test_agents_without_full_names_work(channel, agent, other, caller, nameless):
    caller.send("hi")
    kim, dialog = Colleague(agent), take(agent)

    assert kim.look(f"dialogs/{dialog.pk}/targets")["agents"][0]["name"] == ""
    kim.do(f"dialogs/{dialog.pk}/messages", {"text": "Hello"})
    kim.do(f"dialogs/{dialog.pk}/transfer", {"agent": "lou"})
    Colleague(other).do(f"dialogs/{dialog.pk}/close")

    joined = DialogChange.objects.filter(kind="agentJoined").order_by("pk")
    assert [(change.agent_name, change.shown_name) for change in joined] == [("kim", ""), ("lou", "")]


def test_an_agent_without_a_full_name_is_named_to_who_came_second(channel, agent, other, nameless):
    dialog = make_dialog(channel, "ann", state="open", agent=agent)

    response = Colleague(other).post(f"dialogs/{dialog.pk}/take")

    assert refused(response) == (409, "already_taken")
    assert response.json()["args"] == {"agent": "kim", "agentName": "kim"}


def test_clients_hear_that_an_agent_without_a_full_name_types(channel, agent, caller, nameless):
    caller.send("hi")
    dialogs.say_typing(dialog=take(agent), agent=agent)

    events = caller.get("events", clientId="test", types="agentTyping", timeout=0).json()["events"]

    assert [event["event"]["agent"] for event in events] == [None]


def test_a_username_that_is_longer_than_records_keep_it_stops_nobody(channel, agent, caller, monkeypatch):
    caller.send("hi")
    monkeypatch.setattr(AbstractUser, "get_username", lambda user: "k" * 320)

    dialog = take(agent)
    dialogs.write_note(dialog=dialog, agent=agent, text="Careful")
    dialogs.reply(dialog=dialog, agent=agent, replies=TEXT)
    dialogs.close(dialog=dialog_of(), agent=agent)

    names = {*Message.objects.filter(type="humanResponse").values_list("agent_name", flat=True)}
    names |= {*DialogNote.objects.values_list("agent_name", flat=True)}
    assert names == {"k" * MAX_NAME_LENGTH}


SETTINGS = """
SECRET_KEY = "s" * 50
CONTRIB = ["django.contrib.contenttypes", "django.contrib.auth"]
INSTALLED_APPS = [*CONTRIB, "members", "rest_framework", "django_chatapi"]
ROOT_URLCONF = "django_chatapi.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SQLITE = "django.db.backends.sqlite3"
DATABASES = {"default": {"ENGINE": SQLITE, "NAME": "one.sqlite3"}}
CHATAPI = {"BOTS": {"switch": "bot.switch"}, "BOT_POOL_SIZE": 0}
"""

MEMBERS = """
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models

class Member(AbstractBaseUser):
    email = models.EmailField(unique=True)
    USERNAME_FIELD = "email"
    objects = BaseUserManager()

    def has_perm(self, perm, obj=None):
        return True
"""

ROUTED = """
DATABASES["chat"] = {"ENGINE": SQLITE, "NAME": "chat.sqlite3"}
DATABASE_ROUTERS = ["host.Router"]

class Router:
    def db_for_read(self, model, **hints):
        return "chat" if model._meta.app_label == "django_chatapi" else "default"
    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        return (db == "chat") == (app_label == "django_chatapi")
"""

BOT = """
from django_chatapi.bots import Answer

def switch(question):
    return Answer([{"type": "switch"}])
"""

SITE = """
import django
django.setup()
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django_chatapi.actions import asking, channels, requests

for alias in settings.DATABASES:
    call_command("migrate", database=alias, run_syncdb=True, verbosity=0)

def switch():
    channel = channels.create(name="A", bot="switch")
    request = requests.accept(channel=channel, client_id="ann", query="human").request
    assert asking.ask(request=request).data["replies"] == [{"type": "switch"}]
"""


def on_a_site(folder, settings, script):
    """Run a script on a site of its own, for which nobody has set up agents."""
    (folder / "members").mkdir()
    (folder / "members" / "__init__.py").touch()
    (folder / "members" / "models.py").write_text(MEMBERS)
    (folder / "host.py").write_text(SETTINGS + settings)
    (folder / "bot.py").write_text(BOT)
    done = subprocess.run(
        [sys.executable, "-c", SITE + script],
        cwd=folder,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "host", "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_bot_may_say_switch_where_users_have_no_permissions_of_djangos(tmp_path):
    on_a_site(tmp_path, 'AUTH_USER_MODEL = "members.Member"', "switch()")


def test_a_bot_may_say_switch_where_users_are_on_another_database(tmp_path):
    on_a_site(tmp_path, ROUTED, "switch()")


class ChatsElsewhere:
    """Routes this package to another database than users."""

    def db_for_write(self, model, **hints):
        return "chats" if model._meta.app_label == "django_chatapi" else None


def test_a_site_whose_users_are_on_another_database_is_warned(settings):
    assert checks.check_agents(None) == []
    settings.DATABASE_ROUTERS = [ChatsElsewhere()]
    assert [problem.id for problem in checks.check_agents(None)] == ["django_chatapi.W007"]


# Databases


def test_every_index_fits_into_mysql():
    """It takes 3072 bytes, four for each character, and makes indexes without their conditions."""

    def size(field):
        return 4 * field.max_length if isinstance(field, models.CharField) else 8

    for model in (AgentGroup, Dialog, DialogChange, DialogNote, Client):
        for index in [*model._meta.indexes, *model._meta.constraints]:
            fields = [model._meta.get_field(name.removeprefix("-")) for name in index.fields]
            assert sum(map(size, fields)) <= 3072, index.name


def test_a_client_whose_id_grows_in_lower_case_is_handed_over_and_found(channel, agent):
    make_dialog(channel, "İ" * MAX_NAME_LENGTH, state="open", agent=agent)

    assert Dialog._meta.get_field("search_key").max_length >= len(Dialog.objects.get().search_key)
    assert len(Colleague(agent).listed("mine", search="İ" * 3)) == 1


def test_what_an_agent_has_seen_while_the_client_writes_is_not_unread_again(channel, agent, caller, monkeypatch):
    caller.send("hi")
    take(agent)
    caller.send("one")
    caller.send("two")
    heard = dialogs._heard

    def seen_meanwhile(dialog, message):
        Dialog.objects.filter(pk=dialog.pk).update(unread=0)  # as mark_read of another process would have
        heard(dialog, message)

    monkeypatch.setattr(dialogs, "_heard", seen_meanwhile)
    caller.send("three")

    assert dialog_of().unread == 1


# The consoles


class Ear:
    """A page that hears all that the desk tells."""

    def __init__(self):
        self.states = []

    def tell(self, rows):
        self.states += [dialog.state for dialog, _ in rows]

    def stop(self):
        pass


def on_a_desk(story):
    """Run a story with a desk and a page at it."""

    async def play():
        desk, ear = live.Desk(asyncio.get_running_loop()), Ear()
        desk.join(ear)
        try:
            return await asyncio.wait_for(story(desk, ear), 20)
        finally:
            desk.leave(ear)
            desk._hub.listen(None)

    return asyncio.run(play())


def test_a_sweep_does_not_take_a_page_back_to_what_was(channel, agent, settings, monkeypatch):
    settings.CHATAPI = {**settings.CHATAPI, "EVENTS_SWEEP": 0.05}
    make_dialog(channel, "test", changed_at=timezone.now())
    before = list(Dialog.objects.select_related("channel", "client", "agent", "group"))
    read, told, swept = [], asyncio.Event(), asyncio.Event()

    async def database_thread(work, *, urgent=False):
        if urgent:
            return after
        read.append(True)
        if len(read) == 1:
            began.set()
            await told.wait()  # what was read arrives late
            return before
        swept.set()
        return []

    after = [
        Dialog(**{field.attname: getattr(before[0], field.attname) for field in Dialog._meta.concrete_fields})
    ]
    after[0].channel, after[0].client, after[0].state = before[0].channel, before[0].client, "closed"
    after[0].changed_at += dt.timedelta(seconds=1)
    after[0].agent = after[0].group = None
    began = asyncio.Event()
    monkeypatch.setattr(live, "in_database_thread", database_thread)

    async def story(desk, ear):
        await began.wait()
        desk._hear({before[0].client_id: 1})
        while not ear.states:
            await asyncio.sleep(0)
        told.set()
        await swept.wait()
        return ear.states

    assert on_a_desk(story) == ["closed"]


def test_no_failure_ends_the_sweep_for_the_pages(channel, settings, monkeypatch):
    settings.CHATAPI = {**settings.CHATAPI, "EVENTS_SWEEP": 0.01}
    reads = []

    async def database_thread(work, *, urgent=False):
        reads.append(urgent)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(live, "in_database_thread", database_thread)

    async def story(desk, ear):
        while len(reads) < 3:
            assert not desk._sweeper.done()
            await asyncio.sleep(0)
        return True

    assert on_a_desk(story)


def test_a_page_that_is_gone_leaves_nothing_waiting(channel, agent):
    dialog = make_dialog(channel, "test")
    sight = dialog_selectors.sight_of(agent)

    async def play():
        stuck = asyncio.Event()

        async def send(message):
            stuck.set()
            await asyncio.Event().wait()  # a page that takes nothing any more

        desk = live.Desk(asyncio.get_running_loop())
        console = live.Console({"user": agent}, send)
        console._sight = sight
        desk.join(console)
        console.tell([(dialog, "{}")])
        await asyncio.wait_for(stuck.wait(), 20)
        sender = console._sender
        desk.leave(console)
        await asyncio.wait({sender}, timeout=20)
        return sender.done()

    assert asyncio.run(play())


def opened_by(origin, host="chat.example.com", **more):
    """What the console's socket says first to a page of this origin, whose browser sends the session along."""
    sent = []

    async def play():
        async def receive():
            return {"type": "websocket.connect"}

        async def send(message):
            sent.append(message["type"])

        headers = [(b"host", host.encode()), (b"origin", origin.encode())]
        headers += [(name.encode(), value.encode()) for name, value in more.items()]
        app = console_path("agents/").callback
        scope = {"type": "websocket", "path": "/agents/live", "headers": headers, "cookies": {}}
        await asyncio.wait_for(app(scope, receive, send), 20)

    asyncio.run(play())
    return sent[0]


@pytest.mark.parametrize("origin", ["https://evil.example", "https://users.example.com", "null", "https://"])
def test_no_other_sites_page_opens_the_socket_where_all_hosts_are_allowed(db, settings, origin):
    settings.ALLOWED_HOSTS = ["*"]

    assert opened_by(origin) == "websocket.close"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://chat.example.com", "chat.example.com"),
        ("https://chat.example.com:8443", "chat.example.com"),
        ("http://localhost:3000", "localhost:8001"),
        ("http://[::1]:8001", "[::1]:8001"),
        ("https://admin.example.org", "127.0.0.1:8001"),
    ],
)
def test_the_sites_own_pages_open_the_socket_behind_any_proxy(db, settings, origin, host):
    settings.ALLOWED_HOSTS = ["*"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.example.org"]

    assert opened_by(origin, host) == "websocket.accept"
