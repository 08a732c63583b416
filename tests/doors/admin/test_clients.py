"""Clients in the admin, and their dialogue."""

import re
from itertools import chain

import pytest
from django.utils import timezone

from django_chatapi.actions import requests, states, statuses
from django_chatapi.constants import AnswerState, MessageType, Route, Status
from django_chatapi.models import Client, ClientState, Connection, Message

from .pages import html, queries, url, words


def dialogue(http, client_id="test", **query):
    """The words of a client's dialogue."""
    client = Client.objects.get(client_id=client_id)
    page = html(http, url("client", "change", client.pk), **query)
    return words(page[page.index('id="chatapi-transcript"') :])


class TestList:
    def test_it_names_the_client_and_its_channel(self, admin_client, talk):
        talk(client_id="anna@example.com")
        page = words(html(admin_client, url("client")))
        assert re.search(r"anna@example\.com Test .* 1 \(open\)", page)

    def test_a_client_that_never_said_anything_is_listed(self, admin_client, channel):
        states.save(channel=channel, client_id="silent", value=b"1")
        assert "silent" in words(html(admin_client, url("client")))

    @pytest.mark.parametrize("client_id", [" ", "\u200b", "\n\t"])
    def test_an_id_that_cannot_be_seen_is_spelled_out(self, admin_client, talk, client_id):
        talk(client_id=client_id)
        page = html(admin_client, url("client"))
        link = re.search(r'<bdi class="chatapi-id">([^<]+)</bdi></a>', page)
        assert link
        assert link[1].startswith("&quot;")

    def test_it_takes_as_many_queries_for_many_clients_as_for_one(self, admin_client, talk):
        talk()
        html(admin_client, url("client"))
        with queries() as few:
            html(admin_client, url("client"))
        for number in range(20):
            talk(client_id=str(number))
        with queries() as many:
            html(admin_client, url("client"))
        assert len(few) == len(many)

    @pytest.mark.parametrize("query", [{}, {"q": "te"}, {"q": "test"}, {"channel__id__exact": "1"}, {"o": "1"}])
    def test_it_never_counts_without_a_limit_and_sorts_by_the_key_alone(self, admin_client, talk, query):
        talk()
        with queries() as statements:
            html(admin_client, url("client"), **query)
        counts = [statement for statement in statements if "COUNT(" in statement]
        assert counts
        assert all("LIMIT 10001" in statement for statement in counts)
        orders = [
            s.rsplit("ORDER BY", 1)[1]
            for s in statements
            if '"django_chatapi_client"."client_id"' in s and "ORDER BY" in s
        ]
        assert all('"django_chatapi_client"."id" DESC' in order for order in orders)

    def test_a_full_list_says_that_there_are_more(self, admin_client, talk, monkeypatch):
        monkeypatch.setattr("django_chatapi.admin.bounds.ROW_LIMIT", 2)
        for number in range(3):
            talk(client_id=str(number))
        page = words(html(admin_client, url("client")))
        assert "There are more than these 2. Search or filter to find the others." in page
        Client.objects.first().delete()
        assert "There are more" not in words(html(admin_client, url("client")))

    def test_it_is_filtered_by_channel(self, admin_client, talk, make_channel):
        other = make_channel(name="Other")
        talk(client_id="here")
        talk(client_id="there", on=other)
        page = words(html(admin_client, url("client"), channel__id__exact=other.pk))
        assert "there" in page
        assert "here Test" not in page


class TestSearch:
    @pytest.fixture(autouse=True)
    def clients(self, talk, make_channel):
        for client_id in ("ann", "ann-1", "ann-2", "Lee, B  C", "%", "100% sure", "a_b"):
            talk(client_id=client_id)
        talk(client_id="ann", on=make_channel(name="Other"))

    def found(self, http, term):
        page = html(http, url("client"), q=term)
        return sorted(re.findall(r'<bdi class="chatapi-id">([^<]+)</bdi>', page))

    def test_a_whole_id_finds_that_client_on_every_channel(self, admin_client):
        assert self.found(admin_client, "ann") == ["ann", "ann"]

    def test_a_beginning_finds_all_that_begin_so(self, admin_client):
        assert self.found(admin_client, "ann-") == ["ann-1", "ann-2"]

    def test_a_part_from_the_middle_finds_nothing(self, admin_client):
        assert self.found(admin_client, "nn-1") == []

    @pytest.mark.parametrize("term", ["Lee, B  C", "%", "100% s", "a_"])
    def test_every_character_stands_for_itself(self, admin_client, term):
        assert len(self.found(admin_client, term)) == 1

    def test_nothing_asked_for_is_everything(self, admin_client):
        assert len(self.found(admin_client, " ")) == 8


