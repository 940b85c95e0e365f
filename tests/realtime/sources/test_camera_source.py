"""Cameras: each way in which one can fail is a sentence; OpenCV's part is played by pictures made here."""

import itertools
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from realtime.core.errors import SourceClosed, UnsupportedMedia, VitascopeError
from realtime.core.frame import Frame
from realtime.sources.camera import CameraSource, refusal
from realtime.sources.mark import read_mark
from realtime.sources.pattern import pattern_picture


class FakeCapture:
    """Give the pictures of an iterator as OpenCV does (BGR), then nothing."""

    def __init__(self, pictures: Iterator[np.ndarray] | None) -> None:
        self.pictures = pictures
        self.released = 0

    def isOpened(self) -> bool:
        return self.pictures is not None

    def set(self, prop: int, value: float) -> bool:
        return False

    def read(self) -> tuple[bool, np.ndarray | None]:
        picture = next(self.pictures, None)
        return picture is not None, picture

    def release(self) -> None:
        self.released += 1


def bgr(seq: int, width: int = 320, height: int = 240) -> np.ndarray:
    return np.ascontiguousarray(pattern_picture(seq, width, height)[..., ::-1])


def watch(
    pictures: Iterator[np.ndarray] | None, take: Callable[[Frame], object] | None = None, **options
) -> tuple[list[Frame], VitascopeError | None, FakeCapture]:
    capture, frames = FakeCapture(pictures), []
    source = CameraSource(opener=lambda device: capture, **options)
    source.start(take or frames.append)
    assert source.done.wait(10)
    source.stop()
    return frames, source.error, capture


def test_frames_are_rgb_numbered_and_stamped_in_order() -> None:
    frames, _, _ = watch(bgr(i) for i in range(10))
    assert [read_mark(f.pixels) for f in frames] == list(range(10)) == [f.stamp.seq for f in frames]
    assert np.array_equal(frames[3].pixels, pattern_picture(3, 320, 240))
    assert all(b.stamp.pts > a.stamp.pts for a, b in itertools.pairwise(frames))


def test_unplugged_in_the_middle() -> None:
    frames, error, capture = watch(bgr(i) for i in range(7))
    assert len(frames) == 7
    assert isinstance(error, SourceClosed)
    assert "stopped after 7 pictures: it was unplugged" in error.message
    assert error.hint
    assert not error.permanent
    assert capture.released == 1


def test_opens_but_gives_nothing() -> None:
    _, error, _ = watch(iter(()))
    assert isinstance(error, SourceClosed)
    assert "gives no picture" in error.message


def test_does_not_open() -> None:
    _, error, capture = watch(None, device=93)
    assert isinstance(error, SourceClosed)
    assert "camera 93" in error.message.lower()
    assert capture.released == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /dev")
def test_a_real_camera_that_is_not_there() -> None:
    source = CameraSource(93)
    source.start(lambda frame: None)
    assert source.done.wait(20)
    assert isinstance(source.error, SourceClosed)
    assert "There is no camera 93. Cameras seen:" in source.error.message


def test_denied_names_the_cure() -> None:
    error = refusal(0, ["/dev/video0"], readable=False)
    assert "was denied" in error.message
    assert "video" in error.hint
    busy = refusal("/dev/video0", ["/dev/video0"])
    assert "does not open" in busy.message
    assert "privacy" in busy.hint


def test_odd_sizes_and_a_change_in_the_middle() -> None:
    sizes = [(641, 479)] * 3 + [(320, 240)] * 3 + [(99, 333)] * 2
    frames, _, _ = watch(bgr(i, *size) for i, size in enumerate(sizes))
    assert [(f.width_px, f.height_px) for f in frames] == sizes
    squares, _, _ = watch((bgr(i, *size) for i, size in enumerate(sizes)), size_px=128)
    assert {f.pixels.shape for f in squares} == {(128, 128, 3)}
    assert [read_mark(f.pixels) for f in squares] == list(range(8))


def test_grey_cameras_become_rgb_and_depth_cameras_are_refused() -> None:
    frames, _, _ = watch(iter([np.full((48, 64), 77, np.uint8)]))
    assert frames[0].pixels.shape == (48, 64, 3)
    _, error, _ = watch(iter([np.zeros((48, 64), np.uint16)]))
    assert isinstance(error, UnsupportedMedia)
    assert "uint16" in error.message


def test_stop_while_it_runs_releases_the_camera() -> None:
    capture = FakeCapture(bgr(i, 64, 64) for i in range(1_000_000))
    first, ends = threading.Event(), []
    source = CameraSource(opener=lambda device: capture)
    source.start(lambda frame: first.set(), None, ends.append)
    assert first.wait(5)
    source.stop()
    assert ends == [None]
    assert capture.released == 1
