"""A client is with the bot, waiting, or with one agent: every change, who may make it, what is written down."""

import datetime as dt

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from django_chatapi import dialog_selectors
from django_chatapi.actions import deliveries, dialogs, presences
from django_chatapi.actions.turns import client_for
from django_chatapi.bots import Answer
from django_chatapi.exceptions import AlreadyTaken, DialogClosed, InvalidRequest, NotYourDialog
from django_chatapi.models import (
    AgentGroup,
    AgentPresence,
    Client,
    Delivery,
    Dialog,
    DialogChange,
    DialogNote,
    Message,
)
from tests.acts.conftest import dialogue
from tests.conftest import Caller

from .conftest import check, client_of, dialog_of, events_for_bot, kinds, take, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nothing_queued")]

TEXT = [{"type": "text", "text": "Hello, I am Kim."}]


@pytest.fixture
def waiting(caller, agent):
    """The client waits for an agent; gives the call that loads its dialog as a door does."""
    caller.send("human")
    return dialog_of


@pytest.fixture
def with_agent(waiting, agent):
    """The client is with the agent."""
    dialogs.take(dialog=waiting(), agent=agent)
    return dialog_of


def reply(dialog, agent, text="Hello, I am Kim.", **more):
    return dialogs.reply(dialog=dialog, agent=agent, replies=[{"type": "text", "text": text}], **more)


def changes():
    """All that was written down: what, of whom, by whom, detail."""
    found = DialogChange.objects.order_by("pk")
    return [(one.kind, one.agent_name, one.by_name, one.detail) for one in found]


def refuses(error, who, call):
    """The call is refused, names this agent, and changes nothing."""
    before = [*Dialog.objects.values(), *Client.objects.values(), *DialogChange.objects.values()]
    messages = Message.objects.count()
    with pytest.raises(error) as refusal:
        call()
    details = (
        {"agent": who.get_username(), "agentName": who.get_full_name() or who.get_username()} if who else None
    )
    assert refusal.value.details == details
    assert [*Dialog.objects.values(), *Client.objects.values(), *DialogChange.objects.values()] == before
    assert Message.objects.count() == messages


# Take


def test_an_agent_takes_a_client_who_waits(waiting, agent):
    taken = dialogs.take(dialog=waiting(), agent=agent)

    assert (taken.state, taken.agent, taken.waiting_since) == ("open", agent, None)
    dialog = dialog_of()
    assert (dialog.state, dialog.agent, dialog.waiting_since) == ("open", agent, None)
    assert dialog.taken_at is not None
    assert client_of().dialog_id == dialog.pk
    assert changes() == [("handedOver", "", "", ""), ("agentJoined", "kim", "kim", "")]
    assert DialogChange.objects.get(kind="agentJoined").shown_name == "Kim Lee"
    check()


def test_the_second_who_takes_is_told_who_has_it(with_agent, agent, other):
    refuses(AlreadyTaken, agent, lambda: dialogs.take(dialog=dialog_of(), agent=other))
    refuses(AlreadyTaken, agent, lambda: take(other))


def test_who_takes_again_has_it_already(with_agent, agent):
    assert dialogs.take(dialog=dialog_of(), agent=agent).agent == agent
    assert take(agent).agent == agent
    assert kinds() == ["handedOver", "agentJoined"]


def test_what_is_closed_cannot_be_taken(with_agent, agent, other):
    dialogs.close(dialog=dialog_of(), agent=agent)
    refuses(DialogClosed, None, lambda: dialogs.take(dialog=dialog_of(), agent=other))


def test_an_agent_takes_a_client_that_nobody_handed_over(caller, agent, asked):
    caller.send("hi")

    dialog = take(agent)

    assert (dialog.state, dialog.agent, client_of().dialog_id) == ("open", agent, dialog.pk)
    assert dialog.last_message == "bot heard hi"
    assert caller.send("hello?")["data"]["handedOver"] is True
    assert [question.query for question in asked] == ["hi"]
    assert changes() == [("agentJoined", "kim", "kim", "")]
    # What was said before is there to be read.
    messages, _ = dialog_selectors.transcript(dialog_of(), before=None, limit=50)
    assert [message.query for message in messages if message.type == "request"] == ["hi", "hello?"]
    check()


