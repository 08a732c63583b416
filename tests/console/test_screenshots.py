"""The pictures of the documentation: ``CHATAPI_SCREENSHOTS=docs/images pytest tests/console/test_screenshots.py``.

Without that they are made all the same, and thrown away.
"""

import datetime as dt
import os
import struct
from pathlib import Path

import pytest
from django.utils import timezone

from django_chatapi.actions import channels, presences
from django_chatapi.constants import PresenceState
from django_chatapi.models import CannedAnswer, Client, Dialog, DialogChange, Message
from tests.agents.conftest import client_of, take
from tests.servers import ROOT

from .browser import expect

pytestmark = pytest.mark.django_db(transaction=True)

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
#: A page of documentation should not weigh more because of one of them.
LARGEST = 200_000


@pytest.fixture
def folder(tmp_path):
    chosen = os.environ.get("CHATAPI_SCREENSHOTS")
    return ROOT / chosen if chosen else tmp_path


@pytest.fixture
def daytime():
    """A time zone in which it is about three in the afternoon now: nothing happens at midnight."""
    ahead = (15 - timezone.now().hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


def switch(group, phrase, **attributes):
    return {
        "type": "switch",
        "ignoreOffline": True,
        "sendMessagesToOperator": True,
        "destination": group,
        "firstMessage": phrase,
        "attributes": attributes,
    }


def line(query, answer, *replies):
    return {"query": query, "replies": [{"type": "text", "text": answer}, *replies]}


PROMISE = "The carrier left it at number 12. They bring it to you this evening; if not, I send a new one."
PARCEL = "My parcel says delivered, but nothing came."
SCRIPT = [
    line("Hi", "Hello! I am the shop's assistant. Ask me about orders, returns or opening hours."),
    line(
        "Where is order 4711?",
        "Order 4711 left our warehouse on Friday and was delivered today.",
        {"type": "buttons", "buttons": [{"text": "Thanks!"}, {"text": "Nothing came"}]},
    ),
    line(
        PARCEL,
        "I am sorry. I call a colleague.",
        switch("Sales", PARCEL, Order="4711", City="Leipzig", Plan="Plus"),
    ),
    line("Can I still change the size?", "One moment, please.", switch("Sales", "Can I still change the size?")),
    line("The handle is broken", "One moment, please.", switch("Returns", "The handle is broken")),
    line("Do you ship to Norway?", "I ask a colleague.", switch("Sales", "Do you ship to Norway?")),
    line("Invoice for October", "One moment, please.", switch("Returns", "Invoice for October, please")),
]


@pytest.fixture
def shop(transactional_db):
    options = {"script": SCRIPT, "default": {"text": "Pardon?"}}
    return channels.create(name="Lantern & Loom", bot="recorded", bot_options=options)


def long_ago(client_id, minutes):
    """Let the client have been handed over so many minutes ago, and what they said come shortly before."""
    client, begun = client_of(client_id), timezone.now() - dt.timedelta(minutes=minutes)
    messages = Message.objects.filter(client=client).order_by("-sequence")
    for number, message in enumerate(messages):
        moment = begun - dt.timedelta(seconds=25 * number)
        Message.objects.filter(pk=message.pk).update(created_at=moment)
        Client.objects.filter(pk=client.pk).update(created_at=moment, last_activity_at=begun)
    DialogChange.objects.filter(client=client).update(created_at=begun)
    Dialog.objects.filter(client=client).update(created_at=begun, waiting_since=begun, last_message_at=begun)


@pytest.fixture
def afternoon(shop, hire, visit):
    """A shop in the afternoon; the agent who sits at the desk."""
    kim = hire(shop, "kim", "Kim Lee", groups=("Sales", "Returns"))
    lou = hire(shop, "lou", "Lou Park", groups=("Sales", "Returns"))
    presences.set_presence(agent=hire(shop, "noa", "Noa Weiss", groups=("Returns",)), state=PresenceState.AWAY)
    CannedAnswer.objects.create(shortcut="hi", text="Hello, how can I help?")
    for client_id, said, minutes in [
        ("henrik@example.com", "Can I still change the size?", 6.4),
        ("shopper-2207", "The handle is broken", 3.2),
        ("amira.k", "Do you ship to Norway?", 0.7),
        ("oskar.w", "Invoice for October", 12),
    ]:
        visit(client_id).send(said)
        long_ago(client_id, minutes)
    take(lou, "oskar.w")

    maria = visit("maria.s")
    for text in ("Hi", "Where is order 4711?", PARCEL):
        maria.send(text, cid="web-shop")
    maria.save_state({"page": "/orders/4711", "basket": {"items": 2, "total": "48.90 EUR"}})
    long_ago("maria.s", 1.8)
    return kim, maria


def converse(desk, maria):
    """Kim takes Maria, and they talk."""
    desk.open("maria.s")
    desk.take()
    desk.reply("Hello Maria, I am Kim. Let me look at that for you.")
    for item in maria.poll(cid="web-shop")["events"]:
        maria.report(item["event"]["questionId"], "READ")
    maria.send("Thank you! I was at home all day.", cid="web-shop")
    expect(desk.said("Thank you! I was at home all day.")).to_be_visible()
    desk.note("Carrier's photo shows another front door. New parcel if it is not found by Friday.")
    desk.reply(PROMISE)
    for item in maria.poll(cid="web-shop")["events"]:
        maria.report(item["event"]["questionId"], "DELIVERED")
    expect(desk.mark(PROMISE)).to_have_attribute("data-status", "DELIVERED")


def picture(desk, path, size):
    """Take it, and look whether it is one."""
    desk.page.mouse.move(0, 0)
    expect(desk.page.locator("#console-sending")).to_be_hidden()
    desk.page.evaluate("document.activeElement.blur()")
    desk.page.screenshot(path=path, animations="disabled")
    content = Path(path).read_bytes()
    assert content.startswith(b"\x89PNG\r\n")
    assert struct.unpack(">II", content[16:24]) == (size["width"], size["height"])
    assert 10_000 < len(content) < LARGEST


def test_the_queue(afternoon, sit_down, folder, daytime):
    kim, _ = afternoon
    desk = sit_down(kim, viewport=WIDE, timezone_id=daytime).live()
    expect(desk.rows).to_have_count(4)
    desk.open("henrik@example.com")
    picture(desk, folder / "console-queue.png", WIDE)


def test_a_dialog(afternoon, sit_down, folder, daytime):
    kim, maria = afternoon
    desk = sit_down(kim, viewport=WIDE, timezone_id=daytime).live()
    converse(desk, maria)
    picture(desk, folder / "console-dialog.png", WIDE)


def test_a_phone(afternoon, sit_down, folder, daytime):
    kim, maria = afternoon
    desk = sit_down(kim, viewport=PHONE, timezone_id=daytime, has_touch=True, is_mobile=True).live()
    converse(desk, maria)
    picture(desk, folder / "console-phone.png", PHONE)
