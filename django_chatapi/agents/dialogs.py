"""Dialogs: lists, one with its transcript, and what an agent does in it."""

import json
from typing import Any

from django.contrib.auth import get_user_model
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.response import Response

from .. import dialog_selectors, selectors
from ..actions import dialogs
from ..api.base import validated
from ..api.requests import idempotency_key
from ..constants import DialogState
from ..exceptions import ClientNotFound, InvalidRequest
from ..models import AgentGroup, Channel, Connection, Dialog
from ..tokens import mask
from ..wire.agent_inputs import (
    DialogsInput,
    NoteInput,
    ReadInput,
    ReplyInput,
    TakeClientInput,
    TranscriptInput,
    TransferInput,
)
from ..wire.dialogs import change_item, dialog_row, make_place, note_item, own_name, read_place, transcript_item
from ..wire.envelope import envelope, make_cursor, read_cursor, text_reply
from ..wire.json import UnsafeJSON, loads
from ..wire.times import format_time
from . import schema
from .base import AgentViewSet

#: Rows of a list, and messages of a transcript, on one page.
PAGE = 50
#: Connections of a client that are shown, latest first.
CONNECTIONS = 20
#: Longest saved state that is shown, in characters.
STATE_LIMIT = 20_000


class DialogViewSet(AgentViewSet):
    """What clients and agents are doing together."""

    @schema.list_dialogs
    def list(self, request: Request) -> Response:
        valid = validated(DialogsInput, request.query_params.dict())
        cursor = valid.get("cursor")
        page = dialog_selectors.list_dialogs(
            self.sight,
            valid["state"],
            search=valid.get("search", ""),
            limit=valid.get("limit", PAGE),
            after=read_place(cursor) if cursor is not None else None,
        )
        return Response(
            {
                "hasMore": page.has_more,
                "cursor": make_place(page.after) if page.after else cursor,
                "dialogs": [dialog_row(dialog) for dialog in page.dialogs],
            }
        )

    @schema.take_client
    def take_client(self, request: Request) -> Response:
        valid = validated(TakeClientInput, request.data)
        channel = Channel.objects.filter(pk=valid["channel_pk"]).first()
        if channel is None or not self.sight.sees_channel(channel.pk):
            raise ClientNotFound
        client = selectors.find_client(channel, valid["client_id"])
        if client is None or (client.dialog is not None and not self.sight.sees(client.dialog)):
            raise ClientNotFound
        return Response(dialog_row(dialogs.take_client(client=client, agent=request.user)))

    @schema.retrieve_dialog
    def retrieve(self, request: Request, pk: int) -> Response:
        valid = validated(TranscriptInput, request.query_params.dict())
        before = _read_before(valid["before"]) if "before" in valid else None
        dialog = self.dialog(pk)
        messages, has_more = dialog_selectors.transcript(dialog, before=before, limit=valid.get("limit", PAGE))
        notes, changes = dialog_selectors.notes_of(dialog), dialog_selectors.changes_of(dialog)
        token, client_id = dialog.channel.token, dialog.client.client_id
        body = {
            **dialog_row(dialog),
            "agentGone": _agent_gone(dialog, request.user),
            "firstMessage": dialog.first_message or None,
            "attributes": dialog.attributes,
            "clientInfo": _client_info(dialog),
            **_client_state(dialog),
            "hasMore": has_more,
            "cursor": make_cursor(messages[0].sequence if messages else before or 0),
            "messages": [transcript_item(message, token=token, client_id=client_id) for message in messages],
            "notes": [note_item(note) for note in notes],
            "changes": [change_item(change) for change in changes],
        }
        _add_names(body)
        return Response(body)

    @schema.take_dialog
    def take(self, request: Request, pk: int) -> Response:
        return Response(dialog_row(dialogs.take(dialog=self.dialog(pk), agent=request.user)))

    @schema.transfer_dialog
    def transfer(self, request: Request, pk: int) -> Response:
        dialog = self.dialog(pk)
        valid = validated(TransferInput, request.data)
        to = (
            {"agent": _user_named(valid["agent"])}
            if "agent" in valid
            else {"group": _group_named(dialog, valid["group"])}
        )
        return Response(dialog_row(dialogs.transfer(dialog=dialog, by=request.user, **to)))

    @schema.list_targets
    def targets(self, request: Request, pk: int) -> Response:
        dialog = self.dialog(pk)
        agents = dialog_selectors.agents_of(dialog.channel)
        return Response(
            {
                "agents": [
                    {"username": agent.get_username(), "name": own_name(agent), "state": state}
                    for agent, state in agents
                ],
                "groups": [group.name for group in dialog_selectors.groups_of(dialog.channel)],
            }
        )

    @schema.send_reply
    def messages(self, request: Request, pk: int) -> Response:
        dialog = self.dialog(pk)
        valid = validated(ReplyInput, request.data)
        message = dialogs.reply(
            dialog=dialog,
            agent=request.user,
            replies=valid.get("replies") or [text_reply(valid["text"])],
            idempotency_key=idempotency_key(request),
        )
        return Response(envelope(message, token=mask(dialog.channel.token), client_id=dialog.client.client_id))

    @schema.write_note
    def notes(self, request: Request, pk: int) -> Response:
        dialog = self.dialog(pk)
        text = validated(NoteInput, request.data)["text"]
        key = idempotency_key(request)
        body = note_item(dialogs.write_note(dialog=dialog, agent=request.user, text=text, idempotency_key=key))
        _add_names({"notes": [body]})
        return Response(body)

    @schema.say_typing
    def typing(self, request: Request, pk: int) -> Response:
        dialogs.say_typing(dialog=self.dialog(pk), agent=request.user)
        return Response(status=204)

    @schema.mark_read
    def read(self, request: Request, pk: int) -> Response:
        dialog = self.dialog(pk)
        up_to = validated(ReadInput, request.data).get("up_to")
        dialogs.mark_read(dialog=dialog, agent=request.user, up_to=up_to)
        return Response(dialog_row(self.dialog(pk)))

    @schema.close_dialog
    def close(self, request: Request, pk: int) -> Response:
        return Response(dialog_row(dialogs.close(dialog=self.dialog(pk), agent=request.user)))


