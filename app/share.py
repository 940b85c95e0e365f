"""A public link to the page: a tunnel to a share server."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from realtime.core.errors import VitascopeError

from .outside import Outside

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"

Open = Callable[[str, int, str | None], str]


class ShareFailed(VitascopeError):
    """Report that no public link could be had; the page on this machine is not concerned."""


def own_door(outside: Outside) -> socket.socket:
    """Return a listening socket for the tunnel alone, on a free port of loopback."""
    door = socket.create_server((LOOPBACK, 0))
    outside.port = door.getsockname()[1]
    return door


def open_tunnel(host: str, port: int, server: str | None) -> str:
    """Open Gradio's tunnel to `port` of this machine and return its address. Raises ShareFailed.

    The tunnel's program is fetched at the first use. It ends with this process.
    """
    from gradio.exceptions import ChecksumMismatchError
    from gradio.networking import setup_tunnel

    try:
        address: str = setup_tunnel(host, port, secrets.token_urlsafe(32), server, None)
    except ChecksumMismatchError as error:
        raise ShareFailed(
            "The tunnel's program is not what it should be, and was not started.", hint="Try again later."
        ) from error
    except Exception as error:  # httpx, OS and Gradio's own errors of all kinds: what failed is the tunnel
        first = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise ShareFailed(
            f"No public link could be opened: {first}.",
            hint="It needs the internet, and a firewall that lets the tunnel out. The page here goes on.",
        ) from error
    parts = urlsplit(address)
    if not parts.hostname:
        raise ShareFailed(f'The share server gave no address: "{address[:80]}".', hint="Try again later.")
    return address if server is not None else parts._replace(scheme="https").geturl()


def open_soon(
    outside: Outside,
    server: str | None,
    *,
    tell: Callable[[str], None],
    opener: Open = open_tunnel,
) -> threading.Thread:
    """Open the tunnel on a thread of its own, since that takes seconds; `tell` hears how it went."""
    assert outside.port is not None, "the door comes first"
    port = outside.port

    def work() -> None:
        try:
            outside.take(opener(LOOPBACK, port, server))
        except ShareFailed as error:
            log.warning("%s", error)
            tell(f"  share     none: {error}")
        else:
            tell(f"  share     {outside.url}   (whoever has this link can use the page)")

    thread = threading.Thread(target=work, name="share", daemon=True)
    thread.start()
    return thread