def test_a_client_who_said_nothing_yet_is_taken_too(channel, agent):
    client_for(channel=channel, client_id="test")
    assert take(agent).last_message == ""


def test_taking_a_client_who_waits_takes_the_dialog(waiting, agent):
    assert take(agent).pk == waiting().pk
    assert Dialog.objects.count() == 1
    assert kinds() == ["handedOver", "agentJoined"]
    check()


def test_taking_a_client_as_it_was_before_it_was_handed_over(caller, channel, agent, other):
    caller.send("hi")
    seen = client_of()
    caller.send("human")
    take(other)
    with pytest.raises(AlreadyTaken) as refusal:
        dialogs.take_client(client=seen, agent=agent)
    assert refusal.value.details["agent"] == "lou"
    check()


# An agent who works there no more


def switch_off(agent):
    agent.is_active = False
    agent.save()


GONE = {
    "switched off": switch_off,
    "without the permission": lambda agent: agent.user_permissions.clear(),
    "in no group of the channel": lambda agent: agent.chatapi_groups.clear(),
}


@pytest.fixture(params=list(GONE))
def left_behind(request, with_agent, agent, other):
    """The client is with an agent who does not answer the channel's clients any more."""
    GONE[request.param](agent)
    return dialog_of


@pytest.mark.parametrize("call", [lambda agent: dialogs.take(dialog=dialog_of(), agent=agent), take])
def test_who_works_there_no_more_keeps_nobody_from_taking(left_behind, other, call):
    assert call(other).agent == other
    assert dialog_of().agent == other
    assert changes()[2:] == [("agentLeft", "kim", "lou", ""), ("agentJoined", "lou", "lou", "")]
    left, joined = DialogChange.objects.order_by("pk")[2:]
    assert left.sequence < joined.sequence
    assert reply(dialog_of(), other).agent_name == "lou"
    check()


def test_who_works_there_no_more_keeps_nobody_from_transferring(left_behind, other, channel):
    group = AgentGroup.objects.get(channel=channel)
    dialogs.transfer(dialog=dialog_of(), by=other, group=group)
    assert (dialog_of().state, dialog_of().agent) == ("waiting", None)
    assert changes()[2:] == [("agentLeft", "kim", "lou", ""), ("transferred", "", "lou", "Support")]
    check()


def test_who_works_there_no_more_keeps_nobody_from_closing(left_behind, other):
    dialogs.close(dialog=dialog_of(), agent=other)
    assert changes()[2:] == [("agentLeft", "kim", "lou", ""), ("closed", "", "lou", "")]
    assert events_for_bot() == [("livechatFinished", {"closedBy": "agent", "agentJoined": True})]
    check()


def test_who_is_only_offline_keeps_the_client(with_agent, agent, other):
    ago(3600)
    refuses(AlreadyTaken, agent, lambda: dialogs.take(dialog=dialog_of(), agent=other))
    refuses(NotYourDialog, agent, lambda: dialogs.close(dialog=dialog_of(), agent=other))


# Transfer


def test_transfer_to_an_agent(with_agent, agent, other):
    moved = dialogs.transfer(dialog=dialog_of(), by=agent, agent=other)

    assert (moved.state, moved.agent) == ("open", other)
    assert changes()[2:] == [("agentLeft", "kim", "kim", ""), ("agentJoined", "lou", "kim", "")]
    refuses(NotYourDialog, other, lambda: reply(dialog_of(), agent))
    assert reply(dialog_of(), other).agent_name == "lou"
    check()


def test_transfer_to_a_group(with_agent, agent, other, channel):
    group = AgentGroup.objects.create(channel=channel, name="Sales")

    moved = dialogs.transfer(dialog=dialog_of(), by=agent, group=group)

    assert (moved.state, moved.agent, moved.group) == ("waiting", None, group)
    assert moved.waiting_since is not None
    assert changes()[2:] == [("agentLeft", "kim", "kim", ""), ("transferred", "", "kim", "Sales")]
    assert client_of().dialog_id == moved.pk
    assert not dialog_selectors.sight_of(other).sees(dialog_of())
    check()


