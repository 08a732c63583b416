"""The running demo, used as its own output says."""

import json
import re
import shlex
import shutil
import stat
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.demo.demos import PATIENCE, bare_environment, demo
from tests.servers import ROOT, wait_until


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    with demo(folder, "--data-dir", str(folder / "it's a folder + 100%")) as started:
        yield started


@pytest.fixture(scope="module")
def data_dir(running):
    return running.temporary.parent / "it's a folder + 100%"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_printed_curl_lines_work_as_printed(running):
    lines = re.findall(r"^  (curl .+)$", running.output, re.MULTILINE)
    assert len(lines) == 5

    done = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    hello, buttons, history, queued, called = map(json.loads, done.stdout.splitlines())

    assert hello["token"] == running.token
    assert hello["data"]["answer"] == "Hello"
    assert [reply["type"] for reply in buttons["data"]["replies"]] == ["text", "buttons"]
    assert [message["type"] for message in history["messages"]] == ["request", "botResponse"] * 2
    assert history["messages"][3]["event"]["questionId"] == buttons["questionId"]
    assert list(queued) == ["questionId"]
    sink = Path(running.printed(r"^The webhook's receiver writes what arrives into (.+): tail -f it\.$"))
    wait_until(lambda: "botResponse" in sink.read_text(), PATIENCE, "the answer at the webhook")
    assert "NOT VERIFIED" not in sink.read_text()
    assert "botResponse  test: Hi\n" in sink.read_text()

    assert [reply["type"] for reply in called["data"]["replies"]] == ["text", "switch"]

    def say(query):
        body = {"clientId": "guest", "query": query}
        return httpx.post(f"{running.site}/chatapi/{running.token}", json=body, timeout=PATIENCE).json()

    assert say("Anybody?")["data"]["handedOver"] is True
    say("/bot")
    assert say("Hello")["data"]["answer"] == "Hello"


def test_the_agent_logs_in_and_has_the_client_in_the_console(running, data_dir):
    kept = dict(line.split("=", 1) for line in shlex.split((data_dir / "env").read_text()))
    user, password = kept["DEMO_AGENT_USER"], kept["DEMO_AGENT_PASSWORD"]
    assert f"user {user}, password {password}" in running.output
    with httpx.Client(base_url=running.site, follow_redirects=True, timeout=PATIENCE) as browser:
        browser.post(
            f"/chatapi/{running.token}", json={"clientId": "handed", "query": "/agent"}
        ).raise_for_status()
        login = browser.get(running.printed(r"^  Console   (\S+)  user ").removeprefix(running.site))
        form = {"username": user, "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        page = browser.post(str(login.url), data=form, headers={"Referer": str(login.url)})
        assert page.status_code == 200
        assert 'id="chatapi-console-config"' in page.text
        waiting = browser.get("/chatapi-agents/dialogs", params={"state": "waiting"}).json()["dialogs"]
        assert "handed" in [dialog["clientId"] for dialog in waiting]
        client = browser.get(running.printed(r"^  Client    (\S+)  "))
        assert client.status_code == 200
        assert "client.js" in client.text


def test_the_env_file_lets_other_commands_join(running, data_dir):
    env = data_dir / "env"
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert re.findall(r"^[A-Z_]+(?==)", env.read_text(), re.MULTILINE) == [
        "DATABASE_URL",
        "REDIS_URL",
        "SECRET_KEY",
        "CHATAPI_WEBHOOK_ALLOWED_NETWORKS",
        "DEMO_AGENT_USER",
        "DEMO_AGENT_PASSWORD",
    ]
    joining = running.printed(r"^  (set -a; .+; set \+a)$")
    assert shlex.split(joining)[3].rstrip(";") == str(env)

    def run(command):
        script = f"{joining}; {command}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=ROOT, env=bare_environment(), capture_output=True, text=True, check=True
        )
        return done.stdout

    made = json.loads(run("python manage.py chatapi_channel create --name Second --bot echo --json"))
    listed = json.loads(run("python manage.py chatapi_channel list --json"))

    assert {channel["token"] for channel in listed} == {running.token, made["token"]}
    body = {"clientId": "a", "query": "joined"}
    answer = httpx.post(f"{running.site}/chatapi/{made['token']}", json=body, timeout=PATIENCE)
    assert answer.json()["data"]["answer"] == "joined"


def test_the_printed_password_opens_the_admin(running):
    user, password = running.printed(r"user (\S+), password"), running.printed(r"password (\S+)$")
    with httpx.Client(base_url=running.site, follow_redirects=True, timeout=PATIENCE) as browser:
        page = browser.get(running.printed(r"^  Admin +(\S+)"))
        fields = {
            "username": user,
            "password": password,
            "next": "/admin/",
            "csrfmiddlewaretoken": browser.cookies["csrftoken"],
        }
        home = browser.post(page.url, data=fields)
        channels = browser.get("/admin/django_chatapi/channel/")

    assert home.url.path == "/admin/"
    assert channels.status_code == 200
    assert "Demo" in channels.text


def test_the_docs_page_needs_no_other_site(running):
    address = running.printed(r"^  API docs +(\S+)$")
    page = httpx.get(address, timeout=PATIENCE)
    assets = [found for found in re.findall(r'(?:src|href)="([^"]+)"', page.text) if not found.startswith("data:")]

    assert page.status_code == 200
    assert assets
    for asset in assets:
        assert asset.startswith("/")
        assert httpx.get(f"{running.site}{asset}", timeout=PATIENCE).status_code == 200
    assert httpx.get(f"{running.site}/schema/", timeout=PATIENCE).status_code == 200


def test_the_worker_sweeps_without_errors(running, data_dir):
    log = data_dir / "worker.log"
    sweep = re.compile(r"Task django_chatapi\.tasks\.sweep\[\S+\] succeeded")

    wait_until(lambda: sweep.search(log.read_text()), PATIENCE, "the first sweep")

    assert "ERROR" not in log.read_text()


def test_logs_keep_tokens_to_themselves(running, data_dir):
    address = f"{running.site}/chatapi/{running.token}/client/logged/history"
    httpx.get(address, timeout=PATIENCE).raise_for_status()

    wait_until(lambda: "/client/logged/history" in (data_dir / "web.log").read_text(), what="the log line")

    assert [log.name for log in data_dir.glob("*.log") if running.token in log.read_text()] == []