class TestDialogue:
    def test_it_reads_from_the_oldest_to_the_newest_with_who_said_it(self, admin_client, talk):
        talk("How are you?", [{"type": "text", "text": "I am a bot"}])
        talk("And now?", [{"type": "text", "text": "Still"}])
        text = dialogue(admin_client)
        assert re.search(
            r"A session starts Client [\d:]+ How are you\? Details Bot [\d:]+ I am a bot Sent Details "
            r"Client [\d:]+ And now\? Details Bot [\d:]+ Still Sent Details",
            text,
        )

    def test_an_agent_is_called_one(self, admin_client, talk):
        client = talk().client
        Message.objects.create(
            client=client,
            sequence=client.last_sequence + 2,
            created_at=timezone.now(),
            type=MessageType.HUMAN_RESPONSE,
            route=Route.PUSH,
            question_id="01930000-0000-7000-8000-000000000001",
            data={"replies": [{"type": "text", "text": "Maria here"}], "answer": "Maria here"},
            status=Status.NOT_SENT,
        )
        Client.objects.update(last_sequence=client.last_sequence + 2)
        assert re.search(r"Agent [\d:]+ Maria here Not sent Details", dialogue(admin_client))

    def test_it_shows_how_far_an_answer_got(self, admin_client, talk):
        request = talk()
        receipt = statuses.Receipt(request.question_id, Status.READ)
        statuses.update(client=request.client, receipts=[receipt])
        assert "Hello Read Details" in dialogue(admin_client)

    def test_times_are_local(self, admin_client, talk, settings):
        moment = talk().created_at
        settings.TIME_ZONE = "Asia/Kathmandu"
        local = timezone.localtime(moment, timezone.get_default_timezone())
        assert local.utcoffset().total_seconds() == 20700
        assert f"Client {local:%H:%M:%S} hi" in dialogue(admin_client)

    def test_an_event_shows_its_name_and_its_data(self, admin_client, talk):
        talk(None, event_name="pageOpened", data={"page": "Caddie à roulettes"})
        assert 'Event pageOpened Data { "page": "Caddie à roulettes" }' in dialogue(admin_client)

    def test_sessions_are_divided(self, admin_client, talk):
        talk("bye", end_session=True)
        talk("again")
        text = dialogue(admin_client)
        assert text.count("A session starts") == 2
        assert re.search(r"The bot ends the session A session starts Client [\d:]+ again", text)

    @pytest.mark.parametrize(
        ("state", "words_of_it"), [(AnswerState.FAILED, "Failed"), (AnswerState.INTERRUPTED, "Interrupted")]
    )
    def test_a_failure_is_shown_with_its_reason(self, admin_client, talk, state, words_of_it):
        talk(state=state, failure="ValueError: no such <page>")
        assert f"hi {words_of_it} ValueError: no such <page>" in dialogue(admin_client)

    def test_a_request_that_waits_says_so(self, admin_client, channel):
        requests.accept(channel=channel, client_id="test", query="hi")
        assert "hi Waiting for the bot" in dialogue(admin_client)

    def test_a_very_long_text_is_cut_and_says_by_how_much(self, admin_client, talk):
        talk("x" * 9_000)
        text = dialogue(admin_client)
        assert "x" * 5_000 + "… (4000 more characters)" in text
        assert "x" * 5_001 not in text

    def test_a_client_without_messages_has_an_empty_one(self, admin_client, channel):
        states.save(channel=channel, client_id="test", value=b"1")
        assert "No messages here" in dialogue(admin_client)

    @pytest.mark.parametrize(
        "client_id", ["a/b", "W" * 255, "👩‍👩‍👧‍👦", "مستخدم", '"><img src=x onerror=alert(1)>', "_2F"]
    )
    def test_any_client_id_has_a_page(self, admin_client, talk, client_id):
        talk(client_id=client_id)
        assert "Hello" in dialogue(admin_client, client_id)