def test_the_client_stays_away_from_the_bot_during_a_transfer(with_agent, agent, channel, caller):
    dialogs.transfer(dialog=dialog_of(), by=agent, group=AgentGroup.objects.get(channel=channel))
    assert caller.send("still there?")["data"]["handedOver"] is True
    assert events_for_bot() == []


def test_who_does_not_have_it_does_not_transfer_it_but_a_superuser_does(with_agent, agent, other, superuser):
    refuses(NotYourDialog, agent, lambda: dialogs.transfer(dialog=dialog_of(), by=other, agent=other))
    assert dialogs.transfer(dialog=dialog_of(), by=superuser, agent=other).agent == other
    assert changes()[-1] == ("agentJoined", "lou", "root", "")


def test_what_waits_may_be_given_to_anybody(waiting, agent, other):
    assert dialogs.transfer(dialog=dialog_of(), by=other, agent=agent).agent == agent
    assert changes()[1:] == [("agentJoined", "kim", "lou", "")]
    check()


def test_a_transfer_to_who_has_it_changes_nothing(with_agent, agent):
    assert dialogs.transfer(dialog=dialog_of(), by=agent, agent=agent).agent == agent
    assert kinds() == ["handedOver", "agentJoined"]


def test_a_transfer_to_who_is_no_agent_of_the_channel_is_refused(with_agent, agent, make_agent, make_channel):
    stranger = make_agent(make_channel())
    layman = get_user_model().objects.create_user("layman")
    gone = make_agent(agent.chatapi_groups.get().channel, is_active=False)
    for user in (stranger, layman, gone):
        with pytest.raises(InvalidRequest) as refusal:
            dialogs.transfer(dialog=dialog_of(), by=agent, agent=user)
        assert "agent" in refusal.value.details
    assert dialog_of().agent == agent


def test_what_is_closed_is_not_transferred(with_agent, agent, other):
    dialogs.close(dialog=dialog_of(), agent=agent)
    refuses(DialogClosed, None, lambda: dialogs.transfer(dialog=dialog_of(), by=agent, agent=other))


# Reply


def test_a_reply_is_an_event_and_in_the_outbox(with_agent, agent, caller, channel):
    type(channel).objects.update(webhook_url="https://example.com/hook")
    caller.send("are you there?")
    assert dialog_of().unread == 2

    message = reply(dialog_of(), agent)

    assert (message.type, message.route, message.agent_name) == ("humanResponse", "push", "kim")
    assert message.data["answer"] == "Hello, I am Kim."
    assert message.data["replies"] == TEXT
    events = caller.get("events", clientId="test", timeout=0).json()["events"]
    assert [(event["type"], event["event"]["questionId"]) for event in events] == [
        ("humanResponse", str(message.question_id))
    ]
    dialog = dialog_of()
    assert (dialog.unread, dialog.last_message) == (0, "Hello, I am Kim.")
    delivery = Delivery.objects.get()
    assert [one.pk for one in deliveries.messages_of([delivery])[delivery.pk]] == [message.pk]


def test_only_who_has_the_client_replies(waiting, agent, other):
    refuses(NotYourDialog, None, lambda: reply(dialog_of(), agent))
    dialogs.take(dialog=dialog_of(), agent=agent)
    refuses(NotYourDialog, agent, lambda: reply(dialog_of(), other))
    dialogs.close(dialog=dialog_of(), agent=agent)
    refuses(DialogClosed, None, lambda: reply(dialog_of(), agent))


def test_a_repeated_reply_says_nothing_again(with_agent, agent):
    first = reply(dialog_of(), agent, idempotency_key="k1")
    sequence = client_of().last_sequence

    again = reply(dialog_of(), agent, idempotency_key="k1")

    assert again.pk == first.pk
    assert client_of().last_sequence == sequence
    assert Message.objects.filter(type="humanResponse").count() == 1
    assert reply(dialog_of(), agent, idempotency_key="k2").pk != first.pk


