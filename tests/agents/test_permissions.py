"""Who may call the agents' API, and what they see of it."""

import base64
import json
import re

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from rest_framework.authentication import BasicAuthentication, TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed

from django_chatapi import dialog_selectors
from django_chatapi.agents.base import AgentViewSet
from django_chatapi.models import AgentGroup, AgentPresence, CannedAnswer, Dialog, DialogNote, Message

from .api import Colleague, make_dialog, refused
from .conftest import dialog_of
from .test_api import CALLS

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nothing_queued")]

#: Every call that is not about one dialog, with a query or a body that is valid.
DESK = [
    ("get", "dialogs", {}),
    ("post", "dialogs", {"channelId": 1, "clientId": "ann"}),
    ("get", "clients", {"search": "a"}),
    ("get", "presence", {}),
    ("post", "presence", {"state": "online"}),
    ("get", "canned-answers", {}),
]
EVERY_CALL = [*DESK, *((method, f"dialogs/{{pk}}{tail}", body) for method, tail, body in CALLS)]


def call(colleague, method, path, given):
    return colleague.get(path, **(given or {})) if method == "get" else colleague.post(path, given)


@pytest.fixture
def dialog(channel):
    """A client who waits for any agent of the channel."""
    return make_dialog(channel, "ann", messages=2)


def world():
    """Everything that a call could change; compare before and after."""
    dialogs = Dialog.objects.order_by("pk").values_list("state", "agent", "group", "unread", "typing_at")
    return [list(dialogs), Message.objects.count(), DialogNote.objects.count(), AgentPresence.objects.count()]


# Who may call


@pytest.mark.parametrize(("method", "path", "given"), EVERY_CALL)
def test_who_is_nobody_is_asked_to_log_in(dialog, method, path, given):
    before = world()

    response = call(Colleague(), method, path.format(pk=dialog.pk), given)

    assert refused(response) == (401, "not_authenticated")
    assert world() == before


@pytest.mark.parametrize(("method", "path", "given"), EVERY_CALL)
@pytest.mark.parametrize("staff", [False, True])
def test_who_lacks_the_permission_is_told_which(dialog, django_user_model, channel, staff, method, path, given):
    user = django_user_model.objects.create_user("guest", is_staff=staff)
    AgentGroup.objects.create(channel=channel, name="Support").members.add(user)
    before = world()

    response = call(Colleague(user), method, path.format(pk=dialog.pk), given)

    assert refused(response) == (403, "permission_denied")
    assert "django_chatapi.answer_client" in response.json()["message"]
    assert world() == before


@pytest.mark.parametrize(("method", "path", "given"), EVERY_CALL)
def test_who_was_switched_off_is_nobody(dialog, agent, method, path, given):
    kim = Colleague(agent)
    agent.is_active = False
    agent.save()
    before = world()

    response = call(kim, method, path.format(pk=dialog.pk), given)

    assert refused(response) == (401, "not_authenticated")
    assert world() == before


def test_a_permission_that_is_taken_away_is_gone_at_the_next_call(agent, dialog):
    kim = Colleague(agent)
    assert kim.listed("waiting") == ["ann"]

    agent.user_permissions.clear()

    assert refused(kim.get("dialogs")) == (403, "permission_denied")
    assert refused(kim.post(f"dialogs/{dialog.pk}/take")) == (403, "permission_denied")


def test_the_permission_may_come_from_one_of_djangos_groups(dialog, channel, agent):
    agent.user_permissions.clear()
    group = Group.objects.create(name="Agents")
    group.permissions.add(Permission.objects.get(codename="answer_client"))
    group.user_set.add(agent)

    assert Colleague(agent).listed("waiting") == ["ann"]
    targets = Colleague(agent).look(f"dialogs/{dialog.pk}/targets")
    assert [target["username"] for target in targets["agents"]] == ["kim"]


class OnlyKim:
    """A backend of a host's own that knows of no permissions in tables."""

    def authenticate(self, request, **credentials):
        return None

    def has_perm(self, user, perm, obj=None):
        return user.get_username() == "kim" and perm == "django_chatapi.answer_client"


@pytest.mark.parametrize("first", [True, False])
def test_the_permission_may_come_from_a_backend_of_the_hosts(dialog, agent, other, settings, first):
    own, djangos = f"{__name__}.OnlyKim", "django.contrib.auth.backends.ModelBackend"
    settings.AUTHENTICATION_BACKENDS = [own, djangos] if first else [djangos, own]
    agent.user_permissions.clear()
    kim = Colleague()
    kim.http.force_login(agent, backend=djangos)

    assert kim.listed("waiting") == ["ann"]
    targets = kim.look(f"dialogs/{dialog.pk}/targets")["agents"]
    assert [target["username"] for target in targets] == ["kim", "lou"]


