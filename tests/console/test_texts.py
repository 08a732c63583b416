"""Every text of the console is translated, and every text that its scripts name is there."""

import json
import re
from pathlib import Path

import pytest
from django.test import Client
from django.utils import translation
from django.utils.safestring import SafeString

import django_chatapi
from django_chatapi.admin import console

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPTS = Path(django_chatapi.__file__).parent / "static/django_chatapi/console"
#: Signs and letters that are the same in every language: keys, and what holds the place of a number.
SIGNS = {"j", "k", "t", "r", "n", "x", "c", "i", "/", "?", "↓", "↑", "+", "·", "–", "…", "1", "4"}
SIGNS |= {"(/)", "(?)"}


@pytest.fixture
def marked(monkeypatch):
    """Translate every text by a mark around it."""

    def mark(text):
        return type(text)(f"«{text}»") if isinstance(text, SafeString) else f"«{text}»"

    translation.gettext("")  # the real one puts itself in place first
    for name, translate in {
        "gettext": mark,
        "pgettext": lambda context, text: mark(text),
        "ngettext": lambda one, many, number: mark(many),
    }.items():
        monkeypatch.setattr(translation._trans, name, translate)


def test_every_text_is_translated(kim, marked):
    http = Client()
    http.force_login(kim)
    page = http.get("/admin/django_chatapi/console/").content.decode()
    texts = json.loads(re.search(r'id="chatapi-console-config"[^>]*>(.*?)</script>', page, re.DOTALL)[1])["texts"]
    assert len(texts) > 80
    assert [name for name, text in texts.items() if "«" not in text] == []

    page = page[page.index("<main") :]
    page = re.sub(r"<(script|style|svg)\b.*?</\1>", "", page, flags=re.DOTALL)
    shown = re.findall(r">([^<]+)<", page) + re.findall(r'(?:aria-label|title|placeholder)="([^"]*)"', page)
    plain = {re.sub(r"«[^»]*»", "", text).strip() for text in shown} - {""}
    assert plain - SIGNS == set()
    assert "«Enter»" in page


def named_texts():
    """The names that the scripts give to ``say``: those spelled out, and the beginnings of the others."""
    whole, beginnings = set(), set()
    for path in SCRIPTS.glob("*.js"):
        source = path.read_text()
        for argument in re.findall(r"\bsay\(([^(),]*)", source):
            whole.update(re.findall(r'"(\w+)"', re.sub(r'[=!]== "\w+"', "", argument)))
            beginnings.update(re.findall(r"`(\w*)\$\{", argument))
    return whole, beginnings


def test_every_text_that_scripts_name_is_there(rf, kim):
    request = rf.get("/")
    request.user = kim
    texts = set(console.config(request)["texts"])
    whole, beginnings = named_texts()
    assert len(whole) > 60
    assert whole - texts == set()
    assert len(beginnings) > 3
    assert [name for name in beginnings if not any(text.startswith(name) for text in texts)] == []
    # And none is there for nothing.
    source = "".join(path.read_text() for path in SCRIPTS.glob("*.js"))
    unused = {text for text in texts if not re.search(rf'["\s]{text}\b', source)}
    assert {text for text in unused if not text.startswith(tuple(beginnings))} == set()
