"""What strangers write is shown as they wrote it, and never run."""

import pytest
from django.db import transaction

from django_chatapi.actions import pushes
from django_chatapi.constants import MessageType
from django_chatapi.models import CannedAnswer, Client
from tests.agents.conftest import dialog_of

from .browser import expect, hold, until

pytestmark = pytest.mark.django_db(transaction=True)

IMAGE = '<img src="x" onerror="window.ran = 1; alert(1)">'
SCRIPT = '"><script>window.ran = 1; alert(1)</script>'
DRAWING = "<svg onload='window.ran = 1'><style>*{display:none}</style>"
TEMPLATE = "{{ 7 * 7 }} %(client)s ${window.ran = 1} &lt;b&gt;"
ADDRESS = "javascript:window.ran=1;alert(1)//"
DOCUMENT = "data:text/html,<script>opener.ran=1</script>"
HOSTILE = [IMAGE, SCRIPT, DRAWING, TEMPLATE, ADDRESS, "</script><script>window.ran=1</script>"]


def is_harmless(desk):
    """Nothing that was written became an element or a link to a script, and nothing ran."""
    links = desk.page.evaluate("[...document.querySelectorAll('#chatapi-console a')].map((link) => link.href)")
    page = desk.page.url.partition("#")[0]
    assert all(link.startswith((f"{page}#dialog-", "https://example.com/")) for link in links)
    strange = "script, iframe, object, embed, style, b, [onerror], [onload], [srcdoc], [style]"
    for place in ("#chatapi-console", ".console-box"):
        assert desk.page.locator(f"{place} :is({strange})").count() == 0
    assert desk.page.evaluate("window.ran") is None
    assert desk.asked == []


@pytest.mark.parametrize("client_id", HOSTILE)
def test_a_clients_id_and_texts(desk, visit, client_id):
    visitor = visit(client_id)
    for text in HOSTILE:
        visitor.send(text, cid=text, data={text: text})
    visitor.save_state({IMAGE: [SCRIPT]})
    visitor.ask_for_a_person()
    expect(desk.row(client_id)).to_be_visible()
    desk.open(client_id)
    for text in HOSTILE:
        expect(desk.said(text)).to_be_visible()
        expect(desk.details).to_contain_text(text)
    expect(desk.details.get_by_text(client_id, exact=True).first).to_be_visible()
    expect(desk.page.locator(".console-json").filter(has_text="onerror").last).to_be_attached()
    desk.take()
    visitor.send(SCRIPT + "!")
    expect(desk.said(SCRIPT + "!")).to_be_visible()
    desk.page.locator("#console-close").click()
    expect(desk.page.locator("#console-closing")).to_contain_text(f"{client_id} goes back to the bot.")
    is_harmless(desk)


def test_a_search_for_a_hostile_client(desk, visit):
    visitor = visit(IMAGE)
    visitor.send("hi")
    desk.page.get_by_role("searchbox").fill(IMAGE)
    found = desk.page.locator("#console-results .console-row")
    expect(found).to_contain_text(IMAGE)
    desk.page.get_by_role("searchbox").fill(SCRIPT)
    expect(desk.page.locator("#console-results")).to_contain_text("No client id begins like this.")
    is_harmless(desk)


REPLIES = [
    {"type": "text", "text": IMAGE, "markup": "html"},
    {"type": "text", "text": f"https://example.com/{SCRIPT} and {ADDRESS}"},
    {"type": "buttons", "buttons": [{"text": IMAGE, "transition": SCRIPT}]},
    {"type": "inlineButtons", "buttons": [{"text": "press", "url": ADDRESS}, {"text": IMAGE, "url": DOCUMENT}]},
    {"type": "inlineButtons", "buttons": [{"text": SCRIPT, "url": "https://example.com/?a=\"'><script>"}]},
    {"type": "image", "imageUrl": ADDRESS, "text": SCRIPT},
    {"type": "image", "imageUrl": 'https://example.com/x.png" onerror="window.ran=1', "text": IMAGE},
    {"type": "audio", "audioUrl": DOCUMENT, "audioName": IMAGE},
    {"type": "file", "fileUrl": ADDRESS, "fileName": IMAGE, "mimeType": SCRIPT},
    {"type": "location", "lat": IMAGE, "lon": SCRIPT},
    {"type": "carousel", "text": IMAGE, "content": [
        {"title": IMAGE, "description": SCRIPT, "image": ADDRESS, "url": ADDRESS, "btnText": SCRIPT},
        {"title": 7, "description": None},
    ]},
    {"type": IMAGE, "html": SCRIPT},
    {"type": "__proto__", "text": IMAGE},
    {"type": "constructor", "text": IMAGE},
    {"type": "raw", "html": IMAGE, "replies": [SCRIPT]},
    {"type": "switch", "firstMessage": IMAGE},
    {"type": "text", "text": ["not", "a", "text"]},
    {"type": "buttons", "buttons": "none"},
]  # fmt: skip


