"""Connecting a channel in the admin."""

import re

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.urls import path

from django_chatapi.models import Channel, Client, Message

from .pages import errors, html, queries, url, words

FORM = {"name": "Support", "bot": "echo", "bot_options": "{}", "active": "on"}


def stored(channel: Channel, **changes: str) -> dict[str, str]:
    """What the change form of the channel sends."""
    names = ("name", "bot", "webhook_url", "webhook_secret", "identity_secret", "allowed_origins")
    return {**{name: getattr(channel, name) for name in names}, "bot_options": "{}", "active": "on", **changes}


def test_a_saved_channel_is_connected_and_gets_a_token(admin_client):
    response = admin_client.post(url("channel", "add"), FORM, follow=True)
    assert "Channel connected" in words(response.content.decode())
    channel = Channel.objects.get()
    assert re.fullmatch(r"[A-Za-z]{8}:[0-9a-f]{40}", channel.token)
    assert channel.webhook_secret.startswith("whsec_")
    assert len(channel.identity_secret) == 64


def test_a_token_of_ones_own_is_taken(admin_client):
    admin_client.post(url("channel", "add"), {**FORM, "token": "my-own-token-0001"})
    assert Channel.objects.get().token == "my-own-token-0001"


@pytest.mark.parametrize("token", ["short", "with spaces in it 00", "a" * 129, "with/slash/in/it/0000"])
def test_a_token_that_callers_could_not_use_is_refused(admin_client, token):
    response = admin_client.post(url("channel", "add"), {**FORM, "token": token})
    assert list(errors(response)) == ["token"]


def test_a_token_that_another_channel_has_or_had_is_refused(admin_client, make_channel):
    make_channel(token="a-token-in-use-0001")
    make_channel(token="a-newer-token-0001", previous_token="a-token-once-used-1")
    for token in ("a-token-in-use-0001", "a-token-once-used-1"):
        response = admin_client.post(url("channel", "add"), {**FORM, "token": token})
        assert list(errors(response)) == ["token"]


def test_the_add_form_shows_no_secret(admin_client):
    page = html(admin_client, url("channel", "add"))
    assert "whsec_" not in page
    assert "identity_secret" not in page


def test_the_form_says_what_each_bot_takes_beside_what_the_settings_give(admin_client, settings):
    settings.CHATAPI = {**settings.CHATAPI, "BOTS": {"support": "tests.bots.echo_twice"}}
    shown = words(html(admin_client, url("channel", "add")))
    assert "function: function*" in shown
    assert "support: function*" not in shown


def test_saving_again_says_connected_and_keeps_token_and_secrets(admin_client, channel):
    before = Channel.objects.values().get()
    response = admin_client.post(
        url("channel", "change", channel.pk),
        stored(channel, name="Renamed", token="another-token-0001"),
        follow=True,
    )
    assert "Channel connected" in words(response.content.decode())
    assert Channel.objects.values().get() == {**before, "name": "Renamed"}


def test_saving_does_not_bring_back_a_token_that_is_rotated_at_the_same_time(admin_client, channel, monkeypatch):
    def rotate_meanwhile(**_options: object) -> None:
        Channel.objects.update(token="rotated-meanwhile-1")

    monkeypatch.setattr("django_chatapi.actions.channels.check_bot", rotate_meanwhile)
    admin_client.post(url("channel", "change", channel.pk), stored(channel, name="Renamed"))
    saved = Channel.objects.get()
    assert (saved.name, saved.token) == ("Renamed", "rotated-meanwhile-1")


def test_a_channel_that_is_switched_off_is_not_called_ready(admin_client, channel):
    data = stored(channel)
    del data["active"]
    response = admin_client.post(url("channel", "change", channel.pk), data, follow=True)
    assert "switched off: every call is refused" in words(response.content.decode())
    assert not Channel.objects.get().active