def test_a_reply_may_be_repeated_when_the_dialog_is_closed_by_now(with_agent, agent):
    first = reply(dialog_of(), agent, idempotency_key="k1")
    dialogs.close(dialog=dialog_of(), agent=agent)
    assert reply(dialog_of(), agent, idempotency_key="k1").pk == first.pk


def test_the_keys_of_agents_and_callers_are_not_each_others(with_agent, agent, caller):
    key = {"Idempotency-Key": "k1"}
    body = {"clientId": "test", "query": "hi"}
    reply(dialog_of(), agent, idempotency_key="k1")

    answer = caller.post(body=body, headers=key)

    assert answer.status_code == 200, answer.content
    assert answer.json()["data"]["handedOver"] is True
    assert caller.post(body=body, headers=key).json() == answer.json()
    assert reply(dialog_of(), agent, idempotency_key="k1").type == "humanResponse"


def test_a_callers_key_does_not_stop_a_reply(with_agent, agent, caller):
    caller.post(body={"clientId": "test", "query": "hi"}, headers={"Idempotency-Key": "k1"})
    assert reply(dialog_of(), agent, idempotency_key="k1").type == "humanResponse"


# Notes, typing, read


def test_notes_never_reach_the_client(with_agent, agent, other, caller):
    sequence = client_of().last_sequence

    note = dialogs.write_note(dialog=dialog_of(), agent=other, text="Wants money back")

    assert (note.agent_name, note.text) == ("lou", "Wants money back")
    assert client_of().last_sequence == sequence
    assert "money" not in caller.get("events", clientId="test", all="true", timeout=0).content.decode()
    assert "money" not in str(caller.history())
    assert [one.pk for one in dialog_selectors.notes_of(dialog_of())] == [note.pk]


def test_a_closed_dialog_takes_notes(with_agent, agent):
    dialogs.close(dialog=dialog_of(), agent=agent)
    dialogs.write_note(dialog=dialog_of(), agent=agent, text="done")
    assert DialogNote.objects.count() == 1


def test_only_who_has_the_client_types(waiting, agent, other):
    refuses(NotYourDialog, None, lambda: dialogs.say_typing(dialog=dialog_of(), agent=agent))
    dialogs.take(dialog=dialog_of(), agent=agent)
    refuses(NotYourDialog, agent, lambda: dialogs.say_typing(dialog=dialog_of(), agent=other))
    dialogs.say_typing(dialog=dialog_of(), agent=agent)
    dialog = dialog_of()
    assert dialog.typing_sequence == client_of().last_sequence
    assert timezone.now() - dialog.typing_at < dt.timedelta(seconds=60)
    dialogs.close(dialog=dialog_of(), agent=agent)
    refuses(DialogClosed, None, lambda: dialogs.say_typing(dialog=dialog_of(), agent=agent))


def test_typing_is_told_every_three_seconds_at_most(with_agent, agent, other):
    dialogs.say_typing(dialog=dialog_of(), agent=agent)
    sequence = client_of().last_sequence
    for _ in range(3):
        dialogs.say_typing(dialog=dialog_of(), agent=agent)
    refuses(NotYourDialog, agent, lambda: dialogs.say_typing(dialog=dialog_of(), agent=other))
    assert client_of().last_sequence == sequence

    Dialog.objects.update(typing_at=timezone.now() - dt.timedelta(seconds=3))
    dialogs.say_typing(dialog=dialog_of(), agent=agent)
    assert client_of().last_sequence == sequence + 1


def test_who_gets_a_client_is_not_typing_what_the_last_one_typed(with_agent, agent, other):
    dialogs.say_typing(dialog=dialog_of(), agent=agent)
    dialogs.transfer(dialog=dialog_of(), by=agent, agent=other)
    assert dialog_of().typing_at is None