class TestReplies:
    def show(self, http, talk, *replies):
        talk(replies=list(replies))
        client = Client.objects.get()
        page = html(http, url("client", "change", client.pk))
        return page[page.index('id="chatapi-transcript"') :]

    def test_buttons(self, admin_client, talk):
        page = self.show(
            admin_client,
            talk,
            {"type": "buttons", "buttons": [{"text": "Yes"}, {"text": "No", "transition": "/n"}]},
        )
        assert re.search(r"<li>\s*<bdi>Yes</bdi>\s*</li>\s*<li>\s*<bdi>No</bdi>", page)

    def test_inline_buttons_lead_where_they_say(self, admin_client, talk):
        button = {"text": "Shop", "url": "https://shop.example.com/?a=1&b=2"}
        page = self.show(admin_client, talk, {"type": "inlineButtons", "buttons": [button]})
        assert '<a href="https://shop.example.com/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer' in page
        assert "<bdi>Shop</bdi>" in page

    def test_an_image_is_a_link_and_is_not_loaded(self, admin_client, talk):
        page = self.show(
            admin_client, talk, {"type": "image", "imageUrl": "https://i.example.com/1.png", "text": "A cat"}
        )
        assert 'href="https://i.example.com/1.png"' in page
        assert "Image A cat" in words(page)
        assert "<img" not in page

    def test_audio_file_and_location(self, admin_client, talk):
        page = self.show(
            admin_client,
            talk,
            {"type": "audio", "audioUrl": "https://a.example.com/1.mp3"},
            {
                "type": "file",
                "fileUrl": "http://a.example.com/1.pdf",
                "fileName": "1.pdf",
                "mimeType": "application/pdf",
            },
            {"type": "location", "lat": 52.5, "lon": -13},
        )
        assert "Audio https://a.example.com/1.mp3" in words(page)
        assert "File 1.pdf · application/pdf" in words(page)
        assert "Location 52.5, -13" in words(page)

    def test_a_carousel(self, admin_client, talk):
        card = {
            "title": "Tea",
            "description": "Green",
            "image": "https://i.example.com/t.png",
            "url": "https://s.example.com/t",
            "btnText": "Buy",
        }
        page = self.show(admin_client, talk, {"type": "carousel", "text": "Choose", "content": [card]})
        assert "Choose Tea Green Image Buy" in words(page)
        assert 'href="https://s.example.com/t"' in page

    def test_a_switch_names_the_hand_over(self, admin_client, talk):
        page = self.show(admin_client, talk, {"type": "switch", "firstMessage": "Help him"})
        assert 'Hand-over to an agent { "firstMessage": "Help him" }' in words(page)

    @pytest.mark.parametrize(
        "reply",
        [
            {"type": "hologram", "depth": [1, {"ü": None}]},
            {"type": "timeout", "interval": 5},
            {"type": "text"},
            {"type": "text", "text": 5},
            {"type": "buttons", "buttons": "none"},
            {"type": "buttons", "buttons": ["Yes"]},
            {"type": "inlineButtons", "buttons": [{"text": "no url"}]},
            {"type": "image", "imageUrl": None},
            {"type": "location", "lat": "north", "lon": None},
            {"type": "carousel", "content": {"title": "no list"}},
        ],
    )
    def test_what_is_unknown_or_of_another_shape_is_shown_as_json(self, admin_client, talk, reply):
        page = words(self.show(admin_client, talk, reply))
        for key in reply:
            assert f'"{key}"' in page

    def test_an_answer_without_replies_says_so(self, admin_client, talk):
        talk(replies=[])
        assert "No replies Sent" in dialogue(admin_client)

    @pytest.mark.parametrize(
        "address",
        ["javascript:alert(1)", " javascript:alert(1)", "data:text/html,x", "//evil.example.com", "\x01https://x"],
    )
    def test_only_web_addresses_become_links(self, admin_client, talk, address):
        page = self.show(
            admin_client,
            talk,
            {"type": "inlineButtons", "buttons": [{"text": "Click", "url": address}]},
            {"type": "image", "imageUrl": address, "text": "Look"},
            {"type": "audio", "audioUrl": address},
            {"type": "file", "fileUrl": address, "fileName": "f"},
            {"type": "carousel", "content": [{"title": "t", "image": address, "url": address, "btnText": "Go"}]},
        )
        own = re.findall(r'href="([^"]*)"', page)
        assert own
        assert all(link.startswith(("/", "?", "#")) and not link.startswith("//") for link in own)
        assert "Click (" in words(page)


