"""No token in a log line."""

import logging

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.urls import set_script_prefix, set_urlconf
from django.utils.translation import gettext_lazy

from django_chatapi import logs
from django_chatapi.logs import MaskTokens, mask_tokens

OWN = "my-own_token.of:mine"
MADE = "AbCdEfGh:0123456789abcdef0123456789abcdef01234567"  # as make_token makes them


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


@pytest.fixture
def line():
    """Log through a logger of this name, and return the line that a handler writes."""
    handlers = []

    def log(name, message, *args, level=logging.WARNING, **more):
        logger, handler = logging.getLogger(name), Lines()
        logger.addHandler(handler)
        handlers.append((logger, handler))
        logger.log(level, message, *args, **more)
        (written,) = handler.lines
        return written

    yield log
    for logger, handler in handlers:
        logger.removeHandler(handler)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"/chatapi/{MADE}", f"/chatapi/{MADE[:4]}…"),
        (f"/chatapi/{OWN}", "/chatapi/my-o…"),
        (f"/chatapi/{OWN}?clientId=ann", "/chatapi/my-o…?clientId=ann"),
        (f"/chatapi/{OWN}/client/a%2Fb/history", "/chatapi/my-o…/client/a%2Fb/history"),
        (f"GET /chatapi/{OWN} HTTP/1.1", "GET /chatapi/my-o… HTTP/1.1"),
        (f'"POST /chatapi/{OWN}" 200', '"POST /chatapi/my-o…" 200'),
        (f"https://example.com/chatapi/{OWN}#top", "https://example.com/chatapi/my-o…#top"),
        ("/chatapi/my-own_token.of%3Amine/client/x", "/chatapi/my-o…/client/x"),
        (f"/chatapi/{MADE.replace(':', '%3A')}", f"/chatapi/{MADE[:4]}…"),
        (f"/chatapi/{MADE.replace(':', '%3a')}", f"/chatapi/{MADE[:4]}…"),
        (f"elsewhere: {MADE}.", f"elsewhere: {MADE[:4]}…."),
        (f"token_{MADE}_", f"token_{MADE[:4]}…_"),
        (f"{MADE} and /chatapi/{OWN}", f"{MADE[:4]}… and /chatapi/my-o…"),
        (f"/chatapi/{OWN} /chatapi/{OWN}", "/chatapi/my-o… /chatapi/my-o…"),
    ],
)
def test_a_token_is_cut_short_wherever_it_stands(text, masked):
    assert mask_tokens(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/admin/login/?next=/admin/",
        "/schema/",
        "/chatapi/",
        "/chatapi-docs/page",
        "GET / HTTP/1.1",
        "10:32:13",
    ],
)
def test_other_texts_are_left_alone(text):
    assert mask_tokens(text) == text


@pytest.mark.parametrize("name", logs.PATH_LOGGERS)
def test_every_logger_of_paths_masks_messages_and_arguments(line, name):
    assert line(name, f"GET /chatapi/{OWN}") == "GET /chatapi/my-o…"
    assert line(name, "%s: %s", "Not Found", f"/chatapi/{OWN}") == "Not Found: /chatapi/my-o…"
    assert line(name, "%(m)s %(path)s", {"m": "GET", "path": f"/chatapi/{OWN}"}) == "GET /chatapi/my-o…"


def test_uvicorns_own_formatter_reads_a_masked_record():
    from uvicorn.logging import AccessFormatter

    record = logging.LogRecord(
        "uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d',
        ("127.0.0.1:5", "GET", f"/chatapi/{OWN}?query=hi", "1.1", 200), None,
    )  # fmt: skip
    assert MaskTokens().filter(record) is True
    shown = AccessFormatter("%(request_line)s %(status_code)s", use_colors=False).format(record)
    assert shown == "GET /chatapi/my-o…?query=hi HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("message", "args"),
    [
        (ValueError(f"/chatapi/{OWN}"), ()),
        (gettext_lazy("name"), ()),
        (None, ()),
        (7, ()),
        ("%d %s %r", (7, None, b"x")),
        ("%(n)d", ({"n": 1},)),
        ("100%", ()),
        ("too few %s", ()),
    ],
)
def test_the_filter_passes_every_record_and_never_raises(message, args):
    record = logging.LogRecord("django.request", logging.INFO, "", 0, message, args, None)
    assert MaskTokens().filter(record) is True


def test_what_is_no_text_is_masked_as_the_text_it_becomes(line):
    assert line("django.request", ValueError(f"no /chatapi/{OWN}")) == "no /chatapi/my-o…"
    assert line("django.request", "%s", ValueError(f"no /chatapi/{OWN}")) == "no /chatapi/my-o…"
    assert line("django.request", "%d %.1f", 7, 0.25) == "7 0.2"


@pytest.fixture
def fresh_patterns():
    logs._path_pattern.cache_clear()
    yield
    set_urlconf(None)
    set_script_prefix("/")
    logs._path_pattern.cache_clear()


def test_a_urlconf_that_cannot_be_loaded_hides_what_it_can_and_raises_nothing(fresh_patterns):
    set_urlconf("tests.words.no_such_urls")
    assert mask_tokens(f"/chatapi/{MADE}") == f"/chatapi/{MADE[:4]}…"


def test_a_urlconf_that_could_not_be_loaded_yet_is_tried_again(fresh_patterns, monkeypatch):
    def failing(*args, **kwargs):
        raise ImproperlyConfigured("The URLconf is being loaded.")

    with monkeypatch.context() as early:
        early.setattr(logs, "get_resolver", failing)
        mask_tokens(f"/chatapi/{OWN}")
    assert mask_tokens(f"/chatapi/{OWN}") == "/chatapi/my-o…"


def test_a_urlconf_without_the_api_masks_made_tokens_only(fresh_patterns):
    with override_settings(ROOT_URLCONF="django.contrib.auth.urls"):
        set_urlconf("django.contrib.auth.urls")
        assert mask_tokens(f"/chatapi/{OWN} {MADE}") == f"/chatapi/{OWN} {MADE[:4]}…"


def test_a_site_below_a_path_masks_paths_with_and_without_it(fresh_patterns):
    set_script_prefix("/site/")
    assert mask_tokens(f"/site/chatapi/{OWN}/async") == "/site/chatapi/my-o…/async"
    set_script_prefix("/")
    assert mask_tokens(f"/chatapi/{OWN}/async") == "/chatapi/my-o…/async"
    assert mask_tokens(f"/site/chatapi/{OWN}/async") == "/site/chatapi/my-o…/async"


def test_installing_twice_filters_once():
    logs.install()
    for name in logs.PATH_LOGGERS:
        assert sum(isinstance(present, MaskTokens) for present in logging.getLogger(name).filters) == 1