# Sessions and CSRF tokens


@pytest.mark.parametrize(("method", "path", "given"), [one for one in EVERY_CALL if one[0] == "post"])
def test_a_post_with_a_session_needs_the_csrf_token(dialog, agent, method, path, given):
    kim = Colleague(agent, enforce_csrf_checks=True)
    before = world()

    response = kim.post(path.format(pk=dialog.pk), given)

    assert refused(response) == (403, "permission_denied")
    assert "CSRF" in response.json()["args"]["reason"]
    assert world() == before


def test_with_the_token_of_the_cookie_it_succeeds(dialog, agent):
    kim = Colleague(agent, enforce_csrf_checks=True)
    kim.http.get("/admin/login/")
    kim.http.cookies["csrftoken"] = token = "a" * 32

    wrong = kim.post(f"dialogs/{dialog.pk}/take", headers={"X-CSRFToken": "b" * 32})
    right = kim.do(f"dialogs/{dialog.pk}/take", headers={"X-CSRFToken": token})

    assert refused(wrong) == (403, "permission_denied")
    assert right["agent"] == "kim"


def test_the_console_sends_the_token_in_the_header_that_the_site_reads(dialog, agent, settings):
    settings.CSRF_HEADER_NAME = "HTTP_X_SHOP_TOKEN"
    agent.is_staff = True
    agent.save()
    kim = Colleague(agent, enforce_csrf_checks=True)
    page = kim.http.get("/admin/django_chatapi/console/").content.decode()
    kim.http.cookies["csrftoken"] = token = "a" * 32

    told = json.loads(re.search(r'id="chatapi-console-config"[^>]*>(.*?)</script>', page, re.DOTALL)[1])

    assert kim.do(f"dialogs/{dialog.pk}/take", headers={told["csrfHeader"]: token})["agent"] == "kim"


def test_looking_needs_no_token(dialog, agent):
    assert Colleague(agent, enforce_csrf_checks=True).listed("waiting") == ["ann"]


# The host's own authentication


class KeyAuthentication(TokenAuthentication):
    """A host's own: the username is the key."""

    keyword = "Key"

    def authenticate_credentials(self, key):
        user = get_user_model().objects.filter(username=key).first()
        if user is None:
            raise AuthenticationFailed("No such key.")
        return user, key


@pytest.fixture
def with_keys(monkeypatch):
    # REST framework reads its setting when a view's class is made; this is the same from then on.
    monkeypatch.setattr(AgentViewSet, "authentication_classes", [KeyAuthentication, BasicAuthentication])


def keyed(user, key, **http):
    colleague = Colleague(user, **http)
    colleague.http.defaults["HTTP_AUTHORIZATION"] = key
    return colleague


def test_an_app_may_call_with_the_hosts_own_authentication(with_keys, dialog, agent):
    app = keyed(None, "Key kim", enforce_csrf_checks=True)

    assert app.listed("waiting") == ["ann"]
    # No session, no CSRF: a browser adds no such header by itself.
    assert app.do(f"dialogs/{dialog.pk}/take")["agent"] == "kim"


def test_basic_authentication_too(with_keys, dialog, agent):
    agent.set_password("secret")
    agent.save()
    right, wrong = (base64.b64encode(f"kim:{word}".encode()).decode() for word in ("secret", "guess"))

    assert keyed(None, f"Basic {right}").listed("waiting") == ["ann"]
    assert refused(keyed(None, f"Basic {wrong}").get("dialogs")) == (401, "not_authenticated")


def test_a_wrong_key_is_nobodys_and_a_guest_stays_one(with_keys, dialog, django_user_model):
    django_user_model.objects.create_user("guest")

    assert refused(keyed(None, "Key nobody").get("dialogs")) == (401, "not_authenticated")
    assert refused(keyed(None, "Key guest").get("dialogs")) == (403, "permission_denied")


def test_the_session_is_good_also_where_the_host_names_other_ways(with_keys, agent, dialog):
    """The console has nothing else; its calls are held to CSRF tokens as ever."""
    kim = Colleague(agent, enforce_csrf_checks=True)

    assert kim.listed("waiting") == ["ann"]
    assert refused(kim.post(f"dialogs/{dialog.pk}/take")) == (403, "permission_denied")


# Channels


@pytest.fixture
def foreign(make_channel):
    """Another channel, of which the agent is none."""
    return make_channel(name="Foreign")


