"""JSON: what is let in, and what bots may send out."""

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_chatapi.constants import MAX_JSON_DEPTH
from django_chatapi.wire.json import UnsafeJSON, check_storable, loads

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXT, inner)),
)


def nested(depth, kind="list"):
    value = 1
    for _ in range(depth):
        value = [value] if kind == "list" else {"a": value}
    return value


@given(VALUES, st.booleans())
def test_whatever_pythons_writer_makes_is_read_back(value, ascii_only):
    assert loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(VALUES)
def test_what_was_read_may_be_stored(value):
    assert check_storable(loads(json.dumps(value).encode())) == value


@given(st.binary())
@example(b"\xef\xbb\xbf{}")
@example('{"a": 1}'.encode("utf-16"))
def test_no_bytes_raise_anything_but_unsafe_json(body):
    try:
        value = loads(body)
    except UnsafeJSON as error:
        assert str(error).endswith(".")
    else:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"[1,]", b"{'a': 1}", b'{"a" 1}', b"nul", b"1 2", b"// no\n1", b'"\n"', b"01", b".5",
        b"+1", b"NaN", b'{"a": NaN}', b"Infinity", b"[-Infinity]", b"1e400", b"[-1e400]",
        b"\xff", b'"\xc3"', b'"\xed\xa0\x80"', b'"\xc0\xaf"', '"ä"'.encode("latin-1"), '"a"'.encode("utf-16"),
        b"\xef\xbb\xbf1", b"\x00", b'{"a": {"b": 1.0e999999}}',
        rb'"\ud800"', rb'"\uDFFF"', rb'"\udc00\ud800"', rb'{"\uD83D": 1}', rb'["a\ud83dx"]', rb'"\ud83d\u0041"',
        b"9" * 5000, b"-" + b"9" * 100_000,
    ],
)  # fmt: skip
def test_what_is_refused(body):
    with pytest.raises(UnsafeJSON) as refused:
        loads(body)
    assert str(refused.value).endswith(".")
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b" 1 ", 1),
        (b"null", None),
        (b'"\\u0000"', "\0"),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\uD83D\uDE00"', "😀"),
        (rb'"\\ud800"', r"\ud800"),
        (b"1E+2", 100.0),
        (b"1e-400", 0.0),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b"9" * 4000, int("9" * 4000)),
        (b"1.7976931348623157e308", 1.7976931348623157e308),
    ],
)
def test_what_is_let_in(body, value):
    assert loads(body) == value


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_the_depth_is_bounded_in_both_directions(kind):
    deepest = nested(MAX_JSON_DEPTH, kind)
    assert loads(json.dumps(deepest).encode()) == deepest
    check_storable(deepest)
    for depth in (MAX_JSON_DEPTH + 1, 600):
        with pytest.raises(UnsafeJSON, match="deeper than 100"):
            loads(json.dumps(nested(depth, kind)).encode())
        with pytest.raises(UnsafeJSON, match="deeper than 100"):
            check_storable(nested(depth, kind))


@pytest.mark.parametrize("body", [b"[" * 500_000, b"[" * 400_000 + b"]" * 400_000, b'{"a":' * 150_000])
def test_a_body_of_nothing_but_brackets_is_refused(body):
    with pytest.raises(UnsafeJSON):
        loads(body)


def test_many_brackets_side_by_side_are_not_deep():
    wide = [[], {}, [[]]] * 20_000
    assert loads(json.dumps(wide).encode()) == wide
    assert loads(json.dumps("[" * 500).encode()) == "[" * 500


@pytest.mark.parametrize(
    "value",
    [
        math.nan, math.inf, {"a": [-math.inf]}, "\ud800", {"\udfff": 1}, b"bytes", {1, 2}, object(), {(1, 2): 3},
        [10**5000], {"a": {"b": {"c": print}}},
    ],
)  # fmt: skip
def test_what_a_bot_may_not_say(value):
    with pytest.raises(UnsafeJSON) as refused:
        check_storable({"replies": [value]})
    assert len(str(refused.value)) < 300


def test_what_is_stored_is_a_copy():
    replies = [{"type": "text", "texts": ("a", "b")}]
    copy = check_storable(replies)
    replies[0]["texts"] = None
    assert copy == [{"type": "text", "texts": ["a", "b"]}]


def test_a_value_that_holds_itself_is_refused_at_once():
    # Every child points back: walked level by level, the paths would double at each step.
    parent = {"children": []}
    parent["children"] = [{"parent": parent, "root": parent} for _ in range(4)]
    with pytest.raises(UnsafeJSON, match="Circular"):
        check_storable(parent)


def test_a_deep_value_that_python_cannot_write_is_refused():
    with pytest.raises(UnsafeJSON):
        check_storable(nested(200_000))
