"""The admin: channels and agents to set up, what was said in them to read, and what was sent to webhooks."""

from .attempts import DeliveryAttemptAdmin
from .channels import ChannelAdmin
from .clients import ClientAdmin
from .console import ConsoleAdmin
from .deliveries import DeliveryAdmin
from .dialogs import AgentGroupAdmin, CannedAnswerAdmin, DialogAdmin
from .messages import MessageAdmin

__all__ = [
    "AgentGroupAdmin",
    "CannedAnswerAdmin",
    "ChannelAdmin",
    "ClientAdmin",
    "ConsoleAdmin",
    "DeliveryAdmin",
    "DeliveryAttemptAdmin",
    "DialogAdmin",
    "MessageAdmin",
]
