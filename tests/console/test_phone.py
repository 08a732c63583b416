"""The console on a phone: the lists, a dialog, and back."""

import pytest

from .browser import expect

pytestmark = pytest.mark.django_db(transaction=True)

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def test_list_dialog_and_back(kim, sit_down, ann):
    ann.ask_for_a_person()
    desk = sit_down(kim, **PHONE).live()
    lists, dialog = desk.page.locator("#console-side"), desk.page.locator("#console-open")
    expect(dialog).to_be_hidden()
    desk.row("ann").tap()
    desk.shows("ann")
    expect(lists).to_be_hidden()
    desk.page.locator("#console-take").tap()
    expect(desk.field).to_be_focused()  # by the answer, which leads to the dialog
    desk.field.fill("Hello Ann")
    desk.page.get_by_role("button", name="Send").tap()
    expect(desk.said("Hello Ann")).to_be_in_viewport()
    # All of it fits.
    for locator in (desk.title, desk.field, desk.page.get_by_role("button", name="Send")):
        expect(locator).to_be_in_viewport(ratio=1)
    desk.page.get_by_role("button", name="Back to the list").tap()
    expect(lists).to_be_visible()
    expect(dialog).to_be_hidden()
    expect(desk.tab("mine")).to_have_attribute("aria-selected", "true")

    # The browser's own way back, too; and news of who wrote meanwhile.
    desk.row("ann").tap()
    desk.shows("ann")
    desk.page.go_back()
    expect(lists).to_be_visible()
    ann.send("Are you there?")
    expect(desk.badge("ann")).to_have_text("1")


def test_a_phone_on_its_side(kim, sit_down, ann):
    ann.ask_for_a_person()
    desk = sit_down(kim, **{**PHONE, "viewport": {"width": 844, "height": 390}}).live()
    lists, dialog = desk.page.locator("#console-side"), desk.page.locator("#console-open")
    overflow = "document.scrollingElement.scrollHeight - innerHeight"
    assert desk.page.evaluate(overflow) <= 0
    desk.row("ann").tap()
    desk.shows("ann")
    expect(lists).to_be_hidden()
    desk.page.locator("#console-take").tap()
    expect(desk.field).to_be_focused()
    desk.field.fill("Hello Ann")
    desk.page.get_by_role("button", name="Send").tap()
    expect(desk.said("Hello Ann")).to_be_in_viewport(ratio=1)
    expect(desk.page.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)
    assert desk.page.evaluate(overflow) <= 0
    desk.page.get_by_role("button", name="Back to the list").tap()
    expect(lists).to_be_visible()
    expect(dialog).to_be_hidden()


@pytest.mark.parametrize("width", [320, 390])
def test_nothing_has_to_be_scrolled_sideways(kim, sit_down, visit, shop, width):
    visitor = visit("a-client-with-a-long-name@a-company-with-a-long-name.example.com")
    visitor.send("W" * 400)
    visitor.send(f"https://example.com/{'a' * 300}")
    desk = sit_down(kim, **{**PHONE, "viewport": {"width": width, "height": 700}}).live()
    visitor.ask_for_a_person()

    def fits():
        script = "[document.scrollingElement.scrollWidth, innerWidth, visualViewport.scale]"
        content, window, scale = desk.page.evaluate(script)
        assert content <= window == width
        assert scale == 1

    expect(desk.row(visitor.client_id)).to_be_visible()
    fits()
    desk.open(visitor.client_id)
    expect(desk.said("W" * 400)).to_be_attached()
    fits()
    desk.take()
    desk.reply("M" * 400)
    desk.details.locator("summary").click()
    expect(desk.details).to_contain_text("Gold")
    fits()
    desk.details.locator("summary").click()
    desk.page.locator("#console-transfer").click()
    expect(desk.page.get_by_role("radio").first).to_be_visible()
    expect(desk.page.locator("dialog[open]")).to_be_in_viewport(ratio=1)
    fits()
