"""``POST`` and ``GET {token}``: the contract's literal JSON, and every way in which a request is wrong."""

import json
import re

import pytest
from django.db import connections

from django_chatapi.constants import AnswerState
from django_chatapi.models import Channel, Client, Connection, Message
from tests.conftest import Caller

ENVELOPE = {
    "token": str, "clientId": str, "questionId": str, "query": str, "event": type(None), "cid": type(None),
    "data": dict, "timestamp": str, "blockForm": bool,
}  # fmt: skip
LONGEST_NAME = "😀" * 255


def refused(response, *fields: str) -> None:
    """400 that names exactly these fields; nothing was stored."""
    assert response.status_code == 400, response.content
    body = response.json()
    assert body["error"] == "invalid_request"
    assert set(body["args"]) == set(fields)
    for sentences in body["args"].values():
        assert all(isinstance(sentence, str) and sentence for sentence in sentences)
    assert not Client.objects.exists()
    assert not Connection.objects.exists()
    assert not Message.objects.exists()


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


def test_get_gives_the_same_envelope(caller):
    posted = caller.send("hi", client_id="ann", cid="tab 1")

    got = caller.get(clientId="ann", query="hi", cid="tab 1")

    assert got.status_code == 200
    differing = {"questionId", "timestamp", "data"}
    assert {**got.json(), **{key: posted[key] for key in differing}} == posted
    assert {**got.json()["data"], "newSessionStarted": True} == posted["data"]


def test_get_takes_an_event(caller):
    answer = caller.get(clientId="ann", event="pageOpened").json()

    assert answer["query"] is None
    assert answer["event"] == "pageOpened"
    assert answer["data"]["answer"] == "pageOpened"


def test_an_event_with_data(make_channel, bots):
    caller = Caller(make_channel(bot="listener"))

    answer = caller.send(client_id="ann", event="pageOpened", data={"page": "/prices"})

    assert answer["query"] is None
    assert answer["event"] == "pageOpened"
    assert bots.asked[0].event_name == "pageOpened"
    assert bots.asked[0].data == {"page": "/prices"}


def test_a_request_is_stored_before_the_bot_is_asked(make_channel, bots):
    Caller(make_channel(bot="listener")).send("hi")

    assert bots.stored == [True]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("atomic_requests", [False, True])
def test_no_transaction_is_open_while_the_bot_thinks(make_channel, bots, monkeypatch, atomic_requests):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", atomic_requests)

    Caller(make_channel(bot="listener")).send("hi")

    assert bots.in_transaction == [False]


def test_both_sides_are_kept_in_order(caller):
    answer = caller.send("hi", client_id="ann", cid="tab 1", data={"a": [1, None]})

    asked, answered = (message["event"] for message in caller.history("ann")["messages"])
    assert asked["questionId"] == answered["questionId"] == answer["questionId"]
    assert asked["data"] == {"a": [1, None]}
    assert asked["timestamp"] <= answered["timestamp"]
    assert {**answered, "status": None} == {**answer, "status": None}


# --- what is accepted


@pytest.mark.parametrize("client_id", ["a/b", "a b", "@ann", "ä€😀", "..", " ", "\n", "x" * 255, LONGEST_NAME])
def test_any_text_is_a_client_id(caller, client_id):
    assert caller.send("hi", client_id=client_id)["clientId"] == client_id
    assert len(caller.history(client_id)["messages"]) == 2


def test_client_ids_are_told_apart_to_the_letter(caller):
    ids = ["ann", "Ann", "ann ", " ann", "a\u0301nn", "\xe1nn"]
    for client_id in ids:
        caller.send(f"I am {client_id!r}", client_id=client_id)

    for client_id in ids:
        messages = caller.history(client_id)["messages"]
        assert [message["event"]["query"] for message in messages] == [f"I am {client_id!r}"] * 2


@pytest.mark.parametrize(
    ("number", "text"), [(7, "7"), (0, "0"), (-5, "-5"), (10**40, "1" + "0" * 40), (10**254, "1" + "0" * 254)]
)
def test_an_integer_is_a_client_id(caller, number, text):
    assert caller.send("hi", client_id=number)["clientId"] == text
    assert caller.get(clientId=text, query="hi").json()["data"]["newSessionStarted"] is False


def test_null_means_absent(make_channel, bots):
    caller = Caller(make_channel(bot="listener"))

    answer = caller.send("hi", event=None, cid=None, data=None, more=None)

    assert answer["event"] is None
    assert answer["cid"] is None
    assert bots.asked[0].data is None
    assert bots.asked[0].raw_request == {
        "clientId": "test", "query": "hi", "event": None, "cid": None, "data": None, "more": None,
    }  # fmt: skip


def test_the_longest_of_everything(caller):
    query = "😀" * 10_000

    said = caller.send(query, client_id=LONGEST_NAME, cid=LONGEST_NAME)
    happened = caller.send(client_id=LONGEST_NAME, event=LONGEST_NAME)

    assert said["query"] == said["data"]["answer"] == query
    assert said["cid"] == LONGEST_NAME
    assert happened["event"] == LONGEST_NAME


