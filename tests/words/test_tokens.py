"""Tokens, secrets and signatures."""

import base64
import hashlib
import hmac
import re

import pytest

from django_chatapi import tokens


def test_a_made_token_is_eight_letters_a_colon_and_forty_hex_digits():
    for _ in range(200):
        token = tokens.make_token()
        assert re.fullmatch(r"[A-Za-z]{8}:[0-9a-f]{40}", token), token
        assert tokens.TOKEN_PATTERN.match(token)


def test_no_two_made_secrets_are_alike():
    for make in (tokens.make_token, tokens.make_webhook_secret, tokens.make_identity_secret):
        assert len({make() for _ in range(500)}) == 500


@pytest.mark.parametrize("token", ["a" * 16, "a" * 128, "Shop:2024_site.one-A", "0123456789abcdef"])
def test_a_token_of_ones_own(token):
    assert tokens.TOKEN_PATTERN.match(token)


@pytest.mark.parametrize(
    "token", ["", "a" * 15, "a" * 129, "a" * 15 + "/", "a" * 15 + " ", "a" * 16 + "\n", "ä" * 16, "a" * 15 + "%"]
)
def test_a_token_that_could_not_stand_in_a_path_is_refused(token):
    assert not tokens.TOKEN_PATTERN.match(token)


def test_a_masked_token_does_not_open_the_channel():
    token = tokens.make_token()
    masked = tokens.mask(token)
    assert masked == f"{token[:4]}…"
    assert not tokens.TOKEN_PATTERN.match(masked)


def test_a_webhook_secret_is_written_as_standard_webhooks_has_it():
    kind, _, encoded = tokens.make_webhook_secret().partition("_")
    assert kind == "whsec"
    assert 24 <= len(base64.b64decode(encoded, validate=True)) <= 64


def test_a_client_is_signed_with_hmac_sha256():
    secret = tokens.make_identity_secret()
    assert re.fullmatch(r"[0-9a-f]{64}", secret)
    expected = hmac.new(secret.encode("ascii"), "Jörg 😀/b".encode(), hashlib.sha256).hexdigest()
    assert tokens.sign_client(secret, "Jörg 😀/b") == expected


def test_the_signature_of_the_documentation():
    # echo -n test | openssl dgst -sha256 -hmac secret
    signature = "0329a06b62cd16b33eb6792be8c60b158d89a2ee3a876fce9a881ebb488c0914"
    assert tokens.client_signature_is_valid("secret", "test", signature)
    assert tokens.client_signature_is_valid("secret", "test", f" {signature.upper()}\n")


@pytest.mark.parametrize(
    "wrong", ["", "0", "ä", "0" * 64, tokens.sign_client("other", "ann"), tokens.sign_client("key", "Ann")]
)
def test_any_other_signature_is_refused(wrong):
    assert not tokens.client_signature_is_valid("key", "ann", wrong)
