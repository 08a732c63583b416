"""Who sees what in the admin: Django's own permissions of the models."""

import pytest

from django_chatapi.actions import states

from .pages import html, url, words

MODELS = ["channel", "client", "message"]


@pytest.fixture
def said(talk, channel):
    request = talk("my secret wish", connection_id="tab-1")
    states.save(channel=channel, client_id="test", value=b'{"cart": "full"}')
    return {"channel": channel.pk, "client": request.client.pk, "message": request.pk}


def test_without_a_permission_there_is_nothing_to_see(staff, said):
    http = staff()
    assert "Chat API" not in words(html(http, "/admin/"))
    for model in MODELS:
        assert http.get(url(model)).status_code == 403
        assert http.get(url(model, "change", said[model])).status_code == 403


@pytest.mark.parametrize("model", MODELS)
def test_the_permission_to_view_opens_one_model_and_no_other(staff, said, model):
    http = staff(f"view_{model}")
    html(http, url(model))
    html(http, url(model, "change", said[model]))
    for other in set(MODELS) - {model}:
        assert http.get(url(other)).status_code == 403


def test_a_client_shows_no_more_than_its_reader_may_see(staff, said):
    path = url("client", "change", said["client"])
    page = words(html(staff("view_client"), path))
    for hidden in ("my secret wish", "cart", "tab-1"):
        assert hidden not in page
    assert "you need the permission to view messages" in page
    assert "my secret wish" in words(html(staff("view_client", "view_message"), path))
    assert '"cart": "full"' in words(html(staff("view_client", "view_clientstate"), path))
    assert "tab-1" in words(html(staff("view_client", "view_connection"), path))


def test_a_reader_of_channels_changes_none(staff, said, channel):
    http = staff("view_channel")
    response = http.post(url("channel", "change", channel.pk), {"name": "Mine"})
    assert response.status_code == 403
    assert http.get(url("channel", "add")).status_code == 403
    assert http.get(url("channel", "delete", channel.pk)).status_code == 403


def test_people_who_are_no_staff_are_sent_to_the_login(client, django_user_model, said):
    client.force_login(django_user_model.objects.create_user("somebody"))
    for model in MODELS:
        assert client.get(url(model)).status_code == 302
