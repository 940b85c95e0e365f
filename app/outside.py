"""Who comes through the tunnel of a public link.

The tunnel's program runs on this machine, so what comes through it comes from a loopback address, as this
machine's own browser does, and a stranger writes its headers. So it has a door of its own: a second port on
loopback that nobody else is told of. Whatever comes in there is from outside, whatever it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit


def host_name(host: str) -> str:
    """Return a Host header without its port."""
    return (urlsplit(f"//{host}").hostname or "").lower().rstrip(".")


class Outside:
    """Know the door and the names of the public link. From any thread; without a link nothing is outside."""

    def __init__(self) -> None:
        self.port: int | None = None
        """The tunnel's own port on loopback."""
        self.hosts: frozenset[str] = frozenset()
        """Names under which the public link is reached."""
        self.url = ""

    def is_at_door(self, scope: Mapping[str, Any]) -> bool:
        """Tell whether a request came in by the tunnel's port."""
        here = scope.get("server")
        return self.port is not None and here is not None and here[1] == self.port

    def take(self, url: str) -> None:
        """Take note of the link's address."""
        self.url = url
        self.hosts = frozenset({(urlsplit(url).hostname or "").lower()})

    def knows(self, host: str) -> bool:
        """Tell whether a Host header names the public link."""
        try:
            return host_name(host) in self.hosts
        except ValueError:
            return False
