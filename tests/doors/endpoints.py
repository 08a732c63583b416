"""The table of all endpoints: what is true of every door is tested at every door."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse

from tests.conftest import Caller


@dataclass(frozen=True)
class Endpoint:
    """One method of one path, and a call that succeeds once ``ann`` said something and saved a state."""

    #: The URL pattern's name and the method.
    name: str
    method: str
    #: What does the work: a test makes it raise.
    worker: str
    #: The path behind the token, the body and the query, from a client id and a question id.
    parts: Callable[[str, str], list[str]] = lambda client_id, question_id: []
    body: Callable[[str, str], Any] = lambda client_id, question_id: None
    query: Callable[[str, str], Mapping[str, str]] = lambda client_id, question_id: {}

    def __str__(self) -> str:
        return f"{self.method}-{self.name}"

    def path(self, caller: Caller, client_id: str = "ann", question_id: str = "-") -> str:
        return caller.path(*self.parts(client_id, question_id))

    def call(
        self,
        caller: Caller,
        client_id: str = "ann",
        question_id: str = "-",
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        parts = self.parts(client_id, question_id)
        query = self.query(client_id, question_id)
        if self.method == "GET":
            return caller.get(*parts, headers=dict(headers or {}), **query)
        return caller.post(*parts, body=self.body(client_id, question_id), headers=dict(headers or {}), **query)


def _of_client(*tail: str) -> Callable[[str, str], list[str]]:
    return lambda client_id, question_id: ["client", client_id, *tail]


def _of_message(client_id: str, question_id: str) -> list[str]:
    return ["client", client_id, "message", question_id, "status"]


_FIND = "django_chatapi.selectors.find_client"

ENDPOINTS = [
    Endpoint(
        "request",
        "POST",
        "django_chatapi.actions.requests.accept",
        body=lambda client_id, question_id: {"clientId": client_id, "query": "hi"},
    ),
    Endpoint(
        "request",
        "GET",
        "django_chatapi.actions.asking.ask",
        query=lambda client_id, question_id: {"clientId": client_id, "query": "hi"},
    ),
    Endpoint(
        "async-request",
        "POST",
        "django_chatapi.actions.requests.accept",
        parts=lambda client_id, question_id: ["async"],
        body=lambda client_id, question_id: {"clientId": client_id, "query": "hi"},
    ),
    Endpoint(
        "events",
        "GET",
        "django_chatapi.selectors.events_after",
        parts=lambda client_id, question_id: ["events"],
        query=lambda client_id, question_id: {"clientId": client_id, "timeout": "0"},
    ),
    Endpoint("history", "GET", _FIND, parts=_of_client("history")),
    Endpoint(
        "state",
        "POST",
        "django_chatapi.actions.states.save",
        parts=_of_client("state"),
        body=lambda client_id, question_id: {"page": 2},
    ),
    Endpoint("state", "GET", "django_chatapi.selectors.state_of", parts=_of_client("state")),
    Endpoint("status", "GET", "django_chatapi.selectors.answer_message", parts=_of_message),
    Endpoint(
        "status",
        "POST",
        "django_chatapi.actions.statuses.update",
        parts=_of_message,
        body=lambda client_id, question_id: {"status": "READ"},
    ),
    Endpoint(
        "statuses",
        "POST",
        "django_chatapi.actions.statuses.update",
        parts=_of_client("message-statuses"),
        body=lambda client_id, question_id: {"statuses": [{"questionId": question_id, "status": "READ"}]},
    ),
    Endpoint(
        "unread-count",
        "GET",
        "django_chatapi.selectors.unread_count",
        parts=_of_client("message-not-read-count"),
    ),
]
