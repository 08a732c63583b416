"""The admin: channels to set up, and what was said in them to read."""

from .channels import ChannelAdmin
from .clients import ClientAdmin
from .messages import MessageAdmin

__all__ = ["ChannelAdmin", "ClientAdmin", "MessageAdmin"]
