"""Bots by name, and their options."""

import pytest
from django.test import override_settings

from django_chatapi.bots import Bot, EchoBot, FunctionBot, HttpBot, RecordedBot
from django_chatapi.bots.registry import (
    InvalidOptions,
    UnknownBot,
    bot_class,
    bot_for,
    registered,
    validate_options,
)
from django_chatapi.models import Channel
from tests import bots

BOTS = {"polite": "tests.bots.Polite", "twice": "tests.bots.echo_twice"}


@pytest.fixture(autouse=True)
def these_bots(settings):
    settings.CHATAPI = {"BOTS": BOTS}


def channel(bot="polite", pk=1, **options):
    return Channel(pk=pk, name="Shop", bot=bot, bot_options=options)


def test_the_built_in_bots_need_no_setting(settings):
    del settings.CHATAPI
    found = {name: bot_class(name) for name in registered()}
    assert found == {
        "echo": (EchoBot, {}),
        "recorded": (RecordedBot, {}),
        "function": (FunctionBot, {}),
        "http": (HttpBot, {}),
    }


def test_a_class_and_a_function_can_be_named():
    assert bot_class("polite") == (bots.Polite, {})
    assert bot_class("twice") == (FunctionBot, {"function": "tests.bots.echo_twice"})


def test_a_host_may_replace_a_built_in_bot():
    with override_settings(CHATAPI={"BOTS": {"echo": "tests.bots.Polite"}}):
        assert bot_class("echo") == (bots.Polite, {})
    assert bot_class("echo") == (EchoBot, {})


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownBot, match=r"has no bot “pollite”\. Did you mean “polite”\?"):
        bot_class("pollite")


def test_a_name_near_to_none_is_answered_with_all():
    with pytest.raises(UnknownBot, match="Known: echo, function, http, polite, recorded, twice"):
        bot_class("xyzzy")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("nowhere.Bot", "cannot be imported. ModuleNotFoundError: No module named 'nowhere'"),
        ("tests.bots.Nobody", "cannot be imported"),
        ("tests.bots", "cannot be imported|neither a Bot class nor a function"),
        ("tests.edges.raises_at_import.answer", r"cannot be imported\. ZeroDivisionError: while importing"),
        ("builtins.dict", "neither a Bot class nor a function"),
        ("builtins.len", "neither a Bot class nor a function"),
        ("tests.edges.test_registry.BOTS", "neither a Bot class nor a function"),
    ],
)
def test_a_path_that_leads_to_no_bot(settings, path, says):
    settings.CHATAPI = {"BOTS": {"mine": path}}
    with pytest.raises(UnknownBot, match=says) as unknown:
        bot_class("mine")
    assert "CHATAPI['BOTS']['mine']" in str(unknown.value)


def test_options_are_read_by_the_bots_own_schema():
    assert validate_options("polite", {}) == {"greeting": "Hello", "times": 1}
    assert validate_options("polite", {"times": "2"}) == {"greeting": "Hello", "times": 2}
    assert validate_options("echo", {}) == {}


@pytest.mark.parametrize(
    ("options", "field", "says"),
    [
        ({"times": 9}, "times", "less than or equal to 3"),
        ({"times": "often"}, "times", "valid integer"),
        ({"greeting": ["a"]}, "greeting", "valid string"),
        ({"greetings": "Hi"}, "greetings", "Unknown option. Did you mean “greeting”?"),
        ({"colour": "red"}, "colour", "Unknown option."),
    ],
)
def test_wrong_options_are_refused_by_name(options, field, says):
    with pytest.raises(InvalidOptions) as refused:
        validate_options("polite", options)
    assert list(refused.value.errors) == [field]
    assert says in str(refused.value.errors[field][0])
    assert str(refused.value).startswith(f"{field}: ")
    assert says in str(refused.value)


def test_all_wrong_options_are_told_at_once():
    with pytest.raises(InvalidOptions) as refused:
        validate_options("polite", {"times": 9, "colour": "red", "shape": 1})
    assert set(refused.value.errors) == {"times", "colour", "shape"}


def test_a_wrong_option_deep_inside_is_told_in_words():
    with pytest.raises(InvalidOptions) as refused:
        validate_options("recorded", {"script": [{"query": "hi", "replies": "Hello"}]})
    assert "Expected a list of items" in str(refused.value)
    assert "ErrorDetail" not in str(refused.value)


def test_a_function_named_in_the_settings_takes_no_option_of_the_channel():
    assert validate_options("twice", {}) == {"function": "tests.bots.echo_twice"}
    with pytest.raises(InvalidOptions):
        validate_options("twice", {"function": "tests.bots.other"})


def test_the_same_settings_have_the_same_instance():
    first = bot_for(channel(times=2))
    assert isinstance(first, bots.Polite)
    assert first.options == {"greeting": "Hello", "times": 2}
    assert bot_for(channel(times=2)) is first


def test_other_options_or_another_channel_have_another_instance():
    first = bot_for(channel(times=2))
    assert bot_for(channel(times=3)) is not first
    assert bot_for(channel(times=3)).options["times"] == 3
    assert bot_for(channel(pk=2, times=2)) is not first
    assert bot_for(channel(bot="echo")) is not first


def test_the_order_of_options_is_no_difference():
    assert bot_for(channel(times=2, greeting="Hi")) is bot_for(channel(greeting="Hi", times=2))


def test_a_changed_path_in_the_settings_counts_at_once():
    assert isinstance(bot_for(channel("polite")), bots.Polite)
    with override_settings(CHATAPI={"BOTS": {"polite": "tests.bots.echo_twice"}}):
        assert isinstance(bot_for(channel("polite")), FunctionBot)
    with override_settings(CHATAPI={"BOTS": {}}), pytest.raises(UnknownBot):
        bot_for(channel("polite"))
    assert isinstance(bot_for(channel("polite")), bots.Polite)


def test_a_bot_that_cannot_be_had_now_can_be_had_later():
    with override_settings(CHATAPI={"BOTS": {}}), pytest.raises(UnknownBot):
        bot_for(channel("twice"))
    assert isinstance(bot_for(channel("twice")), FunctionBot)
    with pytest.raises(InvalidOptions):
        bot_for(channel(times=9))


def test_a_bot_has_no_options_unless_told():
    assert Bot().options == {}
