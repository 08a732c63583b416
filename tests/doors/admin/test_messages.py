"""Messages in the admin."""

import datetime as dt
import re
import uuid

import pytest

from django_chatapi.actions import states, statuses
from django_chatapi.constants import AnswerState, MessageType, Status
from django_chatapi.models import Channel, Client, Message

from .pages import html, queries, url, words


def answer_to(request: Message) -> Message:
    return Message.objects.get(question_id=request.question_id, type=MessageType.BOT_RESPONSE)


class TestList:
    def test_it_says_who_said_what_and_what_became_of_it(self, admin_client, talk):
        talk("How are you?", client_id="anna")
        page = words(html(admin_client, url("message")))
        assert re.search(r"bot answer Hello anna Test sent .* request How are you\? anna Test answered", page)

    @pytest.mark.parametrize(
        ("request_fields", "replies", "shown"),
        [
            ({"query": "x" * 500}, [], "x" * 79 + "…"),
            ({"query": None, "event_name": "opened"}, [], "Event opened"),
            ({"query": "a\n\n  b"}, [], "a b"),
            (
                {"query": "hi"},
                [{"type": "image", "imageUrl": "https://i.example.com"}, {"type": "switch"}],
                "[image], [switch]",
            ),
        ],
    )
    def test_each_message_is_one_short_line(self, admin_client, talk, request_fields, replies, shown):
        talk(replies=replies, **request_fields)
        found = re.findall(
            r'<td class="field-short_text"><bdi class="chatapi-id">([^<]*)</bdi>',
            html(admin_client, url("message")),
        )
        assert shown in found

    def test_a_failure_stands_out(self, admin_client, talk):
        talk(state=AnswerState.FAILED)
        assert '<strong class="chatapi-failed">failed</strong>' in html(admin_client, url("message"))

    def test_it_takes_as_many_queries_for_many_messages_as_for_one(self, admin_client, talk, make_channel):
        talk()
        html(admin_client, url("message"))
        with queries() as few:
            html(admin_client, url("message"))
        other = make_channel()
        for number in range(15):
            talk(client_id=str(number), on=other)
        with queries() as many:
            html(admin_client, url("message"))
        assert len(many) == len(few)

    @pytest.mark.parametrize(
        "query",
        [{}, {"q": "test"}, {"type__exact": "request"}, {"client__channel__id__exact": "1"}, {"o": "2.-6"}],
    )
    def test_it_never_counts_without_a_limit_and_sorts_by_the_key_alone(self, admin_client, talk, query):
        talk()
        with queries() as statements:
            html(admin_client, url("message"), **query)
        counts = [statement for statement in statements if "COUNT(" in statement]
        assert counts
        assert all("LIMIT 10001" in statement for statement in counts)
        page = next(s for s in statements if '"django_chatapi_message"."question_id"' in s and "ORDER BY" in s)
        assert page.rsplit("ORDER BY", 1)[1].split("LIMIT")[0].strip() == '"django_chatapi_message"."id" DESC'

    def test_it_does_not_read_the_bodies_of_requests(self, admin_client, talk):
        talk()
        with queries() as statements:
            html(admin_client, url("message"))
        assert not [statement for statement in statements if "raw_request" in statement]

    def test_it_is_filtered_by_type_status_answer_and_channel(self, admin_client, talk, make_channel):
        other = make_channel(name="Other")
        talk("first", client_id="one")
        talk("second", client_id="two", on=other, state=AnswerState.INTERRUPTED)

        def rows(**query):
            return html(admin_client, url("message"), **query).count('class="field-short_text"')

        assert rows() == 4
        assert rows(type__exact="request") == 2
        assert rows(status__exact="SENT") == 2
        assert rows(status__exact="READ") == 0
        assert rows(answer_state__exact="interrupted") == 1
        assert rows(client__channel__id__exact=other.pk) == 2

    def test_it_is_not_filtered_by_a_list_of_all_clients(self, admin_client, talk):
        for number in range(3):
            talk(client_id=f"client-number-{number}")
        page = html(admin_client, url("message"), type__exact="botResponse")
        sidebar = page[page.index('id="changelist-filter"') :].split('id="result_list"')[0]
        assert "client-number" not in sidebar


