"""Pictures in and out: the fast path agrees with libswscale, and no size is too odd."""

from fractions import Fraction

import av
import numpy as np
import pytest

from realtime.core.errors import ConfigError, UnsupportedMedia
from realtime.core.frame import Stamp
from realtime.core.planar import PlanarFrame
from realtime.media import Intake, coded_picture, fit, to_even, to_i420, to_pixels, to_video_frame
from realtime.sources.mark import read_mark
from realtime.sources.pattern import pattern_picture


def coded(pixels: np.ndarray, form: str = "yuv420p") -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=form)


def smooth(width: int, height: int) -> np.ndarray:
    """A picture without hard edges, so that ways of resizing agree."""
    y, x = np.mgrid[0:height, 0:width] / min(width, height)
    waves = [np.sin(4 * x + 1), np.cos(5 * y), np.sin(3 * (x + y))]
    return np.stack([128 + 90 * w for w in waves], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("form", ["yuv420p", "nv12", "yuv422p", "yuvj420p", "rgb24", "gray"])
@pytest.mark.parametrize("size", [(640, 480), (480, 640), (321, 243), (97, 200), (256, 256)])
def test_the_square_is_the_centre_of_the_picture(form: str, size: tuple[int, int]) -> None:
    pixels = smooth(*size)
    if form == "gray":
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    got = to_pixels(coded(pixels, form), size_px=128)
    assert got.shape == (128, 128, 3)
    assert np.abs(got.astype(int) - fit(pixels, 128, 128)).mean() < 4


def test_the_fast_path_agrees_with_libswscale() -> None:
    frame = coded(smooth(640, 480))
    fast = to_pixels(frame, size_px=256).astype(int)
    slow = fit(frame.to_ndarray(format="rgb24"), 256, 256)
    assert np.abs(fast - slow).mean() < 1.5


def test_hd_colours_are_read_as_bt709() -> None:
    """BT.709 pictures go through libswscale, which reads their colour space; red stays red."""
    pixels = np.full((720, 1280, 3), (200, 30, 40), np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
        format="yuv420p", dst_colorspace="ITU709"
    )
    frame.colorspace = 1
    got = to_pixels(frame, size_px=64).reshape(-1, 3).mean(axis=0)
    assert np.abs(got - (200, 30, 40)).max() < 6


@pytest.mark.parametrize("size", [(64, 48), (65, 49), (1, 1), (3, 2)])
def test_out_and_back(size: tuple[int, int]) -> None:
    pixels = np.full((size[1], size[0], 3), (180, 60, 90), np.uint8)
    frame = to_video_frame(pixels)
    assert (frame.width, frame.height) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert np.abs(to_pixels(frame).reshape(-1, 3).mean(axis=0) - (180, 60, 90)).max() < 5


def test_i420_layout() -> None:
    assert to_i420(np.zeros((48, 64, 3), np.uint8)).shape == (72, 64)


def test_fit_keeps_proportions() -> None:
    wide = np.zeros((100, 300, 3), np.uint8)
    wide[:, 100:200] = 255
    assert fit(wide, 50, 50).min() == 255  # cover: only the middle third is left
    bars = fit(wide, 60, 60, how="contain")
    assert bars[:19].max() == 0 == bars[41:].max()
    assert bars[30, 30].min() == 255
    assert fit(wide, 300, 100) is wide


def test_to_even_repeats_the_edge() -> None:
    pixels = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    even = to_even(pixels)
    assert even.shape == (4, 6, 3)
    assert np.array_equal(even[3, :5], pixels[2])
    assert to_even(even) is even


def test_intake_stamps_what_it_converts() -> None:
    stamp = Stamp("camera", 3, 9000, Fraction(1, 90_000), 17)
    frame = Intake(96).frame(to_video_frame(pattern_picture(5, 641, 479)), stamp)
    assert frame.stamp is stamp
    assert frame.pixels.shape == (96, 96, 3)
    assert read_mark(frame.pixels) == 5


@pytest.mark.parametrize("size", [(640, 480), (66, 50), (130, 34)])
@pytest.mark.parametrize("form", ["yuv420p", "nv12"])
def test_what_is_only_passed_on_is_never_converted(form: str, size: tuple[int, int]) -> None:
    taken = coded(smooth(*size), form)
    frame = Intake().frame(taken, Stamp("camera", 3, 9000, Fraction(1, 90_000), 17))
    assert isinstance(frame, PlanarFrame)
    sent = coded_picture(frame.with_maps(edges=np.zeros((4, 4), np.uint8)))
    assert not frame.planes.is_converted
    assert (sent.width, sent.height, sent.format.name) == (*size, "yuv420p")
    assert np.array_equal(sent.to_ndarray(), taken.reformat(format="yuv420p").to_ndarray())
    other = np.abs(frame.pixels.astype(int) - taken.to_ndarray(format="rgb24"))
    assert other.mean() < 4  # libswscale interpolates colours, OpenCV repeats them
    assert frame.planes.is_converted


def test_what_is_passed_on_outlives_the_decoder_s_picture() -> None:
    taken = coded(smooth(64, 48))
    frame = Intake().frame(taken, Stamp("camera", 3, 9000, Fraction(1, 90_000), 17))
    before = coded_picture(frame).to_ndarray()
    np.frombuffer(taken.planes[0], np.uint8)  # a view, as a decoder has one
    memoryview(taken.planes[0]).cast("B")[:] = bytes(taken.planes[0].buffer_size)
    assert np.array_equal(coded_picture(frame).to_ndarray(), before)


@pytest.mark.parametrize("size_px", [0, 15, 255, 5000, -2])
def test_intake_refuses_impossible_sizes(size_px: int) -> None:
    with pytest.raises(ConfigError, match=f"size_px = {size_px}"):
        Intake(size_px)


def test_a_giant_picture_is_refused_before_it_is_converted() -> None:
    with pytest.raises(UnsupportedMedia, match="too large"):
        to_pixels(av.VideoFrame(10_000, 4000, "gray"))