def test_a_text_is_kept_to_the_letter(caller):
    query = "  two\tspaces \r\n and <b>&amp;</b> \u2028 \u202e \u200d\n"

    assert caller.send(query)["query"] == query
    assert caller.history()["messages"][0]["event"]["query"] == query


def test_unknown_keys_reach_the_bot_untouched(make_channel, bots):
    caller = Caller(make_channel(bot="listener"))
    body = {
        "clientId": 7,
        "query": "hi",
        "clientInfo": {"platform": "iOS", "build": 12.50},
        "contexts": [{"name": "shop", "deep": [[[]]]}],
        "": None,
        "Query": "another key",
        "token": "of my own",
    }

    caller.post(body=body)
    caller.get(clientId="7", query="hi", utm_source="mail", format="xml", token="t")

    assert bots.asked[0].raw_request == body
    assert bots.asked[1].raw_request == {
        "clientId": "7", "query": "hi", "utm_source": "mail", "format": "xml", "token": "t",
    }  # fmt: skip


def test_every_character_survives_in_data(make_channel, bots):
    caller = Caller(make_channel(bot="listener"))
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000, 7)]))

    caller.send("hi", data={"x": "\0", everything: [everything]})

    assert bots.asked[0].data == {"x": "\0", everything: [everything]}
    assert caller.history()["messages"][0]["event"]["data"] == {"x": "\0", everything: [everything]}


def test_surrogate_pairs_are_the_character_they_stand_for(caller):
    response = caller.post(body=b'{"clientId": "ann", "query": "\\ud83d\\ude00", "data": {"x": "\\uD83D\\uDE00"}}')

    assert response.json()["query"] == "😀"
    assert caller.history("ann")["messages"][0]["event"]["data"] == {"x": "😀"}


def test_a_body_of_exactly_the_limit_is_accepted(caller):
    body = {"clientId": "ann", "query": "hi", "more": ""}
    body["more"] = "x" * (1024 * 1024 - len(json.dumps(body)))

    assert caller.post(body=body).status_code == 200
    assert caller.post(body={**body, "more": body["more"] + "x"}).status_code == 413


# --- what is refused


@pytest.mark.parametrize(
    "body", [{"query": "hi"}, {"clientId": None, "query": "hi"}, {"clientId": "", "query": "hi"}]
)
def test_a_client_id_is_required(caller, body):
    refused(caller.post(body=body), "clientId")


def test_exactly_one_of_query_and_event_is_required(caller):
    refused(caller.post(body={"clientId": "ann"}), "query", "event")
    refused(caller.post(body={"clientId": "ann", "query": None, "event": None}), "query", "event")
    refused(caller.post(body={"clientId": "ann", "query": "hi", "event": "opened"}), "query", "event")
    refused(caller.get(clientId="ann"), "query", "event")
    refused(caller.get(clientId="ann", query="hi", event="opened"), "query", "event")


def test_every_wrong_field_is_named(caller):
    body = {"clientId": [], "query": "", "event": 1, "cid": {}, "data": "x"}

    refused(caller.post(body=body), "clientId", "query", "event", "cid", "data")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("clientId", value) for value in (True, False, 1.0, 1.5, [], ["ann"], {}, {"id": 1})],
        *[(name, value) for name in ("query", "event", "cid") for value in (True, 0, 1, 1.5, [], ["hi"], {})],
        *[("data", value) for value in (True, False, 0, 1.5, "", "{}", [], [{}])],
    ],
)
def test_a_value_of_another_type_is_refused(caller, field, value):
    base = {"clientId": "ann"} if field in ("query", "event") else {"clientId": "ann", "query": "hi"}

    refused(caller.post(body={**base, field: value}), field)


@pytest.mark.parametrize("query", ["", " ", "\t\r\n", "\xa0\u2003"])
def test_a_blank_query_is_refused(caller, query):
    refused(caller.post(body={"clientId": "ann", "query": query}), "query")
    refused(caller.get(clientId="ann", query=query), "query")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("clientId", LONGEST_NAME + "x"),
        ("clientId", 10**255),
        ("query", "😀" * 10_001),
        ("event", LONGEST_NAME + "x"),
        ("cid", LONGEST_NAME + "x"),
    ],
)
def test_one_character_too_many_is_refused(caller, field, value):
    base = {"clientId": "ann"} if field in ("query", "event") else {"clientId": "ann", "query": "hi"}

    refused(caller.post(body={**base, field: value}), field)
    refused(caller.get(**{**base, field: str(value)}), field)


@pytest.mark.parametrize("field", ["clientId", "query", "event", "cid"])
@pytest.mark.parametrize("value", ["\0", "a\0b"])
def test_a_nul_is_refused_where_no_column_can_hold_it(caller, field, value):
    base = {"clientId": "ann"} if field in ("query", "event") else {"clientId": "ann", "query": "hi"}

    refused(caller.post(body={**base, field: value}), field)
    refused(caller.get(**{**base, field: value}), field)


