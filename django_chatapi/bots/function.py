"""A plain function as a bot."""

import inspect
from collections.abc import Callable
from typing import Any

from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from .base import Answers, Bot, Question


def validate_function(path: str) -> None:
    """Raise a ValidationError unless the dotted path leads to a function written in Python."""
    try:
        target = import_string(path)
    except Exception as error:  # not only ImportError: importing runs the host's code
        raise serializers.ValidationError(
            _("Cannot import “%(path)s”: %(error)s") % {"path": path, "error": error}
        ) from error
    if not inspect.isfunction(target):
        raise serializers.ValidationError(_("“%(path)s” is not a function.") % {"path": path})


class FunctionBot(Bot):
    """Calls the function at a dotted path: ``{"function": "mysite.bots.answer"}``.

    The function takes a ``Question`` and answers in any form that ``Bot.answer`` may. A function that is named
    in ``CHATAPI["BOTS"]`` is wrapped in this class and needs no option.
    """

    class Options(serializers.Serializer[Any]):
        function = serializers.CharField(
            validators=[validate_function], help_text="Dotted path of a function from a Question to an answer."
        )

    def answer(self, question: Question) -> Answers:
        function: Callable[[Question], Answers] = import_string(self.options["function"])
        return function(question)
