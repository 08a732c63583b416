"""What a caller sees of the real servers: uvicorn (ASGI) and granian (WSGI)."""

import json
import re
from urllib.parse import quote

import httpx
import pytest
from django.db import connection

from django_chatapi.models import Channel, Client
from django_chatapi.tokens import sign_client
from tests.doors.histories import make_history
from tests.servers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "https://shop.example"
HARD_IDS = [
    "a/b", "/", "a//b", "a b", "a+b", "100%", "a%2Fb", "a?limit=1#", ";&=", "ä€😀", "\n", "x/message/y/status",
    "'\"<>\\",
]  # fmt: skip


@pytest.fixture
def channel(make_channel) -> Channel:
    return make_channel(allowed_origins=PAGE)


class Http(httpx.Client):
    """Paths are relative to the token, and nothing is put in between as with ``base_url``."""

    def __init__(self, address: str) -> None:
        super().__init__(timeout=60)
        self.address = address

    def build_request(self, method, url, **kwargs):
        return super().build_request(method, self.address + str(url), **kwargs)


@pytest.fixture
def http(server, channel):
    with Http(f"{server}/chatapi/{channel.token}") as http:
        yield http


def of(client_id: str, *tail: str) -> str:
    return "/".join(["/client", quote(client_id, safe=""), *tail])


def test_a_talk(http, channel):
    answer = http.post("", json={"clientId": "ann", "query": "hi"}).json()
    again = http.get("", params={"clientId": "ann", "event": "opened"}).json()

    assert answer["token"] == channel.token
    assert answer["data"]["answer"] == "hi"
    assert again["data"]["answer"] == "opened"
    page = http.get(of("ann", "history")).json()
    assert [item["type"] for item in page["messages"]] == ["request", "botResponse"] * 2
    assert http.get(of("ann", "message-not-read-count")).json() == {"count": 2}
    status = of("ann", "message", answer["questionId"], "status")
    assert http.post(status, json={"status": "READ"}).json() == {
        "questionId": answer["questionId"],
        "status": "READ",
    }
    up_to = {"upTo": again["questionId"], "status": "READ"}
    assert http.post(of("ann", "message-statuses"), json=up_to).status_code == 200
    assert http.get(of("ann", "message-not-read-count")).json() == {"count": 0}


def test_any_client_id_arrives(http):
    for client_id in HARD_IDS:
        assert http.post("", json={"clientId": client_id, "query": "hi"}).json()["clientId"] == client_id

    for client_id in HARD_IDS:
        page = http.get(of(client_id, "history")).json()
        assert [item["event"]["clientId"] for item in page["messages"]] == [client_id] * 2
        assert http.post(of(client_id, "state"), json=client_id).status_code == 200
        assert http.get(of(client_id, "state")).json() == client_id
        got = http.get("", params={"clientId": client_id, "query": "hi"}).json()
        assert got["clientId"] == client_id
        assert got["data"]["newSessionStarted"] is False
    assert set(Client.objects.values_list("client_id", flat=True)) == set(HARD_IDS)


def test_dots_in_a_path_are_a_client_id_when_they_are_encoded(http):
    http.post("", json={"clientId": "..", "query": "hi"})

    page = http.get("/client/%2E%2E/history").json()

    assert [item["event"]["clientId"] for item in page["messages"]] == [".."] * 2


def test_a_state_comes_back_byte_for_byte(http):
    whole = b' {"b" : 1.0,\r\n"a":[1e2, -0, null], "b":"\\u0000 \xc3\xa4 \\ud83d\\ude00"}\t'
    for value in (whole, b"null", b'"\\u0000"', b"0", b'""'):
        headers = {"Content-Type": "application/json"}
        assert http.post(of("ann", "state"), content=value, headers=headers).content == b"{}"

        response = http.get(of("ann", "state"))

        assert response.content == value
        assert response.headers["Content-Type"] == "application/json"


def test_a_long_history_is_streamed_whole(http, channel):
    make_history(channel, "ann", 3000)

    with http.stream("GET", of("ann", "history")) as response:
        assert response.status_code == 200
        assert "Content-Length" not in response.headers
        parts = list(response.iter_raw())

    assert len(parts) > 3
    streamed = json.loads(b"".join(parts))
    assert [item["event"]["questionId"] for item in streamed["messages"]] == [
        item["event"]["questionId"] for page in walk(http, 1000) for item in page["messages"]
    ]
    assert len(streamed["messages"]) == 3000
    assert http.get(of("ann", "history"), params={"cursor": streamed["cursor"]}).json()["messages"] == []


def walk(http: httpx.Client, limit: int) -> list[dict]:
    pages = [http.get(of("ann", "history"), params={"limit": limit}).json()]
    while pages[-1]["hasMore"]:
        pages.append(http.get(of("ann", "history"), params={"limit": limit, "cursor": pages[-1]["cursor"]}).json())
    return pages


def test_a_reader_that_leaves_in_the_middle_of_a_stream_harms_nobody(http, channel):
    make_history(channel, "ann", 8000)
    http.get(of("ann", "message-not-read-count"))
    before = open_connections()

    for _ in range(5):
        with http.stream("GET", of("ann", "history")) as response:
            next(response.iter_raw())

    assert http.post("", json={"clientId": "ann", "query": "hi"}).status_code == 200
    wait_until(lambda: open_connections() <= before, what="the end of the abandoned streams")


