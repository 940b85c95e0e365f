"""HTTP for FFmpeg, read by us: each host is checked and dialled as checked, redirects and segments too."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin

from realtime.core.errors import ConnectionLost, MediaError, SourceClosed, UnsupportedMedia

from .address import Address, Rules, dial, read_address, redacted

MAX_REDIRECTS = 5
_AGENT = "vitascope"


class Body:
    """The answer to one GET, as a file that can only be read forward. `name` is the URL that it came from."""

    def __init__(self, name: str, answer: http.client.HTTPResponse, connection: socket.socket) -> None:
        self.name = name
        self._answer = answer
        self._connection = connection

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Return what has come, at most `size` bytes; b"" at the end. Raises OSError for a silent peer."""
        try:
            return self._answer.read1(size)
        except (http.client.HTTPException, ValueError) as error:  # cut short, or closed by `Fetcher.close`
            raise OSError(str(error)) from error

    def close(self) -> None:
        with suppress(OSError):  # the peer was first
            self._connection.shutdown(socket.SHUT_RDWR)
        self._answer.close()
        self._connection.close()


class Fetcher:
    """Open URLs for one source; `close`, from any thread, ends what is being read."""

    def __init__(
        self,
        rules: Rules,
        *,
        timeout_s: float = 10.0,
        dialler: Callable[..., socket.socket] = dial,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._rules = rules
        self._timeout_s = timeout_s
        self._dial = dialler
        self._trust = trust
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_closed = False

    def open(self, url: str) -> Body:
        """GET `url` and follow redirects, each checked anew.

        Raises ConfigError or AddressRefused for where it leads, ConnectionLost, SourceClosed or
        UnsupportedMedia for what came of it.
        """
        user = password = ""
        for _ in range(MAX_REDIRECTS + 1):
            address = read_address(url, self._rules)
            if address.scheme not in ("http", "https"):
                raise UnsupportedMedia(
                    f"{redacted(url)} is not reached by HTTP.", hint="Give its own address."
                )
            if address.user:
                user, password = address.user, address.password
            answer, connection = self._get(address, user, password)
            if answer.status in (301, 302, 303, 307, 308) and (to := answer.getheader("Location")):
                self._forget(connection)
                url = urljoin(address.url, to)
                if read_address(url, self._rules).netloc != address.netloc:
                    user = password = ""
                continue
            if answer.status != 200:
                self._forget(connection)
                raise _refusal(address, answer)
            return Body(address.url, answer, connection)
        raise ConnectionLost(f"{redacted(url)} leads from one address to the next without an end.")

    def close(self) -> None:
        """End every read. Twice does no harm."""
        with self._lock:
            self._is_closed = True
            connections = list(self._open)
        for one in connections:
            self._forget(one)

    def _get(
        self, address: Address, user: str, password: str
    ) -> tuple[http.client.HTTPResponse, socket.socket]:
        connection = self._dial(address, self._rules, timeout_s=self._timeout_s)
        try:
            if address.scheme == "https":
                context = self._trust or ssl.create_default_context()
                connection = context.wrap_socket(connection, server_hostname=address.host)
            with self._lock:
                if self._is_closed:
                    raise OSError("it was stopped")
                self._open = {one for one in self._open if one.fileno() >= 0} | {connection}
            head = [
                f"GET {address.path} HTTP/1.1",
                f"Host: {address.netloc}",
                f"User-Agent: {_AGENT}",
                "Accept: */*",
                "Connection: close",
            ]
            if user:
                secret = base64.b64encode(f"{user}:{password}".encode()).decode()
                head.append(f"Authorization: Basic {secret}")
            connection.sendall(("\r\n".join(head) + "\r\n\r\n").encode("ascii"))
            answer = http.client.HTTPResponse(connection, method="GET")
            answer.begin()
            return answer, connection
        except (OSError, http.client.HTTPException) as error:
            self._forget(connection)
            reason = "it did not answer in time" if isinstance(error, TimeoutError) else error
            raise ConnectionLost(
                f"{address} cannot be read: {reason}.", hint="Check the address and that it is online."
            ) from error

    def _forget(self, connection: Any) -> None:
        with self._lock:
            self._open.discard(connection)
        with suppress(OSError):  # it never was connected, or is gone
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()


def _refusal(address: Address, answer: http.client.HTTPResponse) -> MediaError:
    if answer.status in (401, 403):
        return SourceClosed(
            f"{address} wants a password or refuses ours ({answer.status}).",
            hint="Write it as https://user:password@host/path.",
            permanent=True,
        )
    is_wrong = 400 <= answer.status < 500
    return ConnectionLost(
        f"{address} answered {answer.status} {answer.reason}.", hint="Check the address.", permanent=is_wrong
    )