@pytest.fixture
def mark(foreign, make_agent):
    return make_agent(foreign, username="mark", group="Foreign group")


@pytest.fixture(params=["waiting", "open", "closed"])
def their_dialog(request, foreign, mark):
    holder = None if request.param == "waiting" else mark
    return make_dialog(foreign, "secret ann", state=request.param, agent=holder, messages=2)


@pytest.mark.parametrize(("method", "tail", "given"), CALLS)
def test_a_dialog_of_another_channel_is_as_if_it_were_not(their_dialog, agent, method, tail, given):
    before = world()
    kim = Colleague(agent)

    answers = [
        call(kim, method, f"dialogs/{pk}{tail}", given).content for pk in (their_dialog.pk, their_dialog.pk + 1000)
    ]

    assert answers[0] == answers[1]
    response = call(kim, method, f"dialogs/{their_dialog.pk}{tail}", given)
    assert refused(response) == (404, "dialog_not_found")
    assert world() == before


def test_lists_and_searches_show_nothing_of_another_channel(their_dialog, foreign, agent, channel):
    CannedAnswer.objects.create(channel=foreign, shortcut="secret", text="secret")
    make_dialog(channel, "second")
    kim = Colleague(agent)

    for state in ("waiting", "mine", "open", "closed"):
        for query in ({}, {"search": "sec"}, {"search": "secret ann"}):
            assert "secret ann" not in kim.listed(state, **query)
    for query in ({}, {"channelId": foreign.pk}):
        found = [client["clientId"] for client in kim.look("clients", search="sec", **query)["clients"]]
        assert found == ([] if query else ["second"])
        assert kim.look("canned-answers", **query)["cannedAnswers"] == []


def test_a_client_of_another_channel_cannot_be_taken(their_dialog, foreign, agent):
    before = world()

    response = Colleague(agent).post("dialogs", {"channelId": foreign.pk, "clientId": "secret ann"})

    assert refused(response) == (404, "client_not_found")
    assert world() == before


def test_a_channel_that_is_not_ones_own_and_one_that_there_is_not_look_the_same(their_dialog, foreign, agent):
    kim = Colleague(agent)

    answers = [kim.post("dialogs", {"channelId": pk, "clientId": "secret ann"}) for pk in (foreign.pk, 2**62)]

    assert answers[0].content == answers[1].content


def test_targets_are_of_the_dialogs_channel_only(agent, other, mark, dialog):
    targets = Colleague(agent).look(f"dialogs/{dialog.pk}/targets")

    assert {target["username"] for target in targets["agents"]} == {"kim", "lou"}
    assert targets["groups"] == ["Support"]


def test_nothing_can_be_transferred_to_another_channel(agent, mark, dialog):
    kim = Colleague(agent)
    kim.do(f"dialogs/{dialog.pk}/take")

    for target in ({"agent": "mark"}, {"group": "Foreign group"}):
        assert refused(kim.post(f"dialogs/{dialog.pk}/transfer", target)) == (400, "invalid_request")
    assert dialog_of("ann").agent == agent


def test_the_same_client_id_on_two_channels_is_two_clients(agent, foreign, mark, channel):
    ours, theirs = make_dialog(channel, "ann", messages=2), make_dialog(foreign, "ann", messages=4)

    assert len(Colleague(agent).look(f"dialogs/{ours.pk}")["messages"]) == 2
    assert Colleague(mark).listed("waiting") == ["ann"]
    assert Colleague(mark).do("dialogs", {"channelId": foreign.pk, "clientId": "ann"})["id"] == theirs.pk
    ours.refresh_from_db()
    assert ours.state == "waiting"


def test_who_belongs_to_several_channels_sees_them_all(agent, foreign, mark, channel):
    AgentGroup.objects.get(name="Foreign group").members.add(agent)
    make_dialog(channel, "ann")
    make_dialog(foreign, "bob", minutes=1)

    kim = Colleague(agent)

    assert kim.listed("waiting") == ["ann", "bob"]
    assert {client["clientId"] for client in kim.look("clients", search="b")["clients"]} == {"bob"}


def test_who_belongs_to_no_group_sees_nothing(channel, make_agent, dialog):
    loner = Colleague(make_agent(channel, group=None))

    assert [loner.listed(state) for state in ("waiting", "mine", "open", "closed")] == [[]] * 4
    assert loner.look("clients", search="ann")["clients"] == []
    assert refused(loner.get(f"dialogs/{dialog.pk}")) == (404, "dialog_not_found")


# Groups within a channel


@pytest.fixture
def sales(channel, make_agent):
    """An agent of another group of the same channel."""
    return make_agent(channel, username="sara", group="Sales")


