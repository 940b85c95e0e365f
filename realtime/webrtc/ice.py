"""How peers find a way to each other (ICE, RFC 8445): STUN, TURN, and what a server behind NAT must say.

aiortc asks one STUN and one TURN server, so `choose` says which. A server whose own address nobody can reach
(a container, most clouds) announces another one in its answers, and keeps to UDP ports that are let through.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from realtime.core.errors import ConfigError, ConnectionLost

URL_HINT = "Write it as stun:host:3478, turn:host:3478?transport=udp or turns:host:5349?transport=tcp."
_URL = re.compile(r"(stuns?|turns?):(\[[0-9a-fA-F:.]+\]|[^\s?:/@]+)(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?")


class NoWay(ConnectionLost):
    """Report that this side has no address to offer: no relay, or no free port."""


@dataclass(frozen=True, slots=True)
class IceServer:
    """Name one STUN or TURN server, and how to log in to it."""

    url: str
    username: str = ""
    credential: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Ice:
    """Say how a peer looks for its way to the other side."""

    servers: tuple[IceServer, ...] = ()
    """At most one STUN and one TURN server are asked, the first of each: see `choose`."""
    relay_only: bool = False
    """Offer nothing but the TURN server's address, and use no other (RFC 9429, 3.5.3)."""
    public_address: str = ""
    """Address that stands in the answer instead of this machine's own of the same family."""
    udp_ports: range | None = None
    """Ports on which media is received; None takes any that is free."""


def is_turn(url: str) -> bool:
    """Tell a TURN from a STUN URL."""
    return url.startswith("turn")


def check_url(url: str) -> str:
    """Return a STUN or TURN URL (RFC 7064, 7065) that can be read; ConfigError says why another cannot."""
    match = _URL.fullmatch(url)
    if match is None or (match[3] and not 0 < int(match[3]) < 65_536):
        raise ConfigError(f'The ICE server "{_without_login(url)}" cannot be read.', hint=URL_HINT)
    if match[4] and not is_turn(url):
        raise ConfigError(f'The STUN server "{url}" cannot have a transport.', hint=URL_HINT)
    return url


def _without_login(url: str) -> str:
    """Hide what stands before an @: people write passwords there."""
    return re.sub(r"(?<=:)[^@]*@", "***@", url)[:80]


def can_ask(url: str) -> bool:
    """Tell whether aiortc speaks what a URL asks for: no STUN over TLS, no TURN over DTLS."""
    match = _URL.fullmatch(url)
    if match is None or match[1] == "stuns":
        return False
    return not (match[1] == "turns" and match[4] == "udp")


def choose(urls: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the URLs that this side asks (at most one of each kind, the first it can) and the others."""
    asked: list[str] = []
    others: list[str] = []
    for url in urls:
        is_first = all(is_turn(one) != is_turn(url) for one in asked)
        (asked if is_first and can_ask(url) else others).append(url)
    return asked, others


def turn_login(secret: str, who: str, now_s: float, ttl_s: float) -> tuple[str, str]:
    """Return (user name, password) that a TURN server with the same secret takes until they expire.

    The scheme is draft-uberti-behave-turn-rest, which coturn calls use-auth-secret. `now_s` is Unix time.
    """
    username = f"{int(now_s + ttl_s)}:{who}"
    mac = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(mac).decode()


def read_ports(text: str) -> range | None:
    """Read "50000-50100"; "" is None. ConfigError for anything else."""
    if not text:
        return None
    match = re.fullmatch(r"\s*(\d{1,5})\s*-\s*(\d{1,5})\s*", text)
    if match is None or not 1024 <= int(match[1]) <= int(match[2]) <= 65_535:
        raise ConfigError(
            f'The UDP ports "{text[:40]}" cannot be used.',
            hint="Write two numbers from 1024 to 65535, the lower first: 50000-50100.",
        )
    return range(int(match[1]), int(match[2]) + 1)


def check_address(text: str) -> str:
    """Return an IP address, or ConfigError: candidates hold addresses, a name would not be looked up."""
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        raise ConfigError(
            f'The public address "{text[:80]}" is not an IP address.', hint="Write it as 203.0.113.7."
        ) from None


def candidate_types(sdp: str) -> list[str]:
    """Return the types of the candidates in a description: host, srflx, relay."""
    return re.findall(r"^a=candidate:.* typ (\w+)", sdp, re.MULTILINE)


def announced(sdp: str, public_address: str) -> str:
    """Return a description whose host candidates of the same family have `public_address`.

    For NAT that maps ports one to one. A connection has one port per address of the machine, and all of
    them are announced under the one address; those that NAT does not lead to are never chosen.
    """
    if not public_address:
        return sdp
    version = ipaddress.ip_address(public_address).version
    lines = []
    for line in sdp.splitlines():
        parts = line.split(" ")
        if line.startswith("a=candidate:") and parts[6:8] == ["typ", "host"] and _is_of(parts[4], version):
            parts[4] = public_address
            line = " ".join(parts)
        elif line.startswith("c=IN IP") and parts[1] == f"IP{version}" and parts[2] not in ("0.0.0.0", "::"):
            line = f"c=IN IP{version} {public_address}"
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def _is_of(address: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(address).version == version
    except ValueError:
        return False
