"""Receiving buffers that do not add delay: see `tuning.py` for why and where they are put in."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any

from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket

from .coded import coded_size

LEAVE_S = 0.04
"""A hole that is older is left behind as soon as a whole key picture has come behind it: what is missing is
merely late on an uneven line, or lost, and in any case older than what can be shown."""
ASK_KEY_S = 0.2
"""A hole that is older is not likely to be filled: a key picture is asked for too."""
KEY_ASKED_S = 0.5
DECODER_QUEUE_PICTURES = 30
SOUND_PACKETS_AWAITED = 2
"""So many of 20 ms each come before a missing one is given up."""


class CompletePicture(JitterFrame):
    """A coded picture (or packet of sound), and those behind it that became complete with it."""

    def __init__(self, data: bytes, timestamp: int) -> None:
        super().__init__(data=data, timestamp=timestamp)
        self.received = timestamp
        """RTP time as received; the receiver overwrites `timestamp` with one that begins at 0."""
        self.later: list[CompletePicture] = []


class PromptJitterBuffer(JitterBuffer):
    """Give a picture out when its marked last packet is in, and all that became complete at once.

    aiortc takes one picture a call; after a lost packet came late, the pictures behind it would stay one
    behind the other for good. The others ride on the first one's `later`, and `BoundedDecoderQueue.put`
    unpacks them.
    """

    def __init__(self, capacity: int, prefetch: int = 0, is_video: bool = False) -> None:
        super().__init__(capacity, prefetch, is_video)
        self.on_skip: Callable[[int], None] = lambda number: None
        """Told the number of the first packet that is still waited for, when those before were given up."""
        self.clock: Callable[[], float] = time.monotonic
        self._stuck_s: float | None = None
        """Since when no picture could go out although packets came."""
        self._asked_s = float("-inf")

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Take a packet; return whether to ask for a key picture, and a picture that is complete."""
        asks, frame = super().add(packet)
        if not self._is_video or frame is not None or packet.sequence_number == self._origin:
            self._stuck_s = None
            return asks, frame
        now_s = self.clock()
        if self._stuck_s is None:
            self._stuck_s = now_s
        if now_s - self._stuck_s < LEAVE_S:
            return asks, None
        skipped = self._before_key()
        if skipped is not None:
            self.remove(skipped)
            self._stuck_s = None
            self.on_skip(self._origin or 0)
            return asks, self._remove_frame(packet.sequence_number)
        if now_s - self._stuck_s >= ASK_KEY_S and now_s - self._asked_s >= KEY_ASKED_S:
            self._asked_s = now_s
            asks = True
        return asks, None

    def _before_key(self) -> int | None:
        """Return how many places lie before the first whole key picture behind a hole; None without one."""
        origin, start, hole = self._origin or 0, 0, False
        first: Any = None
        for count in range(self._capacity):
            packet: Any = self._packets[(origin + count) % self._capacity]
            if packet is None:
                first, hole = None, True
                continue
            if first is None or packet.timestamp != first.timestamp:
                first, start = packet, count
            if packet.marker and hole and begins_key_picture(first._data):
                return start
        return None

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        first = self._first_complete()
        if first is not None:
            while (picture := self._first_complete()) is not None:
                first.later.append(picture)
        return first

    def _first_complete(self) -> CompletePicture | None:
        """Take the packets of the first picture out of the buffer if all of them are there."""
        packets: list[Any] = []
        origin = self._origin or 0
        for count in range(self._capacity):
            packet = self._packets[(origin + count) % self._capacity]
            if packet is None:
                return None
            if packets and packet.timestamp != packets[0].timestamp:
                data = b"".join(packet._data for packet in packets)
                if data:
                    break
                self.remove(
                    len(packets)
                )  # padding after a marked packet; an empty packet would end the decoder
                return self._first_complete()
            packets.append(packet)
            if packet.marker:
                data = b"".join(packet._data for packet in packets)
                break
        else:
            return None
        self.remove(len(packets))
        return CompletePicture(data, packets[0].timestamp) if data else self._first_complete()


