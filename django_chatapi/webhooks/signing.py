"""Signatures of the Standard Webhooks specification (https://www.standardwebhooks.com).

Deliberately without Django: a receiver imports this module alone.

A secret is ``whsec_`` and base64; the prefix and the padding may be missing. Any other text, such as one that a
person made up, is a key as it stands, in UTF-8: receivers with a library of the specification give it as bytes
(in Python ``Webhook(b"…")`` instead of ``Webhook("…")``).
"""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

_PREFIX = "whsec_"
_BASE64 = re.compile(r"[A-Za-z0-9+/]+", re.ASCII)


class InvalidSignature(Exception):
    """The call is not known to come from the sender, or is an old one sent again. The message says why."""


def sign(secrets: Sequence[str], webhook_id: str, timestamp: int, body: bytes) -> str:
    """The ``webhook-signature`` header: one signature per secret, the newest secret first.

    Raises:
        ValueError: there is no secret, or a blank one.
    """
    if not secrets:
        raise ValueError("There is no secret to sign with.")
    return " ".join(_signature(_key(secret), webhook_id, str(timestamp), body) for secret in secrets)


def headers(secrets: Sequence[str], webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of the specification. ``timestamp`` is Unix time in seconds."""
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secrets, webhook_id, timestamp, body),
    }


def verify(secret: str, headers: Mapping[str, str], body: bytes, *, tolerance: int = 300) -> list[dict[str, Any]]:
    """Check a call and return the array that it brings.

    Args:
        secret: the channel's webhook signing secret, as the site shows it.
        headers: those of the call, in any spelling of their names.
        body: the bytes as they arrived; JSON that was read and written again has another signature.
        tolerance: seconds by which the sender's clock may differ, and after which a call is too old.

    Raises:
        InvalidSignature: answer with a status of 400 and look at nothing in the body.
    """
    values = {name.lower(): value for name, value in headers.items()}
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if not values.get(name):
            raise InvalidSignature(f"The header {name} is missing.")
    timestamp = values["webhook-timestamp"]
    _check_time(timestamp, tolerance)
    # Signatures of other versions stand beside ours and are none of our business.
    expected = _signature(_key(secret), values["webhook-id"], timestamp, body).encode()
    given = values["webhook-signature"].split()
    if not any(hmac.compare_digest(expected, each.encode(errors="replace")) for each in given):
        raise InvalidSignature("No signature matches: the secret is another one, or the body was changed.")
    return _array(body)


def _key(secret: str) -> bytes:
    if not secret.removeprefix(_PREFIX).strip():
        raise ValueError("A blank secret signs nothing.")
    encoded = secret.removeprefix(_PREFIX).rstrip("=")
    if _BASE64.fullmatch(encoded) and len(encoded) % 4 != 1:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    return secret.encode()


def _signature(key: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{webhook_id}.{timestamp}.".encode(errors="replace") + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _check_time(timestamp: str, tolerance: int) -> None:
    if not re.fullmatch(r"\d{1,12}", timestamp, re.ASCII):
        raise InvalidSignature("The header webhook-timestamp is not Unix time in seconds.")
    age = time.time() - int(timestamp)
    if age > tolerance:
        raise InvalidSignature(f"The call is {age:.0f} seconds old, more than the {tolerance} that are tolerated.")
    if age < -tolerance:
        raise InvalidSignature(f"The call comes from {-age:.0f} seconds in the future; compare the clocks.")


def _array(body: bytes) -> list[dict[str, Any]]:
    try:
        array = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidSignature("The body is signed, but is not JSON.") from error
    if not isinstance(array, list) or not all(isinstance(item, dict) for item in array):
        raise InvalidSignature("The body is signed, but is not an array of objects.")
    return array
