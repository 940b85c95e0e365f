"""Files that a muxer writes, sent to the named web server by PUT when they are whole."""

from __future__ import annotations

import base64
import http.client
import io
import ssl

from realtime.core.errors import ConnectionLost, SourceClosed
from realtime.sources.address import Address, Rules, dial, read_address

MAX_FILE_BYTES = 64 << 20


class Uploader:
    """Take what FFmpeg opens for writing and PUT each file as it is closed."""

    def __init__(
        self, address: Address, rules: Rules, *, timeout_s: float = 10.0, trust: ssl.SSLContext | None = None
    ) -> None:
        self._address = address
        self._rules = rules
        self._timeout_s = timeout_s
        self._trust = trust

    def open(self, url: str, flags: int = 0, options: dict[str, str] | None = None) -> _Whole:
        """Return a file whose content goes to `url` when it is closed."""
        address = read_address(url, self._rules)
        if (address.scheme, address.host, address.port) != (
            self._address.scheme,
            self._address.host,
            self._address.port,
        ):
            raise ConnectionLost(f"{address} is not the server that was named.", permanent=True)
        return _Whole(self, address)

    def put(self, address: Address, content: bytes) -> None:
        """Send one file. Raises ConnectionLost or SourceClosed."""
        try:
            with dial(address, self._rules, timeout_s=self._timeout_s) as plain:
                connection = plain
                if address.scheme == "https":
                    context = self._trust or ssl.create_default_context()
                    connection = context.wrap_socket(plain, server_hostname=address.host)
                head = [
                    f"PUT {address.path} HTTP/1.1",
                    f"Host: {address.netloc}",
                    f"Content-Length: {len(content)}",
                    "Connection: close",
                ]
                if self._address.user:
                    secret = f"{self._address.user}:{self._address.password}".encode()
                    head.append(f"Authorization: Basic {base64.b64encode(secret).decode()}")
                connection.sendall(("\r\n".join(head) + "\r\n\r\n").encode("ascii") + content)
                answer = http.client.HTTPResponse(connection, method="PUT")
                answer.begin()
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            reason = "it did not answer in time" if isinstance(error, TimeoutError) else error
            raise ConnectionLost(f"{address} takes nothing: {reason}.", hint="Check the address.") from error
        if answer.status in (401, 403):
            raise SourceClosed(
                f"{address} refuses us ({answer.status}).", hint="Check the password.", permanent=True
            )
        if not 200 <= answer.status < 300:
            raise ConnectionLost(
                f"{address} answered {answer.status} {answer.reason}.", hint="Check the address."
            )


class _Whole(io.RawIOBase):
    """Collect what is written; send it when it is closed."""

    def __init__(self, uploader: Uploader, address: Address) -> None:
        self.name = address.url
        self._uploader = uploader
        self._target = address
        self._content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, piece: bytes) -> int:  # type: ignore[override]
        if len(self._content) + len(piece) > MAX_FILE_BYTES:
            raise OSError("a piece of the stream is too large")
        self._content += piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._uploader.put(self._target, bytes(self._content))
