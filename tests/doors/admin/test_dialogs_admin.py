"""Agents in the admin: their groups, canned answers, and the record of their dialogs."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from django_chatapi import dialog_selectors
from django_chatapi.actions import dialogs
from django_chatapi.models import AgentGroup, CannedAnswer, Client, Dialog, DialogChange, DialogNote

from .pages import html, queries, url, words

pytestmark = pytest.mark.django_db

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>"
MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture
def agent(db):
    user = User.objects.create_user("kim", first_name="Kim", last_name="Lee")
    user.user_permissions.add(Permission.objects.get(codename="answer_client"))
    return user


@pytest.fixture
def sales(channel, agent):
    group = AgentGroup.objects.create(channel=channel, name="Sales")
    group.members.add(agent)
    return group


@pytest.fixture
def taken(talk, agent):
    """A client who says something, whom an agent then takes; gives the dialog."""

    def take(client_id="ann", **columns):
        client = talk("help me", client_id=client_id).client
        dialog = dialogs.take_client(client=client, agent=agent)
        Dialog.objects.filter(pk=dialog.pk).update(**columns)
        return Dialog.objects.get(pk=dialog.pk)

    return take


class TestGroups:
    def test_the_list_says_how_many_belong_to_each(self, admin_client, sales, channel):
        AgentGroup.objects.create(channel=channel, name="Empty")
        assert re.search(r"Empty Test 0 Sales Test 1 ", words(html(admin_client, url("agentgroup"))))

    def test_it_takes_as_many_queries_for_many_groups_as_for_one(self, admin_client, sales, make_channel, agent):
        html(admin_client, url("agentgroup"))
        with queries() as few:
            html(admin_client, url("agentgroup"))
        for number in range(10):
            group = AgentGroup.objects.create(channel=make_channel(name=str(number)), name="More")
            group.members.add(agent)
        with queries() as many:
            html(admin_client, url("agentgroup"))
        assert len(many) == len(few)

    def test_its_page_holds_its_members_and_not_every_user(self, admin_client, sales):
        User.objects.create_user("stranger")
        page = html(admin_client, url("agentgroup", "change", sales.pk))
        assert ">kim</option>" in page
        assert "admin-autocomplete" in page
        assert "stranger" not in page

    def test_who_may_not_see_users_names_members_by_key(self, staff, sales, agent):
        http = staff("change_agentgroup")
        other = User.objects.create_user("other")
        page = html(http, url("agentgroup", "change", sales.pk))
        assert "admin-autocomplete" not in page
        members = f"{agent.pk},{other.pk}"
        response = http.post(url("agentgroup", "change", sales.pk), {"name": "Sales", "members": members})
        assert response.status_code == 302
        assert set(sales.members.all()) == {agent, other}

    def test_one_is_made_and_stays_with_its_channel(self, admin_client, channel, make_channel, agent):
        form = {"channel": channel.pk, "name": "Support", "members": [agent.pk]}
        assert admin_client.post(url("agentgroup", "add"), form).status_code == 302
        group = AgentGroup.objects.get()
        assert list(group.members.all()) == [agent]
        other = {**form, "channel": make_channel(name="Other").pk, "name": "Renamed"}
        assert admin_client.post(url("agentgroup", "change", group.pk), other).status_code == 302
        group.refresh_from_db()
        assert (group.channel, group.name) == (channel, "Renamed")

    def test_a_channel_has_no_two_groups_of_one_name(self, admin_client, sales, channel):
        response = admin_client.post(url("agentgroup", "add"), {"channel": channel.pk, "name": "Sales"})
        assert "already exists" in words(response.content.decode())
        assert AgentGroup.objects.count() == 1

    def test_the_dialogs_of_one_that_is_deleted_are_for_all(self, admin_client, sales, taken):
        dialog = taken(group=sales)
        assert admin_client.post(url("agentgroup", "delete", sales.pk), {"post": "yes"}).status_code == 302
        dialog.refresh_from_db()
        assert dialog.group is None

    def test_who_deletes_one_is_told_first_that_its_dialogs_will_be_for_all(self, admin_client, sales, taken):
        warning = "All agents of the channel will see the dialogs"
        path, several = url("agentgroup", "delete", sales.pk), {"action": "delete_selected"}
        several["_selected_action"] = [sales.pk]
        assert warning not in html(admin_client, path)
        taken(group=sales)
        assert warning in html(admin_client, path)
        assert warning in admin_client.post(url("agentgroup"), several).content.decode()
        done = admin_client.post(url("agentgroup"), {**several, "post": "yes"}, follow=True)
        assert warning not in done.content.decode()
        assert not AgentGroup.objects.exists()


class TestCannedAnswers:
    def test_they_are_listed_with_their_channel_on_one_line(self, admin_client, channel):
        CannedAnswer.objects.create(shortcut="hi", text="Hello,\nhow can\tI help?")
        CannedAnswer.objects.create(shortcut="long", text="x" * 9_000, channel=channel)
        page = words(html(admin_client, url("cannedanswer")))
        assert "hi Hello, how can I help? all" in page
        assert f"long {'x' * 79}… Test" in page

    def test_one_is_made(self, admin_client):
        form = {"shortcut": "hi", "channel": "", "text": "Hello"}
        assert admin_client.post(url("cannedanswer", "add"), form).status_code == 302
        assert CannedAnswer.objects.get().text == "Hello"

    def test_it_takes_as_many_queries_for_many_as_for_one(self, admin_client, make_channel):
        def make(number):
            CannedAnswer.objects.create(shortcut=f"s{number}", text="t", channel=make_channel(name=str(number)))

        make(0)
        html(admin_client, url("cannedanswer"))
        with queries() as few:
            html(admin_client, url("cannedanswer"))
        for number in range(1, 10):
            make(number)
        with queries() as many:
            html(admin_client, url("cannedanswer"))
        assert len(many) == len(few)


class TestList:
    def rows(self, http, **query):
        page = html(http, url("dialog"), **query)
        return re.findall(r'<bdi class="chatapi-id">([^<]+)</bdi></a>', page)

    def test_it_says_who_is_with_whom_since_when(self, admin_client, taken, sales):
        now = timezone.now()
        taken("ann", group=sales)
        taken("ben", state="waiting", agent=None, waiting_since=now)
        taken("cat", state="closed", closed_at=now)
        page = words(html(admin_client, url("dialog")))
        assert re.search(
            rf"cat Test closed kim all {MOMENT} ben Test waiting – all {MOMENT} ann Test open kim Sales – ", page
        )

    def test_it_is_filtered_by_state_and_channel(self, admin_client, taken, make_channel):
        taken("ann")
        taken("ben", state="closed", channel=make_channel(name="Other"))
        assert self.rows(admin_client, state__exact="open") == ["ann"]
        assert self.rows(admin_client, channel__id__exact=Dialog.objects.get(search_key="ben").channel_id) == [
            "ben"
        ]

    def test_the_beginning_of_a_client_id_finds_it_in_any_case(self, admin_client, taken):
        for client_id in ("Ann", "annette", "joann", "%", "Lee, B  C"):
            taken(client_id)
        assert self.rows(admin_client, q="ANN") == ["annette", "Ann"]
        assert self.rows(admin_client, q="%") == ["%"]
        assert self.rows(admin_client, q="lee, b  ") == ["Lee, B  C"]
        assert len(self.rows(admin_client, q=" ")) == 5

    @pytest.mark.parametrize(
        "query", [{}, {"q": "a"}, {"state__exact": "open"}, {"channel__id__exact": "1"}, {"o": "3"}]
    )
    def test_it_never_counts_without_a_limit_and_sorts_by_the_key_alone(self, admin_client, taken, query):
        taken()
        with queries() as statements:
            html(admin_client, url("dialog"), **query)
        counts = [statement for statement in statements if "COUNT(" in statement]
        assert counts
        assert all("LIMIT 10001" in statement for statement in counts)
        page = next(s for s in statements if '"django_chatapi_dialog"."unread"' in s and "ORDER BY" in s)
        assert page.rsplit("ORDER BY", 1)[1].split("LIMIT")[0].strip() == '"django_chatapi_dialog"."id" DESC'

    def test_it_takes_as_many_queries_for_many_dialogs_as_for_one(self, admin_client, taken, sales):
        taken(group=sales)
        html(admin_client, url("dialog"))
        with queries() as few:
            html(admin_client, url("dialog"))
        for number in range(10):
            other = User.objects.create_user(f"agent-{number}")
            group = AgentGroup.objects.create(channel=sales.channel, name=str(number))
            taken(str(number), agent=other, group=group)
        with queries() as many:
            html(admin_client, url("dialog"))
        assert len(many) == len(few)


class TestPage:
    def test_it_says_what_the_switch_said_and_hides_nothing(self, admin_client, taken):
        dialog = taken(
            first_message="Wants a refund",
            farewell="Back with the bot",
            close_phrases=["bye"],
            attributes={"order": 17},
            hidden_attributes={"score": "low"},
        )
        page = words(html(admin_client, url("dialog", "change", dialog.pk)))
        for text in ("Wants a refund", "Back with the bot", '"bye"', '"order": 17', '"score": "low"'):
            assert text in page

    def test_it_lists_what_happened_and_what_colleagues_wrote(self, admin_client, taken, agent):
        dialog = taken()
        dialogs.write_note(dialog=dialog, agent=agent, text="Be kind to her")
        dialogs.close(dialog=dialog, agent=agent)
        page = words(html(admin_client, url("dialog", "change", dialog.pk)))
        assert re.search(
            rf"{MOMENT} agent joined kim Kim Lee kim – {MOMENT} agent left kim Kim Lee kim – "
            rf"{MOMENT} closed – – kim – Internal notes",
            page,
        )
        assert re.search(rf"{MOMENT} kim Be kind to her", page)

    def test_it_leads_to_what_was_said_until_its_end(self, admin_client, taken, talk, agent):
        dialog = taken()
        path = url("client", "change", dialog.client_id)
        link = re.compile(rf'href="({re.escape(path)}[^"]*)">Show what was said')
        assert (
            link.search(html(admin_client, url("dialog", "change", dialog.pk)))[1] == f"{path}#chatapi-transcript"
        )
        dialogs.close(dialog=dialog, agent=agent)
        talk("much later", client_id="ann")
        target = link.search(html(admin_client, url("dialog", "change", dialog.pk)))[1]
        page = words(html(admin_client, target))
        assert "help me" in page
        assert "much later" not in page

    def test_what_is_very_long_is_cut(self, admin_client, taken):
        dialog = taken(first_message="x" * 9_000, hidden_attributes={"k": "y" * 50_000})
        page = words(html(admin_client, url("dialog", "change", dialog.pk)))
        assert "x" * 5_000 + "… (4000 more characters)" in page
        assert "y" * 20_000 not in page

    def test_no_more_changes_and_notes_are_read_than_there_is_room_for(self, admin_client, taken, monkeypatch):
        monkeypatch.setattr(dialog_selectors, "REMARKS", 2)
        dialog = taken()
        for number in range(4):
            DialogNote.objects.create(
                dialog=dialog, agent_name="kim", text=f"note-{number}", created_at=dialog.created_at
            )
            DialogChange.objects.create(
                dialog=dialog,
                client=dialog.client,
                sequence=1,
                kind="transferred",
                detail=f"group-{number}",
                created_at=dialog.created_at,
            )
        page = words(html(admin_client, url("dialog", "change", dialog.pk)))
        assert re.findall(r"note-\d", page) == ["note-2", "note-3"]
        assert re.findall(r"group-\d", page) == ["group-2", "group-3"]

    def test_the_agent_may_be_gone(self, admin_client, taken, agent):
        dialog = taken()
        agent.delete()
        assert "agent joined kim Kim Lee" in words(html(admin_client, url("dialog", "change", dialog.pk)))

    def test_nobody_adds_changes_or_deletes_one(self, admin_client, taken):
        dialog = taken()
        assert admin_client.get(url("dialog", "add")).status_code == 403
        assert admin_client.post(url("dialog", "change", dialog.pk), {"state": "closed"}).status_code == 403
        assert admin_client.post(url("dialog", "delete", dialog.pk), {"post": "yes"}).status_code == 403
        dialog.refresh_from_db()
        assert dialog.state == "open"


def test_hostile_text_is_escaped_everywhere(admin_client, taken, talk, channel, agent):
    User.objects.filter(pk=agent.pk).update(username=EVIL[:150], first_name=EVIL[:150])
    agent.refresh_from_db()
    group = AgentGroup.objects.create(channel=channel, name=EVIL)
    dialog = taken(
        EVIL,
        group=group,
        first_message=EVIL,
        farewell=EVIL,
        last_message=EVIL,
        close_phrases=[EVIL],
        attributes={EVIL: EVIL},
        hidden_attributes={EVIL: EVIL},
    )
    dialogs.write_note(dialog=dialog, agent=agent, text=EVIL)
    DialogChange.objects.update(shown_name=EVIL, by_name=EVIL, detail=EVIL)
    CannedAnswer.objects.create(shortcut="hi", text=EVIL, channel=channel)
    paths = [url(model) for model in ("agentgroup", "cannedanswer", "dialog")]
    paths += [url("agentgroup", "change", group.pk), url("agentgroup", "delete", group.pk)]
    paths += [url("dialog", "change", dialog.pk), url("client", "change", dialog.client_id)]
    for path in paths:
        page = html(admin_client, path)
        assert "&lt;script&gt;alert(1)" in page, path
        assert "<script>alert(1)" not in page, path
        assert "<img src=x" not in page, path


@pytest.mark.parametrize("client_id", [" ", "\u200b"])
def test_an_id_that_cannot_be_seen_is_spelled_out(admin_client, taken, client_id):
    dialog = taken(client_id)
    for path in (url("dialog"), url("dialog", "change", dialog.pk)):
        assert re.search(r"<bdi[^>]*>&quot;[^<]+&quot;</bdi></a>", html(admin_client, path)), path


class TestClientPage:
    def row(self, http, client):
        page = words(html(http, url("client", "change", client.pk)))
        return re.search(r"With: (.*?) Transcript", page)[1]

    def test_it_says_with_whom_the_client_is(self, admin_client, taken, talk, sales, agent):
        client = talk(client_id="ann").client
        assert self.row(admin_client, client) == "the bot"
        dialog = taken("ann")
        assert self.row(admin_client, client) == "the agent kim"
        dialogs.transfer(dialog=dialog, by=agent, group=sales)
        assert self.row(admin_client, client) == "nobody; waits for Sales"
        Dialog.objects.update(group=None)
        assert self.row(admin_client, client) == "nobody; waits for an agent"
        dialogs.close(dialog=dialog, agent=agent)
        assert self.row(admin_client, client) == "the bot"

    def test_it_lists_the_latest_dialogs_with_as_many_queries_for_many(
        self, admin_client, taken, agent, monkeypatch
    ):
        monkeypatch.setattr("django_chatapi.admin.clients.DIALOGS", 3)
        dialog = taken()
        path = url("client", "change", dialog.client_id)
        html(admin_client, path)
        with queries() as few:
            html(admin_client, path)
        for _number in range(4):
            dialogs.close(dialog=dialog, agent=agent)
            dialog = dialogs.take_client(client=Client.objects.get(pk=dialog.client_id), agent=agent)
        with queries() as many:
            page = html(admin_client, path)
        latest = list(Dialog.objects.order_by("-pk").values_list("pk", flat=True)[:3])
        section = page[page.index('id="chatapi-dialogs"') :]
        assert re.findall(r"/dialog/(\d+)/change/", section) == [str(pk) for pk in latest]
        assert len(many) == len(few)

    def test_a_client_is_deleted_with_its_dialogs(self, admin_client, taken, agent):
        dialog = taken()
        dialogs.write_note(dialog=dialog, agent=agent, text="gone soon")
        page = words(html(admin_client, url("client", "delete", dialog.client_id)))
        assert "Dialogs: 1" in page
        assert "Internal notes: 1" in page
        admin_client.post(url("client", "delete", dialog.client_id), {"post": "yes"})
        left = [model.objects.count() for model in (Client, Dialog, DialogChange, DialogNote)]
        assert left == [0, 0, 0, 0]


class TestPermissions:
    @pytest.fixture
    def dialog(self, taken, agent):
        dialog = taken(first_message="my first wish", last_message="my last wish")
        dialogs.write_note(dialog=dialog, agent=agent, text="secret note")
        return dialog

    @pytest.mark.parametrize("model", ["agentgroup", "cannedanswer", "dialog"])
    def test_each_model_has_its_own(self, staff, dialog, model):
        models = {"agentgroup", "cannedanswer", "dialog"}
        http = staff(f"view_{model}")
        html(http, url(model))
        for other in models - {model}:
            assert http.get(url(other)).status_code == 403
        assert http.get(url(model, "add")).status_code == 403
        # To answer clients is another permission, and opens none of these pages.
        assert staff("answer_client").get(url(model)).status_code == 403

    def test_a_dialog_shows_no_more_than_its_reader_may_see(self, staff, dialog):
        path = url("dialog", "change", dialog.pk)
        page = words(html(staff("view_dialog"), path))
        for hidden in ("my last wish", "secret note", "agent joined", "Show what was said"):
            assert hidden not in page
        assert "you need the permission to view changes of dialogs" in page
        assert "you need the permission to view internal notes" in page
        assert "my last wish" in words(html(staff("view_dialog", "view_message"), path))
        assert "secret note" in words(html(staff("view_dialog", "view_dialognote"), path))
        assert "agent joined" in words(html(staff("view_dialog", "view_dialogchange"), path))
        assert "Show what was said" in words(html(staff("view_dialog", "view_client", "view_message"), path))

    def test_a_client_shows_its_agent_to_those_who_may_see_dialogs(self, staff, dialog):
        path = url("client", "change", dialog.client_id)
        page = words(html(staff("view_client"), path))
        assert "kim" not in page
        assert "Latest dialogs" not in page
        page = words(html(staff("view_client", "view_dialog"), path))
        assert "the agent kim" in page
        assert "Latest dialogs with agents" in page
