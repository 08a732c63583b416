"""Where webhooks may go. What the name servers say is the world outside: here it is a table of the test."""

import contextlib
import os
import socket
import threading
import time

import pytest
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.utils.translation import override
from hypothesis import given
from hypothesis import strategies as st

from django_chatapi.webhooks import addresses, lookups
from django_chatapi.webhooks.addresses import AddressRefused, ResolutionFailed, check_url, parse, resolve
from tests.servers import wait_until

PUBLIC, PUBLIC6 = "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"


@pytest.fixture
def names(monkeypatch):
    """Say which addresses a name has; what is no list is called, and any other name does not exist."""
    table = {}

    def getaddrinfo(host, port, *args, **options):
        found = table.get(host, [])
        found = found() if callable(found) else found
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return table


def soon(seconds=5.0):
    return time.monotonic() + seconds


def allow(settings, *networks):
    settings.CHATAPI = {"WEBHOOK_ALLOWED_NETWORKS": list(networks)}


INNER = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "017700000001",
    "0", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "2852039166", "100.64.0.1",
    "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]", "[fe80::1]",
    "[fec0::1]", "[fc00::1]", "[fd12::1]", "[ff02::1]", "[2001:db8::1]", "[2002:7f00:1::]", "[2002:a00:1::1]",
    "[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "①②⑦.⓪.⓪.①", "１２７。０。０。１",
]  # fmt: skip


@pytest.mark.parametrize("host", INNER)
def test_an_inner_address_is_refused_in_every_spelling(host, names, settings):
    settings.CHATAPI = {}
    with pytest.raises(ValidationError) as refused:
        check_url(f"http://{host}/hook")
    assert refused.value.code == "address_refused"
    assert "CHATAPI['WEBHOOK_ALLOWED_NETWORKS']" in refused.value.messages[0]
    target = parse(f"https://{host}:8443/hook")
    with pytest.raises(AddressRefused):
        resolve(target.host, target.port, soon())


@pytest.mark.parametrize(
    "host",
    [
        PUBLIC,
        "8.8.8.8",
        "134744072",
        f"[{PUBLIC6}]",
        f"[::ffff:{PUBLIC}]",
        f"[64:ff9b::{PUBLIC}]",
        "[2002:808:808::1]",
    ],
)
def test_a_public_address_is_good(host, names, settings):
    settings.CHATAPI = {}
    check_url(f"https://{host}/hook")


def test_a_literal_is_dialled_as_the_address_it_means(settings):
    allow(settings, "127.0.0.0/8", "::1/128")
    assert resolve("2130706433", 80, soon()) == [("127.0.0.1", 80)]
    assert resolve("0177.1", 80, soon()) == [("127.0.0.1", 80)]
    assert resolve("::1", 80, soon()) == [("::1", 80, 0, 0)]


@pytest.mark.parametrize(
    ("networks", "host", "good"),
    [
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "[::ffff:10.0.0.1]", True),
        (["10.0.0.0/8"], "[64:ff9b::10.0.0.1]", True),
        (["10.0.0.0/8"], "11.0.0.1", True),  # which is public
        (["10.0.0.0/8"], "127.0.0.1", False),
        (["10.0.0.0/8"], "[::1]", False),
        (["10.0.0.0/8", "fd00::/8"], "[fd00::1]", True),
        (["0.0.0.0/0"], "169.254.169.254", True),
        (["0.0.0.0/0"], "[fd00::1]", False),
        (["192.168.7.7"], "192.168.7.7", True),
        (["192.168.7.7"], "192.168.7.8", False),
    ],
)
def test_a_site_can_open_networks_of_its_own(networks, host, good, settings):
    allow(settings, *networks)
    if good:
        check_url(f"http://{host}/")
    else:
        with pytest.raises(ValidationError):
            check_url(f"http://{host}/")


def test_a_network_that_cannot_be_read_is_named(settings):
    allow(settings, "10.0.0.1/8")
    with pytest.raises(ImproperlyConfigured, match=r"WEBHOOK_ALLOWED_NETWORKS.*10\.0\.0\.1/8"):
        check_url("https://8.8.8.8/")


def test_a_name_is_judged_by_its_addresses(names, settings):
    settings.CHATAPI = {}
    names.update(
        {"good.test": [PUBLIC, PUBLIC6], "inner.test": ["10.0.0.1", "::1"], "mixed.test": ["::1", PUBLIC]}
    )
    check_url("https://good.test/")
    with pytest.raises(ValidationError, match=r"“inner\.test” is at 10\.0\.0\.1"):
        check_url("https://inner.test/")
    # Only the good ones are ever dialled.
    check_url("https://mixed.test/")
    assert resolve("mixed.test", 443, soon()) == [(PUBLIC, 443)]
    assert resolve("good.test", 443, soon()) == [(PUBLIC, 443), (PUBLIC6, 443, 0, 0)]


def test_every_resolution_is_checked_anew(names, settings):
    settings.CHATAPI = {}
    answers = iter([[PUBLIC], ["127.0.0.1"], ["::ffff:127.0.0.1"]])
    names["flips.test"] = lambda: next(answers)
    check_url("http://flips.test/")
    for address in ("127.0.0.1", "::ffff:127.0.0.1"):
        with pytest.raises(AddressRefused) as refused:
            resolve("flips.test", 80, soon())
        assert refused.value.address == address


