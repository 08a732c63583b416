"""A question put to a bot, without a database."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from django_chatapi.bots import Answer, Bot, Question
from django_chatapi.bots.steps import run
from django_chatapi.models import Channel, Client


def make_question(query: str | None = "hi", **more: Any) -> Question:
    fields: dict[str, Any] = {
        "channel": Channel(name="Shop"),
        "client": Client(client_id="ann"),
        "question_id": uuid.UUID("01930000-0000-7000-8000-000000000001"),
        "query": query,
        "event_name": None,
        "data": None,
        "raw_request": {"clientId": "ann", "query": query},
        "connection_id": None,
        "session_number": 1,
        "new_session": False,
        "load_history": lambda limit: [],
    }
    return Question(**{**fields, **more})


class Says(Bot):
    """Answers with what a function of the test returns."""

    def __init__(self, function: Callable[[Question], Any]) -> None:
        super().__init__()
        self.function = function

    def answer(self, question: Question) -> Any:
        return self.function(question)


@pytest.fixture
def ask() -> Callable[..., list[Answer]]:
    """Ask a bot, or a function in its place; the steps that came."""

    def put(bot: Bot | Callable[[Question], Any], **question: Any) -> list[Answer]:
        steps: list[Answer] = []
        bot = bot if isinstance(bot, Bot) else Says(bot)
        run(bot, make_question(**question), steps.append)
        return steps

    return put
