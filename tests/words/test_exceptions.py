"""The error tree against the table of the contract, section 3."""

import pytest

from django_chatapi import exceptions
from django_chatapi.api import errors

CONTRACT = {
    "invalid_request": 400,
    "invalid_client_signature": 401,
    "channel_disabled": 403,
    "origin_not_allowed": 403,
    "channel_not_found": 404,
    "message_not_found": 404,
    "state_not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "unsupported_media_type": 415,
    "idempotency_conflict": 409,
    "payload_too_large": 413,
    "text_input_disabled": 422,
    "throttled": 429,
    "bot_failed": 502,
    "bot_timeout": 504,
}
#: Said where the contract's table has no line: an unknown path, what nobody foresaw, no database, more polls than
#: threads.
BEYOND = {"not_found": 404, "internal_error": 500, "service_unavailable": 503, "too_many_polls": 503}
#: At the agents' API.
OF_AGENTS = {
    "not_authenticated": 401,
    "permission_denied": 403,
    "client_not_found": 404,
    "dialog_not_found": 404,
    "already_taken": 409,
    "dialog_closed": 409,
    "not_your_dialog": 409,
}


def tree(error=exceptions.ChatAPIError):
    yield error
    for child in error.__subclasses__():
        yield from tree(child)


def test_the_codes_are_exactly_those_of_the_contract():
    assert errors.NotFound in tree()
    assert {error.code: error.status for error in tree()} == CONTRACT | BEYOND | OF_AGENTS


def test_no_code_has_two_classes():
    codes = [error.code for error in tree()]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("error", list(tree()), ids=lambda error: error.code)
def test_every_error_says_what_to_do_in_one_sentence(error):
    message = str(error.message)
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) > 20


def test_the_tree_in_the_docstring_is_the_tree():
    own = [error for error in tree() if error.__module__ == exceptions.__name__][1:]
    lines = [line.split()[1:] for line in exceptions.__doc__.splitlines() if "──" in line]
    assert lines == [[error.__name__, str(error.status), error.code] for error in own]


def test_a_failed_bots_reason_is_for_operators_only():
    error = exceptions.BotFailed("ValueError: password=123", {"questionId": "x"})
    assert str(error) == "ValueError: password=123"
    assert errors.error_body(error) == {
        "error": "bot_failed",
        "message": str(exceptions.BotFailed.message),
        "args": {"questionId": "x"},
    }


def test_a_message_of_ones_own_and_details():
    error = exceptions.InvalidRequest("Do this.", {"clientId": ["Required."]})
    assert str(error) == "Do this."
    assert errors.error_body(error) == {
        "error": "invalid_request", "message": "Do this.", "args": {"clientId": ["Required."]},
    }  # fmt: skip
    assert str(exceptions.InvalidRequest()) == str(exceptions.InvalidRequest.message)
