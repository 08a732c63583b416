"""What the site's settings make of both doors, inside this process."""

import asyncio
import json

import pytest
from django.core.cache import cache
from django.utils import translation

from django_chatapi.actions.turns import client_for
from django_chatapi.api.polls import open_poll
from django_chatapi.conf import Defaults

from .conftest import texts
from .helpers import call, say

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def configure(settings):
    def configure(**chatapi):
        settings.CHATAPI = {**settings.CHATAPI, **chatapi}

    return configure


@pytest.fixture
def ask(channel, one_database_thread):
    """One call of the ASGI door, which is told no address of its caller; gives its status and its body."""

    def ask(query, **more):
        start, *rest = asyncio.run(call(f"/chatapi/{channel.token}/events", query, **more))
        return start["status"], json.loads(b"".join(message["body"] for message in rest))

    return ask


def test_cid_may_keep_just_what_belongs_to_the_connection(configure, caller, ask):
    configure(CID_FILTER="only")
    caller.send("from a", client_id="ann", cid="a")
    caller.send("from b", client_id="ann", cid="b")
    say("ann", "to all")

    of_a = [("request", "from a"), ("botResponse", "from a")]
    assert texts(caller.get("events", clientId="ann", all="true", cid="a", timeout=0).json()) == of_a
    assert texts(ask(b"clientId=ann&all=true&cid=b&timeout=0")[1]) == [
        ("request", "from b"),
        ("botResponse", "from b"),
    ]


def test_who_calls_too_often_is_told_so_also_without_an_address(configure, ask):
    cache.clear()
    configure(THROTTLE_RATE="1/min")

    first, second = [ask(b"clientId=ann&timeout=0") for _ in range(2)]

    assert first[0] == 200
    assert (second[0], second[1]["error"]) == (429, "throttled")


@pytest.mark.parametrize(
    ("middleware", "message"),
    [(["django.middleware.locale.LocaleMiddleware"], "gültige Zahl"), ([], "valid number")],
    ids=["with LocaleMiddleware", "without"],
)
def test_refusals_are_in_the_callers_language_where_the_sites_are(middleware, message, settings, ask, caller):
    settings.MIDDLEWARE = middleware

    _status, body = ask(b"clientId=ann&timeout=soon", language=b"de")
    with translation.override("en"):  # which the middleware leaves as it chose
        plain = caller.get("events", clientId="ann", timeout="soon", headers={"accept-language": "de"}).json()

    assert message in body["args"]["timeout"][0]
    assert body == plain


def test_polls_that_name_no_timeout_wait_for_about_the_default_one(configure, channel, caller, ask):
    configure(EVENTS_TIMEOUT=10)
    client_for(channel=channel, client_id="ann")
    valid = {"client_id": "ann", "everything": False}
    timeouts = {open_poll(channel=channel, token=channel.token, valid=valid).timeout for _ in range(20)}
    own = open_poll(channel=channel, token=channel.token, valid={**valid, "timeout": 3}).timeout

    assert all(9 <= timeout <= 10 for timeout in timeouts)
    assert len(timeouts) > 1
    assert own == 3
    configure(EVENTS_TIMEOUT=0.2)
    assert caller.get("events", clientId="ann").json()["events"] == []
    assert ask(b"clientId=ann")[1]["events"] == []


def test_the_defaults_are_what_the_docs_say():
    assert (Defaults.EVENTS_TIMEOUT, Defaults.EVENTS_SWEEP) == (25, 5)
