"""Frames and sound from a file or stream: at its own pace like a camera, or as fast as they are taken.

Unpaced, every picture is given in order and the callback's waiting is the back-pressure. Paced, a picture
is given when its time has come; when the machine falls behind, pictures are skipped before their conversion
and the gap in `seq` tells it.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.container

from realtime.core.clock import NS_PER_S, Clock, MonotonicClock, ticks_to_ns
from realtime.core.errors import ConnectionLost, SourceClosed, UnsupportedMedia
from realtime.core.frame import VIDEO_CLOCK, Stamp
from realtime.core.pacing import Playback
from realtime.media import Intake, rate_of

from .base import OnAudio, OnFrame, ThreadedSource
from .container import FORMATS_HINT, is_url, open_media, opening_error, shown
from .sound import FileSound

_BAD_PACKETS = 300
"""So many undecodable packets in a row end the source."""


class FileSource(ThreadedSource):
    """Play `where`. Sound comes as 48 kHz mono when `audio` and a callback for it are given."""

    def __init__(
        self,
        where: str | Path,
        *,
        paced: bool = True,
        loop: bool = False,
        audio: bool = True,
        size_px: int | None = None,
        name: str = "file",
        clock: Clock | None = None,
        open_timeout_s: float = 10.0,
        read_timeout_s: float = 10.0,
    ) -> None:
        super().__init__(name, clock or MonotonicClock())
        self._where = where
        self._paced = paced
        self._loop = loop
        self._audio = audio
        self._intake = Intake(size_px)
        self._timeouts = (open_timeout_s, read_timeout_s)
        self._seq = 0
        self._sound = FileSound(name, self._clock)
        self._playback = Playback()

    def _deliver(self, on_frame: OnFrame, on_audio: OnAudio | None) -> None:
        offset = Fraction(0)
        while not self._stopping.is_set():
            with open_media(
                self._where, open_timeout_s=self._timeouts[0], read_timeout_s=self._timeouts[1]
            ) as container:
                end, given = self._play(container, offset, on_frame, on_audio)
            if not self._loop or not given:
                return
            offset = end

    def _play(
        self,
        container: av.container.InputContainer,
        offset: Fraction,
        on_frame: OnFrame,
        on_audio: OnAudio | None,
    ) -> tuple[Fraction, int]:
        """Play once through; return the media time of the end in seconds, and the number of pictures."""
        video = container.streams.video[0]
        if not is_url(self._where):
            video.thread_type = "AUTO"
        streams: tuple[av.VideoStream | av.AudioStream, ...] = (video,)
        sound = None
        if on_audio is not None and self._audio and container.streams.audio:
            sound = self._sound
            sound.begin(offset)
            streams = (video, container.streams.audio[0])
        due_ns = self._due_ns if self._paced else None
        rate = rate_of(video.average_rate or video.guessed_rate or 25)
        time_base, step, last, count = VIDEO_CLOCK, 1, -1, 0
        for item in self._decoded(container, streams):
            if isinstance(item, av.VideoFrame):
                time_base = rate_of(item.time_base or VIDEO_CLOCK)
                step = max(round(1 / (rate * time_base)), 1)
                begin = round(offset / time_base)
                ticks = begin + item.pts if item.pts is not None else (last + step if count else begin)
                last = max(ticks, last + 1) if count else ticks
                count += 1
                if not self._give_picture(item, last, time_base, ticks_to_ns(step, time_base), on_frame):
                    return offset, count
            elif sound is not None:
                sound.take(item)
            if sound is not None and on_audio is not None:
                for chunk in sound.due(float(last * time_base) if self._paced else None, due_ns):
                    on_audio(chunk)
        if sound is not None and on_audio is not None and not self._stopping.is_set():
            for chunk in sound.rest(due_ns):
                media_ns = round(chunk.stamp.time_s * NS_PER_S)
                if self._paced and count and not self._wait_until(self._playback.due_ns(media_ns)):
                    break
                on_audio(chunk)
        if not self._stopping.is_set():
            self._check_whole(video.frames, count)
        return (last + step) * time_base, count

    def _decoded(
        self, container: av.container.InputContainer, streams: tuple[av.VideoStream | av.AudioStream, ...]
    ) -> Iterator[av.VideoFrame | av.AudioFrame]:
        """Decode both streams as they come; step over damage, end with a clear error when it must."""
        bad = 0
        packets = iter(container.demux(*streams))
        while not self._stopping.is_set():
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                items = packet.decode()
            except av.InvalidDataError as error:
                bad += 1
                if bad >= _BAD_PACKETS:
                    raise opening_error(error, self._where) from error
                continue
            except av.FFmpegError as error:
                if is_url(self._where):
                    raise ConnectionLost(
                        f"{shown(self._where)} stopped sending ({error.strerror}).",
                        hint="Check that the stream is still online, then start again.",
                    ) from error
                raise opening_error(error, self._where) from error
            if items:
                bad = 0
            yield from items  # type: ignore[misc]  # subtitles are not among the streams

    def _give_picture(
        self, picture: av.VideoFrame, ticks: int, time_base: Fraction, step_ns: int, on_frame: OnFrame
    ) -> bool:
        """Wait for the picture's time if paced, then convert and give it; False when stopped meanwhile."""
        seq, self._seq = self._seq, self._seq + 1
        if self._paced:
            turn = self._playback.turn(ticks_to_ns(ticks, time_base), step_ns, self._clock.now_ns())
            if turn.skip:
                return True
            if not self._wait_until(turn.due_ns):
                return False
        now_ns = self._clock.now_ns()
        self._playback.given(now_ns)
        on_frame(self._intake.frame(picture, Stamp(self.name, seq, ticks, time_base, now_ns)))
        return True

    def _due_ns(self, media_ns: int) -> int:
        """Return the clock time of a media time; that of now before there is a schedule."""
        return self._playback.due_ns(media_ns) if self._playback.has_begun else self._clock.now_ns()

    def _check_whole(self, promised: int, count: int) -> None:
        name = shown(self._where)
        if count == 0:
            raise UnsupportedMedia(f"{name} has no picture that can be read.", hint=FORMATS_HINT)
        if not is_url(self._where) and count < 0.9 * promised:
            raise SourceClosed(
                f"{name} is cut short: {count} of {promised} pictures could be read.",
                hint="What was read is good. Copy or download the file again to get the rest.",
            )
