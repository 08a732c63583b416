"""``POST`` and ``GET {token}``: the contract's literal JSON, and every way in which a body is wrong."""

import re

import pytest

from tests.conftest import Caller

ENVELOPE = {
    "token": str, "clientId": str, "questionId": str, "query": str, "event": type(None), "cid": type(None),
    "data": dict, "timestamp": str, "blockForm": bool,
}  # fmt: skip


def test_the_contracts_literal_answer(make_channel):
    reply = {"type": "text", "text": "Tell the bot something", "state": "/CatchAll"}
    options = {"script": [{"query": "hi", "replies": [reply], "nlp_class": "/CatchAll"}]}
    caller = Caller(make_channel(bot="recorded", bot_options=options))
    caller.send("hi")

    answer = caller.send("hi")

    assert {key: type(value) for key, value in answer.items()} == ENVELOPE
    assert answer["token"] == caller.token
    assert answer["clientId"] == "test"
    assert answer["query"] == "hi"
    assert answer["blockForm"] is False
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", answer["questionId"]
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", answer["timestamp"])
    assert answer["data"] == {
        "nlpClass": "/CatchAll",
        "confidence": 1.0,
        "replies": [reply],
        "answer": "Tell the bot something",
        "newSessionStarted": False,
        "debugData": [],
        "endSession": False,
    }


@pytest.mark.parametrize("client_id", ["a/b", "a b", "@ann", "ä€😀", "..", " ", "\n", "x" * 255])
def test_any_text_is_a_client_id(caller, client_id):
    assert caller.send("hi", client_id=client_id)["clientId"] == client_id
    assert len(caller.history(client_id)["messages"]) == 2