def test_replies_of_all_kinds(desk, ann):
    ann.ask_for_a_person()
    client = Client.objects.select_related("channel").get()
    with transaction.atomic():
        pushes.push(client=client, replies=REPLIES, type=MessageType.BOT_RESPONSE)
    desk.page.route("https://example.com/**", lambda route: route.fulfill(status=404))
    desk.open("ann")
    last = desk.entries.locator("[data-side=bot]").last
    expect(last.get_by_text(IMAGE, exact=True).first).to_be_visible()
    expect(last).to_contain_text(f"press ({ADDRESS})")
    expect(last).to_contain_text(DOCUMENT)
    for fold in last.locator("summary").all():
        fold.click()
    expect(last.locator(".console-json")).to_have_count(9)
    is_harmless(desk)


def test_names_attributes_and_notes(make_shop, hire, sit_down, visit):
    channel = make_shop(
        name=IMAGE,
        destination=SCRIPT,
        firstMessage=IMAGE,
        attributes={IMAGE: SCRIPT, "nested": {"key": [DRAWING]}, "__proto__": ADDRESS},
    )
    agent = hire(channel, "kim", f"{IMAGE} {DRAWING}", groups=(SCRIPT,))
    name = agent.get_full_name()
    hire(channel, "lou", SCRIPT, groups=(SCRIPT,))
    CannedAnswer.objects.create(channel=channel, shortcut="x", text=IMAGE)
    CannedAnswer.objects.create(channel=channel, shortcut="<b>y</b>", text=SCRIPT)
    desk, chief = sit_down(agent).live(), sit_down(hire(channel, "pat", "Pat Roy", groups=(SCRIPT,))).live()
    ann = visit("ann", channel=channel)
    desk.serve(ann)
    expect(desk.row("ann")).to_contain_text(IMAGE)
    for text in (IMAGE, SCRIPT, DRAWING, ADDRESS, name):
        expect(desk.details).to_contain_text(text if text != DRAWING else DRAWING.replace('"', '\\"'))
    expect(desk.entries).to_contain_text(f"Taken by {name}")
    desk.note(IMAGE)
    desk.reply(SCRIPT)
    desk.field.fill("/")
    expect(desk.page.get_by_role("option").filter(has_text=IMAGE)).to_be_visible()
    desk.page.get_by_role("option").filter(has_text="<b>y</b>").click()
    expect(desk.field).to_have_value(SCRIPT)

    chief.look_at("others")
    expect(chief.row("ann")).to_contain_text(name)
    chief.open("ann")
    expect(chief.gate).to_contain_text(f"{name} has this dialog.")
    expect(chief.entries.locator(".console-note")).to_contain_text(IMAGE)

    desk.page.locator("#console-transfer").click()
    box = desk.page.locator("#console-transferring")
    expect(box.get_by_text(SCRIPT, exact=True)).to_have_count(2)  # the agent and the group
    is_harmless(desk)
    box.get_by_role("radio").first.check()
    box.get_by_role("button", name="Transfer").click()
    expect(desk.entries).to_contain_text("Transferred to")
    is_harmless(desk)
    is_harmless(chief)
    assert dialog_of("ann").agent != agent


def without_socket(desk):
    desk.page.route_web_socket("**/live", lambda socket: socket.close())


def test_the_fault_of_another_agents_name_is_told_as_text(make_shop, hire, sit_down, visit):
    channel = make_shop()
    slow = sit_down(hire(channel, "pat", "Pat Roy"), before=without_socket)
    desk = sit_down(hire(channel, "kim", f"{IMAGE} {SCRIPT}")).live()
    ann = visit("ann", channel=channel)
    ann.ask_for_a_person()
    slow.in_state("polling")
    slow.open("ann")
    held = hold(slow.page, "**/take")
    slow.page.locator("#console-take").click()
    desk.open("ann")
    desk.take()
    until(slow.page, lambda: held, "the click")
    held.pop().continue_()
    expect(slow.complaint).to_contain_text(f"{IMAGE} {SCRIPT} has already taken this client.")
    is_harmless(slow)