def test_only_who_has_the_client_makes_it_read(with_agent, agent, other, caller):
    caller.send("one")
    caller.send("two")
    assert dialog_of().unread == 3
    dialogs.mark_read(dialog=dialog_of(), agent=other)
    assert dialog_of().unread == 3
    dialogs.mark_read(dialog=dialog_of(), agent=agent)
    assert dialog_of().unread == 0


# Close


def test_an_agent_closes_and_the_bot_is_told(with_agent, agent, caller, asked):
    reply(dialog_of(), agent)

    closed = dialogs.close(dialog=dialog_of(), agent=agent)

    assert (closed.state, client_of().dialog_id) == ("closed", None)
    assert dialog_of().closed_at is not None
    assert changes()[2:] == [("agentLeft", "kim", "kim", ""), ("closed", "", "kim", "")]
    assert events_for_bot() == [("livechatFinished", {"closedBy": "agent", "agentJoined": True})]
    work()
    assert asked.events == ["livechatFinished"]
    assert caller.send("hi")["data"]["answer"] == "bot heard hi"
    check()


def test_what_nobody_took_can_be_closed(waiting, agent):
    dialogs.close(dialog=dialog_of(), agent=agent)
    assert changes()[1:] == [("closed", "", "kim", "")]
    assert events_for_bot() == [("livechatFinished", {"closedBy": "agent", "agentJoined": False})]
    check()


def test_only_who_has_the_client_closes_but_a_superuser_may(with_agent, agent, other, superuser):
    refuses(NotYourDialog, agent, lambda: dialogs.close(dialog=dialog_of(), agent=other))
    dialogs.close(dialog=dialog_of(), agent=superuser)
    assert changes()[2:] == [("agentLeft", "kim", "root", ""), ("closed", "", "root", "")]
    refuses(DialogClosed, None, lambda: dialogs.close(dialog=dialog_of(), agent=superuser))


def test_the_last_message_is_only_for_clients_who_close(say_switch, make_agent):
    channel = say_switch(lastMessage="See you!", closeChatPhrases=["bye"])
    agent = make_agent(channel)
    Caller(channel).send("human")
    take(agent)
    dialogs.close(dialog=dialog_of(), agent=agent)
    assert "See you!" not in str(dialogue("test"))


@pytest.mark.parametrize("said", ["Bye bye", "bye bye", "BYE BYE", "  bye Bye\n", "STRASSE", "straße"])
def test_a_phrase_closes_in_any_case_and_with_spaces_around(said, say_switch, make_agent):
    channel = say_switch(closeChatPhrases=[" bye bye ", "Straße"], lastMessage="See you!")
    agent = make_agent(channel)
    caller = Caller(channel)
    caller.send("human")
    take(agent)

    assert caller.send(said)["data"]["handedOver"] is True

    assert (dialog_of().state, dialog_of().last_message) == ("closed", " ".join(said.split()))
    assert kinds() == ["handedOver", "agentJoined", "agentLeft", "closed"]
    assert changes()[2:] == [("agentLeft", agent.username, "", ""), ("closed", "", "", "")]
    assert dialogue("test")[-2] == ("botResponse", "push", "See you!")
    assert events_for_bot() == [("livechatFinished", {"closedBy": "client", "agentJoined": True})]
    # The agents see the phrase and the farewell, and nothing of what comes after.
    caller.send("hi")
    messages, _ = dialog_selectors.transcript(dialog_of(), before=None, limit=50)
    assert [message.query or message.data["answer"] for message in messages][-2:] == [said, "See you!"]
    check()


@pytest.mark.parametrize("said", ["bye", "bye bye now", "bye  bye", "."])
def test_nothing_else_closes(said, say_switch, make_agent):
    channel = say_switch(closeChatPhrases=["bye bye"])
    make_agent(channel)
    caller = Caller(channel)
    caller.send("human")
    caller.send(said)
    caller.send(event="bye bye")
    assert dialog_of().state == "waiting"


def test_a_phrase_of_an_async_request_closes_too(say_switch, make_agent):
    channel = say_switch(closeChatPhrases=["bye"])
    make_agent(channel)
    caller = Caller(channel)
    caller.send("human")
    assert caller.post("async", body={"clientId": "test", "query": "bye"}).status_code == 200
    assert dialog_of().state == "closed"


