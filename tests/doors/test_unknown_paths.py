"""What lies below the API's mount and is no door of it."""

import pytest
from django.test import Client as HTTPClient

from django_chatapi.models import Message
from tests.conftest import Caller

PATHS = [
    "",
    "/",
    "{token}/",
    "{token}//",
    "{token}/client",
    "{token}/client/",
    "{token}/client/ann",
    "{token}/client/ann/",
    "{token}/client//history",
    "{token}/client/ann/history/",
    "{token}/client/ann/histories",
    "{token}/client/ann/message",
    "{token}/client/ann/message//status",
    "{token}/client/ann/message/x",
    "{token}/Client/ann/history",
    "{token}/nothing",
    "a/b/c",
    "favicon.ico/x",
    "%0A/%00/%F0%9F%98%80",
]


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
@pytest.mark.parametrize("path", PATHS)
def test_it_is_an_error_of_the_api_and_no_page_of_the_site(channel, path, method):
    # As a real site does: without a CSRF token, a POST to an ordinary view would be a page about cookies.
    http = HTTPClient(enforce_csrf_checks=True)

    response = getattr(http, method)(f"/chatapi/{path.format(token=channel.token)}")

    assert response.status_code == 404
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "private, no-store"
    assert set(response.json()) == {"error", "message"}
    assert response.json()["error"] == "not_found"


def test_a_slash_at_the_end_is_named(channel):
    for path in (f"{channel.token}/", f"{channel.token}/async/"):
        assert "slash" in HTTPClient().post(f"/chatapi/{path}").json()["message"]
    assert "slash" not in HTTPClient().post(f"/chatapi/{channel.token}/nowhere").json()["message"]


def test_in_debug_mode_too(channel, settings):
    settings.DEBUG = True

    response = HTTPClient().get(f"/chatapi/{channel.token}/nowhere")

    assert response.status_code == 404
    assert response.json()["error"] == "not_found"
    assert channel.token not in response.content.decode()


def test_the_doors_themselves_need_no_csrf_token(channel):
    caller = Caller(channel)
    caller.http = HTTPClient(enforce_csrf_checks=True)

    caller.send("hi")

    assert Message.objects.count() == 2


def test_outside_of_the_mount_the_site_answers_itself(client, db):
    response = client.get("/nowhere")

    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")
