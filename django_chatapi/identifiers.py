"""Identifiers that the server makes."""

import secrets
import time
import uuid


def make_uuid() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, 74 random bits.

    Time-ordered, so that new rows land side by side in an index. Python has ``uuid.uuid7`` from 3.14 on.
    """
    first = first_uuid(time.time_ns() // 1_000_000)
    return uuid.UUID(int=first.int | (secrets.randbits(12) << 64) | secrets.randbits(62))


def first_uuid(milliseconds: int) -> uuid.UUID:
    """The least of them of a time, for spans of them. MariaDB sorts other versions in another order.

    Args:
        milliseconds: Unix time; what 48 bits do not hold becomes the nearest that they do.
    """
    milliseconds = min(max(0, milliseconds), (1 << 48) - 1)
    return uuid.UUID(int=(milliseconds << 80) | (0x7 << 76) | (0b10 << 62))


#: The ``questionId`` of a message.
make_question_id = make_uuid
