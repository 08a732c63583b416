"""A caller of the agents' API, and dialogs made at once."""

import datetime as dt
import json
from typing import Any

from django.test import Client as HTTPClient

from django_chatapi.actions.turns import client_for
from django_chatapi.models import AgentGroup, Channel, Client, Dialog, rows
from tests.doors.histories import make_history

START = dt.datetime(2026, 11, 23, 10, 0, tzinfo=dt.timezone.utc)
MOUNT = "/chatapi-agents/"

#: The keys of a dialog in a list, in their order.
ROW = [
    "id",
    "clientId",
    "channel",
    "channelId",
    "state",
    "agent",
    "agentName",
    "group",
    "oneTime",
    "waitingSince",
    "createdAt",
    "closedAt",
    "lastMessageAt",
    "unread",
    "lastMessage",
]


class Colleague:
    """Calls the agents' API as the page of somebody who logged in does; with None, of somebody who did not."""

    def __init__(self, user: Any = None, **http: Any) -> None:
        self.http = HTTPClient(raise_request_exception=False, **http)
        if user is not None:
            self.http.force_login(user)

    def get(self, path: str, **query: Any) -> Any:
        return self.http.get(MOUNT + path, query)

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """POST a JSON body; bytes and text are sent as they are."""
        content = body if isinstance(body, (bytes, str)) else json.dumps(body or {})
        return self.http.post(MOUNT + path, content, content_type="application/json", headers=headers or {})

    def look(self, path: str, **query: Any) -> Any:
        """GET what has to be there; the JSON."""
        response = self.get(path, **query)
        assert response.status_code == 200, response.content
        return response.json()

    def do(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """POST what has to succeed; the JSON, if there is any."""
        response = self.post(path, body, headers)
        assert response.status_code in (200, 204), response.content
        return response.json() if response.content else None

    def listed(self, state: str, **query: Any) -> list[str]:
        """The ids of the clients on one page of a list."""
        return [row["clientId"] for row in self.look("dialogs", state=state, **query)["dialogs"]]

    def pages(self, state: str, **query: Any) -> list[list[str]]:
        """All pages of a list, one after the other."""
        pages: list[list[str]] = []
        page: dict[str, Any] = {"hasMore": True, "cursor": None}
        while page["hasMore"]:
            behind = {"cursor": page["cursor"]} if page["cursor"] else {}
            page = self.look("dialogs", state=state, **query, **behind)
            pages.append([row["clientId"] for row in page["dialogs"]])
        return pages


def refused(response: Any) -> tuple[int, str]:
    """The status and the code of an error, whose body says what it should and nothing else."""
    body = response.json()
    assert set(body) in ({"error", "message"}, {"error", "message", "args"})
    assert body["message"]
    assert response["Content-Type"] == "application/json"
    return response.status_code, body["error"]


def make_dialog(
    channel: Channel,
    client_id: str,
    *,
    state: str = "waiting",
    agent: Any = None,
    group: AgentGroup | str | None = None,
    minutes: float = 0,
    messages: int = 0,
    **columns: Any,
) -> Dialog:
    """A dialog as the actions would have left it.

    Args:
        minutes: when everything in it happened, from ``START`` on.
        messages: so many stand in the client's history.
    """
    moment = START + dt.timedelta(minutes=minutes)
    if isinstance(group, str):
        group = AgentGroup.objects.get_or_create(channel=channel, name=group)[0]
    client = _client(channel, client_id, messages)
    dialog = Dialog.objects.create(
        channel=channel,
        client=client,
        search_key=client_id.lower(),
        state=state,
        agent=agent,
        group=group,
        **{
            "created_at": moment,
            "changed_at": moment,
            "last_message_at": moment,
            "waiting_since": moment if state == "waiting" else None,
            "taken_at": moment if agent else None,
            "closed_at": moment if state == "closed" else None,
            "visible_until": client.last_sequence if state == "closed" else None,
            **columns,
        },
    )
    if state != "closed" and not dialog.one_time:
        rows.update(Client, {"id": client.pk}, {"dialog_id": dialog.pk})
    return dialog


def _client(channel: Channel, client_id: str, messages: int) -> Client:
    if messages:
        return make_history(channel, client_id, messages)
    return client_for(channel=channel, client_id=client_id)
