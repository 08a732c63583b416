"""The admin: channels to set up, what was said in them to read, and what was sent to webhooks."""

from .channels import ChannelAdmin
from .clients import ClientAdmin
from .deliveries import DeliveryAdmin
from .messages import MessageAdmin

__all__ = ["ChannelAdmin", "ClientAdmin", "DeliveryAdmin", "MessageAdmin"]
