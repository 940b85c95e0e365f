"""Events over the data channel "control", both ways."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from aiortc import RTCDataChannel

from realtime.core.errors import ConfigError, VitascopeError
from realtime.messages import error_event, parse_message

LABEL = "control"
MAX_WAITING_BYTES = 262_144
"""Events are dropped while more than this waits to be sent: the other side is not reading."""
_KEPT_UNTIL_OPEN = 16


class ControlChannel:
    """Hold the peer's control channel: `send` from any thread, `on_message` on the loop."""

    def __init__(self, on_message: Callable[[dict[str, Any]], object] | None) -> None:
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._channel: RTCDataChannel | None = None
        self._early: deque[str] = deque(maxlen=_KEPT_UNTIL_OPEN)
        self.refused = 0
        """Messages that could not be used."""
        self.dropped = 0
        """Events that were not sent, since too many waited."""

    def attach(self, channel: RTCDataChannel) -> None:
        """Take over a channel that the other side opened."""
        self._channel = channel
        channel.on("message", self._receive)
        channel.on("open", self._flush)
        self._flush()

    def send(self, event: dict[str, Any]) -> None:
        """Send `event`, from any thread. Until the channel is open the newest 16 wait."""
        text = json.dumps(event, separators=(",", ":"))
        if threading.get_ident() == self._loop_thread:
            self._send(text)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._send, text)

    def detach(self) -> None:
        """Let go of the channel; further events are dropped."""
        self._channel = None
        self._early.clear()

    def _flush(self) -> None:
        while self._early and self._channel is not None and self._channel.readyState == "open":
            self._send(self._early.popleft())

    def _send(self, text: str) -> None:
        channel = self._channel
        if channel is None or channel.readyState == "connecting":
            self._early.append(text)
        elif channel.readyState != "open" or channel.bufferedAmount > MAX_WAITING_BYTES:
            self.dropped += 1
        else:
            channel.send(text)

    def _receive(self, message: str | bytes) -> None:
        try:
            event = parse_message(message)
        except ConfigError as error:
            self._refuse(error)
            return
        # Not called from here: a fault in the application must not end the transport's reading.
        self._loop.call_soon(self._hand_over, event)

    def _hand_over(self, event: dict[str, Any]) -> None:
        if self._on_message is None:
            return
        try:
            self._on_message(event)
        except VitascopeError as error:
            self._refuse(error)

    def _refuse(self, error: VitascopeError) -> None:
        self.refused += 1
        self.send(error_event(error))
