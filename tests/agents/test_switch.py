"""The switch reply: what each of its properties does, and that none of them can harm."""

import json

import pytest

from django_chatapi import dialog_selectors
from django_chatapi.actions import dialogs, presences
from django_chatapi.bots import Answer
from django_chatapi.models import AgentGroup, Dialog, DialogChange, Message
from django_chatapi.wire.dialogs import transcript_item
from django_chatapi.wire.switch import Switch, find_switch
from tests.acts.conftest import dialogue
from tests.conftest import Caller

from .conftest import check, client_of, dialog_of, events_for_bot, kinds, take, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nothing_queued")]

SHRUG = "🤷" * 30_000


@pytest.fixture
def hand_over(say_switch, make_agent):
    """Let a client say “human” to a bot with this switch, with an agent online; the dialog."""

    def say(**switch):
        channel = say_switch(**switch)
        make_agent(channel)
        answer = Caller(channel).send("human")
        assert answer["data"]["answer"] == "One moment."
        return dialog_of()

    return say


def messages_seen(dialog):
    messages, has_more = dialog_selectors.transcript(dialog, before=None, limit=50)
    assert not has_more
    return [message.query if message.type == "request" else message.data["answer"] for message in messages]


def test_the_client_waits_and_the_answer_is_the_bots_last(hand_over):
    dialog = hand_over()

    assert (dialog.state, dialog.agent, dialog.group, dialog.one_time) == ("waiting", None, None, False)
    assert (dialog.unread, dialog.last_message, dialog.first_message) == (1, "human", "")
    assert client_of().dialog_id == dialog.pk
    assert dialogue("test") == [("request", "response", "human"), ("botResponse", "response", "One moment.")]
    assert kinds() == ["handedOver"]
    assert events_for_bot() == []
    check()


def test_the_reply_passes_through_as_the_bot_made_it(say_switch, make_agent):
    channel = say_switch(firstMessage="Hi", own={"a": 1})
    make_agent(channel)
    replies = Caller(channel).send("human")["data"]["replies"]
    assert replies[1] == {"type": "switch", "firstMessage": "Hi", "own": {"a": 1}}


def test_while_waiting_requests_are_for_the_agents(hand_over, asked):
    dialog = hand_over()

    answer = Caller(dialog.channel).send("anybody there?")

    assert (answer["data"]["replies"], answer["data"]["handedOver"]) == ([], True)
    assert [question.query for question in asked] == ["human"]
    dialog.refresh_from_db()
    assert (dialog.unread, dialog.last_message) == (2, "anybody there?")


def test_first_message_is_what_agents_read_first(hand_over):
    dialog = hand_over(firstMessage="Wants a refund,\nis angry")
    assert dialog.first_message == "Wants a refund,\nis angry"
    assert dialog.last_message == "Wants a refund, is angry"


def test_without_first_message_agents_read_the_clients_last_phrase(told, make_agent):
    channel = told(lambda asked: Answer([{"type": "switch"}]) if asked.event_name else "What?", quick=True)
    make_agent(channel)
    caller = Caller(channel)
    caller.send("my parcel is lost")
    caller.send(event="silence")

    dialog = dialog_of()
    assert (dialog.first_message, dialog.last_message) == ("my parcel is lost", "my parcel is lost")


def test_destination_is_a_group_of_the_channel(say_switch, make_agent):
    channel = say_switch(destination="Sales")
    seller, supporter = make_agent(channel, group="Sales"), make_agent(channel, group="Support")
    Caller(channel).send("human")

    dialog = dialog_of()
    assert dialog.group.name == "Sales"
    assert DialogChange.objects.get().detail == "Sales"
    assert dialog_selectors.sight_of(seller).sees(dialog)
    assert not dialog_selectors.sight_of(supporter).sees(dialog)


def test_a_group_may_have_a_number_for_a_name(say_switch, make_agent):
    channel = say_switch(destination=90871)
    make_agent(channel, group="90871")
    Caller(channel).send("human")
    assert dialog_of().group.name == "90871"


def test_a_destination_that_there_is_not_means_all_agents(hand_over, caplog):
    assert hand_over(destination="Nobody").group is None
    assert "no group of agents “Nobody”" in caplog.text


def test_the_group_of_another_channel_is_none(make_channel, hand_over):
    AgentGroup.objects.create(channel=make_channel(), name="Sales")
    assert hand_over(destination="Sales").group is None


