"""What is true of every door: token, channel switched off, origin, preflight, signature, limits, failures."""

import json
import sys

import pytest
from django.core.handlers.base import BaseHandler
from django.core.signals import got_request_exception
from django.db import connections

from django_chatapi import urls
from django_chatapi.actions import channels
from django_chatapi.models import Channel, ClientState, Message, MessageStatus
from django_chatapi.tokens import sign_client
from tests.conftest import Caller

from .endpoints import ENDPOINTS, Endpoint

PAGE = "https://shop.example"
STRANGER = "https://elsewhere.example"
POSTS = [endpoint for endpoint in ENDPOINTS if endpoint.method == "POST"]


@pytest.fixture(params=ENDPOINTS, ids=str)
def endpoint(request) -> Endpoint:
    return request.param


@pytest.fixture
def channel(make_channel) -> Channel:
    return make_channel(allowed_origins=PAGE)


@pytest.fixture
def question_id(caller) -> str:
    """Ann said something, was answered, and saved a state: every call of the table now succeeds."""
    assert caller.post("client", "ann", "state", body={"page": 1}).status_code == 200
    return caller.send("hi", client_id="ann")["questionId"]


@pytest.fixture
def world(question_id) -> object:
    """Everything that a call could change; compare before and after."""
    return look()


def look() -> object:
    return [
        list(Message.objects.order_by("pk").values_list("pk", "status")),
        list(MessageStatus.objects.values_list("pk", flat=True)),
        [bytes(value) for value in ClientState.objects.values_list("value", flat=True)],
    ]


