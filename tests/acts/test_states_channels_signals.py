"""The smaller actions: states, channels, and the signal that a message was published."""

import datetime as dt
import re

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from django_chatapi.actions import asking, channels, states
from django_chatapi.models import Channel, Client, ClientState, Connection, Message
from django_chatapi.signals import message_published
from tests.acts.conftest import together


@pytest.mark.django_db
@pytest.mark.parametrize(
    "value", [b'{"b": 1, "a": 1.0}', b" [1e2,\n\t-0] ", '"ä😀"'.encode(), rb'"\u00e4"', b"null"]
)
def test_a_state_is_kept_byte_for_byte(channel, value):
    states.save(channel=channel, client_id="ann", value=b"{}")
    states.save(channel=channel, client_id="ann", value=value, connection_id="tab-1")
    state = ClientState.objects.get()
    assert (bytes(state.value), state.connection_id, state.sequence) == (value, "tab-1", 2)


@pytest.mark.django_db(transaction=True)
def test_of_many_states_at_once_the_last_one_stays(channel):
    jobs = [
        lambda n=number: states.save(channel=channel, client_id="ann", value=b"%d" % n, connection_id=f"tab-{n}")
        for number in range(8)
    ]
    saved = together(*jobs)
    assert sorted(state.sequence for state in saved) == list(range(1, 9))
    last = max(saved, key=lambda state: state.sequence)
    state = ClientState.objects.get()
    assert (state.sequence, bytes(state.value), state.connection_id) == (8, last.value, last.connection_id)
    assert Client.objects.get().last_sequence == 8


@pytest.mark.django_db
def test_a_channel_is_made_checked():
    channel = channels.create(name="Shop", bot="echo")
    assert re.fullmatch(r"[A-Za-z]{8}:[0-9a-f]{40}", channel.token)
    for fields, field in (
        ({"name": ""}, "name"),
        ({"name": "Shop", "bot": "ecco"}, "bot"),
        ({"name": "Shop", "bot": "http", "bot_options": {}}, "bot_options"),
        ({"name": "Shop", "bot": "echo", "bot_options": []}, "bot_options"),
        ({"name": "Shop", "bot": "echo", "token": "short"}, "token"),
        ({"name": "Shop", "bot": "echo", "token": channel.token}, "token"),
        ({"name": "Shop", "bot": "echo", "allowed_origins": "example.com"}, "allowed_origins"),
    ):
        with pytest.raises(ValidationError) as refused:
            channels.create(**fields)
        assert list(refused.value.message_dict) == [field]
    assert Channel.objects.get() == channel


@pytest.mark.django_db
def test_a_rotated_token_leaves_the_old_one_its_grace(channel, settings):
    settings.CHATAPI = {"TOKEN_ROTATION_GRACE": 600.0}
    old, before = channel.token, timezone.now()
    new = channels.rotate_token(channel=channel)
    assert re.fullmatch(r"[A-Za-z]{8}:[0-9a-f]{40}", new)
    assert new != old
    stored = Channel.objects.get()
    assert (stored.token, stored.previous_token) == (new, old)
    grace = stored.previous_token_expires_at - before
    assert dt.timedelta(seconds=600) <= grace < dt.timedelta(seconds=660)
    assert Channel.objects.with_token(old) == Channel.objects.with_token(new) == channel
    Channel.objects.update(previous_token_expires_at=timezone.now())
    assert Channel.objects.with_token(old) is None
    assert Channel.objects.with_token(new) == channel


@pytest.mark.django_db
def test_a_rotation_without_grace_ends_the_old_token_at_once(channel):
    old = channel.token
    new = channels.rotate_token(channel=channel, grace=dt.timedelta(0))
    assert Channel.objects.with_token(old) is None
    assert Channel.objects.with_token(new) == channel
    assert Channel.objects.get().previous_token is None


@pytest.mark.django_db
def test_a_second_rotation_ends_the_first_token(channel):
    first = channel.token
    second = channels.rotate_token(channel=channel)
    third = channels.rotate_token(channel=channel, grace=dt.timedelta(hours=1))
    assert Channel.objects.with_token(first) is None
    assert Channel.objects.with_token(second) == Channel.objects.with_token(third) == channel


@pytest.mark.django_db
def test_two_channels_rotate_beside_each_other(make_channel):
    one, two = make_channel(), make_channel()
    for _ in range(2):
        for channel in (one, two):
            channels.rotate_token(channel=channel, grace=dt.timedelta(0))
    assert Channel.objects.count() == 2


@pytest.mark.django_db
def test_a_connection_is_noted_once(channel, accept):
    for connection_id in ("tab-1", "tab-1", "tab-2", None):
        accept(channel, connection_id=connection_id)
    accept(channel, client_id="bob", connection_id="tab-1")
    noted = Connection.objects.order_by("client__client_id", "connection_id")
    assert list(noted.values_list("client__client_id", "connection_id")) == [
        ("ann", "tab-1"),
        ("ann", "tab-2"),
        ("bob", "tab-1"),
    ]


@pytest.fixture
def published():
    """Every message that the signal told of, with whether it could be read from the database by then."""
    heard = []

    def listen(sender, message, **kwargs):
        assert sender is Message
        heard.append((message.type, message.sequence))

    message_published.connect(listen)
    yield heard
    message_published.disconnect(listen)


@pytest.mark.django_db(transaction=True)
def test_each_message_is_announced_once_after_its_commit(channel, accept, published):
    with transaction.atomic():
        request = accept(channel)
        assert published == []
    assert published == [("request", 1)]
    asking.ask(request=request)
    assert published == [("request", 1), ("botResponse", 2)]


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_announced(channel, accept, published):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        accept(channel)
        raise ZeroDivisionError
    assert published == []


@pytest.mark.django_db(transaction=True)
def test_what_is_announced_can_be_read_by_others(channel, accept):
    seen = []

    def listen(message, **kwargs):
        seen.extend(together(lambda: Message.objects.filter(pk=message.pk).exists()))

    message_published.connect(listen)
    try:
        asking.ask(request=accept(channel))
    finally:
        message_published.disconnect(listen)
    assert seen == [True, True]


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_fails_harms_nobody(channel, accept, published, caplog):
    def failing(**kwargs):
        raise RuntimeError(f"token {channel.token}")

    message_published.connect(failing)
    try:
        answer = asking.ask(request=accept(channel))
    finally:
        message_published.disconnect(failing)
    assert answer.data["answer"] == "hi"
    assert published == [("request", 1), ("botResponse", 2)]
    told = [record.getMessage() for record in caplog.records if record.name == "django_chatapi.actions"]
    assert len(told) == 2
    assert all("RuntimeError" in line and channel.token not in line for line in told)


@pytest.mark.django_db(transaction=True)
def test_a_repeated_request_is_announced_once(channel, accept, published):
    for _ in range(2):
        accept(channel, idempotency_key="k")
    assert published == [("request", 1)]
    assert Message.objects.count() == 1
