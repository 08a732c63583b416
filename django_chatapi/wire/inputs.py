"""What callers send, checked and turned into the names of this package."""

import datetime as dt
import math
from typing import Any, NoReturn

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ..constants import EVENT_TYPES, MAX_EVENTS_TIMEOUT, MAX_ITEMS, MAX_NAME_LENGTH, MAX_QUERY_LENGTH, Status
from .times import parse_time


class TextField(serializers.CharField):
    """Text as it was sent: nothing trimmed, and nothing but text taken for text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, str) and not self._says_something(data):
            self.fail("blank")
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)

    def _says_something(self, text: str) -> bool:
        return bool(text.strip())


@extend_schema_field(
    {"oneOf": [{"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH}, {"type": "integer"}]}
)
class ClientIdField(TextField):
    """Any non-empty text of at most 255 characters; an integer becomes its decimal text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_length=MAX_NAME_LENGTH,
            help_text="Who speaks: any text that the caller chose, 1 to 255 characters.",
            **kwargs,
        )

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(str(data) if type(data) is int else data)

    def _says_something(self, text: str) -> bool:
        return bool(text)  # white space is an id like any other


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "integer"}]})
class TimeField(serializers.Field):  # type: ignore[type-arg]
    """``2022-09-28T12:32:13.262`` (UTC), ISO 8601 with a zone, or Unix time in milliseconds."""

    default_error_messages = {
        "invalid": _(
            "Not a time. Write UTC as 2022-09-28T12:32:13.262, ISO 8601 with a zone, or Unix time in milliseconds."
        )
    }

    def to_internal_value(self, data: Any) -> dt.datetime:
        if isinstance(data, bool) or not isinstance(data, (str, int)):
            self.fail("invalid")
        try:
            moment = parse_time(data)
            # Without USE_TZ the host keeps local times that name no zone, and compares with nothing else.
            return moment if settings.USE_TZ else timezone.make_naive(moment, timezone.get_default_timezone())
        except (ValueError, OverflowError):
            self.fail("invalid")

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(OpenApiTypes.OBJECT)
class ObjectField(serializers.Field):  # type: ignore[type-arg]
    """Any JSON object, untouched."""

    default_error_messages = {"invalid": _("Not a JSON object.")}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("invalid")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class ConnectionIdField(TextField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_length=MAX_NAME_LENGTH,
            required=False,
            allow_null=True,
            help_text="The connection: one open page, tab or device of the client.",
            **kwargs,
        )


class ChoiceField(serializers.ChoiceField):
    """One of some values; whoever sends another is told them."""

    default_error_messages = {"invalid_choice": _("“{input}” is not one of: {known}.")}

    def fail(self, key: str, **kwargs: Any) -> NoReturn:
        super().fail(key, known=", ".join(self.choices), **kwargs)


class RequestInput(serializers.Serializer[Any]):
    """The body of ``POST {token}``, or the query of ``GET {token}`` (contract, section 4)."""

    clientId = ClientIdField(source="client_id")
    query = TextField(
        max_length=MAX_QUERY_LENGTH,
        required=False,
        allow_null=True,
        help_text="What the client says. Exactly one of query and event is required.",
    )
    event = TextField(
        source="event_name",
        max_length=MAX_NAME_LENGTH,
        required=False,
        allow_null=True,
        help_text="A named event, such as the opening of a page.",
    )
    cid = ConnectionIdField(source="connection_id")
    data = ObjectField(  # type: ignore[assignment]
        required=False, allow_null=True, help_text="Any JSON object; it reaches the bot."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs.get("query") is None) == (attrs.get("event_name") is None):
            reason = [_("Send exactly one of query and event.")]
            raise serializers.ValidationError({"query": reason, "event": reason})
        return attrs


class ClientInput(serializers.Serializer[Any]):
    """The client named in a path, and the connection in the query."""

    clientId = ClientIdField(source="client_id")
    cid = ConnectionIdField(source="connection_id")


