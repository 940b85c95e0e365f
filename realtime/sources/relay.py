"""A door on loopback for what FFmpeg speaks itself: it connects here, and only here is dialled onwards.

So the address that was checked is the one that is reached, TLS is checked against the host's own name, a peer
that falls silent ends the read, and `close` ends it at once. RTSP servers can send their clients elsewhere;
such an answer is not let through.
"""

from __future__ import annotations

import logging
import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from realtime.core.errors import ConnectionLost, VitascopeError

from .address import SECURE, Address, Rules, dial

log = logging.getLogger(__name__)

_PIECE_BYTES = 1 << 16
_RTSP_FINE = re.compile(rb"RTSP/1\.0( [1245]\d\d[ \r]|\r\n)")
"""An answer whose status (RFC 2326) does not lead elsewhere, as 3xx does; or a request of the server's."""
_RTSP_HEAD_BYTES = len(b"RTSP/1.0 200 ")
MAX_CONNECTIONS = 4


class Relay:
    """Carry connections from a port of this machine to `address`, until `close`.

    `silence_s`: neither side may keep the other waiting longer for a byte that it wants to send or receive.
    """

    def __init__(
        self,
        address: Address,
        rules: Rules,
        *,
        connect_s: float = 10.0,
        silence_s: float = 10.0,
        dialler: Callable[..., socket.socket] = dial,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._address = address
        self._rules = rules
        self._connect_s = connect_s
        self._silence_s = silence_s
        self._dial = dialler
        self._trust = trust
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._is_closed = False
        self.error: VitascopeError | None = None
        """Why the newest connection could not be made or ended early."""
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._serve, name=f"relay-{self.port}", daemon=True).start()

    @property
    def url(self) -> str:
        """What FFmpeg is to open: the same path at this door, with user and password, without TLS."""
        one = self._address
        secret = f"{quote(one.user, safe='')}:{quote(one.password, safe='')}@" if one.user else ""
        return f"{one.scheme.removesuffix('s')}://{secret}127.0.0.1:{self.port}{one.path}"

    def close(self) -> None:
        """End all connections. Twice does no harm."""
        with self._lock:
            self._is_closed = True
            sockets = [self._door, *self._sockets]
        for one in sockets:
            _shut(one)

    def _serve(self) -> None:
        for _ in range(MAX_CONNECTIONS):
            try:
                near, _ = self._door.accept()
            except OSError:
                break
            if self._keep(near):
                self._connect(near)
        _shut(self._door)

    def _connect(self, near: socket.socket) -> None:
        try:
            far = self._dial(self._address, self._rules, timeout_s=self._connect_s)
            if self._address.scheme in SECURE:
                context = self._trust or ssl.create_default_context()
                far = context.wrap_socket(far, server_hostname=self._address.host)
        except VitascopeError as error:
            self.error = error
            self._drop(near)
            return
        except OSError as error:
            reason = getattr(error, "verify_message", "") or error.strerror or error
            self.error = ConnectionLost(
                f"{self._address} cannot be reached safely: {reason}.", hint="Check the address."
            )
            self._drop(near)
            return
        if not self._keep(far):
            return
        for one in (near, far):
            one.settimeout(self._silence_s)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Either side may have nothing to say for long while the other speaks; both silent is the end.
        heard = _Heard()
        inward = (far, near, self._address.scheme.startswith("rtsp"), heard)
        for way, work in (("out", (near, far, False, heard)), ("in", inward)):
            name = f"relay-{self.port}-{way}"
            threading.Thread(target=self._carry, args=work, name=name, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, is_checked: bool, heard: _Heard) -> None:
        tail = b""
        try:
            while piece := self._receive(source, heard):
                if is_checked:
                    seen = tail + piece
                    # What could still become the head of an answer is looked at again with what follows.
                    if leads_away(seen):
                        self.error = ConnectionLost(
                            f"{self._address} sends its visitors elsewhere.",
                            hint="Give the address that it leads to.",
                            permanent=True,
                        )
                        return
                    tail = seen[-_RTSP_HEAD_BYTES:]
                target.sendall(piece)
        except OSError as error:
            if isinstance(error, TimeoutError) and not self._is_closed:
                self.error = ConnectionLost(
                    f"{self._address} fell silent for {self._silence_s:g} s.",
                    hint="Check that the other side is still online.",
                )
        finally:
            self._drop(source)
            self._drop(target)

    def _receive(self, source: socket.socket, heard: _Heard) -> bytes:
        while True:
            count = heard.count
            try:
                piece = source.recv(_PIECE_BYTES)
            except TimeoutError:
                if heard.count != count:
                    continue  # the other direction is alive
                raise
            heard.count += 1
            return piece

    def _keep(self, one: socket.socket) -> bool:
        with self._lock:
            if not self._is_closed:
                self._sockets.add(one)
                return True
        _shut(one)
        return False

    def _drop(self, one: socket.socket) -> None:
        with self._lock:
            self._sockets.discard(one)
        _shut(one)


class _Heard:
    """Count the pieces that came, from either side."""

    def __init__(self) -> None:
        self.count = 0


def leads_away(seen: bytes) -> bool:
    """Tell whether an answer in `seen` is whole enough to be judged, and is none that may pass."""
    start = seen.find(b"RTSP/")
    while start >= 0:
        head = seen[start : start + _RTSP_HEAD_BYTES]
        if len(head) == _RTSP_HEAD_BYTES and not _RTSP_FINE.match(head):
            return True
        start = seen.find(b"RTSP/", start + 1)
    return False


def _shut(one: Any) -> None:
    with suppress(OSError):  # it was not connected, or is gone already
        one.shutdown(socket.SHUT_RDWR)
    one.close()
