"""Identifiers that the server makes."""

import secrets
import time
import uuid


def make_uuid() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, 74 random bits.

    Time-ordered, so that new rows land side by side in an index. Python has ``uuid.uuid7`` from 3.14 on.
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | (0x7 << 76) | (secrets.randbits(12) << 64) | (0b10 << 62)
    return uuid.UUID(int=value | secrets.randbits(62))


#: The ``questionId`` of a message.
make_question_id = make_uuid
