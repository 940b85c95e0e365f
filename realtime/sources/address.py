"""Where a network address may lead: read strictly, resolved once, refused where it points inwards.

A URL that a stranger types makes this machine connect to something. Unless private addresses are allowed,
that must be a public host: not this machine, not its network, not the metadata service of a cloud, however
it is written. What was checked is what is connected to (`dial`), so a name that resolves otherwise a moment
later changes nothing. FFmpeg itself connects nowhere: it reads by `fetch` (HTTP) or through `relay` (RTSP,
RTMP), and both dial here, for each redirect and each HLS segment too.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from realtime.core.errors import ConfigError, ConnectionLost, VitascopeError

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[..., Sequence[tuple[Any, ...]]]

PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443, "srt": 0}
SECURE = frozenset({"rtsps", "rtmps", "https"})
SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "srt")
MAX_URL_CHARS = 2048
_LOW_PORTS = frozenset({80, 322, 443, 554})
"""Of the ports below 1024, those that media is served at; the others belong to mail, shells and the like."""
_METADATA = frozenset(
    ipaddress.ip_address(one)
    for one in (
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
    )
)
"""Where clouds tell their machines secrets; no camera lives there."""
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_CREDENTIALS = re.compile(r"(?<=//)[^/?#\s]*@")
_SECRET = re.compile(r"(?i)([?&](?:[^=&\s]*(?:key|token|pass|secret|sig|auth|pwd)[^=&\s]*)=)[^&#\s'\"]*")
_V6_GLOBAL = ipaddress.ip_network("2000::/3")
_V6_REFUSED = tuple(
    map(ipaddress.ip_network, ("2002::/16", "2001::/23", "2001:db8::/32", "3fff::/20", "64:ff9b:1::/48"))
)
"""6to4, Teredo and other special uses, documentation, NAT64 of one network: these can mean private ones."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class AddressRefused(VitascopeError):
    """Report an address that this visitor may not have the server connect to."""

    permanent = True


@dataclass(frozen=True, slots=True)
class Rules:
    """Say what may be connected to."""

    schemes: tuple[str, ...] = SCHEMES
    allow_private: bool = False
    """Whether this machine and its network may be reached: for visitors who sit there anyway."""


@dataclass(frozen=True, slots=True)
class Address:
    """Hold a URL that was read, its host in plain form."""

    scheme: str
    host: str
    """Lower case, without a dot at the end; an IPv6 address without brackets."""
    port: int
    path: str
    """With query, "/" at least."""
    user: str = ""
    password: str = ""

    @property
    def netloc(self) -> str:
        """Host, and port unless it is the scheme's own, as a Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Return it without user and password."""
        return f"{self.scheme}://{self.netloc}{self.path}"

    def __str__(self) -> str:
        if self.scheme.startswith("rtmp"):  # the rest of the path is the key of who sends there
            return f"{self.scheme}://{self.netloc}/{self.path.split('/')[1]}/..."
        return redacted(self.url)


def redacted(text: str) -> str:
    """Return `text` with user, password and keys in URLs taken out, for messages and logs."""
    return _SECRET.sub(r"\1...", _CREDENTIALS.sub("", text))


def read_address(url: str, rules: Rules) -> Address:
    """Read a URL strictly, without asking any name server.

    Raises ConfigError for what is no such URL, and AddressRefused for a scheme, port or host that may not be.
    """
    url = url.strip()
    if len(url) > MAX_URL_CHARS or re.search(r"[\x00-\x20\x7f\\]|[^\x00-\x7f]", url):
        raise ConfigError(
            "That address cannot be used: it is too long, or has spaces or signs that no URL has.",
            hint="Write names outside ASCII in their xn-- form and spaces as %20.",
        )
    try:
        parts: SplitResult = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise ConfigError(f"{redacted(url)} is not an address: {error}.", hint=_EXAMPLE) from None
    scheme = parts.scheme.lower()
    if not scheme or "://" not in url or not host:
        raise ConfigError(f'"{redacted(url)}" is not the address of a stream.', hint=_EXAMPLE)
    if scheme not in rules.schemes or scheme not in PORTS:
        known = ", ".join(one for one in rules.schemes if one in PORTS)
        raise AddressRefused(f"Streams by {scheme}:// are not taken here.", hint=f"Use one of {known}.")
    port = PORTS[scheme] if port is None else port
    if not port:
        raise ConfigError(f"{redacted(url)} names no port.", hint=f"Write {scheme}://host:PORT")
    if not rules.allow_private and port < 1024 and port not in _LOW_PORTS:
        raise AddressRefused(f"Port {port} is not one that streams are served at.", hint=_PUBLIC)
    ip = literal(host)
    if ip is not None:
        check_ip(ip, rules)
        host = str(ip)
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    return Address(scheme, host, port, path, unquote(parts.username or ""), unquote(parts.password or ""))