def open_connections() -> int:
    """How many connections to the database the server holds, as far as the database tells."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def test_a_page_asks_first_and_then_calls(http):
    headers = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, idempotency-key",
    }
    for path in ("", of("a/b", "history"), of("😀", "state")):
        asked = http.options(path, headers=headers)
        assert asked.status_code == 204
        assert asked.content == b""
        assert asked.headers["Access-Control-Allow-Origin"] == PAGE
        assert "content-type" in asked.headers["Access-Control-Allow-Headers"].lower()

    for body, status in (({"clientId": "ann", "query": "hi"}, 200), ({}, 400)):
        called = http.post("", json=body, headers={"Origin": PAGE})
        assert called.status_code == status
        assert called.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Origin" in called.headers["Vary"]

    refused = http.options("", headers={**headers, "Origin": "https://elsewhere.example"})
    assert refused.status_code == 403
    assert "Access-Control-Allow-Origin" not in refused.headers


def test_a_page_of_the_same_site_may_call(http, server):
    assert http.post("", json={"clientId": "ann", "query": "hi"}, headers={"Origin": server}).status_code == 200


def test_a_page_of_another_site_may_not(http):
    response = http.post(
        "", json={"clientId": "ann", "query": "hi"}, headers={"Origin": "https://elsewhere.example"}
    )

    assert response.json()["error"] == "origin_not_allowed"


def test_signed_clients(http, channel):
    Channel.objects.update(require_signed_clients=True)
    body = {"clientId": "ä/😀", "query": "hi"}
    signed = {"X-Client-Signature": sign_client(channel.identity_secret, "ä/😀")}

    assert http.post("", json=body).json()["error"] == "invalid_client_signature"
    assert http.post("", json=body, headers=signed).status_code == 200
    assert http.get(of("ä/😀", "history"), headers=signed).status_code == 200
    assert http.get(of("ä", "history"), headers=signed).status_code == 401


def test_an_idempotency_key(http):
    headers = {"Idempotency-Key": "k" * 255}

    answers = [http.post("", json={"clientId": "ann", "query": "hi"}, headers=headers).json() for _ in range(2)]

    assert answers[0] == answers[1]
    too_long = http.post("", json={"clientId": "ann", "query": "hi"}, headers={"Idempotency-Key": "k" * 256})
    assert too_long.status_code == 400


def test_bodies_that_are_refused(http):
    start = b'{"clientId": "ann", "query": "'
    bodies = [
        (b"{", "application/json", 400, "invalid_request"),
        (b"", "application/json", 400, "invalid_request"),
        (b'{"clientId": "\xff", "query": "hi"}', "application/json", 400, "invalid_request"),
        (b"[" * 300_000, "application/json", 400, "invalid_request"),
        (b"clientId=ann&query=hi", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (start + b"x" * 1024 * 1024 + b'"}', "application/json", 413, "payload_too_large"),
        (start + b"x" * 5 * 1024 * 1024 + b'"}', "application/json", 413, "payload_too_large"),
    ]
    for content, content_type, status, error in bodies:
        # A server that did not read a body to its end cannot use the connection again.
        response = http.post("", content=content, headers={"Content-Type": content_type, "Connection": "close"})
        assert response.status_code == status
        assert response.json()["error"] == error
    assert http.post("", json={"clientId": "ann", "query": "hi"}).status_code == 200


def test_a_body_of_unknown_length_is_answered_or_refused(http):
    """Sent in chunks. WSGI has no word for it; whatever a server makes of it, it is no failure."""
    chunks = iter([b'{"clientId": "ann",', b'"query": "hi"}'])

    response = http.post("", content=chunks, headers={"Content-Type": "application/json"})

    assert response.status_code in (200, 400)
    assert response.headers["Content-Type"] == "application/json"


def test_unknown_paths_are_errors_of_the_api(http):
    for path in ("/nowhere", "/", "/client/ann", "/client//history", "/%00", "/client/ann/history/"):
        for method in ("GET", "POST", "DELETE", "OPTIONS"):
            response = http.request(method, path)
            assert response.status_code == 404
            assert response.json()["error"] == "not_found"
    nobody = http.get("/client/%00/history")
    assert nobody.status_code == 400
    assert nobody.json()["error"] == "invalid_request"


def test_head_is_not_taken_and_has_no_body(http):
    for path in ("", "/client/ann/history", "/client/ann/state"):
        response = http.head(path)
        assert response.status_code == 405
        assert "GET" in response.headers["Allow"]
        assert response.content == b""
    assert http.post("", json={"clientId": "ann", "query": "hi"}).status_code == 200


def test_an_unknown_token(server):
    for token in ("x" * 40, "x", "%00" * 20, "%FF" * 20, "ä" * 20):
        query = {"clientId": "ann", "query": "hi"}
        response = httpx.get(f"{server}/chatapi/{token}", params=query, timeout=60)
        assert response.status_code == 404
        assert response.json()["error"] == "channel_not_found"


def test_times_and_ids_are_as_the_contract_writes_them(http):
    answer = http.post("", json={"clientId": "ann", "query": "hi"}).json()

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", answer["timestamp"])
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", answer["questionId"]
    )
