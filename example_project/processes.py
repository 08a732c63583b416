"""Child processes that end with their parent, however it ends."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from django.core.management.base import CommandError

ROOT = Path(__file__).resolve().parent.parent

#: How long children may take to stop before they are killed, in seconds.
STOP_TIMEOUT = 8.0
#: Lines of a log that are shown when its process failed.
TAIL = 20

# Reads the children's process ids until the pipe closes, which happens however its writer ends.
KEEPER = """
while read -r pid; do pids="$pids $pid"; groups="$groups -$pid"; done
kill -TERM $pids; sleep "$1"; kill -KILL -- $groups
"""


class Children:
    """The processes of the demo, each with a log in the folder, stopped when the ``with`` block ends.

    Each has a process group of its own, so that Ctrl-C in the terminal reaches this process only and each child
    is told to stop once. A shell watches over them: should this process be killed, it stops them instead.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = {**os.environ, **environment}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Children":
        reading, self._pipe = os.pipe()
        self._keeper = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", KEEPER, "keeper", str(STOP_TIMEOUT)],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(reading)
        return self

    def start(self, name: str, *command: str | Path, cwd: Path = ROOT) -> None:
        """Start a program, with its output in ``name.log``."""
        with self._log(name).open("ab") as log:
            child = subprocess.Popen(  # noqa: S603
                command,
                cwd=cwd,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running[name] = child
        os.write(self._pipe, b"%d\n" % child.pid)

    def check(self) -> None:
        """Raise CommandError if one of them has ended."""
        for name, child in self._running.items():
            if child.poll() is not None:
                raise CommandError(
                    f"The {name} process ended by itself (exit code {child.returncode}).{self.tail(name)}"
                )

    def tail(self, name: str) -> str:
        """The last lines of a log, to go behind the message of an error."""
        log = self._log(name)
        lines = log.read_text(errors="replace").splitlines()[-TAIL:]
        return "\n".join([f" The end of {log}:", *lines])

    def __exit__(self, *exc_info: object) -> None:
        # Valkey last: the worker needs its broker to stop in good order.
        _stop([child for name, child in self._running.items() if name != "valkey"])
        _stop([child for name, child in self._running.items() if name == "valkey"])
        self._keeper.kill()
        self._keeper.wait()
        os.close(self._pipe)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def _stop(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    deadline = time.monotonic() + STOP_TIMEOUT
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(deadline - time.monotonic(), 0))
        # All of its group: a worker that was killed leaves its beat behind.
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