class TestSearch:
    def found(self, http, term):
        page = html(http, url("message"), q=term)
        return re.findall(r'<td class="field-type">([^<]*)</td>', page)

    def test_a_question_id_finds_the_request_and_its_answers(self, admin_client, talk):
        request = talk()
        talk("another")
        for term in (str(request.question_id), f" {request.question_id} ", str(request.question_id).upper()):
            assert self.found(admin_client, term) == ["bot answer", "request"]

    def test_a_client_id_finds_all_that_was_said_with_that_client(self, admin_client, talk, make_channel):
        talk(client_id="anna")
        talk(client_id="anna", on=make_channel(name="Other"))
        talk(client_id="anna-2")
        assert len(self.found(admin_client, "anna")) == 4

    def test_a_client_id_that_is_a_uuid_is_found_as_well(self, admin_client, talk):
        client_id = str(uuid.uuid4())
        talk(client_id=client_id)
        assert len(self.found(admin_client, client_id)) == 2

    def test_anything_else_finds_nothing(self, admin_client, talk):
        talk("hello")
        for term in ("hello", "tes", str(uuid.uuid4())):
            assert self.found(admin_client, term) == []


class TestPage:
    def test_an_answer_has_its_history_of_statuses_from_the_first_one(self, admin_client, talk):
        request = talk()
        for status in (Status.DELIVERED, Status.READ, Status.DELIVERED):
            statuses.update(client=request.client, receipts=[statuses.Receipt(request.question_id, status)])
        page = html(admin_client, url("message", "change", answer_to(request).pk))
        history = words(page[page.index('id="chatapi-statuses"') :])
        moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
        rows = [rf"{status} {moment} {moment}" for status in ("Sent", "Delivered", "Read", "Delivered")]
        assert re.search(" ".join(rows), history)

    def test_a_long_history_shows_its_latest_part(self, admin_client, talk, monkeypatch):
        monkeypatch.setattr("django_chatapi.admin.messages.STATUS_CHANGES", 2)
        request = talk()
        for status in (Status.READ, Status.DELIVERED, Status.SENT):
            statuses.update(client=request.client, receipts=[statuses.Receipt(request.question_id, status)])
        page = html(admin_client, url("message", "change", answer_to(request).pk))
        history = page[page.index('id="chatapi-statuses"') :]
        assert re.findall(r"<tr><td>(\w+)</td>", history) == ["Sent", "Delivered", "Sent"]

    def test_a_request_has_no_history_of_statuses(self, admin_client, talk):
        assert "Status history" not in words(html(admin_client, url("message", "change", talk().pk)))

    def test_a_request_shows_all_that_is_known_of_it(self, admin_client, talk):
        request = talk(
            "hi",
            connection_id="tab-1",
            data={"a": 1},
            raw_request={"clientId": "test", "clientInfo": {"os": "Plan 9"}},
            idempotency_key="key-1",
            state=AnswerState.INTERRUPTED,
            failure="KeyError: 'x'",
        )
        page = words(html(admin_client, url("message", "change", request.pk)))
        for text in (
            str(request.question_id),
            "tab-1",
            '{ "a": 1 }',
            '"clientInfo": { "os": "Plan 9" }',
            "key-1",
            "Answer: interrupted",
            "Failure: KeyError: 'x'",
            "Times asked: 1",
            "Channel: Test",
        ):
            assert text in page

    def test_a_very_long_text_is_shown_to_its_end(self, admin_client, talk):
        request = talk("x" * 9_999 + "!")
        assert "x" * 9_999 + "!" in html(admin_client, url("message", "change", request.pk))

    def test_it_leads_to_its_place_in_the_dialogue(self, admin_client, talk):
        request = talk("find me")
        for number in range(40):
            talk(f"later {number}")
        page = html(admin_client, url("message", "change", request.pk))
        link = re.search(r'<a href="([^"]*\?before=\d+)#chatapi-transcript">Show it in the transcript', page)
        assert link
        dialogue = words(html(admin_client, link[1]))
        assert "find me" in dialogue
        assert "later" not in dialogue

    def test_nobody_adds_changes_or_deletes_a_message(self, admin_client, talk):
        request = talk()
        assert admin_client.get(url("message", "add")).status_code == 403
        assert admin_client.post(url("message", "change", request.pk), {"query": "other"}).status_code == 403
        assert admin_client.post(url("message", "delete", request.pk), {"post": "yes"}).status_code == 403
        assert Message.objects.filter(query="hi").exists()


EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>"


def test_what_people_and_bots_say_is_never_markup(admin_client, talk, channel):
    Channel.objects.update(name=EVIL)
    card = ("title", "description", "image", "url", "btnText")
    request = talk(
        EVIL,
        [
            {"type": "text", "text": EVIL, "markup": "html"},
            {"type": "buttons", "buttons": [{"text": EVIL}]},
            {"type": "inlineButtons", "buttons": [{"text": EVIL, "url": f"https://e.example.com/{EVIL}"}]},
            {"type": "image", "imageUrl": EVIL, "text": EVIL},
            {"type": "file", "fileUrl": f"https://e.example.com/{EVIL}", "fileName": EVIL, "mimeType": EVIL},
            {"type": "carousel", "text": EVIL, "content": [dict.fromkeys(card, EVIL)]},
            {"type": EVIL, EVIL: EVIL},
        ],
        client_id=EVIL,
        connection_id=EVIL,
        data={EVIL: EVIL},
        raw_request={EVIL: EVIL},
        failure=EVIL,
        state=AnswerState.INTERRUPTED,
    )
    talk(None, event_name=EVIL, client_id=EVIL)
    states.save(channel=channel, client_id=EVIL, value=EVIL.encode(), connection_id=EVIL)
    client = request.client
    for path in (
        url("channel"),
        url("channel", "change", channel.pk),
        url("channel", "rotate_token", channel.pk),
        url("channel", "delete", channel.pk),
        url("client"),
        url("client", "change", client.pk),
        url("client", "delete", client.pk),
        url("message"),
        url("message", "change", request.pk),
        url("message", "change", answer_to(request).pk),
    ):
        page = html(admin_client, path)
        assert "<script>alert" not in page, path
        assert "<img src=x" not in page, path
        assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x" in page, path


def test_the_pages_need_no_inline_script_or_style(admin_client, talk, channel):
    request = talk(replies=[{"type": "buttons", "buttons": [{"text": "Yes"}]}])
    for path in (
        url("channel"),
        url("channel", "add"),
        url("channel", "change", channel.pk),
        url("channel", "rotate_token", channel.pk),
        url("client"),
        url("client", "change", request.client.pk),
        url("message"),
        url("message", "change", request.pk),
    ):
        page = html(admin_client, path)
        scripts = re.findall(r"<script\b([^>]*)>", page)
        assert all("src=" in attributes for attributes in scripts), path
        assert "<style" not in page, path
        assert not re.search(r'<[^>]*\s(style|on[a-z]+)="', page), path


@pytest.mark.parametrize("model", ["message", "client", "channel"])
def test_times_are_told_to_the_second(admin_client, talk, model):
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc)
    request = talk()
    Message.objects.update(created_at=moment)
    Client.objects.update(created_at=moment, last_activity_at=moment)
    Channel.objects.update(created_at=moment)
    assert "2026-01-02 03:04:05" in words(html(admin_client, url(model)))
    if model != "channel":
        pk = request.pk if model == "message" else request.client_id
        assert "2026-01-02 03:04:05" in words(html(admin_client, url(model, "change", pk)))
