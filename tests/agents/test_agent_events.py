"""``types``: the events of agents for callers who ask for them, and nothing new for those who do not."""

import datetime as dt
import json

import pytest
from django.utils import timezone

from django_chatapi import selectors
from django_chatapi.actions import dialogs
from django_chatapi.api.polls import open_poll
from django_chatapi.models import AgentGroup, Dialog, DialogChange
from django_chatapi.selectors import EventFilter, events_after
from django_chatapi.wire.envelope import make_cursor, read_cursor
from django_chatapi.wire.times import format_time
from tests.conftest import Caller

from .conftest import client_of, dialog_of, take

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nothing_queued")]

OF_AGENTS = "agentJoined,agentLeft,agentTyping"
ALL_TYPES = f"request,botResponse,humanResponse,state,{OF_AGENTS}"


def poll(caller, **query):
    response = caller.get("events", **{"clientId": "test", "timeout": 0, **query})
    assert response.status_code == 200, response.content
    return response.json()


def types(body):
    return [event["type"] for event in body["events"]]


@pytest.fixture
def talk(say_switch, make_agent):
    """A client is handed over, taken, typed to, answered, and says good-bye; the caller."""
    channel = say_switch(closeChatPhrases=["bye"], lastMessage="See you!")
    agent = make_agent(channel, username="kim", first_name="Kim", last_name="Lee")
    caller = Caller(channel)
    caller.send("human")
    take(agent)
    dialogs.say_typing(dialog=dialog_of(), agent=agent)
    dialogs.reply(dialog=dialog_of(), agent=agent, replies=[{"type": "text", "text": "Hello"}])
    caller.post("client", "test", "state", body={"page": 1})
    caller.agent = agent
    return caller


def test_who_names_no_types_gets_what_they_always_got(talk):
    talk.send("bye")
    assert types(poll(talk, cid="a")) == ["humanResponse", "botResponse"]
    assert types(poll(talk, cid="b", all="true")) == [
        "request", "botResponse", "humanResponse", "state", "request", "botResponse", "request",
    ]  # fmt: skip


def test_who_names_them_gets_the_agents_comings_and_goings_in_their_place(talk):
    assert types(poll(talk, types=ALL_TYPES, all="true")) == [
        "request", "botResponse", "agentJoined", "agentTyping", "humanResponse", "state",
    ]  # fmt: skip
    talk.send("bye")
    # Who is gone does not type.
    assert types(poll(talk, types=ALL_TYPES, all="true", cid="new")) == [
        "request", "botResponse", "agentJoined", "humanResponse", "state", "request", "agentLeft", "botResponse",
        "request",
    ]  # fmt: skip


def test_what_an_agents_event_says(talk):
    joined, typing = poll(talk, types=OF_AGENTS)["events"]
    change = DialogChange.objects.get(kind="agentJoined")
    assert joined == {
        "type": "agentJoined",
        "event": {"clientId": "test", "agent": "Kim Lee", "timestamp": format_time(change.created_at)},
    }
    assert typing == {
        "type": "agentTyping",
        "event": {"clientId": "test", "agent": "Kim Lee", "timestamp": format_time(dialog_of().typing_at)},
    }
    dialogs.close(dialog=dialog_of(), agent=talk.agent)
    (left,) = poll(talk, types=OF_AGENTS)["events"]
    assert (left["type"], left["event"]["agent"]) == ("agentLeft", "Kim Lee")


@pytest.mark.parametrize(
    "name", ["agentJoined", "agentTyping", "humanResponse", "state", "request", "botResponse"]
)
def test_just_the_types_that_are_named(talk, name):
    assert set(types(poll(talk, types=name, all="true"))) == {name}


def test_types_do_not_widen_what_a_caller_gets(talk):
    """Without ``all`` there are still no requests, states and answers that a response carried."""
    assert types(poll(talk, types=ALL_TYPES)) == ["agentJoined", "agentTyping", "humanResponse"]


def test_a_transfer_is_a_left_and_a_joined(talk, make_agent):
    other = make_agent(talk.agent.chatapi_groups.get().channel, username="lou")
    before = poll(talk, types=OF_AGENTS)["cursor"]
    dialogs.transfer(dialog=dialog_of(), by=talk.agent, agent=other)
    events = poll(talk, types=OF_AGENTS, cursor=before)["events"]
    assert [(one["type"], one["event"]["agent"]) for one in events] == [
        ("agentLeft", "Kim Lee"),
        ("agentJoined", None),  # no full name, and the username is none of the client's business
    ]
    dialogs.transfer(dialog=dialog_of(), by=other, group=AgentGroup.objects.get())
    assert types(poll(talk, types=OF_AGENTS, cursor=before)) == ["agentLeft", "agentJoined", "agentLeft"]


@pytest.mark.parametrize(
    "wrong", ["typing", "agentjoined", "request,,nothing", "", ",", " ", "\0", "x" * 5_000, "handedOver"]
)
def test_an_unknown_type_is_refused(caller, wrong):
    response = caller.get("events", clientId="test", timeout=0, types=wrong)
    assert response.status_code == 400, response.content
    assert response.json()["error"] == "invalid_request"
    assert set(response.json()["args"]) == {"types"}


def test_names_may_stand_apart(talk):
    assert types(poll(talk, types=" agentJoined , humanResponse,")) == ["agentJoined", "humanResponse"]