@pytest.fixture(params=["waiting", "open", "closed"])
def for_sales(request, channel, sales):
    holder = None if request.param == "waiting" else sales
    return make_dialog(channel, "ann", state=request.param, agent=holder, group="Sales", messages=2)


@pytest.mark.parametrize(("method", "tail", "given"), CALLS)
def test_a_dialog_of_another_group_is_as_if_it_were_not(for_sales, agent, method, tail, given):
    before = world()

    response = call(Colleague(agent), method, f"dialogs/{for_sales.pk}{tail}", given)

    assert refused(response) == (404, "dialog_not_found")
    assert world() == before


def test_lists_show_ones_own_groups_and_what_is_for_all(for_sales, channel, agent, sales):
    state = for_sales.state
    holder = None if state == "waiting" else sales
    make_dialog(channel, "for all", state=state, agent=holder, minutes=1)
    make_dialog(channel, "for support", state=state, agent=holder, group="Support", minutes=2)

    assert set(Colleague(agent).listed(state)) == {"for all", "for support"}
    assert set(Colleague(sales).listed(state)) == {"for all", "ann"}
    assert Colleague(agent).listed(state, search="ann") == []
    assert Colleague(sales).listed(state, search="ann") == ["ann"]


def test_a_client_of_another_group_is_not_found_and_cannot_be_taken_by_its_id_either(for_sales, channel, agent):
    before = world()
    kim = Colleague(agent)

    found = kim.look("clients", search="ann")["clients"]
    response = kim.post("dialogs", {"channelId": channel.pk, "clientId": "ann"})

    if for_sales.state == "closed":  # the client is with the bot again, and anybody's
        assert [client["state"] for client in found] == ["bot"]
        assert response.json()["agent"] == "kim"
        return
    assert found == []
    assert refused(response) == (404, "client_not_found")
    assert response.content == kim.post("dialogs", {"channelId": channel.pk, "clientId": "nobody"}).content
    assert world() == before


def test_of_clients_with_agents_those_are_found_whose_dialog_one_sees(channel, caller, agent, sales, superuser):
    caller.send("hi", client_id="with the bot")
    make_dialog(channel, "with all")
    make_dialog(channel, "with support", state="open", agent=sales, group="Support")
    make_dialog(channel, "with kim", state="open", agent=agent, group="Sales")
    for number in range(dialog_selectors.CLIENTS):  # which do not take the places of the others
        make_dialog(channel, f"with sales {number}", group="Sales")

    def found(user, **query):
        clients = Colleague(user).look("clients", search="with", **query)["clients"]
        return {client["clientId"] for client in clients}

    seen = {"with the bot", "with all", "with support", "with kim"}
    assert found(agent) == found(agent, channelId=channel.pk) == seen
    assert len(found(sales)) == len(found(superuser)) == dialog_selectors.CLIENTS


def test_a_dialog_moves_out_of_sight_with_its_group(channel, agent, sales):
    dialog = make_dialog(channel, "ann", group="Support")
    kim, sara = Colleague(agent), Colleague(sales)
    kim.do(f"dialogs/{dialog.pk}/take")

    row = kim.do(f"dialogs/{dialog.pk}/transfer", {"group": "Sales"})

    assert (row["state"], row["group"]) == ("waiting", "Sales")
    assert refused(kim.get(f"dialogs/{dialog.pk}")) == (404, "dialog_not_found")
    assert sara.listed("waiting") == ["ann"]


@pytest.fixture
def said_to_sales(caller, channel, agent, sales):
    """A client who told the agent of Sales a secret and is with the bot again; gives what one takes it with."""
    caller.send("before")
    sara = Colleague(sales)
    body = {"channelId": channel.pk, "clientId": "test"}
    pk = sara.do("dialogs", body)["id"]
    sara.do(f"dialogs/{pk}/transfer", {"group": "Sales"})
    sara.do(f"dialogs/{pk}/take")
    caller.send("a secret")
    sara.do(f"dialogs/{pk}/close")
    caller.send("after")
    return body


def said(colleague, pk):
    """What the client says in a dialog, as a colleague sees it."""
    items = colleague.look(f"dialogs/{pk}")["messages"]
    return [item["event"]["query"] for item in items if item["type"] == "request"]


def test_what_was_said_to_another_group_is_not_seen_by_taking_the_client_again(said_to_sales, caller, agent):
    kim = Colleague(agent)
    row = kim.do("dialogs", said_to_sales)
    caller.send("to kim")

    assert (row["group"], row["lastMessage"]) == (None, "bot heard after")
    assert said(kim, row["id"]) == ["after", "to kim"]


