"""Times on the wire (contract, section 1)."""

import datetime as dt

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_chatapi.wire.times import format_time, parse_time

UTC = dt.timezone.utc
MOMENT = dt.datetime(2022, 9, 28, 12, 32, 13, 262_000, UTC)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))


def milliseconds(moment):
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def test_the_contracts_literal_time():
    assert format_time(MOMENT) == "2022-09-28T12:32:13.262"
    assert parse_time("2022-09-28T12:32:13.262") == MOMENT


def test_microseconds_are_cut_not_rounded():
    assert format_time(MOMENT.replace(microsecond=999_999)) == "2022-09-28T12:32:13.999"


def test_whole_seconds_keep_their_zeros():
    assert format_time(MOMENT.replace(microsecond=0)) == "2022-09-28T12:32:13.000"


def test_another_zone_is_written_in_utc():
    assert format_time(MOMENT.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30)))) == format_time(MOMENT)


@given(st.datetimes(timezones=ZONES, min_value=dt.datetime(2, 1, 1), max_value=dt.datetime(9998, 12, 31)))
def test_what_is_written_is_read_back(moment):
    assert parse_time(format_time(moment)) == milliseconds(moment.astimezone(UTC))


@given(st.datetimes(timezones=ZONES, min_value=dt.datetime(2, 1, 1), max_value=dt.datetime(9998, 12, 31)))
def test_iso_8601_with_a_zone_is_the_same_moment(moment):
    assert parse_time(moment.isoformat()) == moment


@given(st.datetimes(timezones=st.just(UTC)).map(milliseconds))
def test_unix_milliseconds_as_number_and_as_text(moment):
    unix = (moment - dt.datetime(1970, 1, 1, tzinfo=UTC)) // dt.timedelta(milliseconds=1)
    assert parse_time(unix) == parse_time(str(unix)) == moment


@pytest.mark.parametrize(
    "text",
    [
        "2022-09-28T12:32:13.262Z",
        "2022-09-28T12:32:13.262+00:00",
        "2022-09-28T14:32:13.262+02:00",
        "2022-09-28T14:32:13.262+0200",
        "2022-09-28T14:32:13.262+02",
        "2022-09-28T07:02:13.262-05:30",
        "2022-09-28T14:32:13.262 02:00",  # a "+" that was not escaped in a query string
        "2022-09-28T12:32:13,262",
        "2022-09-28T12:32:13.262000",
        "2022-09-28T12:32:13.262000000Z",
        "1664368333262",
        1664368333262,
    ],
)
def test_every_notation_of_one_moment(text):
    assert parse_time(text) == MOMENT


def test_seconds_and_fractions_may_be_left_out():
    assert parse_time("2022-09-28T12:32") == MOMENT.replace(second=0, microsecond=0)
    assert parse_time("2022-09-28T12:32:13+00:00") == MOMENT.replace(microsecond=0)


def test_times_before_1970_are_times():
    assert parse_time(-1) == parse_time("-1") == dt.datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC)


@pytest.mark.parametrize(
    "nonsense",
    [
        "", " ", "T", "now", "null", "-", "--5", "1e3", "1.5", "0x10", "1_000", "+5", "١٢٣", "５",
        "2022-09-28", "2022-09-28T", "12:32:13", "20220928T123213", "2022-W39-3T12:32", "2022-09-28x12:32:13",
        "2022-13-01T00:00:00", "2022-02-30T00:00:00", "2022-09-28T24:30:00", "2022-09-28T12:60:00",
        "2022-09-28T12:32:61", "2022-09-28T12:32:13+25:00", "2022-09-28T12:32:13+", "2022-09-28T12:32:13ZZ",
        "2022-09-28T12:32:13.", "22-09-28T12:32:13", "2022-9-28T12:32:13", "2022-09-28T12:32:13\n", "\x00",
        "２０２２-09-28T12:32:13", "0000-01-01T00:00:00",
        # Outside the years 1 to 9999, at once or after the zone was reckoned in.
        "10000-01-01T00:00:00", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
        "253402300800000", "-62135596800001", "9" * 20, "9" * 5000, "-" + "9" * 5000,
        253402300800000, -62135596800001, 10**20, -(10**20), 10**400,
    ],
)  # fmt: skip
def test_anything_else_is_a_value_error(nonsense):
    with pytest.raises(ValueError):
        parse_time(nonsense)


def test_the_ends_of_the_calendar_are_read():
    assert parse_time(253402300799999) == dt.datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)
    assert parse_time(-62135596800000) == dt.datetime(1, 1, 1, tzinfo=UTC)


@given(st.one_of(st.text(), st.integers(), st.from_regex(r"\A[-0-9T:.Z+ ]{1,40}\Z")))
@example("0001-01-01T00:00:00+14:00")
def test_no_input_raises_anything_but_a_value_error(value):
    try:
        moment = parse_time(value)
    except ValueError:
        return
    assert moment.utcoffset() == dt.timedelta(0)
    assert parse_time(format_time(moment)) == milliseconds(moment)
