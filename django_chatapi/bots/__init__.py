"""Bots: who answers.

Subclass :class:`Bot`, or write a plain function from a :class:`Question` to an answer, and name it in
``CHATAPI["BOTS"]``.
"""

from .base import Answer, Bot, Question
from .echo import EchoBot
from .function import FunctionBot
from .http import HttpBot
from .recorded import RecordedBot

__all__ = ["Answer", "Bot", "EchoBot", "FunctionBot", "HttpBot", "Question", "RecordedBot"]