def test_the_same_client_can_be_handed_over_again(with_agent, agent, caller):
    first = dialog_of()
    dialogs.close(dialog=dialog_of(), agent=agent)
    caller.send("human")
    second = dialog_of()
    assert (second.pk != first.pk, second.state, client_of().dialog_id) == (True, "waiting", second.pk)
    check()


# One-time messages


@pytest.fixture
def left(say_switch, make_agent):
    """A one-time message was left; its dialog and the agents."""
    channel = say_switch(oneTimeMessage=True)
    agents = make_agent(channel), make_agent(channel)
    Caller(channel).send("human")
    return agents


def test_a_one_time_message_is_taken_later(left):
    agent, _ = left
    caller = Caller(dialog_of().channel)
    caller.send("hi")

    taken = dialogs.take(dialog=dialog_of(), agent=agent)

    assert (taken.state, taken.agent, taken.one_time) == ("open", agent, False)
    assert client_of().dialog_id == taken.pk
    assert caller.send("oh!")["data"]["handedOver"] is True
    reply(dialog_of(), agent)
    dialogs.close(dialog=dialog_of(), agent=agent)
    assert [name for name, _ in events_for_bot()] == ["livechatFinished"]
    assert caller.send("hi")["data"]["answer"] == "bot heard hi"
    check()


def test_a_one_time_message_that_is_closed_is_none_of_the_bots_business(left):
    agent, _ = left
    dialogs.close(dialog=dialog_of(), agent=agent)
    assert kinds() == ["handedOver", "closed"]
    assert events_for_bot() == []
    check()


def test_nobody_replies_to_a_one_time_message_without_taking_it(left):
    agent, _ = left
    refuses(NotYourDialog, None, lambda: reply(dialog_of(), agent))


def test_a_one_time_message_of_a_client_whom_another_agent_has(left):
    agent, other = left
    message = dialog_of()
    take(other)
    refuses(AlreadyTaken, other, lambda: dialogs.take(dialog=dialog_by_pk(message.pk), agent=agent))
    refuses_with_a_hint(lambda: dialogs.take(dialog=dialog_by_pk(message.pk), agent=other))
    check()


def test_a_one_time_message_of_a_client_who_waits(left):
    agent, _ = left
    message = dialog_of()
    take(agent)
    dialogs.transfer(dialog=dialog_of(), by=agent, group=AgentGroup.objects.get())
    refuses_with_a_hint(lambda: dialogs.take(dialog=dialog_by_pk(message.pk), agent=agent))
    check()


def dialog_by_pk(pk):
    return Dialog.objects.select_related("client__channel", "channel", "agent", "group").get(pk=pk)


def refuses_with_a_hint(call):
    """Refused with a sentence that does not name another agent where there is none."""
    with pytest.raises(InvalidRequest) as refusal:
        call()
    assert "another dialog" in str(refusal.value)


# Agents who go


def test_what_a_deleted_agent_had_can_be_taken(with_agent, agent, other, caller):
    agent.delete()

    dialog = dialog_of()
    assert dialog.agent is None
    assert client_of().dialog_id == dialog.pk
    refuses(NotYourDialog, None, lambda: reply(dialog_of(), other))
    assert caller.send("hello?")["data"]["handedOver"] is True
    assert dialogs.take(dialog=dialog_of(), agent=other).agent == other
    reply(dialog_of(), other)
    # The record outlives the user.
    assert changes()[1] == ("agentJoined", "kim", "kim", "")
    assert changes()[-1] == ("agentJoined", "lou", "lou", "")
    check()


def test_what_a_deleted_agent_had_waits_again(with_agent, agent):
    agent.delete()
    assert dialog_of().state == "waiting"
    check()


