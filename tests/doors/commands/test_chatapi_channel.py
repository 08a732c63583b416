"""``manage.py chatapi_channel``, as a person reads it and as a script does."""

import datetime as dt
import json
import subprocess
import sys
from io import StringIO

import pytest
from django.core.management import CommandError, CommandParser, call_command, load_command_class
from django.test import override_settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from django_chatapi.models import Channel
from tests.conftest import Caller
from tests.servers import ROOT, environment

pytestmark = pytest.mark.django_db

OWN_TOKEN = "shop:0123456789_A.-"


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("chatapi_channel", *arguments, stdout=output)
    return output.getvalue()


def test_a_new_channel_shows_its_token_and_where_to_call_it():
    output = run("create", "--name", "Shop")

    channel = Channel.objects.get()
    assert channel.name == "Shop"
    assert f"Token: {channel.token}\n" in output
    assert f"/chatapi/{channel.token}\n" in output
    assert Caller(channel).history()["messages"] == []


@override_settings(ROOT_URLCONF="django.contrib.auth.urls")
def test_a_site_that_has_not_mounted_the_api_still_gets_the_token():
    output = run("create", "--name", "Shop")

    assert output.splitlines()[1:] == [f"Token: {Channel.objects.get().token}"]


def test_every_option_is_kept_and_told_to_scripts():
    script = {"default": {"text": "Sorry?"}}
    output = run(
        "create",
        *("--name", "Läden"),
        *("--token", OWN_TOKEN),
        *("--bot", "recorded"),
        *("--bot-options", json.dumps(script)),
        *("--webhook-url", "https://example.com/hook"),
        *("--allowed-origins", "https://a.example, https://b.example:8443"),
        "--disable-text-with-buttons",
        "--require-signed-clients",
        "--json",
    )

    channel = Channel.objects.get()
    told = json.loads(output)
    assert {name: getattr(channel, name) for name in told if not name.endswith("_at")} == {
        "name": "Läden",
        "token": OWN_TOKEN,
        "previous_token": None,
        "active": True,
        "bot": "recorded",
        "bot_options": script,
        "disable_text_with_buttons": True,
        "webhook_url": "https://example.com/hook",
        "webhook_secret": told["webhook_secret"],
        "allowed_origins": "https://a.example, https://b.example:8443",
        "require_signed_clients": True,
        "identity_secret": told["identity_secret"],
    }
    assert told["webhook_secret"].startswith("whsec_")
    assert len(told["identity_secret"]) == 64
    assert abs(parse_datetime(told["created_at"]) - channel.created_at) < dt.timedelta(milliseconds=1)
    assert told["previous_token_expires_at"] is None


REFUSED = {
    "a blank name": (["--name", ""], "--name: "),
    "a short token": (["--token", "short"], "--token: A token is 16 to 128 characters"),
    "a token with other characters": (["--token", "shop 0123456789 ä"], "--token: "),
    "a taken token": (["--token", "taken:0123456789"], "--token: "),
    "a token that was rotated": (["--token", "before:0123456789"], "--token: Another channel used"),
    "an unknown bot": (["--bot", "ecko"], "--bot: CHATAPI['BOTS'] has no bot “ecko”. Did you mean “echo”?"),
    "an unknown option of the bot": (
        ["--bot", "http", "--bot-options", '{"ulr": "https://example.com"}'],
        "--bot-options: ulr: Unknown option. Did you mean “url”?",
    ),
    "a missing option of the bot": (["--bot", "http"], "--bot-options: url: "),
    "options that are no JSON": (["--bot-options", "{url}"], "--bot-options: It is not JSON: "),
    "options that JSON cannot hold": (["--bot-options", '{"a": NaN}'], "--bot-options: It is not JSON: "),
    "options with half a character": (
        ["--bot-options", r'{"a": "\ud800"}'],
        "--bot-options: It is not JSON: ",
    ),
    "options that no database takes": (
        ["--bot", "recorded", "--bot-options", r'{"default": {"replies": [{"type": "\u0000"}]}}'],
        "--bot-options: The options hold the character U+0000",
    ),
    "options that are nested too deep": (["--bot-options", "[" * 5000 + "]" * 5000], "--bot-options: It is "),
    "options that are no object": (["--bot-options", "[1]"], "--bot-options: The options are a JSON object"),
    "a bad webhook URL": (["--webhook-url", "example.com"], "--webhook-url: "),
    "an origin with a path": (
        ["--allowed-origins", "https://a.example/x"],
        "--allowed-origins: “https://a.example/x”",
    ),
    "bytes that are no text": (["--name", "\udcff"], "--name: It is not UTF-8."),
    "two bad values": (["--token", "short", "--webhook-url", "x"], "--webhook-url: "),
}


