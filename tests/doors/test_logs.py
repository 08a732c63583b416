"""No token, secret or stack trace in any log line (contract, section 3)."""

import logging

import pytest
from django.http import HttpResponseForbidden

from django_chatapi.actions import channels
from django_chatapi.models import Channel
from django_chatapi.tokens import sign_client
from tests.conftest import Caller

from .endpoints import ENDPOINTS

OWN = "my-own.token:of_sixteen-or-more"


def spell_out(records) -> str:
    formatter = logging.Formatter("%(name)s %(levelname)s %(message)s")
    return "\n".join(formatter.format(record) for record in records)


@pytest.fixture(params=["generated", "own", "rotated"])
def channel(request, make_channel) -> Channel:
    if request.param == "own":
        return make_channel(token=OWN)
    return make_channel()


@pytest.fixture
def used(request, channel) -> Caller:
    """Calls with the channel's token, or with the one that it had before."""
    caller = Caller(channel)
    if "rotated" in request.node.callspec.id:
        channels.rotate_token(channel=channel)
    return caller


@pytest.fixture
def no_secrets(channel, caplog):
    """Whatever is logged from here to the end of the test is free of secrets."""
    caplog.set_level(logging.INFO)
    yield caplog
    channel.refresh_from_db()
    records = caplog.get_records("call")
    text = spell_out(records)
    secrets = [channel.token, channel.previous_token, channel.webhook_secret, channel.identity_secret]
    assert [secret for secret in secrets if secret and secret in text] == []
    ours = [record for record in records if record.name.startswith("django_chatapi")]
    assert "Traceback" not in spell_out(ours)


def test_calls_that_succeed(used, no_secrets):
    question_id = used.send("hi", client_id="ann")["questionId"]
    used.post("client", "ann", "state", body=1)

    for endpoint in ENDPOINTS:
        assert endpoint.call(used, question_id=question_id).status_code == 200


def test_calls_that_are_refused(used, channel, no_secrets, throttled, configure):
    configure(THROTTLE_RATE=None)
    seen = set()

    def everywhere(**headers: str) -> None:
        for endpoint in ENDPOINTS:
            seen.add(endpoint.call(used, headers=headers).status_code)

    everywhere(Accept="text/html")
    everywhere(Origin="https://elsewhere.example")
    for endpoint in ENDPOINTS:
        seen.add(used.http.delete(endpoint.path(used)).status_code)
        seen.add(used.http.generic("POST", endpoint.path(used), "{", content_type="application/json").status_code)
        seen.add(used.http.generic("POST", endpoint.path(used), "{", content_type="text/plain").status_code)
        seen.add(used.http.get(endpoint.path(used) + "/nowhere").status_code)
        # Refused by the site's own middleware, before the API sees it.
        seen.add(used.http.get(endpoint.path(used), headers={"Host": "evil.example"}).status_code)
    configure(MAX_BODY_BYTES=2, MAX_STATE_BYTES=2)
    everywhere()
    Channel.objects.update(require_signed_clients=True)
    everywhere(**{"X-Client-Signature": sign_client(channel.identity_secret, "bob")})
    configure(THROTTLE_RATE="1/min")
    everywhere()
    Channel.objects.update(active=False)
    everywhere()

    assert {400, 401, 403, 404, 405, 406, 413, 415, 429} <= seen


@pytest.mark.parametrize("debug", [False, True], ids=["in production", "in debug mode"])
def test_calls_that_fail(used, no_secrets, monkeypatch, settings, debug):
    settings.DEBUG = debug

    def fail(*args, **kwargs):
        raise RuntimeError("boom")

    for endpoint in ENDPOINTS:
        monkeypatch.setattr(endpoint.worker, fail)
    for endpoint in ENDPOINTS:
        assert endpoint.call(used).status_code == 500

    lines = [record.getMessage() for record in no_secrets.records if record.name == "django_chatapi.api"]
    assert len([line for line in lines if "RuntimeError" in line]) == len(ENDPOINTS)


def refuse_all(get_response):
    """A middleware of the site that answers in the API's place."""
    return lambda request: HttpResponseForbidden()


def test_calls_that_the_site_itself_refuses(used, no_secrets, settings):
    settings.MIDDLEWARE = [f"{__name__}.refuse_all"]

    for endpoint in ENDPOINTS:
        assert endpoint.call(used).status_code == 403

    lines = [record.getMessage() for record in no_secrets.records if record.name == "django.request"]
    assert len([line for line in lines if f"/chatapi/{used.token[:4]}" in line]) == len(ENDPOINTS)


def test_a_bot_that_fails(make_channel, caplog):
    caplog.set_level(logging.INFO)
    caller = Caller(make_channel(bot="recorded", bot_options={"script": []}))

    assert caller.post(body={"clientId": "ann", "query": "what?"}).status_code == 502

    text = spell_out(caplog.records)
    assert "what?" in text  # operators read why
    assert caller.token not in text
    assert "Traceback" not in text


def test_a_caller_writes_no_lines_of_its_own_into_the_log(caller, caplog):
    caplog.set_level(logging.INFO)

    caller.get("client", "ann\n127.0.0.1 \x1b[31mERROR forged", "message", "x", "status")

    lines = [record.getMessage() for record in caplog.records if "forged" in record.getMessage()]
    assert lines
    assert all(line.isprintable() for line in lines)
