"""The bot of the demo."""

import json
import time
from collections.abc import Iterator

from django_chatapi.bots import Answer, Bot, Question

HELP = """I repeat what you say. Beyond that:
/buttons – a text and two buttons
/slow N – "working…" now, "done" after N seconds
/agent – hand over to a person; /bot comes back
/end – end the session
/fail – fail, as a broken bot would
/image – an image
/carousel – cards to swipe
/help – this list"""


class DemoBot(Bot):
    """Shows each thing a bot can do."""

    def answer(self, question: Question) -> Answer | Iterator[Answer]:
        if question.event_name == "livechatFinished":
            # A client who left by a phrase has got the farewell of the switch.
            by_agent = (question.data or {}).get("closedBy") == "agent"
            return Answer.text("The agent has left. You talk with the bot again.") if by_agent else Answer()
        if question.event_name is not None:
            data = json.dumps(question.data or {}, ensure_ascii=False)
            return Answer.text(f"Event {question.event_name} with {data}", nlp_class="/Event")
        command, _, argument = (question.query or "").partition(" ")
        if not command.startswith("/"):
            return Answer.text(question.query or "", nlp_class="/Echo")
        method = getattr(self, f"say_{command[1:]}", None)
        if method is None:
            return Answer.text(f"I do not know {command}. Try /help.", nlp_class="/CatchAll", confidence=0.0)
        answer: Answer | Iterator[Answer] = method(argument)
        return answer

    def say_help(self, argument: str) -> Answer:
        return Answer.text(HELP, nlp_class="/Help")

    def say_buttons(self, argument: str) -> Answer:
        buttons = {"type": "buttons", "buttons": [{"text": "Yes"}, {"text": "No", "transition": "/No"}]}
        return Answer([{"type": "text", "text": "Shall we go on?"}, buttons], nlp_class="/Buttons")

    def say_slow(self, argument: str) -> Iterator[Answer]:
        try:
            seconds = min(max(0.0, float(argument or 5)), 600.0)  # in this order “nan” is 0
        except ValueError:
            yield Answer.text("How many seconds? For example: /slow 5", nlp_class="/Slow")
            return
        yield Answer.text("working…", nlp_class="/Slow")
        time.sleep(seconds)
        yield Answer.text("done", nlp_class="/Slow")

    def say_agent(self, argument: str) -> Answer:
        switch = {
            "type": "switch",
            "firstMessage": argument or "A client asks for a person.",
            "lastMessage": "You talk with the bot again.",
            "closeChatPhrases": ["Back to the bot", "/bot"],
            "appendCloseChatButton": True,
            "ignoreOffline": True,
            "attributes": {"Language": "English", "Plan": "Demo"},
            "sendMessagesToOperator": True,
            "sendMessageHistoryAmount": 20,
        }
        return Answer([{"type": "text", "text": "I call a person."}, switch], nlp_class="/Agent")

    def say_end(self, argument: str) -> Answer:
        return Answer.text("Goodbye.", nlp_class="/End", end_session=True)

    def say_fail(self, argument: str) -> Answer:
        raise RuntimeError(argument or "as asked")

    def say_image(self, argument: str) -> Answer:
        url = "https://www.djangoproject.com/m/img/logos/django-logo-negative.png"
        return Answer([{"type": "image", "imageUrl": url, "text": "A logo"}], nlp_class="/Image")

    def say_carousel(self, argument: str) -> Answer:
        cards = [
            {
                "title": f"Card {number}",
                "description": "Something to choose",
                "image": f"https://example.com/{number}.png",
                "url": f"https://example.com/{number}",
                "btnText": "Choose",
            }
            for number in (1, 2, 3)
        ]
        return Answer([{"type": "carousel", "text": "Swipe", "content": cards}], nlp_class="/Carousel")
