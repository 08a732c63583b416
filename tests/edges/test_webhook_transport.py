"""One POST to receivers as they are: good ones, slow ones, broken ones and hostile ones, over real sockets."""

import contextlib
import email.utils
import gc
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from django_chatapi import __version__
from django_chatapi.webhooks import pool as pools
from django_chatapi.webhooks import sockets, transport
from django_chatapi.webhooks.addresses import check_url
from django_chatapi.webhooks.transport import MAX_READ, MAX_RESPONSE, Outcome
from tests.servers import free_port, wait_until

BODY = b'[{"clientId": "ann"}]'
OK = b"HTTP/1.1 200 OK\r\n"
#: A call waits no longer than this for a receiver that is made to be slow; such a one goes on for longer.
TIMEOUT = 0.5


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = b""
        if self.server.reads:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, self.headers, body))
        self.server.answer(self)

    do_GET = do_POST

    def log_message(self, *args):
        pass


class Receiver(ThreadingHTTPServer):
    """What it does with a call is a function of the test."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host="127.0.0.1", context=None):
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"
        self.context = context
        self.answer = say()
        self.reads = True
        self.asked = []
        self.opened = self.closed = 0
        #: Set when the test is over: nobody needs to go on being slow.
        self.over = threading.Event()
        #: Set when a slow answer was given to its end.
        self.through = threading.Event()

    def process_request(self, request, client_address):
        self.opened += 1
        super().process_request(request, client_address)

    def finish_request(self, request, client_address):
        if self.context:
            with self.context.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, client_address)
        else:
            super().finish_request(request, client_address)

    def shutdown_request(self, request):
        super().shutdown_request(request)
        self.closed += 1

    def handle_error(self, request, client_address):
        """Nothing: a call that was given up is the point of many tests."""


def say(content=b"", status=200, **headers):
    def answer(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def raw(content):
    def answer(handler):
        handler.wfile.write(content)
        handler.close_connection = True

    return answer


def drip(head, slow, tail=b""):
    """Answer ``head`` at once, then ``slow`` byte by byte, each well within the time, then ``tail``."""

    def answer(handler):
        handler.close_connection = True
        handler.wfile.write(head)
        for byte in slow:
            handler.wfile.write(bytes([byte]))
            if handler.server.over.wait(TIMEOUT / 10):
                return
        handler.wfile.write(tail)
        handler.server.through.set()

    return answer


def say_nothing(handler):
    handler.close_connection = True
    if not handler.server.over.wait(20):
        handler.server.through.set()


def reset(handler):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    handler.connection.close()
    handler.close_connection = True


@contextlib.contextmanager
def running(**options):
    server = Receiver(**options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def opened(settings):
    settings.CHATAPI = {"WEBHOOK_ALLOWED_NETWORKS": ["127.0.0.0/8", "::1/128"]}
    yield
    pools.pool.forget()


@pytest.fixture
def receiver():
    with running() as server:
        yield server


@pytest.fixture
def names(monkeypatch):
    """Say which addresses a name has, as the name servers do; the names that were looked up."""
    table, asked = {}, []

    def getaddrinfo(host, port, *args, **options):
        asked.append(host)
        found = table[host]() if callable(table[host]) else table[host]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    table["asked"] = asked
    return table


def post(url, body=BODY, timeout=20.0, **headers):
    return transport.post(getattr(url, "url", url), body, headers, timeout=timeout)


def told(outcome):
    return outcome.status, outcome.error, outcome.accepted


def test_what_is_sent(receiver):
    receiver.answer = say(b"thanks")
    outcome = post(f"{receiver.url}?key=1&name=\u00e9#part", **{"webhook-id": "msg_1"})
    assert (told(outcome), outcome.response, outcome.retry_after) == ((200, "", True), "thanks", None)
    assert 0 < outcome.seconds < 20
    ((path, headers, body),) = receiver.asked
    assert (path, body) == ("/hook?key=1&name=%C3%A9", BODY)
    assert dict(headers.items()) == {
        "Host": f"127.0.0.1:{receiver.server_port}",
        "Accept-Encoding": "identity",
        "Content-Length": str(len(BODY)),
        "Accept": "*/*",
        "Content-Type": "application/json",
        "User-Agent": f"django-chatapi/{__version__}",
        "webhook-id": "msg_1",
    }


@pytest.mark.parametrize("status", [200, 201, 202, 204, 205, 206, 299])
def test_any_2xx_is_a_success(receiver, status):
    receiver.answer = say(status=status)
    assert told(post(receiver)) == (status, "", True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver, status):
    receiver.answer = say(status=status, Location="/elsewhere")
    assert told(post(receiver)) == (status, "", False)
    assert [path for path, _, _ in receiver.asked] == ["/hook"]


@pytest.mark.parametrize("status", [300, 304, 400, 401, 404, 410, 418, 429, 500, 502, 503, 504, 599])
def test_any_other_status_is_none(receiver, status):
    receiver.answer = say(b"no", status=status)
    outcome = post(receiver)
    # A 304 has no body, even if it has one.
    assert (told(outcome), outcome.response) == ((status, "", False), "" if status == 304 else "no")
    assert len(receiver.asked) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120), ("0", 0), (" 7 ", 7), ("9" * 400, 366 * 24 * 3600), ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0), ("Sun Nov  6 08:49:37 1994", 0),
        ("-1", None), ("1.5", None), ("soon", None), ("", None), ("1e9", None), ("\u00b2", None), ("1, 2", None),
        ("Sun, 99 Nov 2094 08:49:37 GMT", None), ("Sun, 06 Nov 1994", None), ("1994-11-06T08:49:37Z", None),
    ],
)  # fmt: skip
def test_retry_after(receiver, header, seconds):
    receiver.answer = say(status=429, Retry_After=header)
    outcome = post(receiver)
    assert (outcome.status, outcome.retry_after) == (429, seconds)


def test_retry_after_as_a_date_counts_from_now(receiver):
    receiver.answer = say(status=503, Retry_After=email.utils.formatdate(time.time() + 100, usegmt=True))
    assert 60 < post(receiver).retry_after <= 100


@pytest.mark.parametrize(
    "answer",
    [
        say_nothing,
        drip(b"", OK * 20),
        drip(OK + b"X-Drip: ", b"-" * 100, b"\r\nContent-Length: 0\r\n\r\n"),
        drip(b"", OK + b"A: b\r\n" * 30, b"Content-Length: 0\r\n\r\n"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 7, OK + b"\r\n"),
    ],
    ids=["silence", "status", "a header", "headers", "continue"],
)
def test_the_time_is_for_the_whole_exchange(receiver, answer):
    receiver.answer = answer
    started = time.monotonic()
    outcome = post(receiver, timeout=TIMEOUT)
    assert told(outcome) == (None, "timeout", False)
    assert TIMEOUT <= outcome.seconds <= time.monotonic() - started
    assert not receiver.through.is_set()


@pytest.mark.parametrize(
    "answer",
    [
        drip(OK + b"Content-Length: 100\r\n\r\n", b"-" * 100),
        drip(OK + b"\r\n", b"-" * 100),
        drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n-\r\n" * 30, b"0\r\n\r\n"),
        drip(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n-\r\n0\r\n", b"A: b\r\n" * 30, b"\r\n"),
    ],
    ids=["length", "to the end", "chunks", "trailers"],
)
def test_a_success_that_does_not_end_in_time_is_none(receiver, answer):
    receiver.answer = answer
    outcome = post(receiver, timeout=4 * TIMEOUT)  # the beginning has to come in time
    assert told(outcome) == (200, "timeout", False)
    assert outcome.response.startswith("-")
    assert outcome.seconds >= 4 * TIMEOUT
    assert not receiver.through.is_set()


def test_a_receiver_that_reads_nothing_ends_at_the_deadline_too(receiver):
    for kept in (False, True):
        pools.pool.forget()
        receiver.reads, receiver.answer = True, say()
        if kept:
            assert post(receiver).accepted
        receiver.reads, receiver.answer = False, say_nothing
        outcome = post(receiver, body=b" " * 50_000_000, timeout=TIMEOUT)
        assert told(outcome) == (None, "timeout", False)
        assert outcome.seconds < 10


def test_the_setting_is_the_time(receiver, settings):
    settings.CHATAPI["WEBHOOK_TIMEOUT"] = TIMEOUT
    receiver.answer = say_nothing
    outcome = transport.post(receiver.url, BODY, {})
    assert told(outcome) == (None, "timeout", False)
    assert TIMEOUT <= outcome.seconds < 10


def test_a_slow_success_within_the_time_is_one(receiver):
    receiver.answer = drip(OK + b"Content-Length: 4\r\n\r\n", b"good")
    assert told(post(receiver)) == (200, "", True)


def test_after_a_timeout_the_next_call_is_made(receiver):
    assert post(receiver).accepted
    receiver.answer = say_nothing
    outcome = post(receiver, timeout=TIMEOUT)
    assert outcome.error == "timeout"
    assert outcome.seconds < 10
    receiver.answer = say()
    assert post(receiver).accepted
    # A call on a kept connection that hangs is not made again.
    assert (len(receiver.asked), receiver.opened) == (3, 2)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reset, "connection closed"),
        (raw(b""), "connection closed"),
        (raw(b"hello\r\n\r\n"), "no HTTP response"),
        (raw(b"HTTP/1.1 2000 OK\r\n\r\n"), "no HTTP response"),
        (raw(b"HTTP/1.1 \xff OK\r\n\r\n"), "no HTTP response"),
        (raw(OK + b"A: b\r\n" * 5_000 + b"\r\n"), "no HTTP response"),
        (raw(OK + b"A" * 100_000), "no HTTP response"),
    ],
    ids=["reset", "closed", "no HTTP", "no status", "no text", "too many headers", "too long a header"],
)
def test_what_is_no_response_is_told_in_a_few_words(receiver, answer, error):
    receiver.answer = answer
    assert told(post(receiver)) == (None, error, False)
    assert len(receiver.asked) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"Content-Length: 100\r\n\r\ncut",
        b"Content-Length: x\r\n\r\ncut",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\ncut\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\ncut\r\n-5\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\ncut",
        b"\r\ncut",
    ],
)
def test_a_body_that_breaks_off_does_not_undo_a_success(receiver, content):
    receiver.answer = raw(OK + content)
    outcome = post(receiver)
    assert (told(outcome), outcome.response) == ((200, "", True), "cut")
    assert post(receiver).accepted
    assert receiver.opened == 2


def test_a_refusal_before_the_body_was_sent_is_read(receiver):
    receiver.reads = False
    receiver.answer = raw(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    # Far more than the buffers of a connection hold: sending fails when the receiver closes it unread.
    outcome = post(receiver, body=b" " * 20_000_000)
    assert told(outcome) == (413, "", False)


def huge(handler):
    """Writes for as long as somebody reads, and says how much that was."""
    handler.close_connection = True
    handler.wfile.write(handler.server.head)
    handler.server.written = 0
    with contextlib.suppress(OSError):
        while handler.server.written < 200_000_000:
            handler.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            handler.server.written += 0x10000
    handler.server.through.set()


@pytest.mark.parametrize(
    "head", [b"Transfer-Encoding: chunked", b"Content-Length: 900000000", b"X: close-delimited"]
)
def test_a_huge_response_is_not_read(receiver, head):
    receiver.answer = huge
    receiver.head = OK + head + b"\r\n\r\n"
    outcome = post(receiver)
    assert told(outcome) == (200, "", True)
    assert len(outcome.response) == MAX_RESPONSE
    wait_until(receiver.through.is_set, what="the receiver's end")
    # What the buffers of a connection hold was written, but not read.
    assert receiver.written < 100_000_000


def test_the_first_2_kib_are_kept_and_can_be_stored(receiver):
    receiver.answer = say(b"a\0b\xff\xe2\x82" + b"x" * MAX_READ)
    response = post(receiver).response
    assert response.startswith("a\ufffdb\ufffd\ufffdxxx")
    assert len(response) <= MAX_RESPONSE
    assert "\0" not in response


def test_a_connection_serves_many_calls(receiver):
    for size in (0, 10, MAX_RESPONSE, MAX_READ - 1000, 0):
        receiver.answer = say(b"x" * size)
        assert len(post(receiver).response) == min(size, MAX_RESPONSE)
    receiver.answer = say(status=204)
    post(receiver)
    receiver.answer = say(b"no", status=500)
    post(receiver)
    receiver.answer = lambda handler: handler.wfile.write(
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    )
    assert post(receiver).response == post(receiver).response == "x"
    assert (len(receiver.asked), receiver.opened) == (9, 1)


@pytest.mark.parametrize(
    "answer",
    [
        say(b"x" * (MAX_READ + 1)),
        say(Connection="close"),
        raw(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
        # What it announces would be taken for the answer to the next call.
        lambda handler: handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
    ids=["large", "close", "HTTP/1.0", "early hints"],
)
def test_other_connections_are_not_used_again(receiver, answer):
    receiver.answer = answer
    post(receiver)
    receiver.answer = say()
    assert post(receiver).status == 200
    assert receiver.opened == 2
    wait_until(lambda: receiver.closed >= 1, what="the end of the first connection")


def test_a_connection_that_was_closed_meanwhile_fails_nobody(receiver):
    def answer_and_close(handler):
        say()(handler)
        handler.close_connection = True  # without a "Connection: close" to announce it

    receiver.answer = answer_and_close
    for count in range(1, 4):
        assert post(receiver).accepted
        wait_until(lambda count=count: receiver.closed == count, what="the receiver's end of the connection")
    assert (len(receiver.asked), receiver.opened) == (3, 3)


def test_the_farewell_of_an_idle_connection_is_not_taken_for_an_answer(receiver):
    farewell = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    say_it = threading.Event()

    def answer_and_part(handler):
        say()(handler)
        say_it.wait(20)
        raw(farewell)(handler)

    receiver.answer = answer_and_part
    assert post(receiver).accepted
    say_it.set()
    wait_until(lambda: receiver.closed == 1, what="the receiver's end of the connection")
    receiver.answer = say()
    assert told(post(receiver)) == (200, "", True)


def reset_half_way(handler):
    handler.wfile.write(OK + b"Content-")
    reset(handler)


@pytest.mark.parametrize(
    "end",
    [reset, raw(b""), reset_half_way, raw(b"HTTP/1.1 2")],
    ids=["reset", "closed", "reset half-way", "closed half-way"],
)
def test_a_kept_connection_that_ends_is_a_failed_attempt(receiver, end):
    assert post(receiver).accepted
    receiver.answer = end
    # Nobody knows whether it has arrived, and it is not for this floor to send it once more.
    assert post(receiver).error in ("connection closed", "no HTTP response")
    assert (len(receiver.asked), receiver.opened) == (2, 1)
    receiver.answer = say(b"at last")
    assert post(receiver).response == "at last"
    assert (len(receiver.asked), receiver.opened) == (3, 2)


def test_a_receiver_that_ends_kept_connections_fails_no_second_attempt(receiver, monkeypatch):
    assert post(receiver).accepted
    receiver.answer = raw(b"")
    assert post(receiver).error == "connection closed"
    receiver.answer = say()
    for opened in (2, 3, 4):
        assert post(receiver).accepted
        assert receiver.opened == opened
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + pools.DISTRUST)
    monkeypatch.setattr(pools, "time", later)
    for _ in range(2):
        assert post(receiver).accepted
        assert receiver.opened == 5


def test_an_endpoint_that_ends_one_of_its_kept_connections_gets_none_of_the_others(receiver):
    meet = threading.Barrier(4)

    def answer_together(handler):
        meet.wait(20)
        say()(handler)

    receiver.answer = answer_together
    threads = [threading.Thread(target=post, args=(receiver,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    receiver.answer = raw(b"")
    assert post(receiver).error == "connection closed"
    receiver.answer = say()
    assert post(receiver).accepted
    assert receiver.opened == 5
    wait_until(lambda: receiver.closed >= 4, what="the end of the others")


@pytest.mark.parametrize("limit", ["IDLE_TIME", "MAX_AGE"])
def test_an_old_connection_is_not_used_again(receiver, monkeypatch, limit):
    monkeypatch.setattr(pools, limit, 0.0)
    assert post(receiver).accepted
    assert post(receiver).accepted
    assert receiver.opened == 2
    wait_until(lambda: receiver.closed >= 1, what="the end of the old connection")


def test_as_many_connections_are_kept_as_an_address_may_have(receiver, monkeypatch):
    monkeypatch.setattr(pools, "MAX_PER_ADDRESS", 2)
    meet = threading.Barrier(5)

    def answer_together(handler):
        meet.wait(20)
        say()(handler)

    receiver.answer = answer_together
    outcomes = []
    threads = [threading.Thread(target=lambda: outcomes.append(post(receiver))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.accepted for outcome in outcomes] == [True] * 5
    wait_until(lambda: receiver.closed == 3, what="the end of the connections that are too many")


def test_the_least_recently_used_address_gives_way(monkeypatch):
    monkeypatch.setattr(pools, "MAX_IDLE", 2)
    with running() as one, running() as two, running() as three:
        for each in (one, two, one, three):
            assert post(each).accepted
        wait_until(lambda: two.closed == 1, what="the end of the connection that was used last")
        assert (one.closed, three.closed) == (0, 0)
        assert post(one).accepted
        assert (one.opened, two.opened, three.opened) == (1, 1, 1)


def test_many_threads_call_at_once(receiver):
    receiver.answer = lambda handler: say(handler.headers["webhook-id"].encode())(handler)
    wrong = []

    def call(name):
        for count in range(20):
            outcome = post(receiver, **{"webhook-id": f"{name}-{count}"})
            if outcome.response != f"{name}-{count}":
                wrong.append(outcome)

    threads = [threading.Thread(target=call, args=[name]) for name in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert receiver.opened <= 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_has_connections_of_its_own(receiver):
    receiver.answer = say(b"1")
    assert post(receiver).accepted
    child = os.fork()
    if not child:
        os._exit(0 if post(receiver).accepted and post(receiver).accepted else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert receiver.opened == 2
    # The one that was open before serves the parent still.
    assert post(receiver).accepted
    assert receiver.opened == 2


def test_no_proxy_of_the_environment_is_used(receiver, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert post(receiver).accepted


def test_nobody_listens():
    assert told(post(f"http://127.0.0.1:{free_port()}/")) == (None, "connection refused", False)


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1/", "http://[::1", "http://ann:word@127.0.0.1/"])
def test_no_address(url):
    assert told(post(url)) == (None, "no address to send to", False)


def test_a_name_without_an_address(names):
    names["nowhere.test"] = []
    assert told(post("http://nowhere.test/")) == (None, "name not found", False)


def test_an_inner_address_is_never_connected_to(receiver, names, settings):
    settings.CHATAPI = {}
    port = receiver.server_port
    names["inner.test"] = ["127.0.0.1", "::ffff:127.0.0.1"]
    for host in ("127.0.0.1", "2130706433", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]", "inner.test"):
        assert told(post(f"http://{host}:{port}/")) == (None, "address refused", False), host
    assert receiver.opened == 0


@pytest.mark.parametrize("inner", ["127.0.0.1", "::ffff:127.0.0.1", "::1"])
def test_a_name_that_turns_inward_after_it_was_saved_is_refused(receiver, names, settings, inner):
    settings.CHATAPI = {}
    answers = iter([["93.184.216.34"], [inner]])
    names["flips.test"] = lambda: next(answers)
    url = f"http://flips.test:{receiver.server_port}/"
    check_url(url)
    assert told(post(url)) == (None, "address refused", False)
    assert receiver.opened == 0


def test_the_address_that_was_checked_is_the_one_that_is_dialled(receiver, names, settings):
    """The name is looked up once per connection: there is no second answer that could be another one."""
    settings.CHATAPI = {"WEBHOOK_ALLOWED_NETWORKS": ["127.0.0.1/32"]}
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    names["flips.test"] = lambda: next(answers)
    url = f"http://flips.test:{receiver.server_port}/"
    assert post(url).accepted
    assert post(url).accepted
    assert names["asked"] == ["flips.test"]
    assert receiver.asked[0][1]["Host"] == f"flips.test:{receiver.server_port}"
    # A new connection is checked anew.
    pools.pool.forget()
    assert post(url).error == "address refused"
    assert receiver.opened == 1


def test_the_next_address_is_tried_when_one_refuses(receiver, names):
    names["many.test"] = ["127.0.0.77", "10.0.0.1", "127.0.0.78", "127.0.0.1", "127.0.0.79"]
    assert post(f"http://many.test:{receiver.server_port}/").accepted


def test_the_next_address_is_tried_when_one_swallows_everything(receiver, names):
    with socket.socket() as deaf, contextlib.ExitStack() as fillers:
        deaf.bind(("127.0.0.76", receiver.server_port))
        deaf.listen(0)
        for _ in range(3):  # a queue that is full: further attempts get no answer at all
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.76", receiver.server_port))
        names["deaf.test"] = ["127.0.0.76", "127.0.0.1"]
        outcome = post(f"http://deaf.test:{receiver.server_port}/", timeout=8)
        assert told(outcome) == (200, "", True)
        assert outcome.seconds > 1
        names["deaf.test"] = ["127.0.0.76"]
        pools.pool.forget()
        assert told(post(f"http://deaf.test:{receiver.server_port}/", timeout=TIMEOUT))[1] == "timeout"


def test_a_name_server_that_hangs_ends_at_the_deadline(names):
    over = threading.Event()
    names["hangs.test"] = lambda: ["127.0.0.1"] if over.wait(20) else []
    outcome = post("http://hangs.test/", timeout=TIMEOUT)
    over.set()
    assert told(outcome) == (None, "timeout", False)
    assert outcome.seconds < 15


def test_ipv6(names):
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running(host="::1"))
        except OSError as error:
            pytest.skip(f"this system has no IPv6: {error}")
        assert post(f"http://[::1]:{server.server_port}/").accepted
        assert server.asked[0][1]["Host"] == f"[::1]:{server.server_port}"


def test_outcomes_cannot_be_changed():
    outcome = Outcome(status=200, error="", response="", seconds=0.1, retry_after=None)
    with pytest.raises(AttributeError):
        outcome.status = 500


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A certificate for hook.test and 127.0.0.1, made with the openssl command."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl command to make a certificate with")
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=hook.test"),
            *("-addext", "subjectAltName=DNS:hook.test,IP:127.0.0.1"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture
def secure(certificates, monkeypatch, names):
    names.update({"hook.test": ["127.0.0.1"], "hook.test.": ["127.0.0.1"], "other.test": ["127.0.0.1"]})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.sni_callback = lambda sock, name, context: seen.append(name)
    seen = []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "cert.pem"))
    sockets.tls_context.cache_clear()
    with running(context=context) as server:
        server.names = seen
        yield server
    sockets.tls_context.cache_clear()


def test_tls(secure):
    for host in ("hook.test", "hook.test.", "127.0.0.1"):
        for _ in range(2):
            assert told(post(f"https://{host}:{secure.server_port}/")) == (200, "", True)
    assert (len(secure.asked), secure.opened) == (6, 3)
    # The name is asked for and checked, although the connection is made to an address.
    assert secure.names == ["hook.test", "hook.test", None]
    assert secure.asked[0][1]["Host"] == f"hook.test:{secure.server_port}"


def test_the_certificate_has_to_be_for_the_name(secure):
    outcome = post(f"https://other.test:{secure.server_port}/")
    assert told(outcome)[0] is None
    assert outcome.error.startswith("TLS error: Hostname mismatch")
    assert not secure.asked


def test_the_certificate_has_to_be_trusted(secure, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    sockets.tls_context.cache_clear()
    assert post(f"https://hook.test:{secure.server_port}/").error.startswith("TLS error: self")
    assert not secure.asked


def test_tls_where_there_is_none(receiver, secure):
    assert post(f"https://hook.test:{receiver.server_port}/").error.startswith("TLS error: ")


@pytest.mark.parametrize("answer", [say_nothing, drip(b"", OK * 20), drip(OK + b"\r\n", b"-" * 100)])
def test_the_time_is_for_tls_too(secure, answer):
    secure.answer = answer
    outcome = post(f"https://hook.test:{secure.server_port}/", timeout=1.0)
    assert (outcome.error, outcome.accepted) == ("timeout", False)
    assert 1.0 <= outcome.seconds < 10
    assert not secure.through.is_set()


def test_a_handshake_that_hangs_ends_at_the_deadline(secure):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        outcome = post(f"https://hook.test:{deaf.getsockname()[1]}/", timeout=TIMEOUT)
    assert told(outcome) == (None, "timeout", False)


@pytest.mark.parametrize("end", [reset, raw(b"")], ids=["reset", "closed"])
def test_a_kept_tls_connection_that_ends_is_a_failed_attempt(secure, end):
    url = f"https://hook.test:{secure.server_port}/"
    assert post(url).accepted
    secure.answer = end
    assert told(post(url)) == (None, "connection closed", False)
    secure.answer = say(b"at last")
    assert post(url).response == "at last"
    assert (len(secure.asked), secure.opened) == (3, 2)


def test_no_descriptor_is_left_open(receiver):
    port = free_port()
    for url, answer in [
        (receiver.url, say()),
        (receiver.url, reset),
        (receiver.url, raw(OK + b"Content-Length: 9\r\n\r\n")),
        (receiver.url, raw(b"x")),
        (f"http://127.0.0.1:{port}/", say()),
        (f"https://127.0.0.1:{receiver.server_port}/", say()),
    ]:
        receiver.answer = answer

        def ours():
            wait_until(lambda: receiver.closed == receiver.opened, what="the receiver's end")
            kinds = (sockets.PlainSocket, sockets.TLSSocket)
            return sum(isinstance(each, kinds) and each.fileno() != -1 for each in gc.get_objects())

        pools.pool.forget()
        post(url)
        pools.pool.forget()
        assert ours() == 0
        for _ in range(5):
            post(url)
            pools.pool.forget()
        assert ours() == 0, (url, answer)
