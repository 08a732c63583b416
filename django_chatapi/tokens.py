"""Tokens, secrets and signatures: make, mask, compare."""

import base64
import hashlib
import hmac
import re
import secrets
import string

#: A token of one's own (contract, section 2).
TOKEN_PATTERN = re.compile(r"\A[A-Za-z0-9:_.-]{16,128}\Z")


def make_token() -> str:
    """A new channel token: eight letters, ``:``, forty hex digits (contract, section 2)."""
    letters = "".join(secrets.choice(string.ascii_letters) for _ in range(8))
    return f"{letters}:{secrets.token_hex(20)}"


def make_webhook_secret() -> str:
    """A signing secret in the notation of the Standard Webhooks specification: ``whsec_`` and base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def make_identity_secret() -> str:
    """A key for ``X-Client-Signature``: 64 hex digits, used as the ASCII text that it is."""
    return secrets.token_hex(32)


def mask(token: str) -> str:
    """The token as logs and lists may show it: its first four characters and ``…``."""
    return token[:4] + "…"


def sign_client(identity_secret: str, client_id: str) -> str:
    """The ``X-Client-Signature`` of a client: hex HMAC-SHA256 of the id (contract, section 12)."""
    return hmac.new(identity_secret.encode(), client_id.encode(), hashlib.sha256).hexdigest()


def client_signature_is_valid(identity_secret: str, client_id: str, signature: str) -> bool:
    """Compare in constant time; upper-case hex digits are as good as lower-case ones."""
    expected = sign_client(identity_secret, client_id)
    return hmac.compare_digest(expected.encode(), signature.strip().lower().encode())
