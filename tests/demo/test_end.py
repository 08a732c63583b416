"""However the demo ends, nothing of it is left; and with a folder of its own, it starts again where it was."""

import re
import signal

import httpx
import pytest

from tests.demo.demos import PATIENCE, demo
from tests.servers import valkey_server

TOKEN = "demo:0123456789_A.-"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_stops_every_child_and_removes_the_temporary_folder(tmp_path, number):
    with demo(tmp_path) as running:
        assert [len(running.named(name)) for name in ("valkey-server", "uvicorn", "celery")] == [1, 1, 2]
        assert len(list(running.temporary.iterdir())) == 1

        assert running.stop(number) == 0

        running.wait_until_nothing_is_left()
        assert list(running.temporary.iterdir()) == []
        assert running.errors == ""


def test_children_stop_in_good_order(tmp_path):
    with demo(tmp_path, "--data-dir", str(tmp_path / "data")) as running:
        running.stop(signal.SIGINT)

    logs = {log.name: log.read_text() for log in (tmp_path / "data").glob("*.log")}
    assert logs["web.log"].count("Finished server process") == 1
    assert logs["worker.log"].count("Warm shutdown") == 1
    assert logs["valkey.log"].count("ready to exit") == 1
    assert "ERROR" not in logs["worker.log"]


@pytest.mark.parametrize(
    ("program", "name"), [("uvicorn", "web"), ("celery", "worker"), ("valkey-server", "valkey")]
)
def test_when_a_child_dies_the_demo_says_which_and_ends(tmp_path, program, name):
    with demo(tmp_path) as running:
        running.named(program)[0].kill()

        assert running.process.wait(PATIENCE) == 1

        running.wait_until_nothing_is_left()
        assert list(running.temporary.iterdir()) == []
        first, *tail = running.errors.splitlines()
        assert first.startswith(f"CommandError: The {name} process ended by itself (exit code -9). The end of ")
        assert tail


def test_a_child_that_does_not_stop_is_killed(tmp_path):
    with demo(tmp_path) as running:
        running.named("uvicorn")[0].suspend()

        assert running.stop() == 0

        running.wait_until_nothing_is_left()


def test_the_same_folder_keeps_channel_admin_history_and_secret_key(tmp_path):
    data = tmp_path / "data"
    with demo(tmp_path, "--data-dir", str(data), "--token", TOKEN) as first:
        assert first.token == TOKEN
        path = f"/chatapi/{TOKEN}"
        body = {"clientId": "a", "query": "remember"}
        httpx.post(first.site + path, json=body, timeout=PATIENCE).raise_for_status()
        secret_key = re.search("^SECRET_KEY=.{50,}$", (data / "env").read_text(), re.MULTILINE)[0]

        # As when the power fails, for this process: children notice that it is gone.
        first.process.kill()
        first.wait_until_nothing_is_left()

    with demo(tmp_path, "--data-dir", str(data)) as second:
        assert second.token == TOKEN
        assert "password as before" in second.output
        assert secret_key in (data / "env").read_text()
        history = httpx.get(f"{second.site}{path}/client/a/history", timeout=PATIENCE).json()
        assert [message["event"]["query"] for message in history["messages"]] == ["remember"] * 2
        assert second.stop() == 0


def test_a_redis_of_ones_own_is_used(tmp_path):
    with valkey_server() as server:
        url = server.connection_url + "/3"
        with demo(tmp_path, "--data-dir", str(tmp_path / "data"), REDIS_URL=url) as running:
            assert running.named("valkey-server") == []
            assert f"REDIS_URL={url}\n" in (tmp_path / "data" / "env").read_text()
            assert running.stop() == 0
        assert server.is_running()
