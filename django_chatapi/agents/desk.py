"""What an agent has at hand beside the dialogs: their presence, clients to take, canned answers."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from .. import dialog_selectors
from ..actions import presences
from ..api.base import validated
from ..constants import PresenceState
from ..wire.agent_inputs import CannedAnswersInput, ClientsInput, PresenceInput
from ..wire.dialogs import full_name
from ..wire.times import format_time
from . import schema
from .base import AgentViewSet


class DeskViewSet(AgentViewSet):
    """An agent's desk."""

    @schema.get_presence
    def presence(self, request: Request) -> Response:
        return Response(self._presence(request.user))

    @schema.set_presence
    def set_presence(self, request: Request) -> Response:
        state = PresenceState(validated(PresenceInput, request.data)["state"])
        presences.set_presence(agent=request.user, state=state)
        return Response(self._presence(request.user))

    @schema.list_clients
    def clients(self, request: Request) -> Response:
        valid = validated(ClientsInput, request.query_params.dict())
        found = dialog_selectors.clients_to_take(self.sight, valid["search"], valid.get("channel_pk"))
        return Response(
            {
                "clients": [
                    {
                        "clientId": client.client_id,
                        "channel": client.channel.name,
                        "channelId": client.channel_id,
                        "dialogId": client.dialog_id,
                        "state": client.dialog.state if client.dialog else "bot",
                        "lastActivityAt": format_time(client.last_activity_at)
                        if client.last_activity_at
                        else None,
                    }
                    for client in found
                ]
            }
        )

    @schema.list_canned_answers
    def canned_answers(self, request: Request) -> Response:
        valid = validated(CannedAnswersInput, request.query_params.dict())
        answers = dialog_selectors.canned_answers(self.sight, valid.get("channel_pk"))
        return Response(
            {
                "cannedAnswers": [
                    {
                        "id": answer.pk,
                        "shortcut": answer.shortcut,
                        "text": answer.text,
                        "channel": answer.channel.name if answer.channel else None,
                    }
                    for answer in answers
                ]
            }
        )

    def _presence(self, agent: Any) -> dict[str, Any]:
        return {
            "state": dialog_selectors.presence_of(agent),
            "agent": agent.get_username(),
            "agentName": full_name(agent),
        }
