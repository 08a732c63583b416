"""What docs/events.md prints, as printed: the rule of a proxy, and a client's loop."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from django_chatapi.actions.turns import client_for
from tests.events.helpers import answers, in_thread, say
from tests.servers import ROOT, free_port, wait_until, web_server

pytestmark = pytest.mark.django_db(transaction=True)

DOCS = (ROOT / "docs" / "events.md").read_text()


def printed(language, part=""):
    """The first code of the page in a language, or the first with a part like this."""
    codes = re.findall(rf"^```{language}\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    return next(code for code in codes if part in code)


@pytest.fixture
def site(channel):
    """Both kinds of servers behind nginx, as printed; gives the address of nginx."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    client_for(channel=channel, client_id="ann")
    hosts = {"ALLOWED_HOSTS": "www.example.com,127.0.0.1"}
    with web_server("wsgi", **hosts) as (plain, _), web_server("asgi", **hosts) as (events, _):
        port = free_port()
        rule = printed("nginx").replace("http://127.0.0.1:8000", plain).replace("http://127.0.0.1:8001", events)
        # Not below pytest's folders, which nginx's workers may not enter.
        folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"chatapi-nginx-{port}"
        folder.mkdir()
        paths = "".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
            f"http {{ access_log off; {paths} server {{ listen 127.0.0.1:{port};\n{rule}\n}} }}\n"
        )
        running = subprocess.Popen([nginx, "-c", folder / "nginx.conf", "-p", folder, "-e", folder / "error.log"])
        address = f"http://127.0.0.1:{port}"

        def serves():
            assert running.poll() is None, (folder / "error.log").read_text()
            try:
                return httpx.get(f"{address}/chatapi/").status_code == 404
            except httpx.TransportError:
                return False

        try:
            wait_until(serves, what="nginx's start")
            yield address
        finally:
            running.terminate()
            running.wait()
            shutil.rmtree(folder)


def test_a_page_of_the_site_talks_through_nginx(site, channel):
    # A page may call its own host, and the admin's forms are checked against it too: so it has to get through.
    page = {"host": "www.example.com", "origin": "http://www.example.com"}
    with httpx.Client(base_url=site, headers=page, timeout=30) as http:
        path = f"/chatapi/{channel.token}"
        assert http.post(path, json={"clientId": "ann", "query": "hi"}).status_code == 200
        login = http.get("/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', login.text)[1]
        form = {"csrfmiddlewaretoken": token, "username": "nobody", "password": "x"}
        assert http.post("/admin/login/", data=form).status_code == 200
        cursor = http.get(f"{path}/events", params={"clientId": "ann", "timeout": 0}).json()["cursor"]

        with http.stream(
            "GET", f"{path}/events", params={"clientId": "ann"}, headers={"accept": "text/event-stream"}
        ) as stream:
            chunks = stream.iter_text()
            assert next(chunks).startswith(":")  # before anything happens, so nothing is buffered
            say("ann", "hello")
            assert "hello" in next(chunks)

        assert answers(http.get(f"{path}/events", params={"clientId": "ann", "cursor": cursor}).json()) == [
            "hello"
        ]


def test_the_loop_in_python_hears_what_is_said(channel):
    client_for(channel=channel, client_id="ann")
    loop = {}
    exec(printed("python", "def listen("), loop)

    class Enough(Exception):
        pass

    heard = []

    def on_event(item):
        heard.append(item["event"]["data"]["answer"])
        if len(heard) == 3:
            raise Enough

    with web_server("asgi") as (address, _):
        talk = in_thread(lambda: [say("ann", text) for text in ("one", "two", "three")])
        with pytest.raises(Enough):
            loop["listen"](f"{address}/chatapi/{channel.token}", "ann", on_event)
        talk.join()
        with pytest.raises(RuntimeError, match="token"):
            loop["listen"](f"{address}/chatapi/{'x' * 20}", "ann", on_event)

    assert heard == ["one", "two", "three"]


EVENT = {"event": {"data": {"answer": "hello"}}}
HELLO = (200, {"content-type": "application/json"}, json.dumps({"cursor": "c1", "events": [EVENT, EVENT]}))
GONE = (
    404,
    {"content-type": "application/json"},
    json.dumps({"error": "x", "message": "There is no such channel."}),
)
#: What proxies say in the place of the server.
OF_PROXIES = [
    (503, {"retry-after": "Wed, 21 Oct 2037 07:28:00 GMT"}, "busy"),
    (503, {"retry-after": "7"}, "busy"),
    (404, {}, "<html>"),
    (200, {}, "<html>"),
]


def test_the_loop_in_python_bears_what_proxies_say(monkeypatch):
    loop, answers, pauses, heard = {}, [*OF_PROXIES, HELLO, GONE], [], []
    exec(printed("python", "def listen("), loop)
    loop["time"] = SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic)

    def get(url, **more):
        status, headers, text = answers.pop(0)
        return httpx.Response(status, headers=headers, text=text, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)
    with pytest.raises(RuntimeError, match="no such channel"):
        loop["listen"]("http://site", "ann", heard.append)

    assert heard == [EVENT, EVENT]
    assert len(pauses) == len(OF_PROXIES)
    assert min(pauses) >= 1
    assert pauses[1] >= 7


