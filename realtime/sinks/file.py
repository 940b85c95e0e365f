"""Write painted frames to an MP4 file at their own times, with the sound of the file they came from.

Nothing half-done is ever seen under the final name: the file grows beside it under a hidden name and is
renamed when it is whole. The same frames give the same pixels each time: one fixed number of encoder
threads, no B-pictures (so the first picture sits exactly at its time) and no rate control that looks at the
clock.
"""

from __future__ import annotations

import os
import threading
import uuid
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av

from realtime.core.errors import ChannelClosed, ConfigError, MediaError, UnsupportedMedia
from realtime.core.frame import VIDEO_CLOCK, Frame
from realtime.media import fit, to_video_frame
from realtime.sources.container import open_media

from .sound import SoundTrack

_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov"}
_ENCODER_THREADS = 2
_BT601 = 6


class FileSink:
    """Encode `Frame`s to H.264 at `path`. Use `put`, then `close`; or `abort`, which leaves nothing behind.

    `size` (width, height) is what the file has; odd sides get one repeated row or column, frames of other
    sizes are fitted in whole. `rate` (pictures a second) is only a hint for players: each picture keeps its
    own time. `audio_from` names the file whose sound is passed through; frames must then carry that file's
    times.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        size: tuple[int, int],
        rate: float | Fraction = 30,
        audio_from: str | Path | None = None,
        crf: int = 18,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in _FORMATS:
            raise ConfigError(
                f"{self.path.name} cannot be written: its name must end in {', '.join(_FORMATS)}.",
                hint=f"Write to {self.path.stem or 'painted'}.mp4.",
            )
        if not self.path.parent.is_dir():
            raise ConfigError(
                f"There is no folder {self.path.parent}.", hint="Make it first, or write elsewhere."
            )
        if min(size) < 2 or max(size) > 8192:
            raise ConfigError(
                f"A video of {size[0]} x {size[1]} px cannot be written.", hint="Use 2 to 8192 px."
            )
        self._size = size
        self._lock = threading.Lock()
        self._state = "open"
        self._count = 0
        self._last = -1
        self._temporary = self.path.with_name(
            f".{self.path.stem}.{uuid.uuid4().hex[:8]}.part{self.path.suffix}"
        )
        self._input = open_media(audio_from) if audio_from is not None else None
        try:
            form = _FORMATS[self.path.suffix.lower()]
            self._output = av.open(
                f"file:{self._temporary}", "w", format=form, options={"movflags": "faststart"}
            )
        except av.FFmpegError as error:
            if self._input is not None:
                self._input.close()
            raise self._failed(error) from error
        width, height = size[0] + size[0] % 2, size[1] + size[1] % 2
        self._video = self._output.add_stream(
            "libx264",
            rate=Fraction(rate).limit_denominator(1001),
            options={"crf": str(crf), "preset": "veryfast", "bf": "0"},
        )
        self._video.width, self._video.height, self._video.pix_fmt = width, height, "yuv420p"
        context = self._video.codec_context
        context.time_base = VIDEO_CLOCK
        context.thread_count = _ENCODER_THREADS
        context.colorspace = context.color_primaries = context.color_trc = _BT601
        context.color_range = 1
        self._sound = None
        self._origin_s: Fraction | None = None
        """Time of the input that becomes 0: its own start, or without an input the first frame's time."""
        if self._input is not None:
            self._origin_s = Fraction(self._input.start_time or 0, 1_000_000)
            if self._input.streams.audio:
                self._sound = SoundTrack(self._input, self._output, self._origin_s)

    @property
    def count(self) -> int:
        """Number of pictures taken so far."""
        return self._count

    def put(self, frame: Frame) -> None:
        """Encode one frame. Frames come in order; a time that does not advance becomes one tick later."""
        pixels = fit(frame.pixels, *self._size, how="contain")
        with self._lock:
            if self._state != "open":
                raise ChannelClosed(f"{self.path.name} was closed; nothing more can be written to it.")
            time_s = frame.stamp.pts * frame.stamp.time_base
            if self._origin_s is None:
                self._origin_s = time_s
            ticks = max(round((time_s - self._origin_s) / VIDEO_CLOCK), self._last + 1, 0)
            picture = to_video_frame(pixels)
            picture.pts, picture.time_base = ticks, VIDEO_CLOCK
            try:
                self._output.mux(self._video.encode(picture))
                if self._sound is not None:
                    for packet in self._sound.until(ticks * VIDEO_CLOCK):
                        self._output.mux(packet)
            except (av.FFmpegError, OSError) as error:
                self._discard()
                raise self._failed(error) from error
            self._last = ticks
            self._count += 1

    def close(self) -> Path:
        """Finish the file and give it its name. Twice does no harm."""
        with self._lock:
            if self._state == "closed":
                return self.path
            if self._state != "open":
                raise ChannelClosed(f"{self.path.name} was given up; there is nothing to finish.")
            if self._count == 0:
                self._discard()
                raise UnsupportedMedia(f"{self.path.name} was not written: there were no pictures.")
            try:
                self._output.mux(self._video.encode(None))
                if self._sound is not None:
                    for packet in self._sound.until(None):
                        self._output.mux(packet)
                self._output.close()
                os.replace(self._temporary, self.path)
            except (av.FFmpegError, OSError) as error:
                self._discard()
                raise self._failed(error) from error
            self._state = "closed"
            if self._input is not None:
                self._input.close()
        return self.path

    def abort(self) -> None:
        """Give up and leave nothing behind; after `close` it does nothing."""
        with self._lock:
            if self._state == "open":
                self._discard()

    def __enter__(self) -> FileSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _discard(self) -> None:
        self._state = "aborted"
        try:
            self._output.close()
        except (av.FFmpegError, OSError):
            pass  # the trailer of a file that is thrown away
        finally:
            self._temporary.unlink(missing_ok=True)
            if self._input is not None:
                self._input.close()

    def _failed(self, error: Exception) -> MediaError:
        reason = getattr(error, "strerror", None) or str(error)
        return MediaError(
            f"{self.path.name} could not be written: {reason}.",
            hint="Check that the folder may be written to and that the disk has room.",
        )
