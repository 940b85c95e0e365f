"""The picture before as a part of the next: calms a noisy still scene, leaves no ghost, follows motion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipelines.diffusion.moving_noise import MovingNoise
from pipelines.diffusion.stage import PaintStage
from realtime.core.frame import Frame
from tests.pipelines.diffusion.stages import (
    SIDE,
    Stages,
    apart,
    different,
    feature,
    noisy_still,
    painted,
    painted_together,
)
from tests.pipelines.diffusion.vocabulary import picture, stamp

Folders = Callable[..., Path]
KAPPA = 0.8


@pytest.fixture(scope="module")
def translator(folder_of: Folders) -> Stages:
    return Stages(folder_of("painter"))


@pytest.fixture(scope="module", params=["painter", "sd"])
def house(request: pytest.FixtureRequest, folder_of: Folders) -> Stages:
    return Stages(folder_of(request.param))


@dataclass(frozen=True, slots=True, eq=False)
class Mapped(Frame):
    """A frame with maps, as perception gives them."""

    maps: Mapping[str, np.ndarray] = field(default_factory=dict)


def flicker(clip: Sequence[np.ndarray]) -> float:
    """Return the mean change from picture to picture, in grey levels."""
    return float(np.mean([np.abs(b - a).mean() for a, b in pairwise(clip)]))


def panned(count: int, step_px: int) -> list[np.ndarray]:
    """Return a scene that goes left by `step_px` a picture: what is at x was at x + step before."""
    scene = picture(3, SIDE, SIDE + step_px * count)
    return [np.ascontiguousarray(scene[:, k * step_px : k * step_px + SIDE]) for k in range(count)]


def with_flow(stage: PaintStage, clip: Sequence[np.ndarray], dx_px: float) -> list[np.ndarray]:
    """Feed pictures with a flow that is the same everywhere."""
    flow_HW2 = np.broadcast_to(np.float32([dx_px, 0.0]), (SIDE, SIDE, 2)).copy()
    out = []
    for seq, pixels in enumerate(clip):
        maps = {"flow": flow_HW2} if seq else {}
        out += [e.value.pixels.astype(np.float32) for e in stage.process(Mapped(stamp(seq), pixels, maps))]
    return out


def test_none_is_exactly_off(house: Stages) -> None:
    plain = painted(house.open(), noisy_still(4))
    stage = house.open(feedback=KAPPA)
    stage.configure(house.config(feedback=0.0))
    assert apart(painted(stage, noisy_still(4)), plain) == 0.0
    stage.reset()
    stage.configure(house.config(feedback=KAPPA))
    assert apart(painted(stage, noisy_still(4)), plain) > 1.0


@pytest.mark.parametrize(("steps", "most"), [(1, 0.4), (2, 0.65)])
def test_a_noisy_still_scene_flickers_less(translator: Stages, steps: int, most: float) -> None:
    """With two steps what is fed back is two pictures old, so every other picture is a chain of its own."""
    clip = noisy_still(14, sigma=4.0)
    off = painted(translator.open(steps=steps), clip)[4:]
    on = painted(translator.open(steps=steps, feedback=KAPPA), clip)[4:]
    assert flicker(off) > 1.0
    assert flicker(on) < most * flicker(off)
    clean = painted(translator.open(steps=steps), [picture(1, SIDE, SIDE)])[0]
    errors = [float(np.mean([np.abs(p - clean).mean() for p in clip])) for clip in (off, on)]
    assert errors[1] < errors[0]  # it is nearer to what the scene is without noise, not only slower


def test_a_cut_leaves_no_ghost(house: Stages) -> None:
    clip = noisy_still(6) + different(6, 40)
    off = painted(house.open(), clip)
    on = painted(house.open(feedback=0.95), clip)
    assert apart(on[6:], off[6:]) <= 1.0


def test_what_moves_is_painted_anew_and_what_stays_is_not(translator: Stages) -> None:
    still = [picture(1, SIDE, SIDE)] * 6
    moving = [p.copy() for p in noisy_still(6)]
    for k, pixels in enumerate(moving):
        pixels[:, 96:] = picture(60 + k, SIDE, 96)
    off, on = painted(translator.open(), moving), painted(translator.open(feedback=KAPPA), moving)
    right, left = (slice(None), slice(128, None)), (slice(None), slice(0, 48))
    assert max(np.abs(a[right] - b[right]).max() for a, b in zip(off, on, strict=True)) <= 1.0
    assert flicker([a[left] for a in on[2:]]) < 0.6 * flicker([a[left] for a in off[2:]])
    assert apart(painted(translator.open(feedback=KAPPA), still), painted(translator.open(), still)) <= 1.0


def test_other_words_are_there_at_once(house: Stages) -> None:
    stage = house.open(feedback=0.95)
    painted(stage, noisy_still(5))
    stage.configure(house.config(feedback=0.95, prompt="pencil", seed=7))
    stage._prompter.wait(20.0)  # type: ignore[union-attr]
    after = painted(stage, [picture(1, SIDE, SIDE)], first=5)
    plain = painted(house.open(prompt="pencil", seed=7), [picture(1, SIDE, SIDE)])
    assert apart(after, plain) <= 1.0


def test_reset_forgets_and_sessions_are_apart(house: Stages) -> None:
    stage = house.open(feedback=KAPPA)
    first = painted(stage, noisy_still(3))
    stage.reset()
    assert apart(painted(stage, noisy_still(3)), first) == 0.0
    outcomes = []
    for seed in (5, 6):
        stages = [house.open("mine", feedback=KAPPA), house.open("theirs", feedback=KAPPA)]
        ours, _ = painted_together(stages, [noisy_still(4), noisy_still(4, seed=seed)])
        outcomes.append([pixels.tobytes() for pixels in ours])
    assert outcomes[0] == outcomes[1]


def test_a_flow_carries_the_picture_along(translator: Stages) -> None:
    clip = panned(8, 8)  # one cell a picture
    plain = painted(translator.open(), clip)
    stage = translator.open(feedback=KAPPA)
    without = painted(stage, clip)
    with_it = with_flow(translator.open(feedback=KAPPA), clip, 8.0)
    wrong = with_flow(translator.open(feedback=KAPPA), clip, -24.0)
    ignored = with_flow(translator.open(feedback=KAPPA, flow_strength=0.0), clip, 8.0)
    used = [float(np.abs(a - b).mean()) for a, b in zip(with_it, plain, strict=True)]
    assert np.mean(used[2:]) > 0.1  # it was used
    assert apart(ignored, without) == 0.0

    def along(out: Sequence[np.ndarray]) -> float:
        """Return how much a picture differs from the one before, moved along."""
        return float(np.mean([np.abs(b[:, 16:-24] - a[:, 24:-16]).mean() for a, b in pairwise(out[2:])]))

    assert along(with_it) < along(plain)
    # A flow that is wrong leads to what the camera does not show, so it is not trusted.
    assert np.mean([np.abs(a - b).mean() for a, b in zip(wrong, plain, strict=True)]) < 0.5 * np.mean(used)


def test_the_noise_goes_with_the_motion(folder_of: Folders) -> None:
    house = Stages(folder_of("sd"), strength=0.9)
    clip = panned(6, 8)
    fixed = with_flow(house.open(), clip, 8.0)
    stage = house.open(warp_noise=True)
    moved = with_flow(stage, clip, 8.0)
    way = feature(stage, MovingNoise)._way_SS2
    assert way is not None
    assert np.allclose(way[:, :-6], (5.0, 0.0))  # five flows of one cell; what came into view began anew
    assert apart(moved[:1], fixed[:1]) == 0.0

    def along(out: Sequence[np.ndarray]) -> float:
        return float(np.mean([np.abs(b[:, 40:-56] - a[:, 48:-48]).mean() for a, b in pairwise(out)]))

    assert along(moved) < 0.8 * along(fixed)
    stage.reset()
    assert apart(painted(stage, clip), fixed) <= 1.0  # no maps, no way