class PromptSoundBuffer(JitterBuffer):
    """Give each packet of sound out as it comes; wait for a missing one while two more come, not longer.

    aiortc holds 4 packets (80 ms) back from the start; after one that is lost for good it waits for 15 more
    and stays that far (300 ms) behind. Here what is irregular is smoothed where sound waits anyway, in
    `realtime.sound`. Lost sound is not asked for again.
    """

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        ready = self._ready()
        if not ready and self._waiting() > SOUND_PACKETS_AWAITED:
            while self._packets[(self._origin or 0) % self._capacity] is None:
                self.remove(1)
            ready = self._ready()
        if not ready:
            return None
        ready[0].later.extend(ready[1:])
        return ready[0]

    def _waiting(self) -> int:
        return sum(packet is not None for packet in self._packets)

    def _ready(self) -> list[CompletePicture]:
        """Take out the packets that nothing is missing before; those without sound are left out."""
        taken: list[CompletePicture] = []
        while (packet := self._packets[(self._origin or 0) % self._capacity]) is not None:
            data: bytes = packet._data  # type: ignore[attr-defined]
            self.remove(1)
            if data:
                taken.append(CompletePicture(data, packet.timestamp))
        return taken


class BoundedDecoderQueue(queue.Queue[Any]):
    """Hold at most 30 coded pictures for the decoder; on overflow forget all and ask for a key picture."""

    def __init__(self, ask_for_key: Any) -> None:
        super().__init__()
        self._ask_for_key = ask_for_key
        self._until_key = False
        self.forgotten = 0
        self.limit_px: int | None = None
        """Pictures with more pixels are forgotten before anything is allocated for them."""
        self.on_too_large: Callable[[int, int], object] = lambda width, height: None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if item is None:  # the receiver stops its decoder
            super().put(None)
            return
        codec, frame = item
        pictures = [frame]
        if isinstance(frame, CompletePicture):
            moved = frame.timestamp - frame.received
            for later in frame.later:
                later.timestamp = later.received + moved + ((later.received < frame.received) << 32)
            pictures += frame.later
        for picture in pictures:
            self._take(codec, picture)

    def _take(self, codec: Any, frame: JitterFrame) -> None:
        if not codec.mimeType.lower().startswith("video/"):
            if self.qsize() < 4 * DECODER_QUEUE_PICTURES:
                super().put((codec, frame))
            return
        if self.qsize() >= DECODER_QUEUE_PICTURES:
            while True:
                try:
                    if self.get_nowait() is None:
                        super().put(None)
                        return
                    self.forgotten += 1
                except queue.Empty:
                    break
            self._until_key = True
        size = None if self.limit_px is None else coded_size(codec.name, frame.data)
        if size is not None and size[0] * size[1] > (self.limit_px or 0):
            self.forgotten += 1
            self._until_key = True
            self.on_too_large(*size)
            return
        if self._until_key:
            if not is_key_picture(codec.name, frame.data):
                self.forgotten += 1
                self._ask_for_key()
                return
            self._until_key = False
        super().put((codec, frame))


def begins_key_picture(data: bytes) -> bool:
    """Tell whether a packet's content begins a key picture of VP8 (RFC 6386, 9.1) or H.264 (an SPS)."""
    if data[:3] == b"\x00\x00\x01" or data[:4] == b"\x00\x00\x00\x01":
        unit = data[data.index(b"\x01") + 1 :]
        return bool(unit) and unit[0] & 0x1F == 7
    return data[3:6] == b"\x9d\x01\x2a" and not data[0] & 1


def is_key_picture(codec: str, data: bytes) -> bool:
    """Tell whether a picture is coded without those before it (VP8: RFC 6386, 9.1; H.264: NAL type 5)."""
    if codec == "VP8":
        return bool(data) and not data[0] & 1
    position = data.find(b"\x00\x00\x01")
    while 0 <= position < len(data) - 3:
        if data[position + 3] & 0x1F == 5:
            return True
        position = data.find(b"\x00\x00\x01", position + 3)
    return False