class TestBot:
    def test_the_choice_is_what_is_registered(self, admin_client):
        page = html(admin_client, url("channel", "add"))
        select = page[page.index('<select name="bot"') :].split("</select>")[0]
        options = re.findall(r'<option value="([^"]*)"', select)
        assert options == ["echo", "recorded", "function", "http", "demo"]

    @pytest.mark.parametrize(
        ("bot", "options", "field", "message"),
        [
            ("http", "{}", "bot_options", "url: This field is required."),
            ("http", '{"url": "ftp:/x"}', "bot_options", "url: "),
            ("http", '{"url": "https://a.example/", "timout": 3}', "bot_options", "Did you mean “timeout”?"),
            ("function", '{"function": "no.such"}', "bot_options", "Cannot import “no.such”"),
            ("echo", '{"loud": true}', "bot_options", "loud: Unknown option."),
            ("echo", "[1]", "bot_options", "The options are a JSON object, such as {}."),
            ("echo", "{", "bot_options", "Enter a valid JSON."),
            ("ecko", "{}", "bot", "Did you mean “echo”?"),
        ],
    )
    def test_its_complaint_stands_at_the_field(self, admin_client, bot, options, field, message):
        response = admin_client.post(url("channel", "add"), {**FORM, "bot": bot, "bot_options": options})
        found = errors(response)
        assert list(found) == [field]
        assert message in " ".join(found[field])
        assert not Channel.objects.exists()

    def test_no_options_are_empty_options(self, admin_client):
        admin_client.post(url("channel", "add"), {**FORM, "bot_options": ""})
        assert Channel.objects.get().bot_options == {}

    @pytest.mark.parametrize("text", [r'{"a": "\u0000"}', r'{"a": "\ud800"}', '{"a": NaN}', '{"a": 1e999}'])
    def test_options_that_no_database_can_keep_are_refused(self, admin_client, text):
        options = '{"default": {"replies": [{"type": "raw", "raw": VALUE}]}}'.replace("VALUE", text)
        response = admin_client.post(url("channel", "add"), {**FORM, "bot": "recorded", "bot_options": options})
        assert list(errors(response)) == ["bot_options"]

    def test_one_that_is_gone_stays_visible_and_the_channel_can_be_switched_off(self, admin_client, channel):
        Channel.objects.update(bot="gone")
        channel.bot = "gone"
        page = html(admin_client, url("channel", "change", channel.pk))
        assert "gone (not registered)" in page
        response = admin_client.post(url("channel", "change", channel.pk), stored(channel))
        assert list(errors(response)) == ["bot"]
        data = stored(channel)
        del data["active"]
        admin_client.post(url("channel", "change", channel.pk), data)
        assert not Channel.objects.get().active

    def test_the_form_tells_what_each_takes(self, admin_client):
        assert "http: url*, timeout, headers" in words(html(admin_client, url("channel", "add")))

    def test_stored_options_are_shown_over_several_lines(self, admin_client, make_channel):
        channel = make_channel(bot="recorded", bot_options={"default": {"text": "ж"}})
        page = html(admin_client, url("channel", "change", channel.pk))
        assert "{\n  &quot;default&quot;: {\n    &quot;text&quot;: &quot;ж&quot;\n  }\n}" in page


class TestCopying:
    def test_the_list_masks_the_token_and_has_a_button_that_copies_it(self, admin_client, channel):
        page = html(admin_client, url("channel"))
        assert channel.token not in words(page)
        assert f"{channel.token[:4]}…" in words(page)
        assert f'data-copy="{channel.token}" data-copied="Copied"' in page
        assert '<button type="button" class="chatapi-copy"' in page
        assert '<span role="status"></span>' in page

    def test_the_channels_page_has_its_token_and_its_address(self, admin_client, channel):
        page = html(admin_client, url("channel", "change", channel.pk))
        address = f"http://testserver/chatapi/{channel.token}"
        assert f'data-copy="{channel.token}"' in page
        assert f'data-copy="{address}"' in page
        assert address in words(page)

    def test_a_site_that_does_not_mount_the_api_is_told_how(self, admin_client, channel, settings):
        settings.ROOT_URLCONF = __name__
        page = words(html(admin_client, url("channel", "change", channel.pk)))
        assert (
            'The API is not mounted. Add to the URLconf: path("chatapi/", include("django_chatapi.urls"))' in page
        )


