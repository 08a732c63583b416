"""The memory: channels, their clients, and all that was said."""

from .channel import Channel
from .client import Client, Connection
from .delivery import Delivery, DeliveryAttempt, WebhookEndpoint
from .message import Message, MessageStatus
from .state import ClientState

__all__ = [
    "Channel",
    "Client",
    "ClientState",
    "Connection",
    "Delivery",
    "DeliveryAttempt",
    "Message",
    "MessageStatus",
    "WebhookEndpoint",
]
