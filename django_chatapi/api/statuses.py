"""Message statuses (contract, section 9)."""

from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from .. import selectors
from ..actions import statuses
from ..actions.statuses import Receipt
from ..constants import Status
from ..exceptions import MessageNotFound
from ..models import Client
from ..wire.inputs import StatusesInput, StatusInput
from . import schema
from .base import ChannelViewSet, validated


class StatusViewSet(ChannelViewSet):
    """How far the bot's and the agents' messages got."""

    @schema.status
    def status(self, request: Request, token: str, client_id: str, question_id: str) -> Response:
        client, known_id = self._client(request), _question_id(question_id)
        message = selectors.answer_message(client, known_id) if client and known_id else None
        if message is None:
            raise MessageNotFound
        return Response({"questionId": str(message.question_id), "status": message.status})

    @schema.set_status
    def set_status(self, request: Request, token: str, client_id: str, question_id: str) -> Response:
        valid = validated(StatusInput, request.data)
        client, known_id = self._client(request), _question_id(question_id)
        if client is None or known_id is None:
            raise MessageNotFound
        receipt = Receipt(known_id, Status(valid["status"]), valid.get("timestamp"))
        applied = statuses.update(client=client, receipts=[receipt])
        if known_id not in applied:
            raise MessageNotFound
        return Response({"questionId": str(known_id), "status": applied[known_id]})

    @schema.set_statuses
    def set_statuses(self, request: Request, token: str, client_id: str) -> Response:
        valid = validated(StatusesInput, request.data)
        client = self._client(request)
        if "up_to" in valid:
            asked = [valid["up_to"]]
            applied = self._apply_up_to(client, valid)
        else:
            asked = list(dict.fromkeys(item["question_id"] for item in valid["statuses"]))
            applied = self._apply_list(client, valid["statuses"])
        return Response(
            {
                "statuses": [{"questionId": name, "status": applied[name]} for name in asked if name in applied],
                "notFound": [name for name in asked if name not in applied],
            }
        )

    @schema.unread
    def unread(self, request: Request, token: str, client_id: str) -> Response:
        client = self._client(request)
        return Response({"count": selectors.unread_count(client) if client else 0})

    def _client(self, request: Request) -> Client | None:
        return selectors.find_client(self.channel, self.client_from_path(request)["client_id"])

    def _apply_list(self, client: Client | None, items: list[dict[str, Any]]) -> dict[str, Status]:
        """Ids as the caller spelled them, with the status that each message has now."""
        known = {item["question_id"]: _question_id(item["question_id"]) for item in items}
        receipts = [
            Receipt(known_id, Status(item["status"]), item.get("timestamp"))
            for item in items
            if (known_id := known[item["question_id"]])
        ]
        applied = statuses.update(client=client, receipts=receipts) if client and receipts else {}
        return {name: applied[known_id] for name, known_id in known.items() if known_id in applied}

    def _apply_up_to(self, client: Client | None, valid: dict[str, Any]) -> dict[str, Status]:
        known_id = _question_id(valid["up_to"])
        if client is None or known_id is None:
            return {}
        status = statuses.update_up_to(
            client=client,
            question_id=known_id,
            status=Status(valid["status"]),
            timestamp=valid.get("timestamp"),
        )
        return {valid["up_to"]: status} if status else {}


def _question_id(text: str) -> UUID | None:
    """The id, or None for a text that cannot be one of ours: then no message has it."""
    try:
        return UUID(text)
    except ValueError:
        return None
