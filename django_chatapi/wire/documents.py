"""The shapes of answers, for the OpenAPI schema. What is really sent is made in ``wire.envelope``."""

from typing import Any

from rest_framework import serializers

from ..constants import EVENT_TYPES, MessageType, Status


class ReplyDocument(serializers.Serializer[Any]):
    """One reply; further keys depend on its type and pass through as the bot made them."""

    type = serializers.CharField(
        help_text="text, buttons, inlineButtons, image, audio, file, location, carousel, switch, timeout, raw, "
        "or a type of the bot's own."
    )


class DataDocument(serializers.Serializer[Any]):
    """What the bot answered."""

    nlpClass = serializers.CharField(allow_null=True)
    confidence = serializers.FloatField(allow_null=True)
    replies = ReplyDocument(many=True)
    answer = serializers.CharField(help_text="The texts of the text replies, a blank line between.")
    newSessionStarted = serializers.BooleanField()
    debugData = serializers.ListField(child=serializers.JSONField())
    endSession = serializers.BooleanField()
    error = serializers.CharField(
        required=False, help_text="bot_failed: there will be no answer to this asynchronous or late request."
    )


class _EnvelopeHead(serializers.Serializer[Any]):
    token = serializers.CharField()
    clientId = serializers.CharField()
    questionId = serializers.UUIDField()
    query = serializers.CharField(allow_null=True)
    event = serializers.CharField(allow_null=True)
    cid = serializers.CharField(allow_null=True)
    timestamp = serializers.CharField(help_text="UTC, such as 2022-09-28T12:32:13.262.")
    blockForm = serializers.BooleanField()


class EnvelopeDocument(_EnvelopeHead):
    """The answer envelope."""

    data = DataDocument()  # type: ignore[assignment]


class AcceptedDocument(serializers.Serializer[Any]):
    """An asynchronous request was stored; its answer will carry the same questionId."""

    questionId = serializers.UUIDField()


class HistoryEventDocument(_EnvelopeHead):
    """A request (data as it was sent, no status) or an answer (data of an answer, with its status)."""

    data = serializers.DictField(allow_null=True)  # type: ignore[assignment]
    status = serializers.ChoiceField(choices=Status.choices, required=False)


class HistoryItemDocument(serializers.Serializer[Any]):
    type = serializers.ChoiceField(choices=MessageType.choices)
    event = HistoryEventDocument()


class HistoryDocument(serializers.Serializer[Any]):
    hasMore = serializers.BooleanField(help_text="Others wait behind this page.")
    cursor = serializers.CharField(help_text="Send it with the next call to go on behind this page.")
    messages = HistoryItemDocument(many=True)


class EventDocument(serializers.Serializer[Any]):
    type = serializers.ChoiceField(choices=EVENT_TYPES)
    event = serializers.DictField(
        help_text="The envelope; of a state: clientId, cid, timestamp, and the state that was saved; of what an "
        "agent does: clientId, agent, timestamp."
    )


class EventsDocument(serializers.Serializer[Any]):
    hasMore = serializers.BooleanField(help_text="Others wait behind these.")
    cursor = serializers.CharField(help_text="Send it with the next call: nothing is lost or comes twice.")
    events = EventDocument(many=True)


class StatusDocument(serializers.Serializer[Any]):
    questionId = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.choices)


class StatusesDocument(serializers.Serializer[Any]):
    statuses = StatusDocument(many=True)
    notFound = serializers.ListField(child=serializers.CharField())


class CountDocument(serializers.Serializer[Any]):
    count = serializers.IntegerField(min_value=0)


class ErrorDocument(serializers.Serializer[Any]):
    """Every failure."""

    error = serializers.CharField(help_text="A code for programs.")
    message = serializers.CharField(help_text="One sentence that says what to do.")
    args = serializers.DictField(required=False, help_text="Where it helps: which field, which limit.")
