"""The preset that keeps the painting on things, with the real painter, through all that a camera does.

The same pictures are painted with guidance and, by the one setting, without. Where guidance has nothing to go
by, both must be the same picture at once: whatever is left of the picture before would be a ghost.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from app.layers import read_settings
from app.registry import Registry
from app.wiring import House, Wiring
from realtime.core.clock import NS_PER_S
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.stage import StageContext
from tests.perception.flow.views import view, wall

TIMEOUT_S = 120.0
SIZE, SIDE = (320, 240), 192
PAN_PX = 4
PANS, CUT, RESIZED, FLASH, HANGS = range(6), 6, 8, 10, range(11, 15)
"""Numbers of the pictures: the camera pans, shows another room, has another size, is blinded, and hangs."""


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    one = House()
    yield one
    one.close()


def pictures() -> list[np.ndarray]:
    room, other = (np.asarray(cv2.GaussianBlur(wall(k), (0, 0), 2), np.uint8) for k in (0, 7))
    clip = [view(room, 40 + PAN_PX * k, size=SIZE) for k in PANS]
    clip += [view(other, 60 + 2 * k, size=SIZE) for k in range(2)]
    clip += [view(other, 64 + 2 * k, size=(256, 240)) for k in range(2)]
    clip.append(np.minimum(clip[-1].astype(int) + 90, 255).astype(np.uint8))
    clip += [view(other, 68, size=(256, 240))] * len(HANGS)
    draw = np.random.default_rng(3)
    noisy = [np.clip(one + draw.normal(0, 4, one.shape), 0, 255).astype(np.uint8) for one in clip]
    for k in HANGS:
        noisy[k] = noisy[HANGS[0]]
    return noisy


def painted(wiring: Wiring, first: int) -> list[np.ndarray]:
    out = []
    for k, pixels in enumerate(pictures()):
        seq = first + 3 * k  # as where two of three pictures were lost on the way
        wiring.put(
            Frame(Stamp("video", seq, 3000 * seq, VIDEO_CLOCK, NS_PER_S + seq * NS_PER_S // 90), pixels)
        )
        result = wiring.output.get(timeout_s=TIMEOUT_S)
        assert result.error is None
        assert result.value is not None
        assert result.stamp.seq == seq
        out.append(result.value.pixels.astype(np.float32))
    return out


def moved_on(picture: np.ndarray) -> np.ndarray:
    """Return a painting as the pan moves it in a picture."""
    matrix = np.array([[1, 0, PAN_PX * SIDE / SIZE[1]], [0, 1, 0]], np.float32)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, matrix, (SIDE, SIDE), flags=flags))


def flicker(out: list[np.ndarray]) -> float:
    """Return the mean change of the panned pictures against the one before, moved along."""
    changes = [np.abs(out[k] - moved_on(out[k - 1]))[8:-8, 8:-24].mean() for k in PANS[2:]]
    return float(np.mean(changes))


@pytest.mark.nightly
def test_steady_calms_what_moves_and_leaves_no_ghost(house: House) -> None:
    flags = [("preset", "steady"), ("stages.paint.size_px", SIDE)]
    settings = read_settings(flags=flags, environ={}).settings
    wiring = Wiring(settings, Registry(), house, StageContext(shared=house.shared), live=False)
    wiring.open()
    on = painted(wiring, 0)
    assert wiring.settings()["coherence"] == 1.0
    wiring.configure({"coherence": 0.0})
    off = painted(wiring, 1000)
    wiring.close()
    apart = [float(np.abs(a - b).max()) for a, b in zip(on, off, strict=True)]
    for k in (0, CUT, RESIZED, FLASH, HANGS[0]):
        assert apart[k] <= 1.0, k
    assert min(apart[k] for k in (*PANS[1:], CUT + 1, RESIZED + 1)) > 2.0
    assert apart[HANGS[-1]] <= 1.0  # the same picture again and again is the same painting
    assert flicker(on) < 0.6 * flicker(off)
