"""The OpenAPI document: it names every door, it is clean, and whatever it allows or forbids fails nowhere."""

from io import StringIO
from itertools import product

import pytest
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_chatapi import urls
from django_chatapi.agents import urls as agents_urls
from django_chatapi.constants import EVENT_TYPES
from django_chatapi.exceptions import ChatAPIError
from example_project.wsgi import application
from tests.conftest import Caller
from tests.doors.endpoints import ENDPOINTS, Endpoint

#: Where the document lists the URL patterns.
TEMPLATES = {
    pattern.name: "/chatapi/" + str(pattern.pattern).replace("client_id:", "").replace("<", "{").replace(">", "}")
    for pattern in urls.urlpatterns
    if pattern.name
}


@pytest.fixture(scope="module")
def document() -> dict:
    return SchemaGenerator().get_schema(public=True)


def operation_of(endpoint: Endpoint, document: dict) -> dict:
    return document["paths"][TEMPLATES[endpoint.name]][endpoint.method.lower()]


def test_the_document_is_valid_and_made_without_a_warning():
    output, errors = StringIO(), StringIO()

    call_command("spectacular", validate=True, fail_on_warn=True, stdout=output, stderr=errors)

    assert output.getvalue().startswith("openapi: 3")
    assert errors.getvalue() == ""


def test_the_document_names_every_door_and_no_other(document):
    listed = {(path, method.upper()) for path, item in document["paths"].items() for method in item}

    of_agents = {
        ("/chatapi-agents/" + str(pattern.pattern).replace("<int:pk>", "{id}"), method.upper())
        for pattern in agents_urls.urlpatterns
        if pattern.name
        for method in pattern.callback.actions
        if method != "head"  # which REST framework adds when a view is first called
    }
    assert listed == {(TEMPLATES[endpoint.name], endpoint.method) for endpoint in ENDPOINTS} | of_agents


def test_the_agents_doors_have_a_tag_and_a_login_of_their_own(document):
    operations = [
        operation
        for path, item in document["paths"].items()
        if path.startswith("/chatapi-agents/")
        for operation in item.values()
    ]

    assert {tag for operation in operations for tag in operation["tags"]} == {"Agents"}
    for operation in operations:
        assert {"cookieAuth": []} in operation["security"]
        assert {"401", "403"} <= set(operation["responses"])


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
def test_every_door_names_its_parameters_errors_and_examples(endpoint, document):
    operation = operation_of(endpoint, document)
    parameters = {parameter["name"] for parameter in operation["parameters"]}
    statuses = set(operation["responses"])

    assert "X-Client-Signature" in parameters
    assert {"200", "400", "401", "403", "404", "406", "429"} <= statuses
    if endpoint.method == "POST":
        assert {"413", "415"} <= statuses
        assert "application/json" in operation["requestBody"]["content"]
        assert operation["requestBody"]["content"]["application/json"]["examples"]
    if endpoint.name == "request":
        assert {"422", "502", "504"} <= statuses
    for status, response in operation["responses"].items():
        for content in response.get("content", {}).values():
            for example in content.get("examples", {}).values():
                assert status == "200" or set(example["value"]) == {"error", "message"}


def test_the_events_door_is_described_as_it_is(document):
    operation = document["paths"]["/chatapi/{token}/events"]["get"]
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    event = document["components"]["schemas"]["EventDocument"]["properties"]["type"]

    assert parameters["types"]["explode"] is False  # one parameter, separated by commas
    assert parameters["types"]["schema"]["items"]["enum"] == sorted(EVENT_TYPES)
    assert parameters["Last-Event-ID"]["in"] == "header"
    assert set(operation["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    if "$ref" in str(event):
        event = document["components"]["schemas"][event["$ref"].rpartition("/")[2]]
    assert set(event["enum"]) == set(EVENT_TYPES)


def test_every_error_of_the_contract_is_described(document):
    codes = {error.code for error in ChatAPIError.__subclasses__()} | {"throttled", "not_acceptable"}
    described = str(document["paths"])

    assert {code for code in codes - {"not_found", "method_not_allowed"} if f"`{code}`" not in described} == set()


def test_the_page_that_shows_the_document_needs_no_network(client, db):
    page = client.get("/docs/").content.decode()

    assert "swagger" in page.lower()
    assert 'src="http' not in page
    assert 'href="http' not in page
    assert client.get("/schema/").status_code == 200


# --- calls made up from the document


@pytest.fixture
def known(channel) -> dict[str, list[str]]:
    """Values that make calls go deep: a channel, a client and a message that exist."""
    caller = Caller(channel)
    question_id = caller.send("hi", client_id="ann")["questionId"]
    assert caller.post("client", "ann", "state", body={"page": 1}).status_code == 200
    return {"token": [channel.token], "client_id": ["ann", "nobody", "a/b"], "question_id": [question_id, "x"]}


@pytest.fixture
def one_connection(known):
    """A server gives up its connection after each call, and with it the test's transaction.

    After ``known``, since Django's test client connects the signals again.
    """
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


# Not every call can be wrong: any text is a path.
WRONG = [
    endpoint for endpoint in ENDPOINTS if endpoint.name in ("request", "history") or endpoint.method == "POST"
]


@pytest.mark.usefixtures("one_connection")
@pytest.mark.parametrize(
    ("mode", "endpoint"), [*product(["POSITIVE"], ENDPOINTS), *product(["NEGATIVE"], WRONG)], ids=str
)
def test_no_call_that_the_document_suggests_fails(endpoint, mode, known):
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis needs Python 3.11")
    from schemathesis.specs.openapi import checks

    schema = schemathesis.openapi.from_wsgi("/schema/?format=json", application)
    operation = schema[TEMPLATES[endpoint.name]][endpoint.method]
    seen = set()
    choices = [dict(zip(known, values, strict=True)) for values in product(*known.values())]

    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        case=operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode]),
        values=st.none() | st.sampled_from(choices) | st.sampled_from(choices),
    )
    def call(case, values) -> None:
        for name, value in (values or {}).items():
            if name in case.path_parameters:
                case.path_parameters[name] = value
        if values and mode == "POSITIVE" and endpoint.name == "request":
            # That exactly one of query and event is sent is beyond the words of the document.
            sent = case.query if endpoint.method == "GET" else case.body
            sent["query"] = "hi"
            sent.pop("event", None)
        if mode == "POSITIVE" and endpoint.name == "events":
            case.query["timeout"] = 0
        response = case.call_and_validate(
            checks=[
                schemathesis.checks.not_a_server_error,
                checks.status_code_conformance,
                checks.content_type_conformance,
                checks.response_schema_conformance,
            ]
        )
        seen.add(b"channel_not_found" in response.content)

    call()

    assert False in seen, "no call came past the token"