@pytest.mark.parametrize("taker", ["sales", "superuser"])
def test_who_takes_a_client_of_a_group_again_reads_on_and_does_not_open_it_to_others(
    said_to_sales, caller, agent, sales, superuser, taker
):
    colleague = Colleague({"sales": sales, "superuser": superuser}[taker])
    row = colleague.do("dialogs", said_to_sales)

    assert row["group"] == "Sales"
    assert said(colleague, row["id"]) == ["before", "a secret", "after"]
    assert refused(Colleague(agent).get(f"dialogs/{row['id']}")) == (404, "dialog_not_found")


def test_a_client_of_several_groups_is_taken_without_what_the_earlier_ones_heard(
    said_to_sales, caller, agent, superuser
):
    kim = Colleague(agent)
    first = kim.do("dialogs", said_to_sales)["id"]
    caller.send("to kim")
    kim.do(f"dialogs/{first}/close")

    row = Colleague(superuser).do("dialogs", said_to_sales)

    assert row["group"] is None
    assert said(kim, row["id"]) == ["after", "to kim"]


def test_ones_own_dialog_stays_visible_when_one_leaves_its_group(channel, agent, other):
    dialog = make_dialog(channel, "ann", state="open", agent=agent, group="Support", messages=2)
    AgentGroup.objects.get(name="Support").members.remove(agent)
    kim = Colleague(agent)

    assert kim.listed("mine") == ["ann"]
    assert len(kim.look(f"dialogs/{dialog.pk}")["messages"]) == 2
    assert kim.do(f"dialogs/{dialog.pk}/messages", {"text": "Hello"})
    assert kim.do(f"dialogs/{dialog.pk}/transfer", {"agent": "lou"})["agent"] == "lou"
    assert refused(kim.get(f"dialogs/{dialog.pk}")) == (404, "dialog_not_found")


def test_who_gets_a_dialog_of_another_group_sees_it(channel, agent, sales):
    dialog = make_dialog(channel, "ann", state="open", agent=sales, group="Sales")

    Colleague(sales).do(f"dialogs/{dialog.pk}/transfer", {"agent": "kim"})

    kim = Colleague(agent)
    assert kim.listed("mine") == ["ann"]
    assert kim.look(f"dialogs/{dialog.pk}")["group"] == "Sales"


# Superusers


def test_a_superuser_sees_all_and_may_do_all(superuser, agent, mark, foreign, channel):
    make_dialog(channel, "ann", state="open", agent=agent, group="Support")
    make_dialog(foreign, "bob", group="Foreign group", minutes=1)
    make_dialog(foreign, "eve", state="closed", agent=mark)
    CannedAnswer.objects.create(channel=foreign, shortcut="hi", text="Hi")
    root = Colleague(superuser)

    assert [root.listed(state) for state in ("waiting", "mine", "open", "closed")] == [
        ["bob"],
        [],
        ["ann"],
        ["eve"],
    ]
    assert len(root.look("clients", search="b")["clients"]) == 1
    assert len(root.look("canned-answers")["cannedAnswers"]) == 1
    ann = dialog_of("ann")
    assert root.do(f"dialogs/{ann.pk}/notes", {"text": "I watch"})["agent"] == "root"
    # It is still kim's: nobody speaks in another's name.
    assert refused(root.post(f"dialogs/{ann.pk}/messages", {"text": "Hello"})) == (409, "not_your_dialog")
    assert refused(root.post(f"dialogs/{ann.pk}/take")) == (409, "already_taken")
    assert root.do(f"dialogs/{ann.pk}/transfer", {"agent": "root"})["agent"] == "root"
    assert root.do(f"dialogs/{ann.pk}/close")["state"] == "closed"
    assert root.do("dialogs", {"channelId": foreign.pk, "clientId": "bob"})["agent"] == "root"


def test_a_superuser_who_was_switched_off_is_nobody(superuser):
    root = Colleague(superuser)
    superuser.is_active = False
    superuser.save()

    assert refused(root.get("dialogs")) == (401, "not_authenticated")


def test_a_cursor_of_a_colleague_opens_nothing(channel, foreign, mark, agent):
    make_dialog(foreign, "secret", minutes=1)
    make_dialog(foreign, "secret too", minutes=2)
    make_dialog(channel, "ann", minutes=3)
    cursor = Colleague(mark).look("dialogs", limit=1)["cursor"]

    page = Colleague(agent).look("dialogs", cursor=cursor)

    assert [row["clientId"] for row in page["dialogs"]] == ["ann"]