def test_the_clients_of_an_agent_who_goes_wait_again(say_switch, make_agent, make_channel):
    channel = say_switch(destination="Support")
    agent, other = make_agent(channel), make_agent(channel)
    for client_id in ("ann", "bob", "cid"):
        Caller(channel).send("human", client_id=client_id)
    take(agent, "ann"), take(agent, "bob"), take(other, "cid")
    dialogs.close(dialog=dialog_of("bob"), agent=agent)

    dialogs.release(agent=agent)

    assert [dialog_of(one).state for one in ("ann", "bob", "cid")] == ["waiting", "closed", "open"]
    assert (dialog_of("ann").agent, dialog_of("ann").group.name) == (None, "Support")
    assert kinds("ann") == ["handedOver", "agentJoined", "agentLeft", "transferred"]
    for client_id in ("ann", "bob", "cid"):
        check(client_id)


def test_a_deleted_group_leaves_its_clients_to_all(say_switch, make_agent):
    channel = say_switch(destination="Sales")
    make_agent(channel, group="Sales")
    supporter = make_agent(channel)
    Caller(channel).send("human")
    AgentGroup.objects.get(name="Sales").delete()
    assert dialog_of().group is None
    assert dialog_selectors.sight_of(supporter).sees(dialog_of())
    check()


def test_a_channel_and_a_client_can_be_deleted_with_their_dialogs(with_agent, agent, channel, caller):
    reply(dialog_of(), agent)
    dialogs.write_note(dialog=dialog_of(), agent=agent, text="x")
    caller.send("human", client_id="bob")
    client_of("bob").delete()
    assert Dialog.objects.count() == 1
    channel.delete()
    assert not Dialog.objects.exists()
    assert not DialogChange.objects.exists()


def test_a_dialog_that_is_deleted_leaves_its_client_with_the_bot(with_agent, caller):
    dialog_of().delete()
    assert client_of().dialog_id is None
    assert caller.send("hi")["data"]["answer"] == "bot heard hi"


# Presence


def test_presence_holds_for_a_while(channel, make_agent, settings):
    agent = make_agent(channel, online=False)
    assert dialog_selectors.presence_of(agent) == "offline"
    presences.set_presence(agent=agent, state="online")
    assert dialog_selectors.presence_of(agent) == "online"
    assert dialog_selectors.someone_online(channel, None)

    ago(89)
    assert dialog_selectors.presence_of(agent) == "online"
    ago(91)
    assert dialog_selectors.presence_of(agent) == "offline"
    assert not dialog_selectors.someone_online(channel, None)

    settings.CHATAPI = {**settings.CHATAPI, "AGENT_PRESENCE_TIMEOUT": 3600}
    assert dialog_selectors.presence_of(agent) == "online"


def test_who_is_seen_stays_online(channel, make_agent):
    agent = make_agent(channel)
    ago(80)
    presences.saw(agent_pk=agent.pk)
    ago(0, more=dt.timedelta(seconds=60))
    assert dialog_selectors.presence_of(agent) == "online"


def test_what_has_run_out_does_not_come_back_by_itself(channel, caller, superuser):
    presences.set_presence(agent=superuser, state="online")
    ago(30 * 24 * 3600)
    presences.saw(agent_pk=superuser.pk)
    assert dialog_selectors.presence_of(superuser) == "offline"
    caller.send("human")
    assert [name for name, _ in events_for_bot()] == ["noLivechatOperatorsOnline"]

    presences.set_presence(agent=superuser, state="online")
    assert dialog_selectors.presence_of(superuser) == "online"


def test_who_is_seen_stays_online_however_short_presence_holds(channel, make_agent, settings):
    settings.CHATAPI = {**settings.CHATAPI, "AGENT_PRESENCE_TIMEOUT": 12}
    agent = make_agent(channel)
    for _ in range(3):
        ago(8)
        presences.saw(agent_pk=agent.pk)
        ago(0, more=dt.timedelta(seconds=8))
        assert dialog_selectors.presence_of(agent) == "online"


def test_being_seen_is_written_down_rarely(channel, make_agent, django_assert_num_queries):
    agent = make_agent(channel)
    seen = AgentPresence.objects.get().seen_at
    with django_assert_num_queries(1):
        presences.saw(agent_pk=agent.pk)
    assert AgentPresence.objects.get().seen_at == seen


