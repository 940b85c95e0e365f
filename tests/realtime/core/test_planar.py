"""A frame of planes is a frame: same shape, maps and rules; its colours are worked out once, if ever."""

import threading

import numpy as np
import pytest

from realtime.core.frame import Frame
from realtime.core.planar import PlanarFrame, Planes
from tests.vocabulary import make_stamp

HEIGHT, WIDTH = 4, 6


def i420() -> np.ndarray:
    return np.arange(HEIGHT * 3 // 2 * WIDTH, dtype=np.uint8).reshape(-1, WIDTH)


class Colours:
    """Stand in for the conversion; counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, planes: np.ndarray) -> np.ndarray:
        self.calls += 1
        return np.repeat(planes[:HEIGHT, :, None], 3, axis=2)


def test_a_frame_of_planes_is_a_frame_and_converts_once() -> None:
    colours = Colours()
    frame = PlanarFrame(make_stamp(3), Planes(i420(), colours))
    assert isinstance(frame, Frame)
    assert (frame.height_px, frame.width_px) == (HEIGHT, WIDTH)
    more = frame.with_maps(edges=np.zeros((2, 3), np.uint8))
    assert (colours.calls, more.stamp, set(more.maps)) == (0, make_stamp(3), {"edges"})
    assert more.pixels is frame.pixels  # one conversion for all that was made of it
    assert colours.calls == 1
    assert np.array_equal(frame.pixels[..., 1], i420()[:HEIGHT])
    with pytest.raises(ValueError, match="read-only"):
        frame.pixels[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        frame.planes.i420[0, 0] = 1


def test_two_lanes_that_ask_at_once_get_one_conversion() -> None:
    begun, go = threading.Event(), threading.Event()

    class Slow(Colours):
        def __call__(self, planes: np.ndarray) -> np.ndarray:
            begun.set()
            assert go.wait(20)
            return super().__call__(planes)

    colours = Slow()
    frame = PlanarFrame(make_stamp(), Planes(i420(), colours))
    seen: list[np.ndarray] = []
    readers = [threading.Thread(target=lambda: seen.append(frame.pixels)) for _ in range(3)]
    for reader in readers:
        reader.start()
    assert begun.wait(20)
    go.set()
    for reader in readers:
        reader.join(20)
    assert colours.calls == 1
    assert all(one is seen[0] for one in seen)
    assert len(seen) == 3


@pytest.mark.parametrize(
    "planes",
    [
        np.zeros((5, 6), np.uint8),
        np.zeros((6, 5), np.uint8),
        np.zeros((6, 6, 3), np.uint8),
        np.zeros((6, 6), np.int16),
        np.zeros((0, 6), np.uint8),
    ],
)
def test_what_are_no_planes_is_refused_with_what_was_seen(planes: np.ndarray) -> None:
    with pytest.raises(ValueError, match=f"got {planes.dtype}"):
        Planes(planes, Colours())


def test_a_map_that_is_none_is_refused_here_too() -> None:
    with pytest.raises(ValueError, match=r"Frame\.maps"):
        PlanarFrame(make_stamp(), Planes(i420(), Colours()), {"edges": np.zeros((2, 2), np.int32)})
