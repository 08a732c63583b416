"""What agents send to their API, checked and turned into the names of this package."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ..constants import MAX_NAME_LENGTH, MAX_QUERY_LENGTH, PresenceState
from .documents import ReplyDocument
from .inputs import ChoiceField, ClientIdField, TextField

#: Most rows or messages on one page.
MAX_PAGE = 100
#: Most replies in one message.
MAX_REPLIES = 100


class ChannelIdField(serializers.IntegerField):
    def __init__(self, **kwargs: Any) -> None:
        # What does not fit into a column of the database is not looked for.
        super().__init__(source="channel_pk", min_value=1, max_value=2**63 - 1, **kwargs)


class DialogsInput(serializers.Serializer[Any]):
    """The query of ``GET dialogs``."""

    state = ChoiceField(
        choices=["waiting", "mine", "open", "closed"],
        default="waiting",
        help_text="waiting: longest waiting first. mine and open (with any agent): latest message first. closed: "
        "latest closed first.",
    )
    search = TextField(
        required=False, max_length=MAX_NAME_LENGTH, help_text="The beginning of a clientId, in any case."
    )
    limit = serializers.IntegerField(required=False, min_value=1, max_value=MAX_PAGE)
    cursor = TextField(required=False, help_text="The cursor of an earlier answer: go on behind it.")


class TakeClientInput(serializers.Serializer[Any]):
    """The body of ``POST dialogs``."""

    channelId = ChannelIdField()
    clientId = ClientIdField(source="client_id")


class TranscriptInput(serializers.Serializer[Any]):
    """The query of ``GET dialogs/{id}``."""

    before = TextField(required=False, help_text="The cursor of an earlier answer: the messages before it.")
    limit = serializers.IntegerField(required=False, min_value=1, max_value=MAX_PAGE)


class TransferInput(serializers.Serializer[Any]):
    """The body of ``POST dialogs/{id}/transfer``."""

    agent = TextField(required=False, allow_null=True, max_length=MAX_NAME_LENGTH, help_text="A username.")
    group = TextField(required=False, allow_null=True, max_length=MAX_NAME_LENGTH, help_text="A group's name.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs.get("agent") is None) == (attrs.get("group") is None):
            reason = [_("Send exactly one of agent and group.")]
            raise serializers.ValidationError({"agent": reason, "group": reason})
        return attrs


@extend_schema_field(ReplyDocument)
class ReplyObjectInput(serializers.Field):  # type: ignore[type-arg]
    """A reply: an object with a ``type``; its other keys pass through (contract, section 5)."""

    default_error_messages = {"invalid": _("Not an object with a type.")}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict) or not isinstance(data.get("type"), str) or not data["type"]:
            self.fail("invalid")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class ReplyInput(serializers.Serializer[Any]):
    """The body of ``POST dialogs/{id}/messages``."""

    text = TextField(required=False, allow_null=True, max_length=MAX_QUERY_LENGTH)
    replies = serializers.ListField(
        child=ReplyObjectInput(), required=False, allow_null=True, min_length=1, max_length=MAX_REPLIES
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs.get("text") is None) == (attrs.get("replies") is None):
            reason = [_("Send exactly one of text and replies.")]
            raise serializers.ValidationError({"text": reason, "replies": reason})
        return attrs


class NoteInput(serializers.Serializer[Any]):
    """The body of ``POST dialogs/{id}/notes``."""

    text = TextField(max_length=MAX_QUERY_LENGTH)


class ReadInput(serializers.Serializer[Any]):
    """The body of ``POST dialogs/{id}/read``."""

    upTo = serializers.UUIDField(
        source="up_to",
        required=False,
        allow_null=True,
        help_text="The questionId of the last message that was seen; without it: all of them.",
    )


class PresenceInput(serializers.Serializer[Any]):
    """The body of ``POST presence``."""

    state = ChoiceField(choices=[PresenceState.ONLINE, PresenceState.AWAY])


class ClientsInput(serializers.Serializer[Any]):
    """The query of ``GET clients``."""

    search = TextField(max_length=MAX_NAME_LENGTH, help_text="The beginning of a clientId.")
    channelId = ChannelIdField(required=False)


class CannedAnswersInput(serializers.Serializer[Any]):
    """The query of ``GET canned-answers``."""

    channelId = ChannelIdField(required=False)