@pytest.mark.parametrize("state", ["away", "offline"])
def test_who_is_away_takes_no_clients(channel, caller, make_agent, state):
    presences.set_presence(agent=make_agent(channel), state=state)
    caller.send("human")
    assert [name for name, _ in events_for_bot()] == ["noLivechatOperatorsOnline"]
    assert client_of().dialog_id is None


def test_an_agent_who_was_not_seen_for_a_while_is_nobody(channel, caller, agent):
    ago(91)
    caller.send("human")
    assert [name for name, _ in events_for_bot()] == ["noLivechatOperatorsOnline"]


def test_the_agents_of_a_channel_who_is_online_first(channel, make_agent, make_channel, superuser):
    make_agent(channel, username="c", online=False)
    away = make_agent(channel, username="b")
    presences.set_presence(agent=away, state="away")
    make_agent(channel, username="d", group="Sales")
    make_agent(channel, username="e", is_active=False)
    make_agent(make_channel(), username="x")
    found = [(user.username, state) for user, state in dialog_selectors.agents_of(channel)]
    assert found == [("d", "online"), ("b", "away"), ("c", "offline")]


def ago(seconds, more=dt.timedelta(0)):
    """Everybody was last seen so long ago (or by so much longer ago than they were)."""
    if more:
        for presence in AgentPresence.objects.all():
            AgentPresence.objects.filter(pk=presence.pk).update(seen_at=presence.seen_at - more)
    else:
        AgentPresence.objects.update(seen_at=timezone.now() - dt.timedelta(seconds=seconds))


# What the bot is told


def test_the_bots_answer_to_an_event_is_pushed(with_agent, agent, caller, channel):
    type(channel).objects.update(webhook_url="https://example.com/hook")
    dialogs.close(dialog=dialog_of(), agent=agent)
    assert not Delivery.objects.exists()

    work()

    answer = Message.objects.get(type="botResponse", route="push")
    assert answer.data["answer"] == "bot heard livechatFinished"
    assert answer.event_name == "livechatFinished"
    asked = Message.objects.get(type="request", route="push")
    assert (asked.answer_state, asked.question_id) == ("answered", answer.question_id)
    delivery = Delivery.objects.get()
    assert [one.pk for one in deliveries.messages_of([delivery])[delivery.pk]] == [answer.pk]
    events = caller.get("events", clientId="test", timeout=0).json()["events"]
    assert [event["event"]["data"]["answer"] for event in events] == ["bot heard livechatFinished"]


def test_a_bot_may_say_nothing_about_an_event(told, make_agent, accept):
    channel = told(lambda question: [], quick=True)
    agent = make_agent(channel)
    accept(channel, client_id="test")
    take(agent)
    dialogs.close(dialog=dialog_of(), agent=agent)
    work()
    assert Message.objects.get(route="push").answer_state == "answered"
    assert not Message.objects.filter(type="botResponse").exists()


def test_a_bot_that_fails_at_an_event_says_nothing_to_the_client(told, make_agent, accept):
    def answer(question):
        raise RuntimeError("no idea")

    channel = told(answer, quick=True, BOT_RETRIES=0)
    agent = make_agent(channel)
    accept(channel, client_id="test")
    take(agent)
    dialogs.close(dialog=dialog_of(), agent=agent)
    work()
    request = Message.objects.get(route="push")
    assert (request.answer_state, "no idea" in request.failure) == ("failed", True)
    assert not Message.objects.filter(type="botResponse").exists()


def test_a_bot_may_hand_over_again_when_the_agent_has_left(told, make_agent):
    channel = told(lambda question: Answer([{"type": "switch", "firstMessage": "again"}]), quick=True)
    agent = make_agent(channel)
    Caller(channel).send("human")
    take(agent)
    dialogs.close(dialog=dialog_of(), agent=agent)
    work()
    assert (dialog_of().state, dialog_of().first_message) == ("waiting", "again")
    assert Dialog.objects.count() == 2
    check()
