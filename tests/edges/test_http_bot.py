"""HttpBot, asked for real: over a socket, from a server that behaves as badly as servers do."""

import base64
import gzip
import json
import socket
import threading
from collections.abc import Callable
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from django_chatapi.bots import Answer, HttpBot
from django_chatapi.bots.http import MAX_ANSWER_BYTES
from django_chatapi.bots.registry import InvalidOptions, validate_options
from django_chatapi.exceptions import BotFailed
from tests.servers import free_port, wait_until

ONE = {"replies": [{"type": "text", "text": "one"}]}
TWO = {"replies": [{"type": "text", "text": "two"}], "nlpClass": "/Two", "confidence": 0.5}
TWO |= {"debugData": [{"a": 1}], "endSession": True}
#: Parts of what a server writes.
OK, NOTHING = b"HTTP/1.1 200 OK\r\n", b'{"replies": []}'
#: A question waits no longer than this for a peer that is made to be slow, and such a peer goes on for longer.
TIMEOUT = 0.5


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.peer.asked.append((self.path, self.headers, body))
        self.server.peer.answer(self)

    do_GET = do_POST

    def log_message(self, *args: Any) -> None:
        pass


class Peer(ThreadingHTTPServer):
    """A bot behind a URL; what it does with a question is a function of the test."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.peer = self
        self.url = f"http://127.0.0.1:{self.server_port}/answer"
        self.answer: Callable[[Handler], None] = say(ONE)
        self.asked: list[tuple[str, Message, bytes]] = []
        self.opened = 0
        self.closed = 0
        #: Set when the test is over: nobody needs to go on being slow.
        self.over = threading.Event()
        #: Set when a slow answer was given to its end.
        self.through = threading.Event()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.opened += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.closed += 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a question that was given up is the point of many tests."""


