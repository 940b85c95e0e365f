"""What flows: checked when it is made, read-only afterwards, and its stamp tells time and age."""

from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest

from realtime.core.frame import AudioChunk, Frame, Question, Result, Stamp
from tests.vocabulary import make_chunk, make_frame, make_stamp

STAMP = Stamp("camera", 3, 9000, Fraction(1, 90_000), 2_000_000)


def test_a_stamp_tells_time_and_age() -> None:
    assert STAMP.time_s == 0.1
    assert STAMP.age_ms(5_500_000) == 3.5
    assert len({STAMP, make_stamp(3), make_stamp(3)}) == 2
    with pytest.raises(FrozenInstanceError):
        STAMP.seq = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused_with_what_was_seen(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=rf"got {pixels.dtype} \({pixels.shape[0]}, "):
        Frame(STAMP, pixels)


def test_pixels_are_read_only_and_contiguous() -> None:
    whole = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    mirrored = Frame(STAMP, whole[:, ::-1])
    assert mirrored.pixels.flags.c_contiguous
    assert np.array_equal(mirrored.pixels, whole[:, ::-1])
    assert (mirrored.height_px, mirrored.width_px) == (4, 6)
    with pytest.raises(ValueError, match="read-only"):
        mirrored.pixels[0, 0, 0] = 1


@pytest.mark.parametrize("samples", [np.zeros((2, 2), np.float32), np.zeros(4, np.int16)])
def test_what_is_no_mono_sound_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"AudioChunk\.samples must be float32"):
        AudioChunk(STAMP, samples, 16_000)


def test_sound_is_read_only() -> None:
    chunk = make_chunk(2)
    assert chunk.stamp.time_s == pytest.approx(0.04)
    with pytest.raises(ValueError, match="read-only"):
        chunk.samples[0] = 0


def test_frames_are_themselves_and_questions_and_results_are_values() -> None:
    assert make_frame(1) != make_frame(1)  # comparing pixels by == would be a surprise
    assert np.array_equal(make_frame(1).pixels, make_frame(1).pixels)
    assert not np.array_equal(make_frame(1).pixels, make_frame(2).pixels)
    assert Question(STAMP, "a", "why?") == Question(STAMP, "a", "why?")
    result = Result(STAMP, "paint", 7, 1.5)
    assert (result.error, result.note) == (None, "")


def test_a_frame_carries_maps_that_nobody_writes_to() -> None:
    grey = np.zeros((4, 6), np.uint8)
    depth = np.full((2, 3), 0.5, np.float32)
    frame = make_frame().with_maps(edges=grey, depth=depth)
    more = frame.with_maps(flow=np.full((4, 6, 2), -3.0, np.float32), depth=depth + 0.1)
    assert make_frame().maps == {}
    assert set(frame.maps) == {"edges", "depth"}
    assert set(more.maps) == {"edges", "depth", "flow"}
    assert more.stamp == frame.stamp
    assert more.pixels is frame.pixels
    assert more.maps["depth"][0, 0] == pytest.approx(0.6)
    with pytest.raises(ValueError, match="read-only"):
        grey[0, 0] = 1
    with pytest.raises(TypeError):
        frame.maps["edges"] = grey  # type: ignore[index]


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((4, 4), np.int32), r"got int32 \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), "must be"),
        (np.zeros((4, 4, 3), np.float32), "must be"),
        (np.zeros((0, 4), np.uint8), "empty"),
        (np.full((2, 2), 1.5, np.float32), "between 0 and 1, got 1.5"),
        (np.full((2, 2), np.nan, np.float32), "between 0 and 1"),
    ],
)
def test_what_is_no_map_is_refused_by_name(array: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=rf'maps\["odd"\].*{says}'):
        make_frame().with_maps(odd=array)