@pytest.mark.parametrize("who", ["nobody", "offline", "of another channel", "of another group", "no agent"])
def test_with_nobody_online_the_client_stays_and_the_bot_is_told(who, say_switch, make_agent, make_channel, asked):
    channel = say_switch(destination="Sales")
    AgentGroup.objects.create(channel=channel, name="Sales")
    if who == "offline":
        make_agent(channel, group="Sales", online=False)
    elif who == "of another channel":
        make_agent(make_channel(), group="Sales")
    elif who == "of another group":
        make_agent(channel, group="Support")
    elif who == "no agent":
        make_agent(channel, group="Sales").user_permissions.clear()
    caller = Caller(channel)

    assert caller.send("human")["data"]["answer"] == "One moment."
    assert not Dialog.objects.exists()
    assert events_for_bot() == [("noLivechatOperatorsOnline", {"destination": "Sales"})]
    work()

    assert asked.events == ["noLivechatOperatorsOnline"]
    assert dialogue("test")[-1] == ("botResponse", "push", "bot heard noLivechatOperatorsOnline")
    assert caller.send("hi")["data"]["answer"] == "bot heard hi"
    check()


def test_a_superuser_who_is_online_is_an_agent_of_every_group(say_switch, superuser):
    presences.set_presence(agent=superuser, state="online")
    channel = say_switch(destination="Sales")
    AgentGroup.objects.create(channel=channel, name="Sales")
    Caller(channel).send("human")
    assert dialog_of().state == "waiting"


def test_ignore_offline_hands_over_all_the_same(say_switch):
    Caller(say_switch(ignoreOffline=True)).send("human")
    assert dialog_of().state == "waiting"
    assert events_for_bot() == []


def test_a_bot_that_hands_over_whatever_it_hears_is_told_once_that_nobody_is_there(told, asked):
    def answer(question):
        asked.append(question)
        assert len(asked) < 10, "it goes on for ever"
        return Answer([{"type": "switch"}])

    Caller(told(answer, quick=True)).send("human")
    work()

    assert asked.events == ["noLivechatOperatorsOnline"]
    assert [name for name, _ in events_for_bot()] == ["noLivechatOperatorsOnline"]


def test_one_of_the_phrases_closes_and_the_client_gets_the_last_message(hand_over, asked):
    dialog = hand_over(closeChatPhrases=["Bye", "That is all"], lastMessage="See you!")
    caller = Caller(dialog.channel)

    answer = caller.send("that is all")

    assert (answer["data"]["replies"], answer["data"]["handedOver"]) == ([], True)
    dialog.refresh_from_db()
    assert (dialog.state, client_of().dialog_id) == ("closed", None)
    assert ("botResponse", "push", "See you!") in dialogue("test")
    work()
    assert asked.events == ["livechatFinished"]
    assert events_for_bot() == [("livechatFinished", {"closedBy": "client", "agentJoined": False})]
    check()


def test_without_a_last_message_the_client_gets_none(hand_over):
    dialog = hand_over(closeChatPhrases=["bye"])
    Caller(dialog.channel).send("bye")
    assert [text for kind, _, text in dialogue("test") if kind == "botResponse"] == ["One moment."]


def test_the_close_button_goes_with_each_reply(hand_over, make_agent):
    dialog = hand_over(closeChatPhrases=["Bye", "End"], appendCloseChatButton=True)
    agent = make_agent(dialog.channel)
    take(agent)

    for text in ("one", "two"):
        message = dialogs.reply(dialog=dialog_of(), agent=agent, replies=[{"type": "text", "text": text}])
        assert message.data["replies"] == [
            {"type": "text", "text": text},
            {"type": "buttons", "buttons": [{"text": "Bye"}]},
        ]
        assert not message.block_form

    assert Caller(dialog.channel).send("Bye")["data"]["handedOver"]
    assert dialog_of().state == "closed"


def test_the_close_button_does_not_block_the_form(hand_over, make_agent):
    dialog = hand_over(closeChatPhrases=["Bye"], appendCloseChatButton=True)
    type(dialog.channel).objects.update(disable_text_with_buttons=True)
    agent = make_agent(dialog.channel)
    take(agent)
    message = dialogs.reply(dialog=dialog_of(), agent=agent, replies=[{"type": "text", "text": "x"}])
    assert message.block_form is False


@pytest.mark.parametrize("switch", [{"appendCloseChatButton": True}, {"closeChatPhrases": ["bye"]}])
def test_without_phrase_or_wish_there_is_no_button(hand_over, make_agent, switch):
    dialog = hand_over(**switch)
    agent = make_agent(dialog.channel)
    take(agent)
    message = dialogs.reply(dialog=dialog_of(), agent=agent, replies=[{"type": "text", "text": "x"}])
    assert message.data["replies"] == [{"type": "text", "text": "x"}]


