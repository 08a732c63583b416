"""``state`` (contract, section 8)."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_chatapi.models import Client, ClientState
from tests.conftest import Caller


def save(caller: Caller, value: str | bytes, client_id: str = "ann", **query):
    return caller.post("client", client_id, "state", body=value, **query)


def load(caller: Caller, client_id: str = "ann"):
    return caller.get("client", client_id, "state")


@pytest.mark.parametrize(
    "value",
    [
        '{"b": 1, "a": 2, "b": 3}',
        " \t\r\n[ 1.0 , 1e2,1E+2, -0, 0.10, 10000000000000000000000001 ] \n",
        "null",
        "true",
        "0",
        "-0.0",
        '""',
        '"\\u0000"',
        '"\\ud83d\\ude00 😀 \\/ / \\u00e4 ä"',
        '{"": {"\\u0000": []}}',
        '{"deep": [[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]]}',
    ],
)
def test_a_state_comes_back_byte_for_byte(caller, value):
    response = save(caller, value)

    assert response.status_code == 200
    assert response.json() == {}
    assert load(caller).content == value.encode()
    assert load(caller)["Content-Type"] == "application/json"
    assert load(caller)["Content-Length"] == str(len(value.encode()))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=ANY_JSON, ascii_only=st.booleans(), indent=st.sampled_from([None, 0, 3, "\t"]), around=st.text(" \t\r\n")
)
def test_any_state_comes_back_byte_for_byte(caller, value, ascii_only, indent, around):
    text = around + json.dumps(value, ensure_ascii=ascii_only, indent=indent) + around

    assert save(caller, text).status_code == 200
    assert load(caller).content == text.encode()


def test_the_latest_state_counts(caller):
    for value in ("1", '{"a": 1}', "null"):
        assert save(caller, value).status_code == 200

    assert load(caller).content == b"null"
    assert ClientState.objects.count() == 1


def test_without_a_saved_state_there_is_none(caller):
    for _ in range(2):
        response = load(caller)
        assert response.status_code == 404
        assert response.json()["error"] == "state_not_found"
        assert not Client.objects.exists() or Client.objects.get().client_id == "ann"
        caller.send("hi", client_id="ann")


def test_asking_for_a_state_makes_no_client(caller):
    load(caller)

    assert not Client.objects.exists()


def test_a_state_belongs_to_one_client_of_one_channel(caller, make_channel):
    other = Caller(make_channel())
    save(caller, "1")
    save(caller, "2", client_id="bob")
    assert load(other).status_code == 404
    save(other, "3")

    assert [load(caller).content, load(caller, "bob").content, load(other).content] == [b"1", b"2", b"3"]


def test_a_state_is_no_message(caller):
    caller.send("hi", client_id="ann")
    save(caller, "1")

    assert len(caller.history("ann")["messages"]) == 2
    assert caller.get("client", "ann", "message-not-read-count").json() == {"count": 1}


def test_a_state_takes_a_place_in_its_clients_order(caller):
    caller.send("hi", client_id="ann")
    save(caller, "1")
    caller.send("hi", client_id="ann")

    assert ClientState.objects.get().sequence == 3
    assert Client.objects.get().last_sequence == 5


def test_the_connection_that_saved_is_remembered(caller):
    save(caller, "1", cid="tab 1")
    assert ClientState.objects.get().connection_id == "tab 1"

    save(caller, "2")
    assert ClientState.objects.get().connection_id is None


@pytest.mark.parametrize("cid", ["x" * 256, "a\0b"])
def test_a_connection_id_that_is_none_is_refused(caller, cid):
    response = save(caller, "1", cid=cid)

    assert response.status_code == 400
    assert set(response.json()["args"]) == {"cid"}
    assert not ClientState.objects.exists()


@pytest.mark.parametrize(
    "value", ["", " ", "{", "{a: 1}", "'a'", "NaN", "[1,]", "01", "1 2", "undefined", b'"\xff"', "nul"]
)
def test_what_is_no_json_is_refused_and_the_old_state_stays(caller, value):
    save(caller, '{"old": 1}')

    response = save(caller, value)

    assert response.status_code == 400
    assert response.json()["error"] == "invalid_request"
    assert load(caller).content == b'{"old": 1}'


def test_a_state_of_exactly_the_limit_is_kept(caller):
    longest = '"' + "x" * (256 * 1024 - 2) + '"'

    assert save(caller, longest).status_code == 200
    response = save(caller, longest + " ")
    assert response.status_code == 413
    assert response.json()["error"] == "payload_too_large"
    assert response.json()["args"] == {"limit": 256 * 1024}
    assert load(caller).content == longest.encode()


def test_the_limit_counts_bytes(caller, configure):
    configure(MAX_STATE_BYTES=10)

    assert save(caller, '"😀😀"').status_code == 200
    assert save(caller, '"😀😀a"').status_code == 413


@pytest.mark.parametrize("value", [b"1e400", b'"\\ud800"', b"[" * 300 + b"]" * 300, b"9" * 5000])
def test_a_state_is_not_looked_into(caller, value):
    assert caller.post("client", "ann", "state", body=value).status_code == 200
    assert caller.get("client", "ann", "state").content == value
