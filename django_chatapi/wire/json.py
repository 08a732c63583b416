"""JSON as this package reads and checks it: strict, and safe to store and to send on."""

import json
from typing import Any

from django.utils.translation import gettext_lazy as _

from ..constants import MAX_JSON_DEPTH


class UnsafeJSON(ValueError):
    """The text is not JSON, or holds a value that could not be passed on. The message says which."""


def _refuse_constant(name: str) -> Any:
    raise UnsafeJSON(_("%(name)s is not a JSON value.") % {"name": name})


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise UnsafeJSON(_("The number %(number)s is out of range.") % {"number": text[:40]})
    return number


def loads(body: bytes) -> Any:
    """Read a JSON text in UTF-8 (RFC 8259).

    Stricter than Python's own reader, which takes other encodings, NaN and numbers that become infinite, and
    accepts lone surrogates and depths that its writer then fails on.

    Raises:
        UnsafeJSON: with a sentence that tells the sender what is wrong.
    """
    value = _parse(body, parse_float=_finite)
    if body.count(b"[") + body.count(b"{") > MAX_JSON_DEPTH:
        check_depth(value)
    if b"\\ud" in body or b"\\uD" in body:
        check_text(value)
    return value


def _parse(body: bytes, **readers: Any) -> Any:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, **readers)
    except UnicodeDecodeError as error:
        raise UnsafeJSON(_("The body is not UTF-8 (byte %(at)d).") % {"at": error.start}) from error
    except RecursionError as error:
        raise UnsafeJSON(_too_deep()) from error
    except UnsafeJSON:
        raise
    except json.JSONDecodeError as error:
        raise UnsafeJSON(_("The body is not JSON: %(error)s.") % {"error": str(error)[:200]}) from error
    except ValueError as error:  # Python reads integers of at most 4 300 digits
        raise UnsafeJSON(_("A number has too many digits.")) from error


def check_syntax(body: bytes) -> None:
    """Check that the text is JSON in UTF-8, whatever its numbers and texts hold.

    Raises:
        UnsafeJSON: with a sentence that tells the sender what is wrong.
    """
    _parse(body, parse_int=len, parse_float=len)


def check_storable(value: Any) -> Any:
    """Check a value that a bot made: JSON types only, finite numbers, whole characters, bounded depth.

    Returns:
        The value as JSON gives it back: a copy, which its maker cannot change any more.

    Raises:
        UnsafeJSON: with a sentence that tells the bot's author what is wrong.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode("utf-8")
        copy = json.loads(text)
    except RecursionError as error:
        raise UnsafeJSON(_too_deep()) from error
    except (TypeError, ValueError) as error:
        raise UnsafeJSON(_("It is not JSON: %(error)s.") % {"error": str(error)[:200]}) from error
    check_depth(copy)
    return copy


def check_depth(value: Any) -> None:
    """Raise UnsafeJSON for nesting over ``MAX_JSON_DEPTH``."""
    level: list[Any] = [value]
    for _depth in range(MAX_JSON_DEPTH):
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    if any(isinstance(item, (dict, list)) for item in level):
        raise UnsafeJSON(_too_deep())


def check_text(value: Any) -> None:
    """Raise UnsafeJSON for half a surrogate pair, which no UTF-8 text can hold."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise UnsafeJSON(_("A text holds half a surrogate pair, which is no character.")) from error


def _children(item: Any) -> Any:
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, (list, tuple)) else ()


def _too_deep() -> str:
    return _("It is nested deeper than %(limit)d levels.") % {"limit": MAX_JSON_DEPTH}