def test_a_one_time_message_leaves_the_client_with_the_bot(hand_over, asked):
    dialog = hand_over(oneTimeMessage=True, firstMessage="Call me back")

    assert (dialog.state, dialog.one_time, dialog.last_message) == ("waiting", True, "Call me back")
    assert client_of().dialog_id is None
    assert Caller(dialog.channel).send("hi")["data"]["answer"] == "bot heard hi"
    dialog.refresh_from_db()
    assert (dialog.unread, dialog.last_message) == (1, "Call me back")
    # What the client talks with the bot meanwhile is none of the agents' business.
    assert messages_seen(dialog_of()) == ["human", "One moment."]
    check()


def test_attributes_are_kept_and_hidden_ones_beside_them(hand_over):
    dialog = hand_over(attributes={"order": 7, "who": {"name": "Ann"}}, hiddenAttributes={"iban": "DE00 SECRET"})
    assert dialog.attributes == {"order": 7, "who": {"name": "Ann"}}
    assert dialog.hidden_attributes == {"iban": "DE00 SECRET"}


def test_agents_do_not_find_hidden_attributes_in_the_transcript(hand_over):
    dialog = hand_over(attributes={"order": 7}, hiddenAttributes={"iban": "DE00 SECRET"})
    messages, _ = dialog_selectors.transcript(dialog, before=None, limit=50)
    items = [transcript_item(message, token=dialog.channel.token, client_id="test") for message in messages]
    assert "'order': 7" in str(items)
    assert "SECRET" not in str(items)


@pytest.mark.parametrize(
    ("switch", "seen"),
    [
        ({}, 0),
        ({"sendMessagesToOperator": False, "sendMessageHistoryAmount": 3}, 0),
        ({"sendMessageHistoryAmount": 3}, 0),
        ({"sendMessagesToOperator": True}, 6),
        ({"sendMessagesToOperator": True, "sendMessageHistoryAmount": 0}, 0),
        ({"sendMessagesToOperator": True, "sendMessageHistoryAmount": 1}, 1),
        ({"sendMessagesToOperator": True, "sendMessageHistoryAmount": 3}, 3),
        ({"sendMessagesToOperator": True, "sendMessageHistoryAmount": 6}, 6),
        ({"sendMessagesToOperator": True, "sendMessageHistoryAmount": 100}, 6),
        ({"sendMessagesToOperator": True, "sendMessageHistoryAmount": -1}, 0),
        ({"sendMessagesToOperator": True, "sendMessageHistoryAmount": 10**30}, 6),
        ({"sendMessagesToOperator": True, "sendMessageHistoryAmount": 2**63}, 6),
    ],
)
def test_how_many_earlier_messages_agents_see(say_switch, make_agent, switch, seen):
    channel = say_switch(**switch)
    make_agent(channel)
    caller = Caller(channel)
    for text in ("a", "b", "c"):
        caller.send(text)
    caller.send("human")

    earlier = ["a", "bot heard a", "b", "bot heard b", "c", "bot heard c"]
    assert messages_seen(dialog_of()) == [*earlier[len(earlier) - seen :], "human", "One moment."]


def test_what_agents_never_see_does_not_count_as_an_earlier_message(say_switch, make_agent):
    channel = say_switch(sendMessagesToOperator=True, sendMessageHistoryAmount=2)
    agent = make_agent(channel)
    caller = Caller(channel)
    caller.send("a")
    dialog = take(agent)
    caller.post("async", body={"clientId": "test", "query": "b"})  # is told at once of the agent
    dialogs.close(dialog=dialog, agent=agent)  # the bot is told
    caller.send("human")

    assert messages_seen(dialog_of()) == ["bot heard a", "b", "human", "One moment."]


HOSTILE = [
    None, True, False, 0, -1, 1.5, 10**40, 10**400, "", " ", "\0", "a\0b", SHRUG, "İ" * 255, "\u2028", "é" * 300,
    [], [[]], [None, 1, "\0", "", " ", {}], ["\0bye\0"], [SHRUG], ["x"] * 5_000,
    {}, {"\0": "\0"}, {"a": SHRUG}, {"a": {"b": [1, None, "\0"]}},
]  # fmt: skip
PROPERTIES = (
    "firstMessage", "lastMessage", "closeChatPhrases", "appendCloseChatButton", "ignoreOffline", "oneTimeMessage",
    "destination", "attributes", "hiddenAttributes", "sendMessagesToOperator", "sendMessageHistoryAmount",
)  # fmt: skip


