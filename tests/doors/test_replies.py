"""Replies, ``answer`` and the blocked form (contract, section 5)."""

import pytest

from django_chatapi.models import Channel, Client
from tests.conftest import Caller

EVERY_TYPE = [
    {"type": "text", "text": "Hello", "markup": "html", "tts": "hello", "state": "/Start"},
    {"type": "buttons", "buttons": [{"text": "Yes", "transition": "/Yes"}, {"text": "No"}]},
    {"type": "inlineButtons", "buttons": [{"text": "Shop", "url": "https://shop.example"}]},
    {"type": "image", "imageUrl": "https://shop.example/a.png", "text": "A"},
    {"type": "audio", "audioUrl": "https://shop.example/a.mp3", "audioName": "A"},
    {"type": "file", "fileUrl": "https://shop.example/a.pdf", "fileName": "a.pdf", "mimeType": "application/pdf"},
    {"type": "location", "lat": 59.938784, "lon": 30.314997},
    {
        "type": "carousel",
        "text": "Swipe",
        "content": [{"title": "t", "description": "d", "image": "i", "url": "u", "btnText": "b"}],
    },
    {"type": "switch", "closeChatPhrases": ["bye"], "ignoreOffline": True},
    {"type": "timeout", "interval": 5},
    {"type": "raw", "body": {"any": ["thing", None, 1.5, "\0"]}},
    {"type": "of the bot's own", "ünïcode": "😀", "": None},
]
BUTTONS = [
    {"type": "text", "text": "Shall we go on?"},
    {"type": "buttons", "buttons": [{"text": "Yes"}, {"text": " No, thanks ", "transition": "/No"}]},
    {"type": "buttons", "buttons": [{"text": "Later"}]},
]


def recorded(make_channel, *lines: dict, **fields) -> Caller:
    options = {"script": list(lines), "default": {"text": "Go on"}}
    return Caller(make_channel(bot="recorded", bot_options=options, **fields))


def test_every_reply_passes_through_as_the_bot_made_it(make_channel, bots):
    caller = Caller(make_channel(bot="dictated"))
    bots.dictated.extend(EVERY_TYPE)

    replies = caller.send("hi")["data"]["replies"]

    assert replies == EVERY_TYPE
    assert [list(reply) for reply in replies] == [list(reply) for reply in EVERY_TYPE]
    kept = caller.history()["messages"][1]["event"]["data"]["replies"]
    assert kept == EVERY_TYPE
    assert [list(reply) for reply in kept] == [list(reply) for reply in EVERY_TYPE]


@pytest.mark.parametrize(
    ("replies", "answer"),
    [
        ([], ""),
        ([{"type": "text", "text": "one"}], "one"),
        ([{"type": "text", "text": "1"}, {"type": "image", "text": "-"}, {"type": "text", "text": "2"}], "1\n\n2"),
        ([{"type": "buttons", "buttons": [{"text": "no"}]}], ""),
        ([{"type": "text"}, {"type": "text", "text": None}, {"type": "text", "text": "two"}], "two"),
        ([{"type": "text", "text": " a\n"}, {"type": "text", "text": "b "}], " a\n\n\nb "),
    ],
)  # fmt: skip
def test_answer_is_the_text_replies_joined_by_a_blank_line(make_channel, replies, answer):
    caller = recorded(make_channel, {"query": "hi", "replies": replies})

    assert caller.send("hi")["data"]["answer"] == answer


def test_the_steps_of_an_answer_are_joined_in_order(make_channel, bots):
    caller = Caller(make_channel(bot="steps"))

    data = caller.send("one\ntwo\nthree")["data"]

    assert [reply["text"] for reply in data["replies"]] == ["one", "two", "three"]
    assert data["answer"] == "one\n\ntwo\n\nthree"
    assert len(caller.history()["messages"]) == 2


def test_a_reply_without_a_type_is_a_failure_of_the_bot(make_channel):
    caller = recorded(make_channel, {"query": "hi", "replies": [{"type": "text", "text": "x"}, {"text": "y"}]})

    response = caller.post(body={"clientId": "test", "query": "hi"})

    assert response.status_code == 502
    assert [item["type"] for item in caller.history()["messages"]] == ["request"]


# --- the blocked form