def test_the_page_shows_the_secrets_to_those_who_may_change_them_only(staff, channel):
    page = html(staff("change_channel"), url("channel", "change", channel.pk))
    assert channel.webhook_secret in page
    assert channel.identity_secret in page
    page = html(staff("view_channel"), url("channel", "change", channel.pk))
    assert channel.token in page
    assert channel.webhook_secret not in page
    assert channel.identity_secret not in page


def test_the_list_shows_no_secret(admin_client, channel):
    page = html(admin_client, url("channel"))
    assert channel.webhook_secret not in page
    assert channel.identity_secret not in page


def test_the_list_takes_as_many_queries_for_many_channels_as_for_one(admin_client, make_channel):
    make_channel()
    html(admin_client, url("channel"))
    with queries() as few:
        html(admin_client, url("channel"))
    for _number in range(20):
        make_channel()
    with queries() as many:
        html(admin_client, url("channel"))
    assert len(few) == len(many)


class TestDeletion:
    def test_a_small_channel_goes_with_all_that_was_said(self, admin_client, channel, talk):
        talk()
        page = words(html(admin_client, url("channel", "delete", channel.pk)))
        assert "Clients: 1" in page
        assert "Messages: 2" in page
        admin_client.post(url("channel", "delete", channel.pk), {"post": "yes"})
        assert [model.objects.count() for model in (Channel, Client, Message)] == [0, 0, 0]

    def test_a_large_one_stays_and_the_page_says_what_to_do(self, admin_client, channel, talk, monkeypatch):
        monkeypatch.setattr("django_chatapi.admin.bounds.ROW_LIMIT", 3)
        talk()
        talk()
        page = words(html(admin_client, url("channel", "delete", channel.pk)))
        assert "more than 3 messages, too many to delete from here; switch the channel off instead" in page
        admin_client.post(url("channel", "delete", channel.pk), {"post": "yes"})
        assert Channel.objects.exists()

    def test_a_large_one_stays_when_it_is_one_of_several(
        self, admin_client, channel, make_channel, talk, monkeypatch
    ):
        monkeypatch.setattr("django_chatapi.admin.bounds.ROW_LIMIT", 3)
        talk()
        talk()
        chosen = [channel.pk, make_channel().pk]
        action = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
        admin_client.post(url("channel"), action)
        assert Channel.objects.count() == 2

    def test_asking_reads_no_message(self, admin_client, channel, talk):
        for number in range(3):
            talk(client_id=str(number))
        with queries() as statements:
            html(admin_client, url("channel", "delete", channel.pk))
        about_messages = [statement for statement in statements if "django_chatapi_message" in statement]
        assert len(about_messages) == 1
        assert "COUNT(" in about_messages[0]
        assert "LIMIT" in about_messages[0]

    def test_it_takes_the_permission_for_what_goes_along(self, staff, channel, talk):
        talk()
        http = staff("delete_channel", "view_channel")
        page = words(html(http, url("channel", "delete", channel.pk)))
        lacking = page.split("doesn't have permission to delete the following types of objects:")[1]
        assert sorted(lacking.split()) == ["client", "message"]
        assert http.post(url("channel", "delete", channel.pk), {"post": "yes"}).status_code == 403
        assert Channel.objects.exists()

    def test_it_is_logged(self, admin_client, channel):
        admin_client.post(url("channel", "delete", channel.pk), {"post": "yes"})
        assert LogEntry.objects.get().is_deletion()


#: A site that mounts the admin and forgot the API.
urlpatterns = [path("admin/", admin.site.urls)]
