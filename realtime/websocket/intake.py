"""What comes in: every picture is decoded, only the newest is converted, on a thread of its own.

A delta picture builds on all before it, so none may be skipped; the conversion, which costs more than the
decoding, is only worth it for the newest. The acknowledgement goes out after the decoding, so the sender's
window covers this queue as well; one that fills nevertheless belongs to a sender that keeps no window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from realtime.core.channel import Channel, Drop
from realtime.core.clock import NS_PER_S, Clock
from realtime.core.errors import ChannelFull, UnsupportedMedia, VitascopeError
from realtime.core.frame import AudioChunk, Frame, Stamp
from realtime.media import Intake
from realtime.worker import Worker

from .pictures import TIME_BASE, PictureDecoder
from .sizes import check_picture
from .sound import RATE_HZ, SoundDecoder
from .wire import Packet

PACKETS_HELD = 40
"""More than any window: see pace.Bounds.most_in_flight."""
SOUND_HELD = 100
"""2 s of 20 ms packets."""
KEY_EVERY_S = 0.5
"""A key picture on its way needs about so long; to ask more often brings several."""
MOST_ERRORS = 30
"""After so many pictures in a row that cannot be decoded the socket is closed."""


@dataclass(frozen=True, slots=True)
class Arrival:
    packet: Packet
    at_ns: int


class PicturesIn:
    """Decode what `put` takes and bring the newest picture to `on_frame`, on the worker's thread.

    `on_taken(seq)` and `on_want_key()` are called there too; `on_fault` ends the link.
    """

    def __init__(
        self,
        name: str,
        intake: Intake,
        *,
        on_frame: Callable[[Frame], object],
        on_taken: Callable[[int], None],
        on_want_key: Callable[[], None],
        on_fault: Callable[[VitascopeError], None],
        on_ended: Callable[[bool], None],
        clock: Clock,
    ) -> None:
        self.intake = intake
        self.received = 0
        self.skipped = 0
        """Decoded pictures that a newer one replaced before they were converted."""
        self._name = name
        self._on_frame = on_frame
        self._on_taken = on_taken
        self._on_want_key = on_want_key
        self._on_fault = on_fault
        self._clock = clock
        self._decoder = PictureDecoder()
        self._overran = False
        self._waits_for_key = True
        self._asked_ns: int | None = clock.now_ns()
        self._errors = 0
        self._channel: Channel[Arrival] = Channel(
            f"{name}.packets", capacity=PACKETS_HELD, drop=Drop.NEVER, clock=clock
        )
        self.worker = Worker(f"intake-{name}", self._channel, self._take, on_fault, on_ended)

    def put(self, packet: Packet, now_ns: int) -> None:
        """Take a picture that came at `now_ns`; one too many is forgotten, and the next must be a key."""
        try:
            self._channel.put(Arrival(packet, now_ns))
        except ChannelFull:
            self._overran = True

    def _take(self, arrival: Arrival) -> None:
        packet = arrival.packet
        if self._overran:
            self._overran = False
            self._lose()
        if self._waits_for_key and not packet.is_key:
            self._ask_for_key()
            self._on_taken(packet.seq)
            return
        check_picture(packet)
        try:
            picture = self._decoder.decode(packet)
        except UnsupportedMedia:
            self._errors += 1
            if self._errors > MOST_ERRORS:
                raise
            self._lose()
            self._ask_for_key()
            self._on_taken(packet.seq)
            return
        self._waits_for_key, self._errors = False, 0
        self._on_taken(packet.seq)
        if picture is None:
            return
        number, self.received = self.received, self.received + 1
        if len(self._channel):
            self.skipped += 1
            return
        stamp = Stamp(self._name, number, packet.pts_us, TIME_BASE, arrival.at_ns)
        self._on_frame(self.intake.frame(picture, stamp))

    def _lose(self) -> None:
        self._decoder.reset()
        self._waits_for_key, self._asked_ns = True, None

    def _ask_for_key(self) -> None:
        now_ns = self._clock.now_ns()
        if self._asked_ns is None or now_ns - self._asked_ns > KEY_EVERY_S * NS_PER_S:
            self._asked_ns = now_ns
            self._on_want_key()


class SoundIn:
    """Decode Opus packets and bring them to `on_audio` as 48 kHz mono, on the worker's thread."""

    def __init__(
        self,
        name: str,
        *,
        on_audio: Callable[[AudioChunk], object],
        on_fault: Callable[[VitascopeError], None],
        on_ended: Callable[[bool], None],
        clock: Clock,
    ) -> None:
        self.received = 0
        self.lost = 0
        """Packets that nobody took in time, or that could not be decoded."""
        self._source = f"{name}.audio"
        self._on_audio = on_audio
        self._decoder = SoundDecoder()
        self._next: int | None = None
        self._channel: Channel[Arrival] = Channel(
            f"{name}.sound", capacity=SOUND_HELD, drop=Drop.NEVER, clock=clock
        )
        self.worker = Worker(f"sound-{name}", self._channel, self._take, on_fault, on_ended)

    def put(self, packet: Packet, now_ns: int) -> None:
        """Take a packet that came at `now_ns`."""
        self.received += 1
        try:
            self._channel.put(Arrival(packet, now_ns))
        except ChannelFull:
            self.lost += 1

    def _take(self, arrival: Arrival) -> None:
        try:
            samples = self._decoder.decode(bytes(arrival.packet.payload))
        except UnsupportedMedia:
            self.lost += 1
            return
        if not len(samples):
            return
        due = round(arrival.packet.pts_us * RATE_HZ / 1_000_000)
        if self._next is None or abs(due - self._next) > RATE_HZ // 20:  # the start, or packets are missing
            self._next = due
        stamp = Stamp(self._source, arrival.packet.seq, self._next, Fraction(1, RATE_HZ), arrival.at_ns)
        self._next += len(samples)
        self._on_audio(AudioChunk(stamp, samples, RATE_HZ))
