import datetime as dt

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from django_chatapi.actions import channels
from django_chatapi.models import Channel
from django_chatapi.tokens import TOKEN_PATTERN


def make(**fields) -> Channel:
    return channels.create(**{"name": "Test", "bot": "echo", **fields})


def errors(**fields) -> set[str]:
    with pytest.raises(ValidationError) as caught:
        make(**fields)
    assert not Channel.objects.exists()
    return set(caught.value.message_dict)


def test_a_blank_token_is_generated(db):
    made = [make(), make(token=""), Channel.objects.create(name="Without the checks", bot="echo")]

    for channel in made:
        letters, _, digits = Channel.objects.get(pk=channel.pk).token.partition(":")
        assert len(letters) == 8
        assert letters.isascii()
        assert letters.isalpha()
        assert len(digits) == 40
        assert int(digits, 16) >= 0
        assert digits == digits.lower()
        assert TOKEN_PATTERN.match(channel.token)
    for secret in ("token", "webhook_secret", "identity_secret"):
        assert len({getattr(channel, secret) for channel in made}) == 3


@pytest.mark.parametrize("token", ["x" * 16, "x" * 128, "aZ09:_.-aZ09:_.-"])
def test_a_token_of_ones_own_is_kept(db, token):
    assert make(token=token).token == token
    assert Channel.objects.with_token(token).token == token


@pytest.mark.parametrize(
    "token",
    [
        "x" * 15, "x" * 129, "x" * 16 + "\n", " " + "x" * 16, "a b" * 8, "a/b" * 8, "a%2Fb" * 8, "ä" * 16,
        "٣" * 16, "x" * 15 + "\0",
    ],
)  # fmt: skip
def test_a_token_that_an_address_cannot_hold_is_refused(db, token):
    assert errors(token=token) == {"token"}


def test_two_channels_never_share_a_token(db):
    first = make(token="x" * 16)

    with pytest.raises(ValidationError):
        make(token="x" * 16)
    with pytest.raises(IntegrityError), transaction.atomic():
        Channel.objects.create(name="Without the checks", token="x" * 16)
    assert make(token="X" * 16).pk != first.pk


def test_tokens_are_compared_to_the_letter(db):
    lower, upper = make(token="token-of-my-own!".replace("!", "1")), make(token="TOKEN-OF-MY-OWN1")

    assert Channel.objects.with_token(lower.token) == lower
    assert Channel.objects.with_token(upper.token) == upper
    for stranger in ("Token-Of-My-Own1", lower.token + " ", lower.token[:-1], "%" * 16, "_" * 16, "", "\0" * 20):
        assert Channel.objects.with_token(stranger) is None


def test_after_a_rotation_both_tokens_work_until_the_grace_time_is_over(db):
    channel = make()
    old = channel.token

    new = channels.rotate_token(channel=channel)

    assert old != new
    assert Channel.objects.with_token(old) == Channel.objects.with_token(new) == channel
    channel.refresh_from_db()
    left = channel.previous_token_expires_at - timezone.now()
    assert dt.timedelta(hours=23, minutes=59) < left <= dt.timedelta(hours=24)
    Channel.objects.update(previous_token_expires_at=timezone.now() - dt.timedelta(milliseconds=1))
    assert Channel.objects.with_token(old) is None
    assert Channel.objects.with_token(new) == channel


def test_a_grace_time_of_one_s_own(db):
    channel = make()
    old = channel.token

    channels.rotate_token(channel=channel, grace=dt.timedelta(minutes=5))
    channel.refresh_from_db()
    assert channel.previous_token_expires_at - timezone.now() <= dt.timedelta(minutes=5)

    channels.rotate_token(channel=channel, grace=dt.timedelta(0))
    assert channel.previous_token is None
    assert Channel.objects.with_token(old) is None


def test_a_second_rotation_ends_the_token_before_the_last(db):
    channel = make()
    first = channel.token
    second = channels.rotate_token(channel=channel)
    third = channels.rotate_token(channel=channel)

    assert [Channel.objects.with_token(token) for token in (first, second, third)] == [None, channel, channel]


def test_a_token_that_another_channel_had_is_not_given_out_again(db):
    channel = make(token="x" * 16)
    channels.rotate_token(channel=channel)

    with pytest.raises(ValidationError) as caught:
        make(token="x" * 16)

    assert set(caught.value.message_dict) == {"token"}


@pytest.mark.parametrize(
    "origins",
    ["", "*", "https://shop.example", "http://localhost:3000 https://b.example", "https://a.example,\nhttps://b.example",
     "https://[::1]:8000", "capacitor://localhost", "https://xn--mnchen-3ya.example", " https://a.example "],
)  # fmt: skip
def test_origins_as_browsers_send_them_are_taken(db, origins):
    channel = make(allowed_origins=origins)

    for origin in origins.replace(",", " ").split():
        assert channel.allows_origin(origin if origin != "*" else "https://any.example")


@pytest.mark.parametrize(
    "origins",
    ["shop.example", "https://shop.example/", "https://shop.example/page", "https://Shop.example", "https://",
     "null", "https://*.example", "https://shop.example:port", "javascript:alert(1)", "https://shop.example b"],
)  # fmt: skip
def test_what_no_browser_sends_is_refused(db, origins):
    assert errors(allowed_origins=origins) == {"allowed_origins"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"bot": "nobody"}, "bot"),
        ({"bot_options": {"unknown": 1}}, "bot_options"),
        ({"bot_options": []}, "bot_options"),
        ({"bot_options": [1]}, "bot_options"),
        ({"bot_options": None}, "bot_options"),
        ({"webhook_url": "shop.example"}, "webhook_url"),
    ],
)
def test_a_channel_that_could_not_work_is_refused(db, fields, field):
    assert errors(**fields) == {field}
