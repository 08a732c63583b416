"""Signatures of webhooks: those of the Standard Webhooks specification, and what a receiver is told."""

import base64
import datetime as dt
import hashlib
import hmac
import json
import subprocess
import sys
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from django_chatapi.tokens import make_webhook_secret
from django_chatapi.webhooks import InvalidSignature, signing, verify

BODY = '[{"clientId": "ann", "data": {"answer": "привет 😀"}}]'.encode()
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def signed(*secrets, webhook_id="msg_1", at=None, body=BODY):
    return signing.headers(secrets or [SECRET], webhook_id, int(time.time()) if at is None else at, body)


def test_the_signature_is_the_one_of_the_specification():
    # Section "Signature scheme": HMAC-SHA256 of "id.timestamp.body" under the decoded secret, in base64.
    key = base64.b64decode("C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
    expected = base64.b64encode(hmac.new(key, b"msg_1.1614265330." + BODY, hashlib.sha256).digest()).decode()
    assert signing.headers([SECRET], "msg_1", 1614265330, BODY) == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1614265330",
        "webhook-signature": f"v1,{expected}",
    }


@pytest.mark.parametrize(
    "secret", [SECRET, SECRET.removeprefix("whsec_"), "whsec_abcd", "whsec_YWJjZGU", "whsec_ab+/", "password"]
)
def test_the_reference_library_and_this_one_understand_each_other(secret):
    theirs = Webhook(secret)
    assert theirs.verify(BODY, signed(secret)) == json.loads(BODY)
    now = dt.datetime.now(dt.timezone.utc)
    signature = theirs.sign("msg_2", now, BODY.decode())
    headers = {
        "Webhook-Id": "msg_2",
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": signature,
    }
    assert verify(secret, headers, BODY) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        theirs.verify(BODY + b" ", signed(secret))


@pytest.mark.parametrize(
    "secret", ["correct horse battery staple", "пароль", "whsec_not-base64", "whsec_abcde", "x", "my=secret"]
)
def test_a_secret_that_is_no_base64_is_a_key_as_it_stands(secret):
    assert verify(secret, signed(secret), BODY) == json.loads(BODY)
    assert Webhook(secret.encode()).verify(BODY, signed(secret)) == json.loads(BODY)


@pytest.mark.parametrize("secrets", [[], [""], ["whsec_"], ["  "], [SECRET, ""]])
def test_nothing_is_signed_without_a_secret(secrets):
    with pytest.raises(ValueError, match="secret"):
        signing.sign(secrets, "msg_1", 1, BODY)


def test_the_secrets_that_are_made_here_are_secrets_of_the_specification():
    secret = make_webhook_secret()
    assert Webhook(secret).verify(BODY, signed(secret)) == json.loads(BODY)


def test_while_a_secret_is_rotated_the_holders_of_both_can_verify():
    headers = signed("whsec_bmV3", "whsec_b2xk")
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in ("whsec_bmV3", "whsec_b2xk"):
        assert verify(secret, headers, BODY)
        assert Webhook(secret).verify(BODY, headers)
    with pytest.raises(InvalidSignature, match="No signature matches"):
        verify("whsec_b3RoZXI=", headers, BODY)


def test_signatures_of_other_versions_are_passed_over():
    headers = signed()
    headers["webhook-signature"] = f"v1a,AAAA= nonsense {headers['webhook-signature']} v2,é"
    assert verify(SECRET, headers, BODY)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(name):
    headers = signed()
    del headers[name]
    with pytest.raises(InvalidSignature, match=f"{name} is missing"):
        verify(SECRET, headers, BODY)
    with pytest.raises(InvalidSignature, match=f"{name} is missing"):
        verify(SECRET, {**headers, name.upper(): ""}, BODY)


def test_names_of_headers_may_be_spelled_in_any_way():
    assert verify(SECRET, {name.upper(): value for name, value in signed().items()}, BODY)


@pytest.mark.parametrize(
    ("change", "body"),
    [
        ({}, BODY + b" "),
        ({"webhook-id": "msg_2"}, BODY),
        ({"webhook-id": "é\ud800"}, BODY),
        ({"webhook-signature": "v1,AAAA"}, BODY),
        ({"webhook-signature": "\udcff"}, BODY),
        ({"webhook-signature": "v1,"}, BODY),
    ],
)
def test_what_was_changed_on_its_way_is_refused(change, body):
    with pytest.raises(InvalidSignature, match="No signature matches"):
        verify(SECRET, {**signed(), **change}, body)


def test_the_time_is_signed_too():
    headers = signed()
    headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) + 60)
    with pytest.raises(InvalidSignature, match="No signature matches"):
        verify(SECRET, headers, BODY)


@pytest.mark.parametrize("age", [-280, 0, 280])
def test_clocks_may_differ_a_little(age):
    assert verify(SECRET, signed(at=int(time.time()) - age), BODY)


def test_an_old_call_sent_again_is_refused():
    with pytest.raises(InvalidSignature, match=r"^The call is 3\d\d seconds old, more than the 300"):
        verify(SECRET, signed(at=int(time.time()) - 301), BODY)
    with pytest.raises(InvalidSignature, match="in the future"):
        verify(SECRET, signed(at=int(time.time()) + 310), BODY)
    assert verify(SECRET, signed(at=int(time.time()) - 4000), BODY, tolerance=5000)


@pytest.mark.parametrize("timestamp", ["now", "1.5", "-1", "１", "1_0", "9" * 5000])
def test_a_timestamp_that_is_none_is_refused(timestamp):
    with pytest.raises(InvalidSignature, match="webhook-timestamp is not Unix time"):
        verify(SECRET, {**signed(), "webhook-timestamp": timestamp}, BODY)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"{}", b"null", b"[1]"])
def test_a_signed_body_of_another_shape_is_refused(body):
    with pytest.raises(InvalidSignature, match="The body is signed, but"):
        verify(SECRET, signed(body=body), body)


def test_a_receiver_needs_no_django():
    code = "import sys; from django_chatapi.webhooks import verify; print([m for m in sys.modules if m.split('.')[0] in ('django', 'urllib3')])"  # noqa: E501
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    )