@pytest.fixture
def blocked(make_channel) -> Caller:
    """The client's latest message is an answer with buttons, and the channel disables text then."""
    buttons = {"query": "start", "replies": BUTTONS}
    caller = recorded(
        make_channel, buttons, {"event": "start", "replies": BUTTONS}, disable_text_with_buttons=True
    )
    assert caller.send("start")["blockForm"] is True
    return caller


def ask(caller: Caller, **body) -> int:
    return caller.post(body={"clientId": "test", **body}).status_code


def test_free_text_is_refused_while_buttons_are_shown(blocked):
    response = blocked.post(body={"clientId": "test", "query": "something else"})

    assert response.status_code == 422
    assert response.json()["error"] == "text_input_disabled"
    assert response.json()["args"] == {"buttons": ["Yes", " No, thanks ", "Later"]}
    assert len(blocked.history()["messages"]) == 2


@pytest.mark.parametrize("query", ["Yes", " No, thanks ", "No, thanks", "Later"])
def test_the_text_of_a_button_passes_and_frees_the_form(blocked, query):
    assert blocked.send(query)["blockForm"] is False
    assert ask(blocked, query="something else") == 200


@pytest.mark.parametrize("query", ["yes", "Yes!", "Y", "YesLater", "Shall we go on?", "/No"])
def test_what_only_resembles_a_button_is_refused(blocked, query):
    assert ask(blocked, query=query) == 422


def test_an_event_passes_and_frees_the_form(blocked):
    assert ask(blocked, event="closed") == 200
    assert ask(blocked, query="something else") == 200


def test_an_event_that_is_answered_with_buttons_blocks_the_form(blocked):
    assert blocked.send(event="start")["blockForm"] is True
    assert ask(blocked, query="something else") == 422


def test_the_form_of_get_is_blocked_too(blocked):
    assert blocked.get(clientId="test", query="something else").status_code == 422
    assert blocked.get(clientId="test", query="Yes").status_code == 200


def test_a_refusal_changes_nothing(blocked):
    for _ in range(3):
        assert ask(blocked, query="something else") == 422

    client = Client.objects.get()
    assert client.last_sequence == 2
    assert blocked.send("Yes")["data"]["newSessionStarted"] is False


def test_a_saved_state_does_not_free_the_form(blocked):
    assert blocked.post("client", "test", "state", body={}).status_code == 200

    assert ask(blocked, query="something else") == 422


def test_one_clients_buttons_block_no_other_client(blocked):
    assert blocked.send("something else", client_id="other")["blockForm"] is False


def test_a_request_without_an_answer_behind_the_buttons_frees_the_form(blocked, make_channel):
    Channel.objects.update(bot_options={"script": []})
    assert ask(blocked, query="Yes") == 502

    assert ask(blocked, query="something else") == 502


def test_a_channel_that_does_not_disable_text_never_blocks(make_channel):
    caller = recorded(make_channel, {"query": "start", "replies": BUTTONS})

    assert caller.send("start")["blockForm"] is False
    assert ask(caller, query="something else") == 200


@pytest.mark.parametrize(
    "replies",
    [
        [{"type": "text", "text": "Yes or no?"}],
        [{"type": "inlineButtons", "buttons": [{"text": "Shop", "url": "https://shop.example"}]}],
        [{"type": "carousel", "text": "", "content": [{"btnText": "Yes"}]}],
    ],
    ids=["text", "inlineButtons", "carousel"],
)
def test_only_buttons_block_the_form(make_channel, replies):
    caller = recorded(make_channel, {"query": "start", "replies": replies}, disable_text_with_buttons=True)

    assert caller.send("start")["blockForm"] is False
    assert ask(caller, query="something else") == 200


@pytest.mark.parametrize("buttons", [None, "x", [], [1], [{}], [{"text": 5}], {"text": "x"}])
def test_buttons_of_another_shape_harm_nobody(make_channel, buttons):
    replies = [{"type": "buttons", "buttons": buttons}]
    caller = recorded(make_channel, {"query": "start", "replies": replies}, disable_text_with_buttons=True)

    assert caller.send("start")["data"]["replies"] == replies
    assert ask(caller, query="something else") == 422
    assert ask(caller, event="something else") == 200


def test_the_history_tells_which_answers_blocked_the_form(blocked):
    blocked.send("Yes")

    answers = [
        item["event"]["blockForm"] for item in blocked.history()["messages"] if item["type"] == "botResponse"
    ]
    assert answers == [True, False]
