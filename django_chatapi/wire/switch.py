"""The switch reply, with which a bot hands its client over to the agents (contract, section 11)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

#: Longest text of a switch that is kept, in characters.
_MAX_TEXT = 20_000
#: Longest name of a group.
_MAX_NAME = 255
#: Most earlier messages that are counted off: databases do it slowly, and no further than 64 bits.
_MAX_HISTORY = 10_000


@dataclass(frozen=True)
class Switch:
    """What a bot says about a hand-over. What is absent, or of another type than expected, is as if not said."""

    #: What agents read first; empty: the client's last phrase.
    first_message: str = ""
    #: What the client gets who ends the dialog with one of ``close_phrases``.
    last_message: str = ""
    close_phrases: list[str] = field(default_factory=list)
    #: Agents' replies carry a button with the first of the phrases.
    append_close_button: bool = False
    #: Hand over even if no agent is online.
    ignore_offline: bool = False
    #: A message for the agents only: the client stays with the bot.
    one_time: bool = False
    #: The name of a group of agents; empty: all of the channel.
    destination: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    #: Kept beside the attributes, and not shown to agents.
    hidden_attributes: dict[str, Any] = field(default_factory=dict)
    #: How many earlier messages agents see: None is all of them, 0 none.
    history: int | None = 0


def find_switch(replies: Sequence[Any]) -> Switch | None:
    """The last switch among the replies of an answer, if there is one."""
    for reply in reversed(replies):
        if _is_switch(reply):
            return _read(reply)
    return None


def without_hidden(replies: Sequence[Any]) -> list[Any]:
    """The replies as others may see them: what a switch hides is neither for agents nor for the client."""
    return [
        {key: value for key, value in reply.items() if key != "hiddenAttributes"} if _is_switch(reply) else reply
        for reply in replies
    ]


def mistakes(replies: Sequence[Any]) -> list[str]:
    """The keys of switch replies that hold something of another type than they should: those count as absent."""
    return [
        key
        for reply in replies
        if _is_switch(reply)
        for key, kinds in _TYPES.items()
        if reply.get(key) is not None and not _fits(reply[key], kinds)
    ]


def _is_switch(reply: Any) -> bool:
    return isinstance(reply, dict) and reply.get("type") == "switch"


def _fits(value: Any, kinds: tuple[type, ...]) -> bool:
    # To Python a bool is a number.
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


_TYPES: dict[str, tuple[type, ...]] = {
    "firstMessage": (str,),
    "lastMessage": (str,),
    "closeChatPhrases": (list,),
    "appendCloseChatButton": (bool,),
    "ignoreOffline": (bool,),
    "oneTimeMessage": (bool,),
    "destination": (str, int),
    "attributes": (dict,),
    "hiddenAttributes": (dict,),
    "sendMessagesToOperator": (bool,),
    "sendMessageHistoryAmount": (int,),
}


def _read(reply: dict[str, Any]) -> Switch:
    said = {key: reply[key] for key, kinds in _TYPES.items() if _fits(reply.get(key), kinds)}
    phrases = [_text(one) for one in said.get("closeChatPhrases", ()) if isinstance(one, str)]
    history: int | None = 0
    if said.get("sendMessagesToOperator"):
        amount = said.get("sendMessageHistoryAmount")
        history = None if amount is None else min(max(amount, 0), _MAX_HISTORY)
    return Switch(
        first_message=_text(said.get("firstMessage", "")),
        last_message=_text(said.get("lastMessage", "")),
        close_phrases=[phrase for phrase in phrases if phrase.strip()],
        append_close_button=said.get("appendCloseChatButton", False),
        ignore_offline=said.get("ignoreOffline", False),
        one_time=said.get("oneTimeMessage", False),
        # Groups have numbers for names in the platform that the contract follows.
        destination=_text(str(said.get("destination", "")))[:_MAX_NAME],
        attributes=said.get("attributes", {}),
        hidden_attributes=said.get("hiddenAttributes", {}),
        history=history,
    )


def _text(text: str) -> str:
    # PostgreSQL keeps no U+0000.
    return text.replace("\0", "")[:_MAX_TEXT]