class HistoryInput(serializers.Serializer[Any]):
    """The query of ``history`` (contract, section 7). ``from`` is a word of Python's, hence the mapping."""

    to = TimeField(required=False, source="before", help_text="Exclusive.")
    limit = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_ITEMS, help_text="Messages per page; without it, all."
    )
    cursor = TextField(required=False, help_text="The cursor of an earlier answer: go on behind it.")

    def get_fields(self) -> dict[str, Any]:
        return {"from": TimeField(required=False, source="since", help_text="Inclusive."), **super().get_fields()}


@extend_schema_field({"type": "array", "items": {"type": "string", "enum": EVENT_TYPES}})
class EventTypesField(serializers.Field):  # type: ignore[type-arg]
    """Names out of :data:`EVENT_TYPES`, separated by commas."""

    default_error_messages = {"invalid": _("Not types of events: {unknown}. There are: {known}.")}

    def to_internal_value(self, data: Any) -> list[str]:
        names = [name.strip() for name in str(data).split(",") if name.strip()]
        unknown = [name for name in names if name not in EVENT_TYPES]
        if unknown or not names:
            self.fail("invalid", unknown=", ".join(unknown)[:200] or "–", known=", ".join(EVENT_TYPES))
        return names

    def to_representation(self, value: Any) -> Any:
        return value


class EventsInput(serializers.Serializer[Any]):
    """The query of ``events`` (contract, section 6)."""

    clientId = ClientIdField(source="client_id")
    all = serializers.BooleanField(
        source="everything",
        default=False,
        help_text="true: every event of the client. false: agent replies, late answers, and messages that the bot "
        "sends on its own.",
    )
    cid = ConnectionIdField(source="connection_id")
    ts = TimeField(required=False, source="since", help_text="Events at or after that time.")
    cursor = TextField(required=False, help_text="The cursor of an earlier answer. Exact; wins over ts.")
    types = EventTypesField(
        required=False,
        help_text="Just these types of events, separated by commas. agentJoined, agentLeft and agentTyping come "
        "only to callers who name them.",
    )
    timeout = serializers.FloatField(
        required=False,
        min_value=0,
        max_value=MAX_EVENTS_TIMEOUT,
        help_text="Seconds to wait for an event; 25 unless given.",
    )

    def validate_timeout(self, timeout: float) -> float:
        if not math.isfinite(timeout):  # which is neither below the one bound nor above the other
            raise serializers.ValidationError(_("A valid number is required."))
        return timeout


class StatusInput(serializers.Serializer[Any]):
    """The body of ``POST …/status`` (contract, section 9)."""

    status = ChoiceField(choices=Status.choices)
    timestamp = TimeField(
        required=False, allow_null=True, help_text="When it happened; older than the last change: ignored."
    )


class StatusItemInput(StatusInput):
    questionId = TextField(source="question_id", max_length=MAX_NAME_LENGTH)


class StatusesInput(serializers.Serializer[Any]):
    """The body of ``POST …/message-statuses``: a list of ``statuses``, or ``upTo`` with one ``status``."""

    statuses = serializers.ListField(
        child=StatusItemInput(), min_length=1, max_length=MAX_ITEMS, required=False, allow_null=True
    )
    upTo = TextField(
        source="up_to",
        max_length=MAX_NAME_LENGTH,
        required=False,
        allow_null=True,
        help_text="Covers every message up to this questionId.",
    )
    status = ChoiceField(choices=Status.choices, required=False, allow_null=True)
    timestamp = TimeField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs.get("statuses") is None) == (attrs.get("up_to") is None):
            raise serializers.ValidationError({"statuses": [_("Send exactly one of statuses and upTo.")]})
        if attrs.get("up_to") is not None and attrs.get("status") is None:
            raise serializers.ValidationError({"status": [_("With upTo, say which status.")]})
        return attrs
