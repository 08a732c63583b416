"""The replies of an answer, taken apart for showing (contract, section 5).

Bots decide what a reply holds, so nothing is taken for granted: what has not the shape that its type promises
is shown as the JSON that it is.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from .texts import clip, pretty


@dataclass(frozen=True)
class Link:
    """``url`` is empty unless it is safe to follow; what it was then stands in the label."""

    label: str
    url: str = ""


@dataclass(frozen=True)
class Card:
    title: str
    description: str
    links: list[Link]


@dataclass(frozen=True)
class Shown:
    """One reply as the transcript shows it. What is empty is left out."""

    caption: str = ""
    text: str = ""
    links: list[Link] = field(default_factory=list)
    buttons: list[Link] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    json: str = ""


class _OtherShape(Exception):
    pass


def show(reply: Any, limit: int | None) -> Shown:
    """Take one reply apart; texts are cut after ``limit`` characters."""
    kind = reply.get("type") if isinstance(reply, dict) else None
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is not None:
        try:
            return reader(reply, limit)
        except _OtherShape:
            pass
    return Shown(caption=kind if isinstance(kind, str) else "", json=clip(pretty(reply), limit))


def link(url: str, label: str = "") -> Link:
    """A link that leads to the web and nowhere else: no ``javascript:``, no ``data:``."""
    if re.match(r"https?://", url, re.IGNORECASE):
        return Link(label or url, url)
    return Link(f"{label} ({url})" if label else url)


def _text(reply: dict[str, Any], limit: int | None) -> Shown:
    return Shown(text=clip(_string(reply, "text"), limit))


def _buttons(reply: dict[str, Any], limit: int | None) -> Shown:
    return Shown(buttons=[Link(_string(button, "text")) for button in _objects(reply, "buttons")])


def _inline_buttons(reply: dict[str, Any], limit: int | None) -> Shown:
    buttons = _objects(reply, "buttons")
    return Shown(buttons=[link(_string(button, "url"), _string(button, "text")) for button in buttons])


def _image(reply: dict[str, Any], limit: int | None) -> Shown:
    # Deliberately a link: to load the picture would tell its host who reads here, and when.
    return Shown(caption=_("Image"), links=[link(_string(reply, "imageUrl"), _string(reply, "text", ""))])


def _audio(reply: dict[str, Any], limit: int | None) -> Shown:
    return Shown(caption=_("Audio"), links=[link(_string(reply, "audioUrl"), _string(reply, "audioName", ""))])


def _file(reply: dict[str, Any], limit: int | None) -> Shown:
    kind = _string(reply, "mimeType", "")
    name = _string(reply, "fileName")
    return Shown(caption=_("File"), links=[link(_string(reply, "fileUrl"), f"{name} · {kind}" if kind else name)])


def _location(reply: dict[str, Any], limit: int | None) -> Shown:
    place = [reply.get("lat"), reply.get("lon")]
    if not all(isinstance(number, (int, float)) for number in place):
        raise _OtherShape
    return Shown(caption=_("Location"), text="{}, {}".format(*place))


def _carousel(reply: dict[str, Any], limit: int | None) -> Shown:
    cards = []
    for item in _objects(reply, "content"):
        links = []
        if image := _string(item, "image", ""):
            links.append(link(image, _("Image")))
        if url := _string(item, "url", ""):
            links.append(link(url, _string(item, "btnText", "")))
        title, description = _string(item, "title", ""), _string(item, "description", "")
        cards.append(Card(clip(title, limit), clip(description, limit), links))
    return Shown(text=clip(_string(reply, "text", ""), limit), cards=cards)


def _switch(reply: dict[str, Any], limit: int | None) -> Shown:
    details = {key: value for key, value in reply.items() if key != "type"}
    return Shown(caption=_("Hand-over to an agent"), json=clip(pretty(details), limit) if details else "")


_READERS: dict[str, Callable[[dict[str, Any], int | None], Shown]] = {
    "text": _text,
    "buttons": _buttons,
    "inlineButtons": _inline_buttons,
    "image": _image,
    "audio": _audio,
    "file": _file,
    "location": _location,
    "carousel": _carousel,
    "switch": _switch,
}


def _string(item: dict[str, Any], key: str, default: str | None = None) -> str:
    value = item.get(key)
    if value is None:
        value = default
    if not isinstance(value, str):
        raise _OtherShape
    return value


def _objects(item: dict[str, Any], key: str) -> list[dict[str, Any]]:
    values = item.get(key)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise _OtherShape
    return values