@pytest.mark.parametrize("name", PROPERTIES)
def test_no_value_of_a_property_is_an_error(say_switch, make_agent, name):
    for number, value in enumerate(HOSTILE):
        more = {"sendMessagesToOperator": True} if name == "sendMessageHistoryAmount" else {}
        channel = say_switch(**{**more, name: value})
        agent = make_agent(channel)
        caller = Caller(channel)
        answer = caller.send("human", client_id=str(number))
        assert answer["data"]["answer"] == "One moment.", value
        dialog = dialog_of(str(number))
        assert dialog.state == "waiting"
        check(str(number))
        # And nothing of it harms what follows.
        dialogs.take(dialog=dialog, agent=agent)
        dialogs.reply(dialog=dialog_of(str(number)), agent=agent, replies=[{"type": "text", "text": "hi"}])
        caller.send("\tbye ", client_id=str(number))
        assert caller.get("events", clientId=str(number), all="true", timeout=0).status_code == 200


@pytest.mark.parametrize("name", PROPERTIES)
@pytest.mark.parametrize(
    "value",
    ["\ud800", ["\udfff"], {"a": "\ud800"}, float("nan"), 10**5000, b"x"],
    ids=["half", "half in a list", "half in an object", "nan", "5000 digits", "bytes"],
)
def test_what_no_json_can_say_is_the_bots_failure(say_switch, make_agent, name, value):
    channel = say_switch(**{name: value})
    make_agent(channel)
    response = Caller(channel).post(body={"clientId": "test", "query": "human"})
    assert (response.status_code, response.json()["error"]) == (502, "bot_failed")
    assert not Dialog.objects.exists()
    assert client_of().dialog_id is None


def test_of_several_switches_the_last_one_counts(told, make_agent):
    replies = [{"type": "switch", "firstMessage": "one"}, {"type": "switch", "firstMessage": "two"}]
    channel = told(lambda question: Answer(replies), quick=True)
    make_agent(channel)
    Caller(channel).send("human")
    assert dialog_of().first_message == "two"
    assert Dialog.objects.count() == 1


def test_a_switch_at_the_end_of_an_async_answer_hands_over_too(channel, agent, accept, asked):
    accept(channel, "human", client_id="test", route="async")
    accept(channel, "behind it", client_id="test", route="async")
    work()

    assert [question.query for question in asked] == ["human"]
    assert dialog_of().state == "waiting"
    states = Message.objects.filter(type="request").order_by("sequence").values_list("answer_state", flat=True)
    assert list(states) == ["answered", "handed_over"]


def test_reading_a_switch():
    assert find_switch([]) is None
    assert find_switch([{"type": "text", "text": "x"}, None, "switch"]) is None
    assert find_switch([{"type": "switch"}]) == Switch()
    wrong = dict.fromkeys(PROPERTIES, 1.5)
    assert find_switch([{"type": "switch", **wrong}]) == Switch()
    assert find_switch([{"type": "switch", "closeChatPhrases": ["a", " ", 1, None, "\0", "b"]}]) == Switch(
        close_phrases=["a", "b"]
    )
    assert find_switch([{"type": "switch", "destination": True}]) == Switch()


def test_clients_do_not_find_hidden_attributes_in_what_they_get(say_switch):
    caller = Caller(say_switch(ignoreOffline=True, attributes={"order": 7}, hiddenAttributes={"iban": "SECRET"}))

    answer = caller.send("human")

    assert answer["data"]["replies"][1] == {"type": "switch", "ignoreOffline": True, "attributes": {"order": 7}}
    assert "SECRET" not in json.dumps(caller.history())
    assert dialog_of().hidden_attributes == {"iban": "SECRET"}


def test_a_one_time_message_waits_also_while_nobody_is_online(say_switch):
    caller = Caller(say_switch(oneTimeMessage=True, firstMessage="Call me back"))

    caller.send("human")

    assert (dialog_of().state, dialog_of().last_message, events_for_bot()) == ("waiting", "Call me back", [])


def test_a_bot_with_nothing_to_say_to_an_event_says_nothing(told, make_agent):
    channel = told(lambda question: Answer() if question.event_name else "hello", quick=True)
    agent = make_agent(channel)
    Caller(channel).send("hi")
    dialogs.close(dialog=take(agent), agent=agent)

    work()

    assert [message.answer_state for message in Message.objects.filter(route="push")] == ["answered"]


def test_what_is_wrong_in_a_switch_is_named_in_the_log(say_switch, caplog):
    Caller(say_switch(ignoreOffline=True, closeChatPhrases="bye", attributes=[])).send("human")

    assert "closeChatPhrases, attributes" in caplog.text
    assert dialog_of().close_phrases == []
