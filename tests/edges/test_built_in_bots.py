"""EchoBot, RecordedBot and FunctionBot."""

import pytest

from django_chatapi.bots import Answer, EchoBot, FunctionBot, RecordedBot
from django_chatapi.bots.registry import InvalidOptions, validate_options
from django_chatapi.exceptions import BotFailed

SCRIPT = [
    {"query": "hi", "replies": [{"type": "text", "text": "Hello"}, {"type": "image", "imageUrl": "https://e.com/a"}]},
    {"query": "hi", "text": "Never said"},
    {"event": "start", "text": "Welcome", "nlp_class": "/Start"},
    {"query": " spaced ", "text": " as it is "},
    {"query": "bye", "text": "Goodbye", "end_session": True},
    {"query": "both", "text": "first", "replies": [{"type": "text", "text": "second"}]},
    {"query": "nothing"},
]  # fmt: skip


def recorded(**options):
    return RecordedBot(validate_options("recorded", options))


def test_echo_says_what_it_heard(ask):
    assert ask(EchoBot(), query="Grüße 😀") == [Answer.text("Grüße 😀")]
    assert ask(EchoBot(), query=None, event_name="opened") == [Answer.text("opened")]


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"query": "hi"}, Answer(SCRIPT[0]["replies"])),
        ({"query": None, "event_name": "start"}, Answer.text("Welcome", nlp_class="/Start")),
        ({"query": " spaced "}, Answer.text(" as it is ")),
        ({"query": "bye"}, Answer.text("Goodbye", end_session=True)),
        ({"query": "both"}, Answer([{"type": "text", "text": "first"}, {"type": "text", "text": "second"}])),
        ({"query": "nothing"}, Answer()),
    ],
)
def test_the_first_line_that_fits_is_said(ask, asked, answer):
    assert ask(recorded(script=SCRIPT), **asked) == [answer]


@pytest.mark.parametrize(
    "asked", [{"query": "start"}, {"query": None, "event_name": "hi"}, {"query": "Hi"}, {"query": "spaced"}]
)
def test_an_event_is_no_query_and_a_near_text_is_no_match(ask, asked):
    with pytest.raises(BotFailed, match="the script has no line for"):
        ask(recorded(script=SCRIPT), **asked)


def test_a_failure_names_what_was_asked(ask):
    with pytest.raises(BotFailed, match="no line for 'where are you'"):
        ask(recorded(), query="where are you")
    with pytest.raises(BotFailed, match="no line for 'opened'"):
        ask(recorded(), query=None, event_name="opened")


def test_the_default_is_said_when_no_line_fits(ask):
    bot = recorded(script=SCRIPT, default={"text": "Sorry?", "nlp_class": "/CatchAll"})
    assert ask(bot, query="what") == [Answer.text("Sorry?", nlp_class="/CatchAll")]
    assert ask(bot, query="bye") == [Answer.text("Goodbye", end_session=True)]
    assert ask(recorded(default={"text": "Sorry?"}), query=None, event_name="any") == [Answer.text("Sorry?")]


def test_a_reply_without_a_type_in_the_script_is_a_failure(ask):
    with pytest.raises(BotFailed, match=r"replies\[0\]"):
        ask(recorded(default={"replies": [{"text": "no type"}]}))


@pytest.mark.parametrize(
    "options",
    [
        {"script": "hi"},
        {"script": ["hi"]},
        {"script": [{"query": "hi", "replies": {"type": "text"}}]},
        {"default": "Sorry?"},
        {"default": {"text": ["a"]}},
        {"scripts": []},
    ],
)
def test_a_script_of_another_shape_is_refused(options):
    with pytest.raises(InvalidOptions):
        validate_options("recorded", options)


def test_a_function_is_asked_as_a_bot(ask):
    bot = FunctionBot(validate_options("function", {"function": "tests.bots.echo_twice"}))
    assert ask(bot, query="hi") == [Answer.text("hi"), Answer.text("hi")]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "required"),
        ({"function": ""}, "blank"),
        ({"function": "echo"}, "Cannot import “echo”"),
        ({"function": "nowhere.at.all"}, "Cannot import “nowhere.at.all”"),
        ({"function": "tests.bots.nobody"}, "Cannot import “tests.bots.nobody”"),
        ({"function": ".bots.echo_twice"}, "Cannot import"),
        ({"function": "tests..echo_twice"}, "Cannot import"),
        ({"function": "tests.edges.raises_at_import.answer"}, "while importing"),
        ({"function": "builtins.len"}, "“builtins.len” is not a function"),
        ({"function": "os.system"}, "“os.system” is not a function"),
        ({"function": "tests.bots.Polite"}, "“tests.bots.Polite” is not a function"),
        ({"function": "pathlib.Path"}, "“pathlib.Path” is not a function"),
        ({"function": "tests.bots.__name__"}, "is not a function"),
        ({"function": None}, "may not be null"),
        ({"function": ["tests.bots.echo_twice"]}, "valid string"),
    ],
)
def test_a_path_that_leads_to_no_function_is_refused(options, says):
    with pytest.raises(InvalidOptions) as refused:
        validate_options("function", options)
    assert says in str(refused.value)
