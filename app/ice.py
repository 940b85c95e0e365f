"""The ICE servers of the settings, as the server's own peers and as clients need them.

Logins are made anew each time and are kept nowhere; nothing here is logged.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import Any

from realtime.core.errors import ConfigError
from realtime.webrtc.ice import (
    Ice,
    IceServer,
    check_address,
    check_url,
    choose,
    is_turn,
    read_ports,
    turn_login,
)

from .settings import ServerSettings

log = logging.getLogger(__name__)


class IceWays:
    """Give out ICE servers. Raises ConfigError for settings that cannot work together."""

    def __init__(self, server: ServerSettings, unix_time_s: Callable[[], float] = time.time) -> None:
        urls = [check_url(url) for url in (*server.ice_servers, *server.turn_urls)]
        self._stun = [url for url in urls if not is_turn(url)]
        self._turn = [url for url in urls if is_turn(url)]
        self._secret = _plain(server.turn_secret)
        self._user, self._password = server.turn_user, _plain(server.turn_password)
        self._ttl_s = server.turn_ttl_s
        self._relay_only = server.ice_relay_only
        self._public_address = check_address(server.public_address)
        self._udp_ports = read_ports(server.udp_ports)
        self._unix_time_s = unix_time_s
        if self._turn and not self._secret and not (self._user and self._password):
            raise ConfigError(
                f"The TURN server {self._turn[0]} has no login.",
                hint="Set server.turn_secret, or server.turn_user and server.turn_password: docs/turn.md.",
            )
        if self._relay_only and not self._turn:
            raise ConfigError(
                "server.ice_relay_only is set, but no TURN server is.", hint="Name one in server.turn_urls."
            )
        _, others = choose(urls)
        if others:
            log.warning("clients are told of %s too, but the server itself does not ask them", others)

    def _servers(self, who: str) -> tuple[IceServer, ...]:
        username, credential = self._user, self._password
        if self._secret:
            username, credential = turn_login(self._secret, who, self._unix_time_s(), self._ttl_s)
        return (
            *(IceServer(url) for url in self._stun),
            *(IceServer(url, username, credential) for url in self._turn),
        )

    def own(self) -> Ice:
        """Return what a peer of the server's looks for its way with."""
        servers = self._servers(secrets.token_hex(4))
        return Ice(servers, self._relay_only, self._public_address, self._udp_ports)

    def told(self, session_id: str) -> dict[str, Any]:
        """Return the fields for a client: "ice_servers" as RTCPeerConnection takes them, and the policy.

        The session's id is a secret, so its first letters alone go into the login's user name.
        """
        servers: list[dict[str, str]] = []
        for one in self._servers(session_id[:6]):
            server = {"urls": one.url}
            if is_turn(one.url):
                server |= {"username": one.username, "credential": one.credential}
            servers.append(server)
        fields: dict[str, Any] = {"ice_servers": servers} if servers else {}
        return {**fields, "ice_transport_policy": "relay"} if self._relay_only else fields

    def links(self, who: str) -> list[str]:
        """Return them as Link header fields (RFC 9725, 4.6)."""
        found = []
        for one in self._servers(who[:6]):
            link = f'<{one.url}>; rel="ice-server"'
            if is_turn(one.url):
                link += f'; username="{_quoted(one.username)}"; credential="{_quoted(one.credential)}"'
                link += '; credential-type="password"'
            found.append(link)
        return found


def _plain(secret: Any) -> str:
    return str(secret.get_secret_value()) if secret is not None else ""


def _quoted(text: str) -> str:
    """Escape for a quoted string (RFC 9110, 5.6.4)."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
