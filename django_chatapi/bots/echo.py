"""The smallest bot."""

from .base import Answer, Bot, Question


class EchoBot(Bot):
    """Says what it heard: the text of a query, the name of an event."""

    quick = True

    def answer(self, question: Question) -> Answer:
        return Answer.text(question.query or question.event_name or "")
