"""Frames and sound from a network stream: the newest there is, and again after the connection was lost.

A live stream is never paced: what has come is decoded and given at once, so no delay builds up, and a graph
that is late forgets. What comes in pieces ahead of its time (HLS, a file over HTTP) is played at its pace.
Stamps go on over a lost connection: the time that is missing is a gap in `pts`.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from fractions import Fraction

import av

from realtime.core.clock import NS_PER_S, Clock, MonotonicClock, ticks_to_ns
from realtime.core.errors import ConnectionLost, MediaError, UnsupportedMedia, VitascopeError
from realtime.core.frame import VIDEO_CLOCK, Stamp
from realtime.core.pacing import Playback
from realtime.media import Intake, rate_of
from realtime.retry import Backoff

from .address import Address, Rules, read_address
from .base import OnAudio, OnFrame, ThreadedSource
from .line import Line, open_line
from .sound import FileSound

SOUND_RATE_HZ = 48_000
_BAD_PACKETS = 300
"""So many undecodable packets in a row end the connection."""
_JUMP_S = 10
"""Where the stream's own time differs from the clock by more, it has begun anew."""


class Timeline:
    """Map the own times of one stream after the other to one time that never goes back, in seconds."""

    def __init__(self) -> None:
        self._begin_ns: int | None = None
        self.offset_s: Fraction | None = None
        """What to add to the stream's own times; None before its first sample."""

    def restart(self) -> None:
        """Expect a stream with other times."""
        self.offset_s = None

    def place(self, time_s: Fraction, now_ns: int) -> tuple[Fraction, bool]:
        """Return the time of a sample, and whether times are counted anew from it on."""
        if self._begin_ns is None:
            self._begin_ns = now_ns
        passed_s = Fraction(now_ns - self._begin_ns, NS_PER_S)
        anew = self.offset_s is None or abs(time_s + self.offset_s - passed_s) > _JUMP_S
        if anew:
            self.offset_s = passed_s - time_s
        assert self.offset_s is not None
        return time_s + self.offset_s, anew


