"""Rotating a channel's token in the admin."""

import datetime as dt
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client as HTTPClient
from django.utils import timezone

from django_chatapi.models import Channel

from .pages import html, url, words


def rotate_url(channel: Channel) -> str:
    return url("channel", "rotate_token", channel.pk)


def form(http: HTTPClient, channel: Channel, grace: int) -> dict[str, str]:
    """What a person who chose this grace time sends."""
    page = html(http, rotate_url(channel))
    replaces = re.search(r'name="replaces" value="([^"]+)"', page)
    assert replaces
    return {"grace": str(grace), "replaces": replaces[1]}


def test_looking_at_the_form_rotates_nothing(admin_client, channel):
    html(admin_client, rotate_url(channel))
    assert Channel.objects.get().token == channel.token


@pytest.mark.parametrize("hours", [1, 24, 7 * 24])
def test_the_old_token_keeps_working_for_the_chosen_time(admin_client, channel, hours):
    old = channel.token
    response = admin_client.post(rotate_url(channel), form(admin_client, channel, hours * 3600), follow=True)
    channel.refresh_from_db()
    assert channel.token != old
    assert channel.previous_token == old
    left = channel.previous_token_expires_at - timezone.now()
    assert abs(left - dt.timedelta(hours=hours)) < dt.timedelta(minutes=5)
    page = words(response.content.decode())
    assert f"Rotated; the new token begins with {channel.token[:4]}. The old token {old[:4]}… works until " in page


def test_the_old_token_ends_at_once_when_it_leaked(admin_client, channel):
    response = admin_client.post(rotate_url(channel), form(admin_client, channel, 0), follow=True)
    assert "The old token no longer works." in words(response.content.decode())
    assert Channel.objects.with_token(channel.token) is None


def test_the_setting_is_what_is_chosen_to_begin_with(admin_client, channel, settings):
    settings.CHATAPI = {**settings.CHATAPI, "TOKEN_ROTATION_GRACE": 5400.0}
    page = html(admin_client, rotate_url(channel))
    choices = re.findall(r'<input type="radio"[^>]*value="(\d+)"([^>]*)>', page)
    assert [value for value, _rest in choices] == ["0", "3600", "5400", "86400", "604800"]
    assert [value for value, rest in choices if "checked" in rest] == ["5400"]
    assert "for 1 hour, 30 minutes" in words(page).replace("\xa0", " ")


def test_a_form_that_is_sent_twice_does_not_end_the_token_in_use(admin_client, channel):
    data = form(admin_client, channel, 3600)
    admin_client.post(rotate_url(channel), data)
    after_one = Channel.objects.values().get()
    response = admin_client.post(rotate_url(channel), data)
    assert "The token was changed meanwhile." in words(response.content.decode())
    assert Channel.objects.values().get() == after_one


def test_a_time_that_was_not_offered_is_refused(admin_client, channel):
    data = form(admin_client, channel, 3600)
    for grace in ("99", "-1", "", "soon"):
        response = admin_client.post(rotate_url(channel), {**data, "grace": grace})
        assert response.status_code == 200
    assert Channel.objects.get().token == channel.token


def test_the_form_warns_that_an_older_token_ends(admin_client, channel):
    old = channel.token
    admin_client.post(rotate_url(channel), form(admin_client, channel, 3600))
    page = words(html(admin_client, rotate_url(channel)))
    assert f"The old token {old[:4]}… works until" in page
    assert "It will end now" in page


def test_it_is_logged_without_the_tokens(admin_client, channel):
    old = channel.token
    admin_client.post(rotate_url(channel), form(admin_client, channel, 3600))
    channel.refresh_from_db()
    entry = LogEntry.objects.get()
    assert entry.object_id == str(channel.pk)
    assert "Rotated the token." in entry.change_message
    assert old not in entry.change_message
    assert channel.token not in entry.change_message


def test_it_takes_the_permission_to_change(staff, channel):
    for http in (staff(), staff("view_channel"), staff("add_channel", "delete_channel")):
        assert http.get(rotate_url(channel)).status_code == 403
        assert http.post(rotate_url(channel), {"grace": "0"}).status_code == 403
    assert Channel.objects.get().token == channel.token
    assert "Rotate token" not in words(html(staff("view_channel"), url("channel", "change", channel.pk)))
    assert "Rotate token" in words(html(staff("change_channel"), url("channel", "change", channel.pk)))


def test_it_takes_a_login(client, channel):
    response = client.post(rotate_url(channel), {"grace": "0"})
    assert response.status_code == 302
    assert "/login/" in response.url


def test_it_takes_the_csrf_token(admin_user, channel):
    http = HTTPClient(enforce_csrf_checks=True)
    http.force_login(admin_user)
    assert http.post(rotate_url(channel), {"grace": "0"}).status_code == 403
    assert Channel.objects.get().token == channel.token


@pytest.mark.parametrize("object_id", ["999999", "no-number", "9" * 30])
def test_a_channel_that_is_not_there_is_not_found(admin_client, channel, object_id):
    assert admin_client.get(url("channel", "rotate_token", object_id)).status_code == 404


def test_the_channels_page_says_until_when_the_old_token_works(admin_client, channel):
    Channel.objects.update(
        previous_token="previous-token-0001",
        previous_token_expires_at=dt.datetime(2100, 1, 2, 3, 4, tzinfo=dt.timezone.utc),
    )
    page = words(html(admin_client, url("channel", "change", channel.pk)))
    assert "The old token prev… works until 2100-01-02 03:04:00." in page
    Channel.objects.update(previous_token_expires_at=timezone.now())
    assert "works until" not in words(html(admin_client, url("channel", "change", channel.pk)))