def say(body: Any, status: int = 200, **headers: str) -> Callable[[Handler], None]:
    """Answer with a JSON body, or with these bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def drip(head: bytes, slow: bytes, tail: bytes = b"") -> Callable[[Handler], None]:
    """Answer ``head`` at once, then ``slow`` byte by byte, each well within the time limit, then ``tail``."""

    def answer(handler: Handler) -> None:
        handler.close_connection = True
        handler.wfile.write(head)
        for byte in slow:
            handler.wfile.write(bytes([byte]))
            if handler.server.peer.over.wait(TIMEOUT / 10):
                return
        handler.wfile.write(tail)
        handler.server.peer.through.set()

    return answer


def say_nothing(handler: Handler) -> None:
    handler.close_connection = True
    if not handler.server.peer.over.wait(20):
        handler.server.peer.through.set()


@pytest.fixture
def peer():
    server = Peer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def bot(peer):
    return make_bot(peer.url)


def make_bot(url, **options):
    return HttpBot(validate_options("http", {"url": url, "timeout": 20, **options}))


def test_one_answer(ask, bot, peer):
    peer.answer = say(TWO)
    replies = [{"type": "text", "text": "two"}]
    assert ask(bot) == [Answer(replies, nlp_class="/Two", confidence=0.5, debug_data=[{"a": 1}], end_session=True)]


def test_several_answers(ask, bot, peer):
    peer.answer = say({"answers": [ONE, {"replies": []}, ONE]})
    assert ask(bot) == [Answer.text("one"), Answer(), Answer.text("one")]
    peer.answer = say({"answers": []})
    assert ask(bot) == []


def test_null_is_absent_and_unknown_keys_are_ignored(ask, bot, peer):
    peer.answer = say(
        {**ONE, "nlpClass": None, "confidence": None, "debugData": None, "endSession": None, "own": 1}
    )
    assert ask(bot) == [Answer.text("one")]


def test_the_question_is_the_documented_one(ask, bot, peer):
    raw = {"clientId": "ann", "query": "hi", "clientInfo": {"page": "/😀"}}
    ask(
        bot,
        query="hi",
        raw_request=raw,
        connection_id="tab-1",
        data={"a": [1.5]},
        session_number=3,
        new_session=True,
    )
    ((path, headers, body),) = peer.asked
    assert path == "/answer"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {
        "questionId": "01930000-0000-7000-8000-000000000001",
        "clientId": "ann",
        "cid": "tab-1",
        "channel": "Shop",
        "query": "hi",
        "event": None,
        "data": {"a": [1.5]},
        "rawRequest": raw,
        "session": 3,
        "newSessionStarted": True,
    }


def test_an_event_is_asked_as_an_event(ask, bot, peer):
    ask(bot, query=None, event_name="opened")
    asked = json.loads(peer.asked[0][2])
    assert (asked["query"], asked["event"]) == (None, "opened")


def test_the_headers_of_the_options_are_sent(ask, peer):
    ask(make_bot(peer.url, headers={"Authorization": "Bearer secret", "Accept": "application/vnd.bot+json"}))
    headers = peer.asked[0][1]
    assert headers["Authorization"] == "Bearer secret"
    assert headers["Accept"] == "application/vnd.bot+json"
    assert headers["Content-Type"] == "application/json"


def test_a_header_of_the_options_takes_the_place_of_ours_in_any_spelling(ask, peer):
    ask(make_bot(peer.url, headers={"content-type": "application/vnd.question+json"}))
    headers = [(name, value) for name, value in peer.asked[0][1].items() if name.lower() == "content-type"]
    assert headers == [("content-type", "application/vnd.question+json")]


def test_no_proxy_of_the_environment_is_used(ask, bot, peer, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert ask(bot) == [Answer.text("one")]
    assert len(peer.asked) == 1


def test_a_connection_serves_many_questions(ask, bot, peer):
    for _ in range(5):
        ask(bot)
    assert (len(peer.asked), peer.opened) == (5, 1)


def test_many_threads_ask_at_once(ask, bot, peer):
    answers = []
    threads = [threading.Thread(target=lambda: answers.extend(ask(bot))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [Answer.text("one")] * 20


def test_a_connection_that_the_peer_closed_meanwhile_fails_nobody(ask, bot, peer):
    def answer_and_close(handler):
        say(ONE)(handler)
        handler.close_connection = True  # without a "Connection: close" to announce it

    peer.answer = answer_and_close
    for count in range(1, 4):
        assert ask(bot) == [Answer.text("one")]
        wait_until(lambda count=count: peer.closed == count, what="the peer's end of the connection")
    assert len(peer.asked) == 3


def test_after_a_failure_the_next_question_is_asked(ask, bot, peer):
    peer.answer = say({"error": "x" * 100_000}, status=500)
    with pytest.raises(BotFailed):
        ask(bot)
    peer.answer = say(ONE)
    assert ask(bot) == [Answer.text("one")]


@pytest.mark.parametrize("status", [201, 202, 203])
def test_any_success_is_a_success(ask, bot, peer, status):
    peer.answer = say(ONE, status=status)
    assert ask(bot) == [Answer.text("one")]


@pytest.mark.parametrize("status", [304, 400, 401, 404, 410, 418, 429, 500, 502, 503, 504])
def test_an_error_status_is_a_failure_even_with_a_good_body(ask, bot, peer, status):
    peer.answer = say(ONE, status=status)
    with pytest.raises(BotFailed, match=rf"^The bot at {peer.url} answered with status {status}\.$"):
        ask(bot)
    assert len(peer.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(ask, bot, peer, status):
    peer.answer = say(ONE, status=status, Location="/elsewhere")
    with pytest.raises(BotFailed, match=f"answered with status {status}"):
        ask(bot)
    assert [path for path, _, _ in peer.asked] == ["/answer"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"{",
        b'{"replies": [NaN]}',
        b"\xff\xfe",
        b'{"replies": [1e400]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_json_is_a_failure(ask, bot, peer, body):
    peer.answer = say(body)
    with pytest.raises(BotFailed, match="answered with something else than JSON: "):
        ask(bot)


def test_no_content_is_no_answer(ask, bot, peer):
    def no_content(handler):
        handler.send_response(204)
        handler.end_headers()

    peer.answer = no_content
    with pytest.raises(BotFailed, match="answered with something else than JSON"):
        ask(bot)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (None, "expected a JSON object, got NoneType"),
        ([ONE], "expected a JSON object, got list"),
        ("one", "expected a JSON object, got str"),
        ({}, "the answer has no replies"),
        ({"answer": "one"}, "the answer has no replies"),
        ({"replies": "one"}, "replies of the answer must be a list of objects, not str"),
        ({"replies": {"type": "text"}}, "replies of the answer must be a list of objects, not dict"),
        ({**ONE, "nlpClass": 7}, "nlpClass of the answer must be a text, not int"),
        ({**ONE, "confidence": "high"}, "confidence of the answer must be a number, not str"),
        ({**ONE, "confidence": True}, "confidence of the answer must be a number, not bool"),
        ({**ONE, "debugData": {}}, "debugData of the answer must be a list, not dict"),
        ({**ONE, "endSession": 1}, "endSession of the answer must be true or false, not int"),
        ({"answers": ONE}, "answers must be a list, not dict"),
        ({"answers": [ONE, "two"]}, r"answers\[1\] must be an object, not str"),
        ({"answers": [ONE, {}]}, r"answers\[1\] has no replies"),
        ({"answers": [ONE, {"replies": 7}]}, r"replies of answers\[1\] must be a list"),
        ({"answers": None}, "answers must be a list, not NoneType"),
    ],
)
def test_another_shape_is_a_failure_that_says_which_part(ask, bot, peer, body, says):
    peer.answer = say(body)
    with pytest.raises(BotFailed, match=f"answered in another shape: {says}"):
        ask(bot)


@pytest.mark.parametrize("reply", [{"text": "one"}, "one", None, {"type": None}])
def test_a_reply_without_a_type_is_a_failure(ask, bot, peer, reply):
    peer.answer = say({"replies": [reply]})
    with pytest.raises(BotFailed, match=r"replies"):
        ask(bot)


@pytest.mark.parametrize(
    "answer",
    [
        say_nothing,
        drip(OK + b"Content-Length: 200\r\n\r\n", NOTHING + b" " * 185),
        drip(OK + b"\r\n", NOTHING + b" " * 185),
        drip(
            OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 30, b"f\r\n" + NOTHING + b"\r\n0\r\n\r\n"
        ),
        drip(OK + b"X-Drip: ", b"-" * 200, b"\r\nContent-Length: 15\r\n\r\n" + NOTHING),
        drip(b"", OK + b"A: b\r\n" * 30, b"Content-Length: 15\r\n\r\n" + NOTHING),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 7, OK + b"\r\n" + NOTHING),
    ],
    ids=["silence", "body", "body to the end", "chunks", "a header", "headers", "continue"],
)
def test_the_timeout_is_over_the_whole_exchange(ask, peer, answer):
    peer.answer = answer
    with pytest.raises(BotFailed, match=rf"^The bot at {peer.url} did not answer within {TIMEOUT:g} seconds\.$"):
        ask(make_bot(peer.url, timeout=TIMEOUT))
    assert not peer.through.is_set()


def test_a_slow_answer_within_the_timeout_is_an_answer(ask, peer):
    peer.answer = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n", b'{"re', b'plies": []}')
    assert ask(make_bot(peer.url, timeout=60)) == [Answer()]


def test_after_a_timeout_the_next_question_is_asked(ask, peer):
    bot = make_bot(peer.url, timeout=TIMEOUT)
    peer.answer = say_nothing
    with pytest.raises(BotFailed):
        ask(bot)
    peer.answer = say(ONE)
    assert ask(bot) == [Answer.text("one")]


def huge_chunked(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not handler.server.peer.over.is_set():
        handler.wfile.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        say(b" " * MAX_ANSWER_BYTES + json.dumps(ONE).encode()),
        say(gzip.compress(b" " * (20 * MAX_ANSWER_BYTES) + json.dumps(ONE).encode()), Content_Encoding="gzip"),
        huge_chunked,
    ],
    ids=["huge", "huge when unpacked", "endless"],
)
def test_a_huge_answer_is_not_read_to_its_end(ask, bot, peer, answer):
    peer.answer = answer
    with pytest.raises(BotFailed, match=f"answered with more than {MAX_ANSWER_BYTES} bytes"):
        ask(bot)


def test_a_large_answer_is_read(ask, bot, peer):
    peer.answer = say({"replies": [{"type": "text", "text": "x" * 1_000_000}]})
    assert ask(bot) == [Answer.text("x" * 1_000_000)]


def test_a_packed_answer_is_unpacked(ask, bot, peer):
    peer.answer = say(gzip.compress(json.dumps(ONE).encode()), Content_Encoding="gzip")
    assert ask(bot) == [Answer.text("one")]


def reset(handler):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    handler.connection.close()
    handler.close_connection = True


def raw(content):
    def answer(handler):
        handler.wfile.write(content)
        handler.close_connection = True

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        reset,
        raw(b""),
        raw(b"hello\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
        raw(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5_000 + b"\r\n"),
    ],
    ids=["reset", "closed", "no HTTP", "cut short", "no chunk", "no gzip", "too many headers"],
)
def test_a_broken_exchange_is_a_failure(ask, bot, peer, answer):
    peer.answer = answer
    with pytest.raises(BotFailed, match=rf"^The bot at {peer.url} cannot be reached: \w+\.$"):
        ask(bot)


def test_nobody_listens(ask):
    url = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(BotFailed, match=rf"^The bot at {url} cannot be reached: \w+\.$"):
        ask(make_bot(url))


def test_no_such_host(ask):
    with pytest.raises(BotFailed, match=r"^The bot at http://bot\.invalid/ cannot be reached"):
        ask(make_bot("http://bot.invalid/"))


def test_a_user_and_password_in_the_address_are_sent_as_basic_authentication(ask, peer):
    peer.answer = say(ONE)
    ask(make_bot(peer.url.replace("http://", "http://ann:p%40ss@")))
    assert peer.asked[0][1]["Authorization"] == "Basic " + base64.b64encode(b"ann:p@ss").decode()


def test_a_failure_shows_no_secret_of_the_address(ask, peer):
    address = peer.url.replace("http://", "http://user:secret@") + "?key=secret#secret"
    peer.answer = say(ONE, status=500)
    with pytest.raises(BotFailed) as failed:
        ask(make_bot(address))
    assert failed.value.reason == f"The bot at {peer.url} answered with status 500."


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:5005/webhooks", "https://bots.example.com/answer?key=1", "http://10.0.0.7:8080/",
        "http://[::1]:8080/", "http://bot:8000/answer", "http://rasa_server/", "https://user:word@example.com/a/b",
    ],
)  # fmt: skip
def test_any_http_address_can_be_a_bot(url):
    assert validate_options("http", {"url": url}) == {"url": url, "timeout": 25.0}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "url"),
        ({"url": ""}, "url"),
        ({"url": "bot"}, "url"),
        ({"url": "/answer"}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http:///answer"}, "url"),
        ({"url": "http://[::1"}, "url"),
        ({"url": "http://example.com:99999/"}, "url"),
        ({"url": "http://exa mple.com/"}, "url"),
        ({"url": "http://example.com/", "timeout": 0}, "timeout"),
        ({"url": "http://example.com/", "timeout": 601}, "timeout"),
        ({"url": "http://example.com/", "timeout": "NaN"}, "timeout"),
        ({"url": "http://example.com/", "headers": ["a"]}, "headers"),
        ({"url": "http://example.com/", "headers": {"a": {"b": 1}}}, "headers"),
        ({"url": "http://example.com/", "headers": {"X-Key": "a\nb: c"}}, "headers"),
        ({"url": "http://example.com/", "headers": {"X-Key": "ключ"}}, "headers"),
        ({"url": "http://example.com/", "headers": {"X Key": "a"}}, "headers"),
        ({"url": "http://example.com/", "header": {}}, "header"),
    ],
)
def test_wrong_options_are_refused(options, field):
    with pytest.raises(InvalidOptions) as refused:
        validate_options("http", options)
    assert list(refused.value.errors) == [field]