def _agent_gone(dialog: Dialog, viewer: Any) -> bool:
    if dialog.state == DialogState.CLOSED or dialog.agent is None or dialog.agent == viewer:
        return False
    return not dialog_selectors.works_for(dialog.agent, dialog.channel_id)


def _client_info(dialog: Dialog) -> dict[str, Any]:
    client = dialog.client
    connections = Connection.objects.filter(client=client).exclude(connection_id="").order_by("-pk")
    return {
        "firstSeen": format_time(client.created_at),
        "lastActivityAt": format_time(client.last_activity_at) if client.last_activity_at else None,
        "session": client.session_number,
        "connections": list(connections.values_list("connection_id", flat=True)[:CONNECTIONS]),
    }


def _client_state(dialog: Dialog) -> dict[str, Any]:
    state = selectors.state_of(dialog.client)
    if state is None:
        return {"clientState": None, "clientStateText": None}
    raw = bytes(state.value)
    try:
        value = loads(raw)
    except UnsafeJSON:
        # Clients save any JSON, also numbers and texts that could not be written anew: as it came, for reading.
        return {"clientState": None, "clientStateText": raw.decode()[:STATE_LIMIT]}
    return {"clientState": value, "clientStateText": _pretty(value)}


def _pretty(value: Any) -> str:
    """JSON for reading, not written any further than it is shown: indented, a state can be many times its size."""
    text = ""
    for part in json.JSONEncoder(ensure_ascii=False, indent=2).iterencode(value):
        text += part
        if len(text) >= STATE_LIMIT:
            break
    return text[:STATE_LIMIT]


def _read_before(cursor: str) -> int:
    try:
        return read_cursor(cursor)
    except InvalidRequest as error:
        raise InvalidRequest(details={"before": (error.details or {})["cursor"]}) from None


def _add_names(body: dict[str, Any]) -> None:
    """Put the full names beside the usernames of messages, notes and changes."""
    items = [item["event"] for item in body.get("messages", ())] + body.get("notes", []) + body.get("changes", [])
    people = {item[key] for item in items for key in ("agent", "by") if item.get(key)}
    names = dialog_selectors.full_names(people)
    for item in items:
        item["agentName"] = names.get(item["agent"], item["agent"])
        if "by" in item:
            item["byName"] = names.get(item["by"], item["by"])


def _user_named(username: str) -> Any:
    user = get_user_model()._default_manager.filter(**{get_user_model().USERNAME_FIELD: username}).first()
    if user is None:
        raise InvalidRequest(details={"agent": [dialogs.NO_SUCH_AGENT]})
    return user


def _group_named(dialog: Dialog, name: str) -> AgentGroup:
    group = AgentGroup.objects.filter(channel=dialog.channel_id, name=name).first()
    if group is None:
        raise InvalidRequest(details={"group": [_("The dialog's channel has no such group.")]})
    return group