#: A browser's parts that Node has not, and calls of the loop: with answers made up, or of a server.
IN_NODE = """
globalThis.crypto ??= require("node:crypto").webcrypto;
const stored = {};
globalThis.sessionStorage = {
  getItem: (key) => stored[key] ?? null,
  setItem: (key, value) => (stored[key] = value),
};
const told = { heard: [], pauses: [], calls: 0 };
const { base, answers, most } = JSON.parse(process.argv[1]);
if (answers) {
  globalThis.setTimeout = (go, pause) => { told.pauses.push(pause); process.nextTick(go); };
  globalThis.fetch = async () => {
    const [status, headers, text] = answers[told.calls++];
    return new Response(text, { status, headers });
  };
}
function onEvent(item) {
  told.heard.push(item.event.data.answer);
  if (told.heard.length === most) throw new Error("enough");
}
listen(base, "ann", onEvent).catch((error) => {
  console.log(JSON.stringify({ ...told, error: error.message, stored: Object.values(stored) }));
  process.exit();
});
"""


@pytest.fixture
def listen_in_node():
    """Run the loop in JavaScript until it ends by an error; gives what it did."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")

    def run(base="http://site", answers=None, most=None):
        told = json.dumps({"base": base, "answers": answers, "most": most})
        command = [node, "-e", printed("js", "function listen(") + IN_NODE, told]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_the_loop_in_javascript_hears_what_is_said(channel, listen_in_node):
    client_for(channel=channel, client_id="ann")
    with web_server("asgi") as (address, _):
        talk = in_thread(lambda: [say("ann", text) for text in ("one", "two", "three")])
        told = listen_in_node(f"{address}/chatapi/{channel.token}", most=3)
        talk.join()

    assert told["heard"] == ["one", "two", "three"]


def test_the_loop_in_javascript_bears_what_proxies_say(listen_in_node):
    told = listen_in_node(answers=[*OF_PROXIES, HELLO, GONE])

    assert (told["heard"], told["error"]) == (["hello"] * 2, "There is no such channel.")
    assert len(told["pauses"]) == len(OF_PROXIES)
    assert all(pause is not None and pause >= 1000 for pause in told["pauses"])
    assert told["pauses"][1] >= 7000


def test_an_error_of_the_page_ends_the_loop_behind_the_event(listen_in_node):
    told = listen_in_node(answers=[HELLO] * 3, most=1)

    assert (told["heard"], told["error"]) == (["hello"], "enough")
    assert json.loads(told["stored"][0])["cursor"] == "c1"
