"""Pictures and sound into one live container: H.264 without delay, AAC beside it, both from time 0 on.

A muxer holds pictures back until it has sound of the same time, so a sound track never has holes: where no
sound came in time there is silence, and sound that comes after its silence was written is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Any

import av
import av.container
import numpy as np
import numpy.typing as npt

from realtime.core.frame import VIDEO_CLOCK
from realtime.media import fit, to_video_frame

SOUND_RATE_HZ = 48_000
SOUND_LATE_S = 0.3
"""Sound may come this much later than the picture of its time, before silence takes its place."""
_DRIFT_S = 0.1
"""Where sound is further from the clock than this, it is set anew; less is the jitter of its arrival."""
_BLOCK = 1024
_BT601 = 6


class Muxed:
    """Write to `target` until `close`. All methods on one thread; what goes wrong is an OSError."""

    def __init__(
        self,
        target: Any,
        form: str,
        *,
        size: tuple[int, int],
        rate_hz: float,
        sound: bool = True,
        kbit_s: int | None = None,
        options: Mapping[str, str] | None = None,
        io_open: Callable[..., Any] | None = None,
        preset: str = "veryfast",
    ) -> None:
        self._output: av.container.OutputContainer | None = av.open(
            target, "w", format=form, options=dict(options or {}), io_open=io_open
        )
        self._size = size
        width, height = size[0] + size[0] % 2, size[1] + size[1] % 2
        limits = (
            {"b": f"{kbit_s}k", "maxrate": f"{kbit_s}k", "bufsize": f"{kbit_s}k"} if kbit_s else {"crf": "20"}
        )
        video = self._output.add_stream(
            "libx264",
            rate=Fraction(rate_hz).limit_denominator(1001),
            options={"preset": preset, "tune": "zerolatency", "bf": "0", **limits},
        )
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        context = video.codec_context
        context.time_base = VIDEO_CLOCK
        context.thread_count = 1
        context.gop_size = max(round(rate_hz), 1)  # a key picture a second: what a player joins at
        context.colorspace = context.color_primaries = context.color_trc = _BT601
        context.color_range = 1
        self._video = video
        self._last_ticks = -1
        self._sound = None
        if sound:
            self._sound = self._output.add_stream("aac", rate=SOUND_RATE_HZ, layout="mono")
            self._sound.bit_rate = 96_000
        self._line = SoundLine()
        self.pictures = 0
        with _as_os_error():
            self._output.start_encoding()  # opens the file, and says now that it cannot be

    def picture(self, pixels: npt.NDArray[np.uint8], time_s: float) -> None:
        """Encode one picture (H, W, 3) of a time; one that does not advance becomes a tick later."""
        ticks = max(round(time_s / float(VIDEO_CLOCK)), self._last_ticks + 1, 0)
        self._last_ticks = ticks
        picture = to_video_frame(fit(pixels, *self._size, how="contain"))
        picture.pts, picture.time_base = ticks, VIDEO_CLOCK
        self._mux(self._video.encode(picture))
        self.pictures += 1
        if self._sound is not None:
            self._line.fill_until(time_s - SOUND_LATE_S)
            self._drain()

    def sound(self, samples: npt.NDArray[np.float32], rate_hz: int, time_s: float) -> None:
        """Take sound, float32 mono of any rate, that begins at a time."""
        if self._sound is not None:
            self._line.take(samples, rate_hz, time_s)
            self._drain()

    def close(self) -> None:
        """Write what is held back and the end. Twice does no harm."""
        if self._output is None:
            return
        output, self._output = self._output, None
        with _as_os_error():
            try:
                if self.pictures:
                    output.mux(self._video.encode(None))
                    if self._sound is not None:
                        output.mux(self._sound.encode(None))
            finally:
                output.close()

    def give_up(self) -> None:
        """Close without an end: the other side is gone."""
        output, self._output = self._output, None
        if output is not None:
            with suppress(av.FFmpegError, OSError):
                output.close()

    def _drain(self) -> None:
        assert self._sound is not None
        while (block := self._line.block()) is not None:
            begin, samples = block
            if begin == 0:
                continue  # AAC's first packet is of the time before; MP4 would move all pictures for it
            frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE_HZ, begin, Fraction(1, SOUND_RATE_HZ)
            self._mux(self._sound.encode(frame))

    def _mux(self, packets: Any) -> None:
        if self._output is None:
            raise OSError("it was closed")
        with _as_os_error():
            self._output.mux(packets)


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Make all of FFmpeg's errors OSErrors, as some are: the other side or the disk is the usual cause."""
    try:
        yield
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise OSError(str(error)) from error


class SoundLine:
    """Lay sound on one line from time 0 on, without holes; give it in blocks of 1024 samples at 48 kHz."""

    def __init__(self) -> None:
        self._held = np.zeros(0, np.float32)
        self._given = 0
        """Samples given; the held ones follow."""
        self._resampler: av.AudioResampler | None = None
        self._rate_hz = 0

    @property
    def end_s(self) -> float:
        """Up to where there is sound or silence."""
        return (self._given + len(self._held)) / SOUND_RATE_HZ

    def take(self, samples: npt.NDArray[np.float32], rate_hz: int, time_s: float) -> None:
        """Append sound that begins at `time_s`, after silence or cut where that does not fit."""
        if rate_hz != SOUND_RATE_HZ:
            samples = self._resampled(samples, rate_hz)
        late_s = self.end_s - time_s
        if late_s > _DRIFT_S:
            samples = samples[round(late_s * SOUND_RATE_HZ) :]
        elif late_s < -_DRIFT_S:
            self.fill_until(time_s)
        self._held = np.concatenate([self._held, samples])

    def fill_until(self, time_s: float) -> None:
        """Put silence where no sound is, up to a time."""
        missing = round((time_s - self.end_s) * SOUND_RATE_HZ)
        if missing > 0:
            self._held = np.concatenate([self._held, np.zeros(missing, np.float32)])

    def block(self) -> tuple[int, npt.NDArray[np.float32]] | None:
        """Return the next block and the number of its first sample; None until it is whole."""
        if len(self._held) < _BLOCK:
            return None
        begin, block = self._given, np.ascontiguousarray(self._held[:_BLOCK])
        self._held = self._held[_BLOCK:]
        self._given += _BLOCK
        return begin, block

    def _resampled(self, samples: npt.NDArray[np.float32], rate_hz: int) -> npt.NDArray[np.float32]:
        if self._resampler is None or rate_hz != self._rate_hz:
            self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SOUND_RATE_HZ)
            self._rate_hz = rate_hz
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="flt", layout="mono")
        frame.sample_rate, frame.pts = rate_hz, None
        pieces = [piece.to_ndarray()[0] for piece in self._resampler.resample(frame)]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
