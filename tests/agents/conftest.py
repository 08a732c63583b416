"""Agents, and a bot that hands its clients over to them."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission

from django_chatapi import tasks
from django_chatapi.actions import dialogs, presences
from django_chatapi.bots import Answer, Question
from django_chatapi.constants import PresenceState
from django_chatapi.models import AgentGroup, Channel, Client, Dialog, DialogChange, Message
from tests.acts.conftest import accept, gate, told
from tests.conftest import Caller

__all__ = ["accept", "gate", "told"]


@pytest.fixture
def make_agent(db: None) -> Callable[..., Any]:
    """Make a user who answers the clients of a channel, in a group of it unless that is None."""
    numbers = itertools.count(1)

    def make(channel: Channel, *, group: str | None = "Support", online: bool = True, **fields: Any) -> Any:
        fields.setdefault("username", f"agent{next(numbers)}")
        user = get_user_model().objects.create_user(**fields)
        permission = Permission.objects.get(content_type__app_label="django_chatapi", codename="answer_client")
        user.user_permissions.add(permission)
        if group is not None:
            AgentGroup.objects.get_or_create(channel=channel, name=group)[0].members.add(user)
        if online:
            presences.set_presence(agent=user, state=PresenceState.ONLINE)
        return user

    return make


class Asked(list[Question]):
    """Every question that the bot was asked, oldest first."""

    @property
    def events(self) -> list[str]:
        return [question.event_name for question in self if question.event_name is not None]


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def say_switch(told: Callable[..., Channel], asked: Asked) -> Callable[..., Channel]:
    """Make a channel whose bot hands over who says “human”; the arguments are the rest of the switch reply.

    To everything else, events included, it says what it heard.
    """

    def make(**switch: Any) -> Channel:
        def answer(question: Question) -> Answer:
            asked.append(question)
            if question.query == "human":
                return Answer([{"type": "text", "text": "One moment."}, {"type": "switch", **switch}])
            return Answer.text(f"bot heard {question.query or question.event_name}")

        return told(answer, quick=True)

    return make


@pytest.fixture
def channel(say_switch: Callable[..., Channel]) -> Channel:
    """A channel whose bot hands over who says “human”, with nothing more to say about it."""
    return say_switch()


@pytest.fixture
def caller(channel: Channel) -> Caller:
    return Caller(channel)


@pytest.fixture
def agent(channel: Channel, make_agent: Callable[..., Any]) -> Any:
    return make_agent(channel, username="kim", first_name="Kim", last_name="Lee")


@pytest.fixture
def other(channel: Channel, make_agent: Callable[..., Any]) -> Any:
    return make_agent(channel, username="lou")


@pytest.fixture
def superuser(db: None) -> Any:
    return get_user_model().objects.create_superuser("root")


def client_of(client_id: str = "test") -> Client:
    return Client.objects.select_related("channel", "dialog").get(client_id=client_id)


def dialog_of(client_id: str = "test") -> Dialog:
    """The client's latest dialog, as a door loads it."""
    related = ("client__channel", "channel", "agent", "group")
    return Dialog.objects.select_related(*related).filter(client__client_id=client_id).latest("pk")


def take(agent: Any, client_id: str = "test") -> Dialog:
    """Give the client to the agent, handed over or not."""
    return dialogs.take_client(client=client_of(client_id), agent=agent)


def work(client_id: str = "test") -> None:
    """Do what a worker does for the client."""
    tasks.answer_requests(client_of(client_id).pk)


def kinds(client_id: str = "test") -> list[str]:
    """What happened to the client's dialogs."""
    changes = DialogChange.objects.filter(client__client_id=client_id).order_by("pk")
    return list(changes.values_list("kind", flat=True))


def events_for_bot(client_id: str = "test") -> list[tuple[str, dict[str, Any]]]:
    """What the package asked the client's bot."""
    asked = Message.objects.filter(client__client_id=client_id, type="request", route="push").order_by("sequence")
    return [(message.event_name or "", message.data) for message in asked]


def check(client_id: str = "test") -> None:
    """What holds whatever happened: one dialog at most has the client, and says truly who answers."""
    client = client_of(client_id)
    away = Dialog.objects.filter(client=client, one_time=False).exclude(state="closed")
    assert [dialog.pk for dialog in away] == ([client.dialog_id] if client.dialog_id else [])
    for dialog in Dialog.objects.filter(client=client):
        assert (dialog.closed_at is not None) == (dialog.state == "closed")
        assert (dialog.waiting_since is not None) == (dialog.state == "waiting")
        if dialog.state == "waiting":
            assert dialog.agent_id is None
        if dialog.state == "open":
            assert dialog.agent_id is not None
            assert dialog.taken_at is not None
