"""Who looks at the admin, and at what."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client as HTTPClient

from django_chatapi.actions import answers, requests
from django_chatapi.bots import Answer
from django_chatapi.constants import AnswerState, Route
from django_chatapi.models import Channel, Message
from tests.sinks import PATIENT, Sink, sink


@pytest.fixture
def staff(db: None) -> Callable[..., HTTPClient]:
    """A logged-in member of staff with the named permissions of this app, and no others."""

    def log_in(*codenames: str) -> HTTPClient:
        user = User.objects.create_user(f"staff-{User.objects.count()}", is_staff=True)
        found = Permission.objects.filter(content_type__app_label="django_chatapi", codename__in=codenames)
        assert len(found) == len(codenames)
        user.user_permissions.set(found)
        http = HTTPClient()
        http.force_login(user)
        return http

    return log_in


@pytest.fixture
def talk(channel: Channel) -> Callable[..., Message]:
    """A client says something and the bot answers with the replies; gives the request."""

    def say(
        query: str | None = "hi",
        replies: list[dict[str, Any]] | None = None,
        *,
        client_id: str = "test",
        on: Channel = channel,
        state: AnswerState = AnswerState.ANSWERED,
        failure: str = "",
        end_session: bool = False,
        **request: Any,
    ) -> Message:
        accepted = requests.accept(channel=on, client_id=client_id, query=query, **request).request
        step = Answer([{"type": "text", "text": "Hello"}] if replies is None else replies, end_session=end_session)
        answers.publish(request=accepted, steps=[step], route=Route.RESPONSE, state=state, failure=failure)
        return accepted

    return say


@pytest.fixture
def receiver() -> Iterator[Sink]:
    with sink() as taker:
        yield taker


@pytest.fixture
def hooked(make_channel: Callable[..., Channel], settings: Any, receiver: Sink) -> Callable[..., Channel]:
    """Make a channel with the receiver as its webhook."""
    settings.CHATAPI = {**settings.CHATAPI, "WEBHOOK_ALLOWED_NETWORKS": ["127.0.0.0/8"], **PATIENT}

    def make(**fields: Any) -> Channel:
        return make_channel(**{"webhook_url": receiver.url, **fields})

    return make