def test_each_event_comes_once_however_small_the_pages_are(talk):
    talk.send("bye")
    pk = client_of().pk
    wanted = EventFilter(everything=True, types=frozenset(ALL_TYPES.split(",")))
    whole = events_after(pk, 0, wanted, 250)
    assert not whole.has_more

    places = [selectors.place(entry) for entry in whole.entries]
    assert places == sorted(set(places)), "two events have one place: a page that ends between them loses one"
    for limit in range(1, len(whole.entries) + 1):
        found, position = [], 0
        while True:
            feed = events_after(pk, position, wanted, limit)
            assert len(feed.entries) <= limit
            assert feed.upto > position or not feed.entries
            found += [(type(entry), entry.pk) for entry in feed.entries]
            position = feed.upto
            if not feed.has_more:
                break
        assert found == [(type(entry), entry.pk) for entry in whole.entries], limit


def test_the_cursor_is_exact(talk):
    first = poll(talk, types=OF_AGENTS)
    assert types(first) == ["agentJoined", "agentTyping"]
    assert poll(talk, types=OF_AGENTS, cursor=first["cursor"])["events"] == []
    # The same again, however often the answer was lost.
    assert types(poll(talk, types="agentJoined", cursor=make_cursor(0))) == ["agentJoined"]

    dialogs.close(dialog=dialog_of(), agent=talk.agent)
    assert types(poll(talk, types=OF_AGENTS, cursor=first["cursor"])) == ["agentLeft"]


def types_on(talk):
    """The agent types, three seconds after the last time."""
    Dialog.objects.update(typing_at=timezone.now() - dt.timedelta(seconds=3))
    dialogs.say_typing(dialog=dialog_of(), agent=talk.agent)


def test_the_position_of_a_connection_moves_with_agents_events_too(talk):
    assert types(poll(talk, types=OF_AGENTS, cid="tab")) == ["agentJoined", "agentTyping"]
    assert types(poll(talk, types=OF_AGENTS, cid="tab")) == []
    types_on(talk)
    assert types(poll(talk, types=OF_AGENTS, cid="tab")) == ["agentTyping"]


def test_that_somebody_typed_a_while_ago_is_no_news(talk):
    Dialog.objects.update(typing_at=timezone.now() - dt.timedelta(seconds=11))
    assert types(poll(talk, types=OF_AGENTS)) == ["agentJoined"]


def test_typing_is_told_once_for_each_time(talk):
    cursor = poll(talk, types=OF_AGENTS)["cursor"]
    for _ in range(3):
        types_on(talk)
    body = poll(talk, types=OF_AGENTS, cursor=cursor)
    assert types(body) == ["agentTyping"]
    assert poll(talk, types=OF_AGENTS, cursor=body["cursor"])["events"] == []


def test_events_since_a_time_have_the_agents_too(talk):
    before = format_time(DialogChange.objects.get(kind="agentJoined").created_at)
    assert "agentJoined" in types(poll(talk, types=OF_AGENTS, ts=before))


def test_events_since_a_time_have_an_agent_behind_whom_nothing_was_said(channel, agent, caller):
    caller.send("hi")
    seen = client_of()
    moment = seen.last_activity_at + dt.timedelta(milliseconds=50)
    take(agent)
    DialogChange.objects.update(created_at=moment)

    assert types(poll(caller, types=OF_AGENTS, ts=format_time(moment))) == ["agentJoined"]
    after = moment + dt.timedelta(milliseconds=1)
    assert types(poll(caller, types=OF_AGENTS, ts=format_time(after))) == []


def test_a_time_to_come_leaves_out_what_happened(talk):
    to_come = format_time(timezone.now() + dt.timedelta(hours=1))
    assert types(poll(talk, types="agentJoined", ts=to_come)) == []


def test_another_clients_agents_are_not_told_of(talk):
    talk.send("hi", client_id="bob")
    assert poll(talk, types=OF_AGENTS, clientId="bob")["events"] == []


@pytest.mark.parametrize("mode", ["exclude", "only"])
def test_agents_belong_to_no_connection(talk, settings, mode):
    settings.CHATAPI = {**settings.CHATAPI, "CID_FILTER": mode}
    assert types(poll(talk, types=OF_AGENTS, cid="tab")) == ["agentJoined", "agentTyping"]


def test_the_name_that_clients_see_stays_when_the_agent_is_deleted(talk):
    talk.agent.delete()
    events = poll(talk, types="agentJoined")["events"]
    assert [one["event"]["agent"] for one in events] == ["Kim Lee"]


def test_in_a_stream_each_event_has_the_cursor_of_its_place(talk):
    talk.send("bye")
    channel = client_of().channel
    valid = {"client_id": "test", "everything": True, "types": ALL_TYPES.split(",")}
    stream = open_poll(channel=channel, token=channel.token, valid=valid)
    feed = stream.read()
    blocks = stream.stream_text(feed).split("\n\n")[:-1]

    ids, events = [], []
    for block in blocks:
        lines = block.split("\n")
        assert [line.partition(": ")[0] for line in lines] == ["id", "data"]
        ids.append(lines[0].removeprefix("id: "))
        events.append(json.loads(lines[1].removeprefix("data: ")))
    whole = poll(talk, types=ALL_TYPES, all="true", cid="other")
    assert events == whole["events"]
    assert [read_cursor(one) for one in ids] == [selectors.place(entry) for entry in feed.entries]
    # Whoever comes back with the id of an event goes on behind it.
    for number, last in enumerate(ids):
        rest = talk.get(
            "events", clientId="test", timeout=0, all="true", types=ALL_TYPES, headers={"Last-Event-ID": last}
        ).json()["events"]
        assert rest == events[number + 1 :]
