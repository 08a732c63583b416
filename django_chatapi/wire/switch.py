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
        if isinstance(reply, dict) and reply.get("type") == "switch":
            return _read(reply)
    return None


def without_hidden(replies: Sequence[Any]) -> list[Any]:
    """The replies as others may see them: what a switch hides is neither for agents nor for the client."""
    return [
        {key: value for key, value in reply.items() if key != "hiddenAttributes"}
        if isinstance(reply, dict) and reply.get("type") == "switch"
        else reply
        for reply in replies
    ]


def mistakes(replies: Sequence[Any]) -> list[str]:
    """The keys of switch replies that hold something of another type than they should: those count as absent."""
    return [
        key
        for reply in replies
        if isinstance(reply, dict) and reply.get("type") == "switch"
        for key, kinds in _TYPES.items()
        if reply.get(key) is not None and type(reply[key]) not in kinds
    ]


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
    phrases = reply.get("closeChatPhrases")
    destination = reply.get("destination")
    return Switch(
        first_message=_text(reply.get("firstMessage")),
        last_message=_text(reply.get("lastMessage")),
        close_phrases=[_text(one) for one in phrases if _text(one).strip()] if isinstance(phrases, list) else [],
        append_close_button=reply.get("appendCloseChatButton") is True,
        ignore_offline=reply.get("ignoreOffline") is True,
        one_time=reply.get("oneTimeMessage") is True,
        # Groups have numbers for names in the platform that the contract follows.
        destination=_text(str(destination) if type(destination) is int else destination)[:_MAX_NAME],
        attributes=_object(reply.get("attributes")),
        hidden_attributes=_object(reply.get("hiddenAttributes")),
        history=_history(reply),
    )


def _history(reply: dict[str, Any]) -> int | None:
    if reply.get("sendMessagesToOperator") is not True:
        return 0
    amount = reply.get("sendMessageHistoryAmount")
    return min(max(amount, 0), _MAX_HISTORY) if type(amount) is int else None


def _text(value: Any) -> str:
    # PostgreSQL keeps no U+0000.
    return value.replace("\0", "")[:_MAX_TEXT] if isinstance(value, str) else ""


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