def refused(response, status: int, code: str) -> dict:
    """The error body of the contract, and nothing else."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "private, no-store"
    body = json.loads(response.content)
    assert body["error"] == code
    assert body["message"].endswith(".")
    assert set(body) <= {"error", "message", "args"}
    return body


def test_the_table_holds_every_url_pattern():
    *patterns, last = urls.urlpatterns
    doors = {
        (pattern.name, method.upper())
        for pattern in patterns
        for method in pattern.callback.actions
        if method != "head"
    }
    assert last.name is None
    assert {(endpoint.name, endpoint.method) for endpoint in ENDPOINTS} == doors


def test_a_good_call_succeeds_and_is_never_cached(endpoint, caller, question_id):
    response = endpoint.call(caller, question_id=question_id)

    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "private, no-store"
    assert "Origin" in response["Vary"]


# --- the token


@pytest.mark.parametrize(
    "token",
    ["x" * 40, "x", "\0" * 20, "a b", "ä", "TOKEN", "token ", "token", "-"],
    ids=["unknown", "short", "nul", "space", "umlaut", "case", "longer", "shorter", "dash"],
)
def test_an_unknown_token_is_told_nothing_more(endpoint, channel, caller, world, token):
    token = {
        "TOKEN": channel.token.swapcase(),
        "token ": channel.token + " ",
        "token": channel.token[:-1],
    }.get(token, token)
    stranger = Caller(channel)
    stranger.token = token

    body = refused(endpoint.call(stranger, headers={"Origin": STRANGER}), 404, "channel_not_found")

    assert set(body) == {"error", "message"}
    assert look() == world


def test_a_channel_that_is_switched_off_answers_nobody(endpoint, channel, caller, question_id, world):
    Channel.objects.update(active=False)

    refused(endpoint.call(caller, question_id=question_id), 403, "channel_disabled")

    assert look() == world


def test_a_rotated_token_works_in_its_grace_time_and_never_shows_the_new_one(
    endpoint, channel, caller, question_id
):
    new = channels.rotate_token(channel=channel)

    response = endpoint.call(caller, question_id=question_id)

    assert response.status_code == 200
    assert new not in response.content.decode()
    if endpoint.name in ("request", "history"):
        assert caller.token in response.content.decode()


def test_a_rotated_token_is_unknown_after_its_grace_time(endpoint, channel, caller, question_id, world):
    channels.rotate_token(channel=channel)
    Channel.objects.update(previous_token_expires_at="2022-09-28T12:32:13Z")

    refused(endpoint.call(caller, question_id=question_id), 404, "channel_not_found")

    assert look() == world


# --- browsers


def test_a_page_of_an_unknown_origin_is_refused(endpoint, caller, question_id, world):
    response = endpoint.call(caller, question_id=question_id, headers={"Origin": STRANGER})

    refused(response, 403, "origin_not_allowed")
    assert "Access-Control-Allow-Origin" not in response.headers
    assert "Origin" in response["Vary"]
    assert look() == world


def test_a_page_of_an_allowed_origin_may_read_the_answer(endpoint, caller, question_id):
    response = endpoint.call(caller, question_id=question_id, headers={"Origin": PAGE})

    assert response.status_code == 200
    assert response["Access-Control-Allow-Origin"] == PAGE
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_a_page_of_this_very_site_may_call(endpoint, caller, question_id):
    response = endpoint.call(caller, question_id=question_id, headers={"Origin": "http://testserver"})

    assert response.status_code == 200


def preflight(endpoint: Endpoint, caller: Caller, origin: str):
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": endpoint.method,
        "Access-Control-Request-Headers": "content-type,idempotency-key,x-client-signature",
    }
    return caller.http.options(endpoint.path(caller), headers=headers)


def test_a_preflight_names_what_the_page_may_send(endpoint, caller, world):
    response = preflight(endpoint, caller, PAGE)

    assert response.status_code == 204
    assert response.content == b""
    assert response["Access-Control-Allow-Origin"] == PAGE
    assert endpoint.method in response["Access-Control-Allow-Methods"].split(", ")
    allowed = response["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"content-type", "idempotency-key", "x-client-signature"} <= set(allowed)
    assert int(response["Access-Control-Max-Age"]) > 0
    assert "Origin" in response["Vary"]
    assert look() == world


def test_a_preflight_of_an_unknown_origin_is_refused(endpoint, caller):
    response = preflight(endpoint, caller, STRANGER)

    refused(response, 403, "origin_not_allowed")
    assert not [name for name in response.headers if name.startswith("Access-Control-")]


def test_a_preflight_with_an_unknown_token_tells_nothing(endpoint, channel):
    stranger = Caller(channel)
    stranger.token = "x" * 40

    response = preflight(endpoint, stranger, PAGE)

    refused(response, 404, "channel_not_found")
    assert not [name for name in response.headers if name.startswith("Access-Control-")]


def test_a_preflight_carries_no_signature_and_counts_for_no_limit(endpoint, channel, caller, throttled):
    Channel.objects.update(require_signed_clients=True)

    assert [preflight(endpoint, caller, PAGE).status_code for _ in range(3)] == [204, 204, 204]


def test_a_page_can_read_why_it_was_refused(endpoint, channel, caller, question_id):
    Channel.objects.update(active=False)

    response = endpoint.call(caller, question_id=question_id, headers={"Origin": PAGE})

    refused(response, 403, "channel_disabled")
    assert response["Access-Control-Allow-Origin"] == PAGE


# --- signed clients


@pytest.fixture
def signed(channel, question_id) -> Channel:
    channel.require_signed_clients = True
    channel.save()
    return channel


def test_a_signed_client_is_served(endpoint, signed, caller, question_id):
    signature = sign_client(signed.identity_secret, "ann")

    for spelling in (signature, signature.upper()):
        response = endpoint.call(caller, question_id=question_id, headers={"X-Client-Signature": spelling})
        assert response.status_code == 200, response.content


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "x",
        "ä" * 64,
        "0" * 64,
        lambda channel: sign_client(channel.identity_secret, "bob"),
        lambda channel: sign_client(channel.webhook_secret, "ann"),
        lambda channel: sign_client(channel.identity_secret, "ann")[:-1],
        lambda channel: sign_client(channel.identity_secret, "ann") + "0",
    ],
    ids=["none", "blank", "short", "umlauts", "zeros", "of another client", "of another key", "cut", "longer"],
)
def test_a_missing_or_wrong_signature_is_refused(endpoint, signed, caller, question_id, world, signature):
    if callable(signature):
        signature = signature(signed)
    headers = {} if signature is None else {"X-Client-Signature": signature}

    response = endpoint.call(caller, question_id=question_id, headers={**headers, "Origin": PAGE})

    refused(response, 401, "invalid_client_signature")
    assert response["Access-Control-Allow-Origin"] == PAGE
    assert look() == world


def test_a_signature_is_not_asked_of_channels_that_do_not_require_one(endpoint, caller, question_id):
    response = endpoint.call(caller, question_id=question_id, headers={"X-Client-Signature": "nonsense"})

    assert response.status_code == 200


# --- limits and formats


def test_too_many_calls_are_refused_with_retry_after(endpoint, caller, question_id, throttled):
    assert endpoint.call(caller, question_id=question_id).status_code == 200
    before = look()

    response = endpoint.call(caller, question_id=question_id, headers={"Origin": PAGE})

    refused(response, 429, "throttled")
    assert 1 <= int(response["Retry-After"]) <= 61
    assert response["Access-Control-Allow-Origin"] == PAGE
    assert "Retry-After" in response["Access-Control-Expose-Headers"]
    assert look() == before


def test_one_channels_calls_count_for_no_other_channel(endpoint, caller, make_channel, question_id, throttled):
    other = Caller(make_channel())
    assert endpoint.call(caller, question_id=question_id).status_code == 200

    assert endpoint.call(other).status_code in (200, 404)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "HEAD", "NONSENSE"])
def test_other_methods_are_refused_and_the_right_ones_named(endpoint, caller, question_id, world, method):
    response = caller.http.generic(method, endpoint.path(caller, question_id=question_id))

    assert response.status_code == 405
    allowed = {other.method for other in ENDPOINTS if other.name == endpoint.name} | {"OPTIONS"}
    assert set(response["Allow"].split(", ")) == allowed
    if method != "HEAD":  # a response to HEAD has no body
        refused(response, 405, "method_not_allowed")
    assert look() == world


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/*", "application/json2", ";;,/"])
def test_a_caller_that_takes_no_json_is_refused(endpoint, caller, question_id, world, accept):
    refused(endpoint.call(caller, question_id=question_id, headers={"Accept": accept}), 406, "not_acceptable")

    assert look() == world


@pytest.mark.parametrize(
    "accept", ["*/*", "application/*", "text/html, application/json;q=0.1", "application/json"]
)
def test_a_caller_that_takes_json_among_others_is_served(endpoint, caller, question_id, accept):
    assert endpoint.call(caller, question_id=question_id, headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize("endpoint", POSTS, ids=str)
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json", "/"],
)
def test_bodies_of_another_type_are_refused(endpoint, caller, question_id, world, content_type):
    body = json.dumps(endpoint.body("ann", question_id))
    path = endpoint.path(caller, question_id=question_id)
    response = caller.http.generic("POST", path, body, content_type=content_type)

    refused(response, 415, "unsupported_media_type")
    assert look() == world


@pytest.mark.parametrize("endpoint", POSTS, ids=str)
def test_a_charset_beside_the_content_type_is_no_harm(endpoint, caller, question_id):
    body = json.dumps(endpoint.body("ann", question_id))
    path = endpoint.path(caller, question_id=question_id)

    response = caller.http.post(path, body, content_type="Application/JSON; charset=utf-8")

    assert response.status_code == 200


@pytest.mark.parametrize("endpoint", POSTS, ids=str)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"hi",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b"{} {}",
        b"[" * 200_000,
        b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
    ],
    ids=[
        "empty", "cut", "text", "python", "nan", "infinity", "latin-1", "bom", "utf-16", "two", "open", "deep",
    ],
)  # fmt: skip
def test_bodies_that_are_no_json_text_are_refused(endpoint, caller, question_id, world, body):
    response = caller.post(*endpoint.parts("ann", question_id), body=body, headers={"Origin": PAGE})

    refused(response, 400, "invalid_request")
    assert response["Access-Control-Allow-Origin"] == PAGE
    assert look() == world


@pytest.mark.parametrize("endpoint", POSTS, ids=str)
def test_a_body_over_the_limit_is_refused(endpoint, caller, question_id, world, configure):
    body = json.dumps(endpoint.body("ann", question_id))
    configure(MAX_BODY_BYTES=len(body), MAX_STATE_BYTES=len(body))

    response = caller.post(*endpoint.parts("ann", question_id), body=body + " ")

    assert refused(response, 413, "payload_too_large")["args"] == {"limit": len(body)}
    assert look() == world
    assert endpoint.call(caller, question_id=question_id).status_code == 200


# --- failures that nobody foresaw


@pytest.mark.parametrize("debug", [False, True], ids=["in production", "in debug mode"])
def test_an_unexpected_failure_tells_nothing(endpoint, caller, question_id, monkeypatch, settings, debug):
    def fail(*args, **kwargs):
        raise RuntimeError("the secret of the house")

    settings.DEBUG = debug
    monkeypatch.setattr(endpoint.worker, fail)

    response = endpoint.call(caller, question_id=question_id, headers={"Origin": PAGE})

    body = refused(response, 500, "internal_error")
    assert set(body) == {"error", "message"}
    for told in ("secret", "RuntimeError", "Traceback", ".py", caller.token):
        assert told not in response.content.decode()
    assert response["Access-Control-Allow-Origin"] == PAGE


def test_an_error_tracker_of_the_site_hears_of_an_unexpected_failure(endpoint, caller, question_id, monkeypatch):
    heard = []

    def fail(*args, **kwargs):
        raise RuntimeError("here")

    def hear(**kwargs):
        heard.append(sys.exc_info()[1])

    monkeypatch.setattr(endpoint.worker, fail)
    got_request_exception.connect(hear)
    try:
        endpoint.call(caller, question_id=question_id)
    finally:
        got_request_exception.disconnect(hear)

    assert [str(error) for error in heard] == ["here"]


def test_no_site_wide_transaction_is_wrapped_around_a_call(endpoint, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    view = next(pattern.callback for pattern in urls.urlpatterns if pattern.name == endpoint.name)

    assert BaseHandler().make_view_atomic(view) is view
    assert BaseHandler().make_view_atomic(look) is not look  # the control
