"""Which pages may call, channel by channel (contract, section 3). That every door asks: test_every_endpoint."""

import pytest

from django_chatapi.models import Channel
from tests.conftest import Caller

SHOP = "https://shop.example"
BODY = {"clientId": "ann", "query": "hi"}


def call(caller: Caller, origin: str | None, **headers):
    if origin is not None:
        headers["Origin"] = origin
    return caller.post(body=BODY, headers=headers)


def preflight(caller: Caller, origin: str):
    return caller.http.options(caller.path(), headers={"Origin": origin, "Access-Control-Request-Method": "POST"})


@pytest.mark.parametrize(
    ("allowed", "origin", "passes"),
    [
        ("*", SHOP, True),
        ("*", "null", True),
        ("*", "app://local", True),
        ("", SHOP, False),
        ("", "null", False),
        (SHOP, SHOP, True),
        (f"https://a.example {SHOP}\nhttps://b.example:8443", SHOP, True),
        (f"https://a.example,{SHOP}", SHOP, True),
        ("https://b.example:8443", "https://b.example:8443", True),
        ("https://b.example:8443", "https://b.example", False),
        (SHOP, "http://shop.example", False),
        (SHOP, "https://shop.example:444", False),
        (SHOP, "https://shop.example.evil.example", False),
        (SHOP, "https://evil-shop.example", False),
        (SHOP, "https://www.shop.example", False),
        (SHOP, "shop.example", False),
        (SHOP, "https://", False),
        (SHOP, "", False),
        (SHOP, "null", False),
        (SHOP, f"{SHOP} https://evil.example", False),
        (SHOP, "*", False),
        (f"{SHOP} *", "https://evil.example", True),
    ],
)
def test_the_channel_says_which_pages_may_call(make_channel, allowed, origin, passes):
    caller = Caller(make_channel(allowed_origins=allowed))

    answered, asked = call(caller, origin), preflight(caller, origin)

    assert [answered.status_code, asked.status_code] == ([200, 204] if passes else [403, 403])
    for response in (answered, asked):
        assert response.get("Access-Control-Allow-Origin") == (origin if passes else None)
        assert "Origin" in response["Vary"]
        assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize("allowed", ["", SHOP, "*"])
def test_callers_that_are_no_browser_send_no_origin_and_are_served(make_channel, allowed):
    response = call(Caller(make_channel(allowed_origins=allowed)), None)

    assert response.status_code == 200
    assert "Access-Control-Allow-Origin" not in response.headers
    assert "Origin" in response["Vary"]


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("http://testserver", True),
        ("https://testserver", False),
        ("http://testserver:81", False),
        ("http://other", False),
    ],
)
def test_a_page_of_this_very_site_is_no_stranger(make_channel, origin, passes):
    assert call(Caller(make_channel()), origin).status_code == (200 if passes else 403)


def test_one_channels_pages_are_no_other_channels_pages(make_channel):
    ours, theirs = (
        Caller(make_channel(allowed_origins=SHOP)),
        Caller(make_channel(allowed_origins="https://b.example")),
    )

    assert call(ours, SHOP).status_code == 200
    assert call(theirs, SHOP).status_code == 403


def test_a_change_of_the_allowed_origins_counts_at_once(make_channel):
    caller = Caller(make_channel(allowed_origins=SHOP))
    assert call(caller, SHOP).status_code == 200

    Channel.objects.update(allowed_origins="")

    assert call(caller, SHOP).status_code == 403


def test_a_refused_page_stores_nothing(make_channel):
    caller = Caller(make_channel(allowed_origins=SHOP))

    call(caller, "https://evil.example")

    assert caller.history("ann")["messages"] == []


def test_failures_of_the_bot_can_be_read_by_the_page(make_channel):
    caller = Caller(make_channel(allowed_origins=SHOP, bot="recorded", bot_options={"script": []}))

    response = call(caller, SHOP)

    assert response.status_code == 502
    assert response["Access-Control-Allow-Origin"] == SHOP


def test_options_without_an_origin_names_the_methods(caller):
    response = caller.http.options(caller.path())

    assert response.status_code == 204
    assert set(response["Allow"].split(", ")) == {"GET", "POST", "OPTIONS"}
