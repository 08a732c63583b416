"""Envelopes, cursors, and the reading of buttons."""

import base64
import datetime as dt
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_chatapi.constants import MessageType, Status
from django_chatapi.exceptions import InvalidRequest
from django_chatapi.models import Message
from django_chatapi.wire.envelope import (
    answer_data,
    button_texts,
    envelope,
    history_item,
    join_data,
    make_cursor,
    read_cursor,
)


def data(*replies, **more):
    fields = {"nlp_class": None, "confidence": 1.0, "debug_data": [], "end_session": False, "new_session": False}
    return answer_data(**{**fields, "replies": list(replies), **more})


def text(words):
    return {"type": "text", "text": words}


def buttons(*shown):
    return {"type": "buttons", "buttons": list(shown)}


def test_the_contracts_literal_data():
    reply = {"type": "text", "text": "Tell the bot something", "state": "/CatchAll"}
    assert data(reply, nlp_class="/CatchAll") == {
        "nlpClass": "/CatchAll",
        "confidence": 1.0,
        "replies": [reply],
        "answer": "Tell the bot something",
        "newSessionStarted": False,
        "debugData": [],
        "endSession": False,
    }


def test_the_answer_is_the_texts_of_the_text_replies_with_a_blank_line_between():
    image = {"type": "image", "imageUrl": "https://example.com/a.png", "text": "not this one"}
    assert data(text("one"), image, text("two"), text("three"))["answer"] == "one\n\ntwo\n\nthree"
    assert data()["answer"] == ""
    assert data(image)["answer"] == ""


@pytest.mark.parametrize("odd", [None, 7, ["x"], {"a": 1}])
def test_a_text_reply_without_a_text_adds_nothing(odd):
    assert data({"type": "text", "text": odd}, {"type": "text"}, text("one"))["answer"] == "one"


def test_joined_steps_keep_their_order_and_the_last_word():
    first = data(text("one"), nlp_class="/A", confidence=0.2, debug_data=[1], new_session=True)
    second = data(text("two"), nlp_class="/B", confidence=0.9, debug_data=[2, 3], end_session=True)
    third = data(text("three"), nlp_class=None, confidence=None)
    joined = join_data([first, second, third])
    assert joined == {
        "nlpClass": None,
        "confidence": None,
        "replies": [text("one"), text("two"), text("three")],
        "answer": "one\n\ntwo\n\nthree",
        "newSessionStarted": True,
        "debugData": [1, 2, 3],
        "endSession": True,
    }


def test_one_step_joined_is_itself():
    step = data(text("one"), nlp_class="/A", debug_data=[{"a": 1}], end_session=True, new_session=True)
    assert join_data([step]) == step


@pytest.mark.parametrize(
    ("replies", "texts"),
    [
        ([], None),
        ([text("buttons")], None),
        ([{"type": "inlineButtons", "buttons": [{"text": "No", "url": "https://example.com"}]}], None),
        ([buttons({"text": "Yes"}, {"text": "No", "transition": "/No"})], ["Yes", "No"]),
        ([buttons({"text": "A"}), text("or"), buttons({"text": "B"})], ["A", "B"]),
        ([{"type": "buttons"}], []),
        ([{"type": "buttons", "buttons": None}], []),
        ([{"type": "buttons", "buttons": "Yes"}], []),
        ([{"type": "buttons", "buttons": {"text": "Yes"}}], []),
        ([buttons("Yes", None, 7, [], {}, {"text": None}, {"text": 7}, {"text": "No"})], ["No"]),
    ],
)  # fmt: skip
def test_button_texts_of_any_shape(replies, texts):
    assert button_texts(data(*replies)) == texts


def message(**more):
    fields = {
        "type": MessageType.BOT_RESPONSE,
        "question_id": uuid.UUID("01930000-0000-7000-8000-000000000001"),
        "created_at": dt.datetime(2022, 9, 28, 12, 32, 13, 262_000, dt.timezone.utc),
        "query": "hi",
        "connection_id": "tab-1",
        "data": {"replies": []},
        "status": Status.SENT,
    }
    return Message(**{**fields, **more})


def test_an_envelope():
    assert envelope(message(block_form=True), token="the-callers-own", client_id="a/b") == {
        "token": "the-callers-own",
        "clientId": "a/b",
        "questionId": "01930000-0000-7000-8000-000000000001",
        "query": "hi",
        "event": None,
        "cid": "tab-1",
        "data": {"replies": []},
        "timestamp": "2022-09-28T12:32:13.262",
        "blockForm": True,
    }


def test_a_history_item_has_a_status_unless_it_is_a_request():
    answer = history_item(message(), token="t", client_id="c")
    assert (answer["type"], answer["event"]["status"]) == ("botResponse", "SENT")
    request = history_item(message(type=MessageType.REQUEST, status=None), token="t", client_id="c")
    assert request["type"] == "request"
    assert "status" not in request["event"]


@given(st.integers(0, 10**18 - 1))
@example(0)
@example(10**18 - 1)
def test_a_cursor_leads_back_to_its_place(sequence):
    cursor = make_cursor(sequence)
    assert read_cursor(cursor) == sequence
    assert cursor.isascii()
    assert not set(cursor) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.one_of(st.text(), st.text(st.characters(min_codepoint=32, max_codepoint=126)), st.binary().map(repr)))
@example("")
@example("=")
@example("s1")
@example("czE=")
@example("c" * 10_000)
@example("czH//w")
def test_garbage_is_an_invalid_request_and_nothing_else(cursor):
    try:
        sequence = read_cursor(cursor)
    except InvalidRequest as error:
        assert list(error.details) == ["cursor"]
    else:
        assert 0 <= sequence < 10**18


@pytest.mark.parametrize(
    "inside", [b"", b"s", b"1", b"s-1", b"s1.5", b"s 1", b"sx", b"S1", b"s" + b"9" * 19, "s١".encode()]
)
def test_a_cursor_that_nobody_made_is_refused(inside):
    with pytest.raises(InvalidRequest):
        read_cursor(base64.urlsafe_b64encode(inside).decode().rstrip("="))
