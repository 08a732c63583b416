"""``manage.py chatapi_say``."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from django_chatapi.models import Message


def say(caller, *words, client="ann", **options):
    output = StringIO()
    call_command("chatapi_say", "--channel", caller.token, "--client", client, *words, stdout=output, **options)
    return output.getvalue()


@pytest.mark.parametrize(("speaker", "type"), [("agent", "humanResponse"), ("bot", "botResponse")])
def test_a_message_is_published(caller, speaker, type):
    caller.send("hi", client_id="ann")

    envelope = json.loads(say(caller, "--as", speaker, "--json", "How can I help? 😀"))

    assert envelope["data"]["answer"] == "How can I help? 😀"
    [message] = Message.objects.filter(question_id=envelope["questionId"])
    assert (message.type, message.route, message.status) == (type, "push", "NOT_SENT")
    event = caller.get("events", clientId="ann", timeout=0).json()["events"][-1]
    assert event == {"type": type, "event": envelope}


def test_people_are_told_the_question_id(caller):
    caller.send("hi", client_id="ann")

    said = say(caller, "Hello")

    assert str(Message.objects.get(route="push").question_id) in said


@pytest.mark.parametrize(
    ("token", "client", "text", "wrong"),
    [
        ("x" * 20, "ann", "hi", "--channel"),
        ("\udcff", "ann", "hi", "--channel"),
        (None, "nobody", "hi", "--client"),
        (None, "\udcff", "hi", "--client: It is not UTF-8"),
        (None, "ann", " ", "blank"),
        (None, "ann", "\udcff", "text: It is not UTF-8"),
    ],
)
def test_what_cannot_be_said_is_refused_in_one_line(caller, token, client, text, wrong):
    caller.send("hi", client_id="ann")
    caller.token = token or caller.token

    with pytest.raises(CommandError, match=wrong) as refused:
        say(caller, text, client=client)

    assert "\n" not in str(refused.value)
    assert not Message.objects.filter(route="push").exists()
