"""The floor under ``POST {token}``: the least that Django REST framework and PostgreSQL can do it with.

A bare view that validates the same body, makes the same durable writes with plain SQL (the request in one
transaction, the answer in another one) and returns the same JSON. It does without all that makes a channel: no
bots, sessions, claims, buttons, idempotency, origins, signatures, throttling, signals and error bodies; and it
never makes a client.
"""

import datetime as dt
import json
import uuid
from typing import Any

from django.db import connection, transaction
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from django_chatapi.identifiers import make_question_id

LEASE = dt.timedelta(seconds=20)

TAKE_TURN = """
UPDATE django_chatapi_client AS client
SET last_sequence = last_sequence + 1, last_activity_at = GREATEST(last_activity_at, %s)
FROM django_chatapi_channel AS channel
WHERE channel.token = %s AND client.channel_id = channel.id AND client.client_id = %s
RETURNING client.id, last_sequence, last_activity_at
"""
TAKE_NEXT_TURN = """
UPDATE django_chatapi_client
SET last_sequence = last_sequence + 1, last_activity_at = GREATEST(last_activity_at, %s)
WHERE id = %s
RETURNING last_sequence, last_activity_at
"""
MARK_ANSWERED = """
UPDATE django_chatapi_message
SET answer_state = 'answered', failure = '', lease_holder = NULL, lease_expires_at = NULL
WHERE id = %s AND lease_holder = %s
"""
COLUMNS = [
    "client_id", "sequence", "created_at", "type", "route", "question_id", "connection_id", "query", "event_name",
    "data", "block_form", "status", "status_changed_at", "raw_request", "new_session", "answer_state", "failure",
    "ask_count", "lease_holder", "lease_expires_at", "idempotency_key", "body_digest",
]  # fmt: skip
INSERT = (
    f"INSERT INTO django_chatapi_message ({', '.join(COLUMNS)}) "
    f"VALUES ({', '.join(f'%({column})s' for column in COLUMNS)}) RETURNING id"
)
BLANK = dict.fromkeys(COLUMNS) | {
    "route": "response",
    "block_form": False,
    "new_session": False,
    "failure": "",
    "ask_count": 0,
    "body_digest": "",
}


class Body(serializers.Serializer):  # type: ignore[type-arg]
    clientId = serializers.CharField(max_length=255)
    query = serializers.CharField(max_length=10_000, required=False, allow_null=True)
    event = serializers.CharField(max_length=255, required=False, allow_null=True)
    cid = serializers.CharField(max_length=255, required=False, allow_null=True)
    data = serializers.DictField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs.get("query") is None) == (attrs.get("event") is None):
            raise serializers.ValidationError("Send exactly one of query and event.")
        return attrs


class FloorView(APIView):
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    parser_classes = [JSONParser]
    renderer_classes = [JSONRenderer]

    def post(self, request: Request, token: str) -> Response:
        body = Body(data=request.data)
        body.is_valid(raise_exception=True)
        client_id, query, event, cid, sent = (
            body.validated_data.get(name) for name in ("clientId", "query", "event", "cid", "data")
        )
        question_id, lease_holder = make_question_id(), uuid.uuid4()
        with transaction.atomic(), connection.cursor() as cursor:
            now = dt.datetime.now(dt.timezone.utc)
            cursor.execute(TAKE_TURN, [now, token, client_id])
            turn = cursor.fetchone()
            if turn is None:
                raise NotFound
            client, sequence, moment = turn
            both = {
                **BLANK,
                "client_id": client,
                "question_id": question_id,
                "connection_id": cid,
                "query": query,
                "event_name": event,
            }
            row = {
                **both,
                "sequence": sequence,
                "created_at": moment,
                "type": "request",
                "data": None if sent is None else json.dumps(sent),
                "raw_request": json.dumps(request.data),
                "answer_state": "pending",
                "ask_count": 1,
                "lease_holder": lease_holder,
                "lease_expires_at": now + LEASE,
            }
            cursor.execute(INSERT, row)
            [message] = cursor.fetchone()

        text = query or event
        data = {
            "nlpClass": None,
            "confidence": 1.0,
            "replies": [{"type": "text", "text": text}],
            "answer": text,
            "newSessionStarted": False,
            "debugData": [],
            "endSession": False,
        }
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(MARK_ANSWERED, [message, lease_holder])
            cursor.execute(TAKE_NEXT_TURN, [dt.datetime.now(dt.timezone.utc), client])
            sequence, moment = cursor.fetchone()
            row = {
                **both,
                "sequence": sequence,
                "created_at": moment,
                "type": "botResponse",
                "data": json.dumps(data),
                "status": "SENT",
                "status_changed_at": moment,
            }
            cursor.execute(INSERT, row)
        return Response(
            {
                "token": token,
                "clientId": client_id,
                "questionId": str(question_id),
                "query": query,
                "event": event,
                "cid": cid,
                "data": data,
                "timestamp": moment.replace(tzinfo=None).isoformat(timespec="milliseconds"),
                "blockForm": False,
            }
        )