def literal(host: str) -> IP | None:
    """Return the address that `host` writes out; None for a name.

    Raises ConfigError for octal, hexadecimal, shortened or whole-number notations and for zone ids, which
    programs read in different ways, and for what is no name.
    """
    if ":" in host:
        try:
            if "%" in host:
                raise ValueError("an address with a zone")
            return ipaddress.IPv6Address(host)
        except ValueError:
            raise ConfigError(f'"{host}" is not an IPv6 address.', hint=_PLAIN) from None
    try:
        return ipaddress.IPv4Address(host)
    except ValueError:
        pass
    last = host.rpartition(".")[2]
    if last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last):
        raise ConfigError(f'"{host}" is not an address that is written plainly.', hint=_PLAIN)
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise ConfigError(f'"{host[:80]}" is not the name of a host.', hint=_EXAMPLE)
    return None


def check_ip(ip: IP, rules: Rules) -> None:
    """Raise AddressRefused for an address that may not be connected to."""
    real = embedded(ip)
    nobody = real.is_multicast or real.is_unspecified or _is_this_network(real)
    if nobody or ip in _METADATA or real in _METADATA:
        raise AddressRefused(f"{ip} is no host that serves streams.", hint=_PUBLIC)
    if not rules.allow_private and not is_public(ip):
        raise AddressRefused(f"{ip} lies inside this machine's own network.", hint=_PUBLIC)


def embedded(ip: IP) -> IP:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip in _NAT64 or (int(ip) >> 32 == 0 and int(ip) > 1):  # ::a.b.c.d, the old compatible form
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip.teredo is not None:
        return ip.teredo[1]
    if (int(ip) >> 32) & 0xFCFFFFFF == 0x5EFE:  # ISATAP, RFC 5214
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


def is_public(ip: IP) -> bool:
    """Tell whether an address belongs to the public Internet beyond doubt."""
    real = embedded(ip)
    if isinstance(real, ipaddress.IPv4Address):
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is None and ip not in _NAT64:
            return False  # other embedded forms lead where only this network's routers know
        return real.is_global and not real.is_multicast and not real.is_reserved
    return real in _V6_GLOBAL and real.is_global and not any(real in one for one in _V6_REFUSED)


def _is_this_network(ip: IP) -> bool:
    """Tell whether it is 0.x.y.z or the address of all."""
    return ip == ipaddress.IPv4Address("255.255.255.255") or (ip.version == 4 and int(ip) >> 24 == 0)


def resolve(address: Address, rules: Rules, lookup: Lookup = socket.getaddrinfo) -> tuple[IP, ...]:
    """Ask for the host's addresses, once. All of them must be allowed: a mixed answer is a trick.

    Raises AddressRefused, or ConnectionLost when the name is not known.
    """
    ip = literal(address.host)
    if ip is None:
        try:
            answer = lookup(address.host, address.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConnectionLost(f"{address.host} is not known: {reason}.", hint=_REACH) from error
        found = tuple(dict.fromkeys(ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in answer))
        if not found:
            raise ConnectionLost(f"{address.host} has no address.", hint=_REACH)
    else:
        found = (ip,)
    for one in found:
        check_ip(one, rules)
    return found


def dial(
    address: Address, rules: Rules, *, timeout_s: float = 10.0, lookup: Lookup = socket.getaddrinfo
) -> socket.socket:
    """Connect to the host, at one of the addresses that were checked.

    Raises AddressRefused or ConnectionLost.
    """
    why: OSError | None = None
    for ip in resolve(address, rules, lookup):
        try:
            return socket.create_connection((str(ip), address.port), timeout=timeout_s)
        except OSError as error:
            why = error
    reason = "it did not answer in time" if isinstance(why, TimeoutError) else getattr(why, "strerror", why)
    raise ConnectionLost(f"{address} cannot be reached: {reason}.", hint=_REACH) from why


_EXAMPLE = "Write it as rtsp://camera.example:554/stream or https://host/live.m3u8."
_PLAIN = "Write four decimal numbers, such as 203.0.113.7, an IPv6 address in brackets, or a name."
_PUBLIC = "Give the address of a public stream, or open the page on the server's own machine."
_REACH = "Check the address and that the other side is online."
