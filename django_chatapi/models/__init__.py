"""The memory: channels, their clients, and all that was said."""

from .channel import Channel
from .client import Client, Connection
from .delivery import Delivery, DeliveryAttempt, WebhookEndpoint
from .dialog import (
    AgentGroup,
    AgentPresence,
    CannedAnswer,
    Console,
    Dialog,
    DialogChange,
    DialogNote,
)
from .message import Message, MessageStatus
from .state import ClientState

__all__ = [
    "AgentGroup",
    "AgentPresence",
    "CannedAnswer",
    "Channel",
    "Client",
    "ClientState",
    "Connection",
    "Console",
    "Delivery",
    "DeliveryAttempt",
    "Dialog",
    "DialogChange",
    "DialogNote",
    "Message",
    "MessageStatus",
    "WebhookEndpoint",
]
