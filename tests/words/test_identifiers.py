"""questionId: a UUID of version 7."""

import uuid

import pytest

from django_chatapi import identifiers
from django_chatapi.identifiers import first_uuid, make_question_id

MOMENT = 1_663_000_000_123  # milliseconds


def at(monkeypatch, milliseconds):
    monkeypatch.setattr(identifiers.time, "time_ns", lambda: milliseconds * 1_000_000 + 999_999)
    return make_question_id()


def test_version_and_variant_are_those_of_the_standard():
    for _ in range(200):
        made = make_question_id()
        assert made.version == 7
        assert made.variant == uuid.RFC_4122


def test_the_first_48_bits_are_the_time_in_milliseconds(monkeypatch):
    assert at(monkeypatch, MOMENT).int >> 80 == MOMENT


def test_a_later_millisecond_sorts_behind_as_number_and_as_text(monkeypatch):
    # 2**40 - 1 to 2**40: every digit of the time changes.
    moments = [1, MOMENT, MOMENT + 1, 2**40 - 1, 2**40, 2**47]
    made = [at(monkeypatch, moment) for moment in sorted(moments)]
    assert sorted(made) == made
    assert sorted(map(str, made)) == list(map(str, made))


def test_within_a_millisecond_all_other_bits_are_random(monkeypatch):
    made = [at(monkeypatch, MOMENT).int for _ in range(2_000)]
    assert len(set(made)) == 2_000
    seen_set = seen_clear = 0
    for number in made:
        seen_set |= number
        seen_clear |= ~number
    random_bits = ((1 << 80) - 1) & ~(0b1111 << 76) & ~(0b11 << 62)
    assert seen_set & random_bits == random_bits
    assert seen_clear & random_bits == random_bits


@pytest.mark.parametrize(("milliseconds", "held"), [(MOMENT, MOMENT), (-1, 0), (2**48, 2**48 - 1)])
def test_the_least_of_a_time_is_of_the_same_version(milliseconds, held):
    first = first_uuid(milliseconds)
    assert (first.version, first.variant, first.int >> 80) == (7, uuid.RFC_4122, held)
    assert first.int & ~(0b1111 << 76) & ~(0b11 << 62) & (1 << 80) - 1 == 0
