"""Small video clips, made here and now: moving pictures that carry their number, a click and a flash.

No clip is stored in the repository. Every clip of the same arguments has the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from realtime.media import to_video_frame
from realtime.sources.mark import read_mark
from realtime.sources.pattern import pattern_picture

SOUND_RATE_HZ = 48_000
CLICK_MS = 4
"""A click is 4 ms of loud 4 kHz in an otherwise soft hum."""


def clip_picture(seq: int, width: int, height: int, *, mark: bool, flash: bool) -> npt.NDArray[np.uint8]:
    """Return picture `seq` (H, W, 3); a flash is white all over, except the mark."""
    pixels = pattern_picture(seq, width, height, mark=mark)
    if flash:
        lit = pixels[: height // 2 + min(width, height) // 4]
        lit[:] = 255
    return pixels


def clip_sound(seconds: float, click_s: float | None) -> npt.NDArray[np.float32]:
    """Return a soft hum with one click that starts at `click_s`, mono at 48 kHz."""
    time_s = np.arange(round(seconds * SOUND_RATE_HZ)) / SOUND_RATE_HZ
    samples = 0.02 * np.sin(2 * np.pi * 220 * time_s)
    if click_s is not None:
        inside = (time_s >= click_s) & (time_s < click_s + CLICK_MS / 1000)
        samples[inside] = 0.9 * np.sin(2 * np.pi * 4000 * (time_s[inside] - click_s))
    return samples.astype(np.float32)


def make_clip(
    path: str | Path,
    seconds: float = 2.0,
    fps: int = 30,
    size: tuple[int, int] = (320, 240),
    sound: bool = True,
    mark: bool = True,
    *,
    flash_at: int | None = None,
    times_s: Sequence[float] | None = None,
    sound_codec: str = "aac",
    container: str | None = None,
    bframes: int = 0,
) -> Path:
    """Write an H.264 clip of `seconds` at `fps` and `size` (width, height) and return its path.

    `flash_at` is the number of a picture that flashes; a click starts at exactly that picture's time.
    `times_s` gives each picture's time instead of `fps` (variable rate). `container` names the format when
    the suffix does not tell it ("h264" writes a stream without time stamps).
    """
    path = Path(path)
    width, height = size
    time_base = Fraction(1, 90_000)
    count = len(times_s) if times_s is not None else round(seconds * fps)
    seconds_of = list(times_s) if times_s is not None else [i / fps for i in range(count)]
    with av.open(str(path), "w", format=container) as out:
        video = out.add_stream("libx264", rate=fps, options={"crf": "16", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        video.codec_context.max_b_frames = bframes
        video.codec_context.thread_count = 1
        video.codec_context.time_base = time_base
        audio = None
        if sound:
            audio = out.add_stream(sound_codec, rate=SOUND_RATE_HZ, layout="mono")
        for seq in range(count):
            picture = to_video_frame(clip_picture(seq, width, height, mark=mark, flash=seq == flash_at))
            picture.pts, picture.time_base = round(seconds_of[seq] / time_base), time_base
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
        if audio is not None:
            click_s = None if flash_at is None else seconds_of[flash_at]
            samples = clip_sound(max(seconds_of[-1] + 1 / fps, seconds if times_s is None else 0.0), click_s)
            for start in range(0, len(samples), 960):
                block = samples[None, start : start + 960]
                chunk = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="mono")
                chunk.sample_rate, chunk.pts, chunk.time_base = (
                    SOUND_RATE_HZ,
                    start,
                    Fraction(1, SOUND_RATE_HZ),
                )
                resampled = av.AudioResampler(
                    format=audio.codec_context.format, layout="mono", rate=SOUND_RATE_HZ
                )
                for piece in resampled.resample(chunk):
                    piece.pts, piece.time_base = start, Fraction(1, SOUND_RATE_HZ)
                    out.mux(audio.encode(piece))
            out.mux(audio.encode(None))
    return path


def pictures_of(path: str | Path) -> list[tuple[float, npt.NDArray[np.uint8]]]:
    """Decode all pictures of a file: (time in seconds, RGB) each, in order of display."""
    with av.open(str(path)) as container:
        return [(float(f.time or 0.0), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def numbers_of(path: str | Path) -> list[int | None]:
    """Read the mark of each picture of a file."""
    return [read_mark(pixels) for _, pixels in pictures_of(path)]


def flash_time_s(path: str | Path) -> float:
    """Return the time of the brightest picture."""
    return max(pictures_of(path), key=lambda p: float(p[1][: p[1].shape[0] // 2].mean()))[0]


def click_time_s(path: str | Path) -> float:
    """Return the time at which the loudest 4 ms begin, as a player would play it."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        to_mono = av.AudioResampler(format="flt", layout="mono", rate=SOUND_RATE_HZ)
        line: dict[int, npt.NDArray[np.float32]] = {}
        for frame in container.decode(stream):
            start = round(float(frame.time or 0.0) * SOUND_RATE_HZ)
            pieces = [piece.to_ndarray()[0] for piece in to_mono.resample(frame)]
            if pieces:
                line.setdefault(start, np.concatenate(pieces))
    end = max(start + len(samples) for start, samples in line.items())
    first = min(0, *line)
    sound = np.zeros(end - first, np.float32)
    for start, samples in line.items():
        sound[start - first : start - first + len(samples)] = samples
    loud = np.abs(sound) > 0.5 * np.abs(sound).max()
    return (int(np.argmax(loud)) + first) / SOUND_RATE_HZ
