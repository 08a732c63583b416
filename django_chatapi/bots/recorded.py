"""A bot that reads its answers from a script, so that a site is tested without mocks."""

from typing import Any

from rest_framework import serializers

from .base import Answer, Bot, Question


class RecordedBot(Bot):
    """Answers from its options.

    ``{"script": [{"query": "hi", "replies": [{"type": "text", "text": "Hello"}]},
    {"event": "start", "text": "Welcome"}], "default": {"text": "Sorry?"}}``: the first line whose query or
    event equals the request's gives the answer. Nothing fits and there is no default: the bot fails, and says
    what it was asked.
    """

    quick = True

    class Options(serializers.Serializer[Any]):
        class Line(serializers.Serializer[Any]):
            text = serializers.CharField(
                required=False, trim_whitespace=False, help_text="Short for one text reply."
            )
            replies = serializers.ListField(child=serializers.DictField(), required=False)
            nlp_class = serializers.CharField(required=False)
            end_session = serializers.BooleanField(required=False)

        class ScriptLine(Line):
            query = serializers.CharField(required=False, trim_whitespace=False)
            event = serializers.CharField(required=False, trim_whitespace=False)

        script = ScriptLine(many=True, required=False)
        default = Line(required=False)

    def answer(self, question: Question) -> Answer:
        asked = {"query": question.query, "event": question.event_name}
        for line in self.options.get("script", []):
            if any(line.get(kind) == text for kind, text in asked.items() if text is not None):
                return self._read(line)
        if "default" in self.options:
            return self._read(self.options["default"])
        raise LookupError(f"the script has no line for {question.query or question.event_name!r}")

    def _read(self, line: dict[str, Any]) -> Answer:
        texts = [{"type": "text", "text": line["text"]}] if "text" in line else []
        return Answer(
            replies=[*texts, *line.get("replies", [])],
            nlp_class=line.get("nlp_class"),
            end_session=line.get("end_session", False),
        )
