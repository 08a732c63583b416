"""Whatever is sent: what the contract allows is answered, all else is refused, nothing is half-written."""

import json

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from django_chatapi.models import Client, Connection, Message
from tests.conftest import Caller

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(["clientId", "query", "event", "cid", "data"])
# A sentence of one strategy rarely reaches the limits of the other fields; these do.
EDGES = st.sampled_from(["", " ", "\0", "\n", "x", "x" * 255, "x" * 256, "😀" * 255, "😀" * 256, "x" * 10_001])
REQUESTS = st.dictionaries(NAMES, EDGES | ANY_JSON) | st.builds(
    lambda base, more: {**base, **more},
    st.sampled_from([{"clientId": "ann", "query": "hi"}, {"clientId": 5, "event": "opened"}]),
    st.dictionaries(NAMES | ANY_TEXT, EDGES | ANY_JSON, max_size=2),
)

# The fixtures serve all examples of a test: each example makes do with whatever the earlier ones stored.
many = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= longest and "\0" not in value


def is_valid(body: object) -> bool:
    """The contract's words on a body, once more in other words."""
    if not isinstance(body, dict):
        return False
    given_ = {name: value for name, value in body.items() if value is not None}
    client_id = given_.get("clientId")
    return (
        is_text(str(client_id) if type(client_id) is int else client_id, 255)
        and ("query" in given_) != ("event" in given_)
        and ("query" not in given_ or (is_text(given_["query"], 10_000) and given_["query"].strip() != ""))
        and ("event" not in given_ or (is_text(given_["event"], 255) and given_["event"].strip() != ""))
        and ("cid" not in given_ or (is_text(given_["cid"], 255) and given_["cid"].strip() != ""))
        and isinstance(given_.get("data", {}), dict)
    )


def stored() -> list[int]:
    return [model.objects.count() for model in (Client, Connection, Message)]


def check(caller: Caller, body: object, valid: bool) -> None:
    before = stored()
    response = caller.post(body=body)
    if valid:
        assert response.status_code == 200, response.content
        assert stored()[2] == before[2] + 2
    else:
        assert response.status_code == 400, response.content
        assert response.json()["error"] == "invalid_request"
        assert stored() == before


@many
@given(body=REQUESTS)
def test_any_request(caller, body):
    check(caller, body, is_valid(body))


@many
@given(body=ANY_JSON)
def test_any_json(caller, body):
    check(caller, json.dumps(body), is_valid(body))


@many
@given(body=st.binary() | st.text(alphabet='{}[]",:\\\\u0dD8 \n1e-clientIdqueryhi').map(str.encode))
@example(b'{"clientId": "\xed\xa0\x80", "query": "hi"}')
@example(b'{"clientId": "\xc0\x80", "query": "hi"}')
def test_any_bytes(caller, body):
    try:
        value = json.loads(body.decode(), parse_constant=str)
    except ValueError:
        value = None
    check(caller, body, is_valid(value))


@many
@given(query=st.dictionaries(NAMES | ANY_TEXT.filter(bool), EDGES | ANY_TEXT, max_size=4))
def test_any_query_string(caller, query):
    before = stored()

    response = caller.get(**query)

    # ``data`` is no parameter of GET: as any unknown one it reaches the bot as it is.
    known = {name: value for name, value in query.items() if name != "data"}
    assert response.status_code == (200 if is_valid(known) else 400), response.content
    if response.status_code == 400:
        assert stored() == before


@many
@given(data=st.dictionaries(ANY_TEXT, ANY_JSON, max_size=5), more=st.dictionaries(ANY_TEXT, ANY_JSON, max_size=5))
def test_any_data_and_any_unknown_key_arrive_as_they_were_sent(caller, data, more):
    body = {**more, "clientId": "ann", "query": "hi", "cid": None, "event": None, "data": data}

    response = caller.post(body=body)

    assert response.status_code == 200, response.content
    request = Message.objects.get(question_id=response.json()["questionId"], type="request")
    assert request.data == data
    assert request.raw_request == body
    assert list(request.data) == list(data)
    # Integers stay integers and floats stay floats, which the comparisons above would not notice.
    assert json.dumps(request.raw_request, sort_keys=True) == json.dumps(body, sort_keys=True)


@many
@given(text=st.text(min_size=1, max_size=300))
def test_any_text_in_a_path_is_a_client_id_or_is_refused(caller, text):
    valid = is_text(text, 255)

    saved = caller.post("client", text, "state", body={"of": text})
    history = caller.get("client", text, "history")
    state = caller.get("client", text, "state")

    assert [saved.status_code, history.status_code, state.status_code] == ([200] * 3 if valid else [400] * 3)
    if valid:
        assert state.json() == {"of": text}