class TestPaging:
    @pytest.fixture(autouse=True)
    def small_pages(self, monkeypatch, talk):
        monkeypatch.setattr("django_chatapi.admin.transcript.PAGE", 4)
        for number in range(5):
            talk(f"question{number}", [{"type": "text", "text": f"answer{number}"}])

    def said(self, http, **query):
        return re.findall(r"(?:question|answer)\d", dialogue(http, **query))

    def links(self, http, **query):
        page = html(http, url("client", "change", Client.objects.get().pk), **query)
        found = re.findall(r'<a href="[^"]*\?(before|after)=(\d+)[^"]*" rel="(\w+)">', page)
        return {rel: {name: number} for name, number, rel in found}

    def test_the_latest_page_comes_first(self, admin_client):
        assert self.said(admin_client) == ["question3", "answer3", "question4", "answer4"]
        assert list(self.links(admin_client)) == ["prev"]

    def test_turning_back_and_forth_shows_every_message_once(self, admin_client):
        pages, query = [], {}
        while True:
            pages.insert(0, self.said(admin_client, **query))
            links = self.links(admin_client, **query)
            if "prev" not in links:
                break
            query = links["prev"]
        everything = [f"{kind}{number}" for number in range(5) for kind in ("question", "answer")]
        assert list(chain(*pages)) == everything
        forth = [self.said(admin_client, **query)]
        while "next" in (links := self.links(admin_client, **query)):
            query = links["next"]
            forth.append(self.said(admin_client, **query))
        assert list(chain(*forth)) == everything

    @pytest.mark.parametrize("query", [{"before": "x"}, {"after": "9" * 40}, {"before": "-1"}, {"after": "²"}])
    def test_nonsense_is_the_latest_page(self, admin_client, query):
        assert self.said(admin_client, **query) == self.said(admin_client)

    def test_a_page_beyond_the_end_is_empty(self, admin_client):
        assert self.said(admin_client, after="1000") == []
        assert self.said(admin_client, before="1") == []

    def test_the_filter_of_the_list_is_kept(self, admin_client):
        path = url("client", "change", Client.objects.get().pk)
        page = html(admin_client, path, _changelist_filters="q=te")
        assert re.search(r'\?_changelist_filters=q%3Dte&amp;before=\d+#chatapi-transcript"', page)


class TestState:
    def state(self, http, value):
        states.save(channel=self.channel, client_id="test", value=value)
        page = html(http, url("client", "change", Client.objects.get().pk))
        return page[page.index('id="chatapi-state"') :]

    @pytest.fixture(autouse=True)
    def on(self, channel):
        self.channel = channel

    def test_it_is_laid_out(self, admin_client):
        page = self.state(admin_client, '{"b":[1],"a":"ж"}'.encode())
        assert "{\n  &quot;b&quot;: [\n    1\n  ],\n  &quot;a&quot;: &quot;ж&quot;\n}" in page

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (b"\xff\xfe<b>", "\\xff\\xfe<b>"),
            (b"no json", "no json"),
            (b"[" * 100_000, "[[["),
            (rb'"\ud800"', '"\\ud800"'),
            (b"1" * 5_000, "111"),
            (b"", ""),
        ],
    )
    def test_whatever_was_stored_is_shown(self, admin_client, value, shown):
        assert shown in words(self.state(admin_client, value))


def test_the_latest_connections_are_listed(admin_client, talk):
    client = talk(connection_id="tab-of-anna").client
    Connection.objects.bulk_create(Connection(client=client, connection_id=f"later-{n}") for n in range(20))
    page = words(html(admin_client, url("client", "change", client.pk)))
    assert "later-19" in page
    assert "tab-of-anna" not in page


def test_the_page_takes_as_many_queries_for_a_long_dialogue_as_for_a_short_one(admin_client, talk):
    client = talk(connection_id="tab").client
    path = url("client", "change", client.pk)
    html(admin_client, path)
    with queries() as few:
        html(admin_client, path)
    for _number in range(30):
        talk(connection_id="tab")
    with queries() as many:
        html(admin_client, path)
    assert len(few) == len(many)
    with queries() as middle:
        html(admin_client, path, before=55)
    assert len(middle) <= len(many) + 1
    assert not [statement for statement in [*many, *middle] if "OFFSET" in statement]


class TestReadOnly:
    def test_nobody_adds_or_changes_a_client(self, admin_client, talk):
        client = talk().client
        assert admin_client.get(url("client", "add")).status_code == 403
        response = admin_client.post(url("client", "change", client.pk), {"client_id": "other"})
        assert response.status_code == 403
        assert Client.objects.get().client_id == "test"

    def test_one_is_deleted_with_all_that_was_said(self, admin_client, talk, channel):
        client = talk(connection_id="tab").client
        states.save(channel=channel, client_id="test", value=b"1")
        assert "Messages: 2" in words(html(admin_client, url("client", "delete", client.pk)))
        admin_client.post(url("client", "delete", client.pk), {"post": "yes"})
        left = [model.objects.count() for model in (Client, Message, Connection, ClientState)]
        assert left == [0, 0, 0, 0]

    def test_one_with_too_much_to_delete_stays(self, admin_client, talk, monkeypatch):
        monkeypatch.setattr("django_chatapi.admin.bounds.ROW_LIMIT", 1)
        client = talk().client
        page = words(html(admin_client, url("client", "delete", client.pk)))
        assert "more than 1 messages, too many to delete from here" in page
        admin_client.post(url("client", "delete", client.pk), {"post": "yes"})
        assert Client.objects.exists()