@pytest.mark.parametrize(("arguments", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_refused_value_is_named_in_one_line_and_makes_nothing(make_channel, arguments, reason):
    make_channel(token="taken:0123456789")
    make_channel(previous_token="before:0123456789", previous_token_expires_at=timezone.now())

    with pytest.raises(CommandError) as refused:
        run("create", "--name", "Shop", *arguments)

    assert reason in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert refused.value.returncode == 1
    assert Channel.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_script_sees_status_1_and_one_line():
    done = subprocess.run(
        [sys.executable, "manage.py", "chatapi_channel", "create", "--name", "Shop", "--token", "short", "--json"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "CommandError: --token: A token is 16 to 128 characters out of A-Z a-z 0-9 : _ . -\n"


def test_people_see_a_table_without_tokens(make_channel):
    shop = make_channel(name="Shop", bot="demo")
    closed = make_channel(name="A closed\none", active=False)

    header, *rows = run("list").splitlines()

    assert header.split() == ["token", "active", "bot", "created", "name"]
    assert [row.split(maxsplit=5) for row in rows] == [
        [f"{closed.token[:4]}…", "no", "echo", *f"{closed.created_at:%Y-%m-%d %H:%M}".split(), "A closed one"],
        [f"{shop.token[:4]}…", "yes", "demo", *f"{shop.created_at:%Y-%m-%d %H:%M}".split(), "Shop"],
    ]


def test_scripts_get_every_channel_with_its_secrets(make_channel):
    assert json.loads(run("list", "--json")) == []
    made = [make_channel(name="Shop"), make_channel(name="A second one")]

    told = json.loads(run("list", "--json"))

    assert [channel["name"] for channel in told] == ["A second one", "Shop"]
    assert {channel["token"] for channel in told} == {channel.token for channel in made}
    assert {channel["webhook_secret"] for channel in told} == {channel.webhook_secret for channel in made}
    assert {channel["identity_secret"] for channel in told} == {channel.identity_secret for channel in made}


def test_a_list_of_thousands_is_one_json_document():
    Channel.objects.bulk_create(Channel(name=f"{number:04}", token=f"{number:016}") for number in range(4100))

    told = json.loads(run("list", "--json"))

    assert [channel["name"] for channel in told] == [f"{number:04}" for number in range(4100)]


def test_after_a_rotation_both_tokens_work_for_a_day(channel):
    old = Caller(channel)

    output = run("rotate", channel.token)

    channel.refresh_from_db()
    assert channel.token != old.token
    assert f"Token: {channel.token}\n" in output
    assert f"The old token works until {channel.previous_token_expires_at:%Y-%m-%d %H:%M}" in output
    day = channel.previous_token_expires_at - timezone.now()
    assert dt.timedelta(hours=23) < day <= dt.timedelta(hours=24)
    assert old.send("hi")["token"] == old.token
    assert Caller(channel).send("hi")["token"] == channel.token


def test_a_rotation_can_end_the_old_token_at_once(channel):
    old = Caller(channel)

    output = run("rotate", channel.token, "--keep-old", "0")

    channel.refresh_from_db()
    assert "The old token works no more." in output
    assert old.get("client", "test", "history").status_code == 404
    assert Caller(channel).send("hi")["token"] == channel.token


def test_a_script_reads_the_new_token(channel):
    old = channel.token

    told = json.loads(run("rotate", old, "--keep-old", "90", "--json"))

    channel.refresh_from_db()
    assert told["token"] == channel.token != old
    assert told["previous_token"] == old
    left = parse_datetime(told["previous_token_expires_at"]) - timezone.now()
    assert dt.timedelta(0) < left <= dt.timedelta(seconds=90)


@pytest.mark.parametrize("seconds", ["-1", "a day", "nan", "inf", "1e300"])
def test_a_rotation_with_no_sensible_time_changes_nothing(channel, seconds):
    with pytest.raises(CommandError, match="--keep-old: Give a number of seconds from 0 to"):
        run("rotate", channel.token, f"--keep-old={seconds}")

    assert Channel.objects.get().token == channel.token


def test_only_the_present_token_rotates(channel):
    old = channel.token
    run("rotate", old)

    for token in (old, "nobody:0123456789"):
        with pytest.raises(CommandError, match="token: no channel has this token now"):
            run("rotate", token)
    with pytest.raises(CommandError, match="token: It is not UTF-8"):
        run("rotate", "\udcff")

    assert Channel.objects.get().previous_token == old


@pytest.mark.parametrize("action", ["create", "rotate", "list"])
def test_every_option_has_its_help(action):
    parser = CommandParser()
    load_command_class("django_chatapi", "chatapi_channel").add_arguments(parser)
    [actions] = [each.choices for each in parser._actions if each.dest == "action"]
    assert [each.dest for each in actions[action]._actions if not each.help] == []