class NetworkSource(ThreadedSource):
    """Read `url` (RTSP, RTMP, HLS, HTTP; SRT where FFmpeg has it). Sound comes as 48 kHz mono.

    The first connection must come about; a later loss is mended with growing pauses until no picture came for
    `give_up_s`. Raises ConfigError or AddressRefused for a URL that may not be.
    """

    def __init__(
        self,
        url: str,
        *,
        rules: Rules,
        audio: bool = True,
        size_px: int | None = None,
        name: str = "url",
        clock: Clock | None = None,
        open_timeout_s: float = 10.0,
        read_timeout_s: float = 10.0,
        give_up_s: float = 60.0,
        on_notice: Callable[[str], None] = lambda sentence: None,
        wait: Callable[[float], bool] | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(name, clock or MonotonicClock())
        self.address: Address = read_address(url, rules)
        self._rules = rules
        self._audio = audio
        self._intake = Intake(size_px)
        self._timeouts = (open_timeout_s, read_timeout_s)
        self._give_up_s = give_up_s
        self._on_notice = on_notice
        self._wait = wait or self._stopping.wait
        """Wait so many seconds; True when stopped meanwhile."""
        self._trust = trust
        self._seq = 0
        self._last_ticks = -1
        self._given_ns: int | None = None
        self._timeline = Timeline()
        self._sound = FileSound(name, self._clock)
        self._playback = Playback()
        self._end_line: Callable[[], None] | None = None
        self._line_lock = threading.Lock()
        self.connections = 0
        """How often it was connected."""

    def stop(self) -> None:
        """End at once, whatever the other side does, and wait for the thread."""
        self._stopping.set()
        with self._line_lock:
            end = self._end_line
        if end is not None:
            end()
        super().stop()

    def _deliver(self, on_frame: OnFrame, on_audio: OnAudio | None) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            before = self._seq
            try:
                if self._connect_and_play(on_frame, on_audio):
                    return
                error: VitascopeError = ConnectionLost(
                    f"{self.address} has ended its stream.", hint="Start again once it is back."
                )
            except MediaError as lost:
                error = lost
            if self._stopping.is_set():
                return
            if self._seq > before:
                backoff.reset()
            if error.permanent or self._given_ns is None or self._is_hopeless():
                raise error
            pause_s = backoff.next_s()
            self._on_notice(f"{error.message} Trying again in {pause_s:g} s.")
            if self._wait(pause_s):
                return

    def _is_hopeless(self) -> bool:
        assert self._given_ns is not None
        return self._clock.now_ns() - self._given_ns > self._give_up_s * NS_PER_S

    def _connect_and_play(self, on_frame: OnFrame, on_audio: OnAudio | None) -> bool:
        """Play until it ends; tell whether that was the end of a recording."""
        line = open_line(
            self.address,
            self._rules,
            open_timeout_s=self._timeouts[0],
            read_timeout_s=self._timeouts[1],
            on_open=self._may_end,
            trust=self._trust,
        )
        self.connections += 1
        try:
            self._timeline.restart()
            self._playback = Playback()
            self._play(line, on_frame, on_audio)
            if (why := line.error()) is not None:
                raise why
            if self._seq == 0 and not self._stopping.is_set():
                raise UnsupportedMedia(
                    f"{self.address} has no picture that can be read as it comes.",
                    hint="A file on a web server must be made for it (faststart), or be an HLS list.",
                )
            return line.is_recording
        finally:
            with self._line_lock:
                self._end_line = None
            line.close()

    def _may_end(self, end: Callable[[], None]) -> None:
        with self._line_lock:
            self._end_line = end
        if self._stopping.is_set():
            end()

    def _play(self, line: Line, on_frame: OnFrame, on_audio: OnAudio | None) -> None:
        video = line.container.streams.video[0]
        video.thread_type = "SLICE"  # threads a picture each would hold pictures back
        streams: list[av.VideoStream | av.AudioStream] = [video]
        with_sound = on_audio is not None and self._audio and bool(line.container.streams.audio)
        if with_sound:
            streams.append(line.container.streams.audio[0])
        step_ns = round(NS_PER_S / float(video.average_rate or video.guessed_rate or 25))
        bad = 0
        packets = iter(line.container.demux(*streams))
        while not self._stopping.is_set():
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                items = packet.decode()
            except av.InvalidDataError as error:
                bad += 1
                if bad >= _BAD_PACKETS:
                    raise ConnectionLost(f"{self.address} sends what cannot be decoded.") from error
                continue
            except (av.FFmpegError, OSError) as error:
                if isinstance(error, av.EOFError):
                    return
                raise line.error() or self._lost(error) from error
            bad = 0 if items else bad
            for item in items:
                if isinstance(item, av.VideoFrame):
                    if not self._give_picture(item, step_ns, line.is_recording, on_frame):
                        return
                elif isinstance(item, av.AudioFrame):
                    self._take_sound(item)
            if with_sound and on_audio is not None:
                until_s = float(self._last_ticks * VIDEO_CLOCK) if line.is_recording else None
                for chunk in self._sound.due(until_s):
                    on_audio(chunk)

    def _give_picture(self, picture: av.VideoFrame, step_ns: int, is_paced: bool, on_frame: OnFrame) -> bool:
        """Give one picture, at its time when that is ahead; False when stopped meanwhile."""
        now_ns = self._clock.now_ns()
        ticks = self._last_ticks + max(round(Fraction(step_ns, NS_PER_S) / VIDEO_CLOCK), 1)
        if picture.pts is not None and picture.time_base is not None:
            ticks = round(self._placed(picture.pts * rate_of(picture.time_base), now_ns) / VIDEO_CLOCK)
        self._last_ticks = ticks = max(ticks, self._last_ticks + 1)
        seq, self._seq = self._seq, self._seq + 1
        if is_paced:
            turn = self._playback.turn(ticks_to_ns(ticks, VIDEO_CLOCK), step_ns, now_ns)
            if turn.skip:
                return True
            if not self._wait_until(turn.due_ns):
                return False
            now_ns = self._clock.now_ns()
            self._playback.given(now_ns)
        self._given_ns = now_ns
        on_frame(self._intake.frame(picture, Stamp(self.name, seq, ticks, VIDEO_CLOCK, now_ns)))
        return True

    def _take_sound(self, sound: av.AudioFrame) -> None:
        if sound.pts is not None and sound.time_base is not None:
            self._placed(sound.pts * rate_of(sound.time_base), self._clock.now_ns())
            self._sound.take(sound)

    def _placed(self, time_s: Fraction, now_ns: int) -> Fraction:
        placed_s, anew = self._timeline.place(time_s, now_ns)
        if anew and self._timeline.offset_s is not None:
            self._sound.begin(self._timeline.offset_s)
        return placed_s

    def _lost(self, error: Exception) -> ConnectionLost:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, av.ExitError | TimeoutError):
            reason = f"nothing came for {self._timeouts[1]:g} s"
        return ConnectionLost(
            f"{self.address} stopped sending ({reason}).", hint="Check that the stream is still online."
        )