@pytest.mark.parametrize("field", ["clientId", "query", "event", "cid", "data", "more"])
@pytest.mark.parametrize("half", [r"\ud800", r"\uDFFF", r"x\uD83Dx", r"\ude00\ud83d"])
def test_half_a_character_is_refused_wherever_it_stands(caller, field, half):
    text = f'"{half}"'
    values = {"clientId": '"ann"', "query": '"hi"', field: f'{{"x": [{text}]}}' if field == "data" else text}
    body = "{" + ", ".join(f'"{name}": {value}' for name, value in values.items()) + "}"

    refused(caller.post(body=body), "body")
    refused(caller.post(body=f'{{"clientId": "ann", "query": "hi", {text}: 1}}'), "body")


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity", "1" * 5000])
def test_a_number_that_no_computer_holds_is_refused(caller, number):
    refused(caller.post(body=f'{{"clientId": "ann", "query": "hi", "data": {{"x": {number}}}}}'), "body")


@pytest.mark.parametrize("body", ["null", "true", "1", '"hi"', "[]", '[{"clientId": "ann", "query": "hi"}]'])
def test_a_body_that_is_no_object_is_refused(caller, body):
    refused(caller.post(body=body), "body")


def nested(levels: int) -> dict:
    value: dict = {}
    for _ in range(levels):
        value = {"x": [value]}
    return value


def test_deep_data_is_kept_and_bottomless_data_refused(caller):
    refused(caller.post(body={"clientId": "ann", "query": "hi", "data": nested(100)}), "body")

    caller.send("hi", client_id="ann", data=nested(20))

    assert caller.history("ann")["messages"][0]["event"]["data"] == nested(20)


def test_a_query_string_that_is_no_utf8_harms_nobody(caller):
    response = caller.http.get(f"{caller.path()}?clientId=a%FFb&query=%C3%28&%80=%80")

    assert response.status_code == 200
    assert response.json()["clientId"] == "a\ufffdb"


# --- a bot that fails


@pytest.fixture
def failing(make_channel) -> Caller:
    return Caller(make_channel(bot="recorded", bot_options={"script": [{"query": "hi", "text": "Hello"}]}))


def test_a_bot_that_raises_is_bot_failed_and_the_request_is_kept(failing):
    response = failing.post(body={"clientId": "ann", "query": "the secret"})

    assert response.status_code == 502
    body = response.json()
    assert set(body) == {"error", "message", "args"}
    assert body["error"] == "bot_failed"
    assert "secret" not in response.content.decode()
    (asked,) = failing.history("ann")["messages"]
    assert body["args"] == {"questionId": asked["event"]["questionId"]}
    request = Message.objects.get()
    assert request.answer_state == AnswerState.FAILED
    assert "the secret" in request.failure


def test_a_failed_request_does_not_spoil_the_next(failing):
    failing.post(body={"clientId": "ann", "query": "?"})

    assert failing.send("hi", client_id="ann")["data"]["answer"] == "Hello"


@pytest.mark.parametrize(
    "thing",
    [
        "none", "number", "dict", "bytes", "no type", "blank type", "type of another type",
        "reply that is no object", "not JSON", "not a number", "half a character",
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_bot_failed(make_channel, bots, thing):
    caller = Caller(make_channel(bot="nonsense"))

    response = caller.post(body={"clientId": "ann", "query": thing})

    assert response.status_code == 502, response.content
    assert response.json()["error"] == "bot_failed"
    assert Message.objects.get().answer_state == AnswerState.FAILED


def test_the_table_of_nonsense_is_tested_whole(bots):
    parameters = test_an_answer_that_is_none_is_bot_failed.pytestmark[0].args[1]

    assert set(parameters) == set(bots.Nonsense.things)


def test_a_channel_whose_bot_is_gone_is_bot_failed(caller):
    Channel.objects.update(bot="no longer there")

    response = caller.post(body={"clientId": "ann", "query": "hi"})

    assert response.status_code == 502
    assert "no longer there" not in response.content.decode()
    assert "no longer there" in Message.objects.get().failure


# --- a bot that is slow


@pytest.mark.django_db(transaction=True)
def test_a_bot_that_says_nothing_in_time_is_bot_timeout_and_its_late_answer_is_kept(make_channel, bots, configure):
    configure(SYNC_TIMEOUT=0.05)
    caller = Caller(make_channel(bot="patient"))

    response = caller.post(body={"clientId": "ann", "query": "hi"})

    assert response.status_code == 504
    body = response.json()
    assert body["error"] == "bot_timeout"
    assert [message["type"] for message in caller.history("ann")["messages"]] == ["request"]

    bots.go.set()
    bots.finished()
    asked, answered = (message["event"] for message in caller.history("ann")["messages"])
    assert body["args"] == {"questionId": asked["questionId"]}
    assert answered["questionId"] == asked["questionId"]
    assert answered["data"]["answer"] == "You said hi."
    assert answered["status"] == "NOT_SENT"


def test_a_query_parameter_that_is_none_of_ours_reaches_the_bot(make_channel, bots):
    caller = Caller(make_channel(bot="listener"))

    assert caller.get(clientId="ann", query="hi", data="{}").status_code == 200
