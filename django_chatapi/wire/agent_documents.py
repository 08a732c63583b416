"""The shapes of what agents get, for the OpenAPI schema. What is really sent is made in ``wire.dialogs``."""

from typing import Any

from rest_framework import serializers

from ..constants import DialogChangeKind, Status
from .documents import HistoryEventDocument


class DialogDocument(serializers.Serializer[Any]):
    """A dialog in a list."""

    id = serializers.IntegerField()
    clientId = serializers.CharField()
    channel = serializers.CharField(help_text="The channel's name.")
    channelId = serializers.IntegerField()
    state = serializers.CharField(help_text="waiting, open or closed.")
    agent = serializers.CharField(allow_null=True, help_text="The username of who has the client.")
    agentName = serializers.CharField(allow_null=True)
    group = serializers.CharField(allow_null=True, help_text="For which agents it is; null is all.")
    oneTime = serializers.BooleanField(help_text="A message for agents whose client stayed with the bot.")
    waitingSince = serializers.CharField(allow_null=True, help_text="UTC, such as 2022-09-28T12:32:13.262.")
    createdAt = serializers.CharField()
    closedAt = serializers.CharField(allow_null=True)
    lastMessageAt = serializers.CharField()
    unread = serializers.IntegerField(help_text="The client's messages that the dialog's agent has not seen.")
    lastMessage = serializers.CharField(help_text="One line of at most 200 characters.")


class DialogsDocument(serializers.Serializer[Any]):
    hasMore = serializers.BooleanField(help_text="Others wait behind this page.")
    cursor = serializers.CharField(allow_null=True, help_text="Send it with the next call to go on.")
    dialogs = DialogDocument(many=True)


class ClientInfoDocument(serializers.Serializer[Any]):
    firstSeen = serializers.CharField()
    lastActivityAt = serializers.CharField(allow_null=True)
    session = serializers.IntegerField(help_text="How many sessions the client began.")
    connections = serializers.ListField(child=serializers.CharField(), help_text="The latest cids.")


class TranscriptEventDocument(HistoryEventDocument):
    """An envelope, with its status and who wrote it. The token is masked."""

    status = serializers.ChoiceField(choices=Status.choices, required=False)
    dataText = serializers.CharField(
        required=False,
        help_text="Of a request whose data is longer than 20 000 characters: their beginning. Its data is null.",
    )
    agent = serializers.CharField(allow_null=True)
    agentName = serializers.CharField(allow_null=True)


class TranscriptItemDocument(serializers.Serializer[Any]):
    type = serializers.CharField(help_text="request, botResponse or humanResponse.")
    event = TranscriptEventDocument()


class NoteDocument(serializers.Serializer[Any]):
    """An internal note."""

    id = serializers.IntegerField()
    agent = serializers.CharField()
    agentName = serializers.CharField()
    text = serializers.CharField()
    timestamp = serializers.CharField()


class ChangeDocument(serializers.Serializer[Any]):
    """What happened to the dialog."""

    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=DialogChangeKind.choices)
    agent = serializers.CharField(allow_null=True)
    agentName = serializers.CharField(allow_null=True)
    by = serializers.CharField(allow_null=True, help_text="Who did it; null is the client or the bot.")
    byName = serializers.CharField(allow_null=True)
    detail = serializers.CharField(help_text="The name of the group, if it is about one.")
    timestamp = serializers.CharField()


class TranscriptDocument(DialogDocument):
    """A dialog with a page of its messages, oldest first."""

    agentGone = serializers.BooleanField(
        help_text="Who has the client works for the channel no more: you may take, transfer or close it."
    )
    firstMessage = serializers.CharField(allow_null=True, help_text="What the bot left for the agents.")
    attributes = serializers.DictField(help_text="What the bot said about the client.")
    clientInfo = ClientInfoDocument()
    clientState = serializers.JSONField(allow_null=True)
    clientStateText = serializers.CharField(allow_null=True, help_text="The same, for reading; it may be cut.")
    hasMore = serializers.BooleanField(help_text="There are older messages.")
    cursor = serializers.CharField(help_text="Send it as before to get them.")
    messages = TranscriptItemDocument(many=True)
    notes = NoteDocument(many=True)
    changes = ChangeDocument(many=True)


class TargetDocument(serializers.Serializer[Any]):
    username = serializers.CharField()
    name = serializers.CharField()
    state = serializers.CharField(help_text="online, away or offline.")


class TargetsDocument(serializers.Serializer[Any]):
    agents = TargetDocument(many=True)
    groups = serializers.ListField(child=serializers.CharField())


class PresenceDocument(serializers.Serializer[Any]):
    state = serializers.CharField(help_text="online, away or offline.")
    agent = serializers.CharField()
    agentName = serializers.CharField()


class FoundClientDocument(serializers.Serializer[Any]):
    clientId = serializers.CharField()
    channel = serializers.CharField()
    channelId = serializers.IntegerField()
    dialogId = serializers.IntegerField(allow_null=True)
    state = serializers.CharField(help_text="bot, waiting or open.")
    lastActivityAt = serializers.CharField(allow_null=True)


class FoundClientsDocument(serializers.Serializer[Any]):
    clients = FoundClientDocument(many=True)


class CannedAnswerDocument(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    shortcut = serializers.CharField()
    text = serializers.CharField()
    channel = serializers.CharField(allow_null=True, help_text="null: for all channels.")


class CannedAnswersDocument(serializers.Serializer[Any]):
    cannedAnswers = CannedAnswerDocument(many=True)
