"""What an HTTP bot receives and sends: the contract's own names, so that its author learns one vocabulary."""

from collections.abc import Mapping
from typing import Any


class UnreadableAnswer(ValueError):
    """The bot's JSON is not an answer. The message says which part, and what was expected."""


_KNOWN = {
    "replies": (list, "a list of objects"),
    "nlpClass": (str, "a text"),
    "confidence": (int | float, "a number"),
    "debugData": (list, "a list"),
    "endSession": (bool, "true or false"),
}


def question_body(
    *,
    question_id: str,
    client_id: str,
    connection_id: str | None,
    channel: str,
    query: str | None,
    event_name: str | None,
    data: Mapping[str, Any] | None,
    raw_request: Mapping[str, Any],
    session_number: int,
    new_session: bool,
) -> dict[str, Any]:
    """The JSON body that an HTTP bot is asked with."""
    return {
        "questionId": question_id,
        "clientId": client_id,
        "cid": connection_id,
        "channel": channel,
        "query": query,
        "event": event_name,
        "data": data,
        "rawRequest": raw_request,
        "session": session_number,
        "newSessionStarted": new_session,
    }


def read_answers(body: Any) -> list[dict[str, Any]]:
    """Keyword arguments for ``Answer``, from ``{"replies": [...], …}`` or ``{"answers": [{…}, …]}``.

    Raises:
        UnreadableAnswer: with a sentence for the bot's author.
    """
    if not isinstance(body, dict):
        raise UnreadableAnswer(f"expected a JSON object, got {type(body).__name__}")
    if "answers" not in body:
        return [_read_answer(body, "the answer")]
    if not isinstance(body["answers"], list):
        raise UnreadableAnswer(f"answers must be a list, not {type(body['answers']).__name__}")
    return [_read_answer(item, f"answers[{index}]") for index, item in enumerate(body["answers"])]


def _read_answer(item: Any, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise UnreadableAnswer(f"{where} must be an object, not {type(item).__name__}")
    if "replies" not in item:
        raise UnreadableAnswer(f"{where} has no replies; an answer with nothing to say has an empty list")
    given = {key: item[key] for key in _KNOWN if item.get(key) is not None}
    for key, value in given.items():
        kind, expected = _KNOWN[key]
        if not isinstance(value, kind) or (key == "confidence" and isinstance(value, bool)):
            raise UnreadableAnswer(f"{key} of {where} must be {expected}, not {type(value).__name__}")
    return {
        "replies": given.get("replies", []),
        "nlp_class": given.get("nlpClass"),
        "confidence": given.get("confidence", 1.0),
        "debug_data": given.get("debugData", []),
        "end_session": given.get("endSession", False),
    }
