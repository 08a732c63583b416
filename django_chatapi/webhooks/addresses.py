"""Where a webhook may go: to the public internet, and to the networks that the host opens.

A channel's webhook URL comes from people who may know no more of the site than its admin. Without this check they
could have the server POST to what only the server can reach.
"""

import functools
import ipaddress
import re
import socket
import time
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.utils.encoding import iri_to_uri
from django.utils.translation import gettext_lazy as _

from ..conf import chatapi_settings
from .lookups import lookups

#: What ``socket.connect`` takes: host, port and, for IPv6, flow and scope.
SockAddr = tuple[Any, ...]
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: The part of IPv6 that is given out to the internet; all else is for special use.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
#: IPv4 behind a translator, as IPv6-only networks see it (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

_NO_URL_CHARACTER = re.compile(r"[\x00-\x20\x7f\\]")
_NAME = re.compile(r"[a-z0-9_-]([a-z0-9_.-]*[a-z0-9_.-])?", re.ASCII)


class AddressRefused(Exception):
    """Nothing at this name may be connected to. ``address`` is one of those it has."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


class ResolutionFailed(Exception):
    """The name has no address, or its servers did not say in time."""


class Target(NamedTuple):
    """A URL, taken apart once for the check and for the connection."""

    scheme: str
    host: str  # in ASCII and lower case, IPv6 without brackets
    port: int
    netloc: str  # the Host header
    path: str  # with the query


@functools.lru_cache(maxsize=1024)
def parse(url: str) -> Target:
    """Take a URL apart.

    Raises:
        ValidationError: it is not an http or https address, or has a user or a password in it.
    """
    invalid = ValidationError(_("Write an address such as https://example.com/webhook."), code="invalid")
    if _NO_URL_CHARACTER.search(url):
        raise invalid
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        path = iri_to_uri((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        if "[" in parts.netloc:
            # No zone: it means something on this machine alone.
            host = ipaddress.IPv6Address(host).compressed if "%" not in host else ""
        else:
            host = host.encode("idna").decode("ascii").lower()
            host = host if _NAME.fullmatch(host) else ""
    except ValueError:  # of which UnicodeError is one
        raise invalid from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise invalid
    if "@" in parts.netloc:
        raise ValidationError(
            _("Take the user and the password out of the address: the receiver knows this site by its signature."),
            code="credentials",
        )
    standard = 443 if parts.scheme == "https" else 80
    name = f"[{host}]" if ":" in host else host.rstrip(".")
    return Target(
        scheme=parts.scheme,
        host=host,
        port=port or standard,
        netloc=name if port in (None, standard) else f"{name}:{port}",
        path=path,
    )


def check_url(url: str) -> None:
    """The check for a form: raise a ValidationError for an address that no webhook would be sent to.

    A name that has no address now is let through: name servers have bad hours, and every connection is checked
    again when it is made.
    """
    target = parse(url)
    try:
        resolve(target.host, target.port, time.monotonic() + chatapi_settings.WEBHOOK_TIMEOUT)
    except ResolutionFailed:
        return
    except AddressRefused as error:
        raise ValidationError(
            _(
                "“%(host)s” is at %(address)s, which is not on the public internet. If the receiver is your own, "
                "add its network to the setting CHATAPI['WEBHOOK_ALLOWED_NETWORKS']."
            ),
            code="address_refused",
            params={"host": target.host, "address": error.address},
        ) from error


def resolve(host: str, port: int, deadline: float) -> list[SockAddr]:
    """The addresses of a host that may be connected to, best first. ``deadline``: see ``time.monotonic``.

    Raises:
        AddressRefused: it has addresses, but none of these.
        ResolutionFailed: it has none, or they were not found in time.
    """
    literal = _literal(host)
    if literal is not None:
        found: list[SockAddr] = [(str(literal), port, 0, 0) if literal.version == 6 else (str(literal), port)]
    else:
        try:
            answers = lookups.find(host, port, deadline)
        except (OSError, UnicodeError) as error:
            raise ResolutionFailed(f"{host}: {error}") from error
        found = list(dict.fromkeys(a[4] for a in answers if a[0] in (socket.AF_INET, socket.AF_INET6)))
        if not found:
            raise ResolutionFailed(f"{host}: no address")
    networks = _networks(tuple(chatapi_settings.WEBHOOK_ALLOWED_NETWORKS))
    allowed = [sockaddr for sockaddr in found if _permitted(ipaddress.ip_address(sockaddr[0]), networks)]
    if not allowed:
        raise AddressRefused(found[0][0])
    return allowed


def _literal(host: str) -> _Address | None:
    """The address that is written in the place of a name, in any notation that the system understands.

    ``2130706433``, ``0177.0.0.1`` and ``127.1`` are all 127.0.0.1 to it.
    """
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None


@functools.lru_cache(maxsize=8)
def _networks(setting: tuple[str, ...]) -> tuple[_Network, ...]:
    try:
        return tuple(ipaddress.ip_network(network) for network in setting)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"CHATAPI['WEBHOOK_ALLOWED_NETWORKS']: {error}. Write networks such as 10.0.0.0/8."
        ) from error


def _permitted(address: _Address, networks: Iterable[_Network]) -> bool:
    if any(address in network for network in networks):
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is not None:
        return _permitted(inner, networks)
    return address.is_global and address in _GLOBAL_UNICAST
