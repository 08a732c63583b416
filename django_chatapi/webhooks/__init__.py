"""Webhooks: what is signed, where it may go, how it gets there.

Receivers in Python check what arrives with :func:`verify`, which needs neither Django nor settings.
"""

from .signing import InvalidSignature, verify

__all__ = ["InvalidSignature", "verify"]