def test_a_name_that_has_no_address_now_can_be_saved(names):
    check_url("https://nowhere.test/")
    with pytest.raises(ResolutionFailed):
        resolve("nowhere.test", 443, soon())


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "/hook", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/",
        "http://", "http:///hook", "http://:80/", "http://[::1", "http://[::1%25eth0]/", "http://[fe80::1%eth0]/",
        "http://[example.com]/", "http://example.com:99999/", "http://example.com:0/", "http://example.com:x/",
        "http://exa mple.com/", "http://example.com\\@127.0.0.1/", "http://exam\tple.com/", "http://example.com/\n",
        "http://a..b/", "http://.a/", "http://" + "a" * 64 + ".com/", "http://exa%6dple.com/", "http://a,b/", "http://a/\ud800",
    ],
)  # fmt: skip
def test_what_is_no_http_address_is_refused(url, names):
    with pytest.raises(ValidationError) as refused:
        check_url(url)
    assert refused.value.code == "invalid"


@pytest.mark.parametrize(
    "url", ["https://ann:secret@example.com/", "http://ann@127.0.0.1/", "http://@example.com/"]
)
def test_credentials_are_refused(url, names):
    with pytest.raises(ValidationError, match="Take the user and the password out of the address") as refused:
        check_url(url)
    assert refused.value.code == "credentials"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://Example.com", ("http", "example.com", 80, "example.com", "/")),
        ("https://example.com:443/a?b=c#d", ("https", "example.com", 443, "example.com", "/a?b=c")),
        ("https://example.com.:8443?b", ("https", "example.com.", 8443, "example.com:8443", "/?b")),
        # What one reader takes for the user, another takes for the host.
        ("http://127.0.0.1#@8.8.8.8/", ("http", "127.0.0.1", 80, "127.0.0.1", "/")),
        ("http://127.0.0.1?@8.8.8.8/", ("http", "127.0.0.1", 80, "127.0.0.1", "/?@8.8.8.8/")),
        ("http://[2001:DB8:0::1]:81/", ("http", "2001:db8::1", 81, "[2001:db8::1]:81", "/")),
        ("https://bücher.de/ключ?é=%20", ("https", "xn--bcher-kva.de", 443, "xn--bcher-kva.de", "/%D0%BA%D0%BB%D1%8E%D1%87?%C3%A9=%20")),  # noqa: E501
    ],
)  # fmt: skip
def test_an_address_is_taken_apart(url, target):
    assert parse(url) == target


@given(
    st.from_regex(
        r"(https?|ftp):/?/?([^/@]{0,5}@)?\[?[0-9a-fx.:%①-]{0,20}\]?(:[0-9]{0,6})?(/.{0,5})?", fullmatch=True
    )
    | st.text(max_size=40).map(lambda text: f"http://{text}")
)
def test_whatever_is_written_is_an_address_or_is_refused(url):
    with contextlib.suppress(ValidationError):
        target = parse(url)
        assert target.path.isascii()
        assert target.netloc.isascii()
        if addresses._literal(target.host):
            with contextlib.suppress(AddressRefused):
                resolve(target.host, target.port, soon())


def test_messages_are_translated_late(settings):
    """The text is made where it is shown, in the language of whoever looks at it."""
    settings.CHATAPI = {}
    with pytest.raises(ValidationError) as refused:
        check_url("http://127.0.0.1/")
    assert type(refused.value.message).__name__ == "__proxy__"
    with override("en"):
        assert "127.0.0.1" in refused.value.messages[0]


@pytest.fixture
def hangs(names):
    """A name whose servers do not answer until the test is over; the times it was asked for."""
    over, asked = threading.Event(), []

    def hang():
        asked.append(1)
        over.wait(30)
        return [PUBLIC]

    names["hangs.test"] = hang
    yield asked
    over.set()
    wait_until(lambda: not lookups.lookups._open, what="the end of the look-ups")


def test_looking_up_a_name_ends_at_the_deadline(hangs):
    started = time.monotonic()
    with pytest.raises(ResolutionFailed, match="in time"):
        resolve("hangs.test", 80, soon(0.2))
    assert 0.2 <= time.monotonic() - started < 15


def test_a_name_that_hangs_holds_one_thread_and_no_other_name(hangs, names):
    names["good.test"] = [PUBLIC]
    for _ in range(lookups.MAX_THREADS * 2):
        with pytest.raises(ResolutionFailed):
            resolve("hangs.test", 80, soon(0.01))
    assert resolve("good.test", 80, soon(20)) == [(PUBLIC, 80)]
    assert len(hangs) == 1


def test_dozens_of_names_that_hang_hold_up_no_other(hangs, names):
    names["good.test"] = [PUBLIC]
    for number in range(40):
        names[f"hangs-{number}.test"] = names["hangs.test"]
        with pytest.raises(ResolutionFailed):
            resolve(f"hangs-{number}.test", 80, soon(0.01))
    assert resolve("good.test", 80, soon(20)) == [(PUBLIC, 80)]


def test_saving_does_not_wait_for_ever(hangs, settings):
    settings.CHATAPI = {"WEBHOOK_TIMEOUT": 0.2}
    check_url("https://hangs.test/")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_looks_up_names_of_its_own(hangs, names):
    with pytest.raises(ResolutionFailed):
        resolve("hangs.test", 80, soon(0.05))
    names["good.test"] = [PUBLIC]
    names["hangs.test"] = [PUBLIC]
    child = os.fork()
    if not child:
        try:
            good = resolve("good.test", 80, soon(10)) == resolve("hangs.test", 80, soon(10)) == [(PUBLIC, 80)]
        except BaseException:
            good = False
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_resolver_of_the_system_is_asked(settings):
    allow(settings, "127.0.0.0/8", "::1/128")
    assert ("127.0.0.1", 80) in addresses.resolve("localhost", 80, soon(20))
