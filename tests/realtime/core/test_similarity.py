"""The gate: what changed is processed on that very call, what is still is skipped up to the cap exactly."""

from __future__ import annotations

import random
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.core.cells import BLOCK_PX, Pixels
from realtime.core.similarity import GateCounts, SimilarityGate, Verdict
from tests.vocabulary import timeless

THRESHOLD = 3.0
SIZES = [(192, 192), (512, 512), (256, 448), (360, 640), (501, 333), (1024, 768)]


def scene(height_px: int, width_px: int, seed: int = 0) -> Pixels:
    """A picture with light and shade at all scales, away from black and white."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height_px, 0:width_px]
    waves = [
        rng.uniform(8, 20) * np.sin(rng.uniform(0.01, 0.2) * x + rng.uniform(0.01, 0.2) * y) for _ in "rgb"
    ]
    grain = rng.integers(-8, 9, (height_px, width_px, 3))
    return (128 + np.stack(waves, axis=2) + grain).astype(np.uint8)


def noisy(picture: npt.NDArray[Any], sigma: Any, rng: np.random.Generator) -> Pixels:
    noise = rng.standard_normal(picture.shape, dtype=np.float32) * np.asarray(sigma, np.float32)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def brighter(picture: Pixels, levels: float) -> Pixels:
    return np.clip(np.rint(picture + np.float32(levels)), 0, 255).astype(np.uint8)


def look(gate: SimilarityGate, picture: Pixels, max_skips: int = 10, threshold: float = THRESHOLD) -> Verdict:
    return gate.look(picture, threshold_levels=threshold, max_skips=max_skips)


def settled(picture: Pixels, seed: int = 0) -> SimilarityGate:
    """A gate that has processed `picture` and nothing since."""
    gate = SimilarityGate(seed)
    assert look(gate, picture).reason == "first"
    return gate


@pytest.mark.parametrize("max_skips", [0, 1, 3, 10, 999, 5000])
def test_equal_pictures_are_skipped_up_to_the_cap_exactly(max_skips: int) -> None:
    gate, counts, picture = SimilarityGate(), GateCounts(), scene(64, 64)
    verdicts = [look(gate, picture, max_skips) for _ in range(1000)]
    for verdict in verdicts:
        counts.add(verdict)
    processed = [i for i, verdict in enumerate(verdicts) if not verdict.skip]
    assert processed == list(range(0, 1000, max_skips + 1))
    assert (counts.seen, counts.processed, counts.skipped) == (1000, len(processed), 1000 - len(processed))
    assert (counts["first"], counts["cap"], counts["still"]) == (1, len(processed) - 1, counts.skipped)
    assert {v.likeness for v in verdicts[1:]} == {1.0}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sigma", [0.0, 3.0])
def test_a_patch_of_16_px_is_seen_at_once_wherever_it_is(size: tuple[int, int], sigma: float) -> None:
    height_px, width_px = size
    rng = np.random.default_rng([height_px, width_px, round(sigma)])
    still = scene(*size)
    corners = [(0, 0), (height_px - 16, width_px - 16), (0, width_px - 16), (height_px - 16, 0)]
    anywhere = zip(rng.integers(0, height_px - 15, 12), rng.integers(0, width_px - 15, 12), strict=True)
    for turn, (top, left) in enumerate([*corners, *anywhere]):
        picture = still.copy()
        patch = picture[top : top + 16, left : left + 16]
        kind = ("brighter", "darker", "other", "redder")[turn % 4]
        if kind == "other":
            patch[...] = rng.integers(0, 256, patch.shape)
        elif kind == "redder":  # and less green: the luma stays
            patch[...] = np.clip(patch + np.array([20, -10, 0]), 0, 255)
        else:
            patch[...] = np.clip(patch.astype(int) + (12 if kind == "brighter" else -12), 0, 255)
        gate = settled(noisy(still, sigma, rng), seed=turn)
        verdict = look(gate, noisy(picture, sigma, rng))
        assert (verdict.skip, verdict.reason, verdict.likeness) == (False, "changed", 0.0), (kind, top, left)
        marked = verdict.changed
        assert marked.shape == (ceil(height_px / BLOCK_PX), ceil(width_px / BLOCK_PX))
        rows = slice(top // BLOCK_PX, (top + 15) // BLOCK_PX + 1)
        columns = slice(left // BLOCK_PX, (left + 15) // BLOCK_PX + 1)
        assert marked[rows, columns].all(), "each block that the patch touches is on the map"
        assert marked.sum() <= 25, "and not much besides"


@pytest.mark.parametrize("sigma", [0.0, 2.0, 4.0])
@pytest.mark.parametrize("step", [8, -8])
def test_a_step_of_brightness_is_seen_at_once(sigma: float, step: int) -> None:
    for seed, size in enumerate(SIZES):
        rng = np.random.default_rng(seed)
        still = scene(*size, seed)
        gate = settled(noisy(still, sigma, rng), seed)
        verdict = look(gate, noisy(brighter(still, step), sigma, rng))
        assert (verdict.skip, verdict.reason) == (False, "changed")
        assert verdict.changed.all()


def test_a_step_is_seen_when_the_angle_between_the_pictures_stays_the_same() -> None:
    dim = np.full((64, 64, 3), 40, np.uint8)
    assert look(settled(dim), dim * 2).reason == "changed"


@pytest.mark.parametrize("sigma", [0.0, 4.0])
def test_a_cut_is_seen_at_once(sigma: float) -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        gate = settled(noisy(scene(256, 320, seed), sigma, rng), seed)
        for _ in range(3):
            look(gate, noisy(scene(256, 320, seed), sigma, rng))
        assert look(gate, noisy(scene(256, 320, seed + 100), sigma, rng)).reason == "changed"


def test_half_a_picture_that_moves_does_not_pass_for_noise() -> None:
    for share in (0.3, 0.6, 0.9):
        still = scene(256, 256)
        moved = still.copy()
        rows = round(256 * share)
        moved[:rows] = np.roll(still[:rows], 7, axis=1)
        assert look(settled(still), moved).reason == "changed", share


@pytest.mark.parametrize("sigma", [2.0, 3.0, 4.0])
@pytest.mark.parametrize("size", [(192, 192), (360, 640), (512, 512)])
def test_sensor_noise_is_not_a_change(sigma: float, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(round(sigma))
    still, gate = scene(*size), SimilarityGate()
    verdicts = [look(gate, noisy(still, sigma, rng), max_skips=1000) for _ in range(40)]
    assert sum(verdict.skip for verdict in verdicts) / len(verdicts) >= 0.8
    assert {verdict.reason for verdict in verdicts} <= {"first", "still", "chance"}


def test_black_bars_do_not_hide_how_noisy_a_picture_is() -> None:
    rng = np.random.default_rng(0)
    still = scene(240, 320)

    def filmed() -> Pixels:
        picture = noisy(still, 4, rng)
        picture[:80] = picture[-80:] = 0
        return picture

    skips = [look(settled(filmed(), seed), filmed()).skip for seed in range(40)]
    assert sum(skips) >= 32


def test_a_cut_is_soon_forgotten() -> None:
    still = scene(128, 128)
    gate = settled(np.zeros_like(still))
    for _ in range(60):
        look(gate, still, max_skips=1000)
    picture = still.copy()
    picture[50:66, 30:46] += np.uint8(9)
    assert look(gate, picture).reason == "changed"


def test_noise_that_is_stronger_in_the_light_is_learned_where_it_is() -> None:
    rng = np.random.default_rng(0)
    ramp = (
        np.repeat(np.linspace(5, 200, 256)[None, :, None], 192, axis=0).repeat(3, axis=2).astype(np.float32)
    )
    gate, sigma = SimilarityGate(), 0.45 * np.sqrt(ramp)
    skips = [look(gate, noisy(ramp, sigma, rng), max_skips=1000).skip for _ in range(80)]
    assert sum(skips[20:]) >= 0.8 * 60


def test_a_patch_is_seen_in_noise_that_has_long_been_learned() -> None:
    rng = np.random.default_rng(2)
    still = scene(192, 192)
    for turn in range(12):
        gate = SimilarityGate(turn)
        for _ in range(30):
            look(gate, noisy(still, 3, rng), max_skips=1000)
        top, left = rng.integers(0, 177, 2)
        picture = still.copy()
        picture[top : top + 16, left : left + 16] += np.uint8(14)
        assert look(gate, noisy(picture, 3, rng)).reason == "changed"


def test_what_moves_all_the_time_does_not_pass_for_noise() -> None:
    gate, still = SimilarityGate(), scene(128, 192)
    for frame in range(150):
        picture = still.copy()
        left = (2 * frame) % 150
        picture[40:72, left : left + 32] = 255 - picture[40:72, left : left + 32] // 2
        verdict = look(gate, picture, max_skips=1000)
        assert not verdict.skip


def test_a_place_that_blinks_is_seen_every_time() -> None:
    gate, still = SimilarityGate(), scene(128, 128)
    for frame in range(100):
        picture = still.copy()
        picture[50:66, 30:46] += np.uint8(20 * (frame % 2))
        assert not look(gate, picture, max_skips=1000).skip


def test_a_place_that_drifts_is_not_far_behind() -> None:
    gate, still, shown = SimilarityGate(), scene(128, 128), 0
    for frame in range(300):
        picture = still.copy()
        picture[50:66, 30:46] += np.uint8(frame // 5)
        if not look(gate, picture, max_skips=1000).skip:
            shown = frame // 5
        assert frame // 5 - shown <= 2 * THRESHOLD


@pytest.mark.parametrize("sigma", [0.0, 3.0])
@pytest.mark.parametrize("step", [0.2, -0.2])
def test_a_slow_drift_is_never_more_than_a_threshold_behind(sigma: float, step: float) -> None:
    rng = np.random.default_rng(1)
    still, gate, shown, skips = scene(128, 128).astype(np.float32), SimilarityGate(), 0.0, 0
    for frame in range(200):
        picture = np.clip(still + step * frame + rng.uniform(-0.5, 0.5, still.shape), 0, 255)
        verdict = look(gate, noisy(picture, sigma, rng), max_skips=1000)
        skips += verdict.skip
        if not verdict.skip:
            shown = step * frame
        assert abs(step * frame - shown) <= THRESHOLD + 0.1, "what the estimate of the shift may err by"
    assert 100 < skips < 200


def test_a_skipped_picture_is_not_what_the_next_is_compared_with() -> None:
    gate, still = settled(scene(64, 64)), scene(64, 64)
    behind = [look(gate, brighter(still, levels), 1000, threshold=1000) for levels in (1, 2, 3, 4)]
    assert all(verdict.skip for verdict in behind)
    assert [verdict.likeness for verdict in behind] == pytest.approx([0.999, 0.998, 0.997, 0.996])


def test_the_probability_of_a_skip_falls_to_nothing_at_the_threshold() -> None:
    still, share = scene(64, 64), {}
    for levels in range(5):
        gate, picture = SimilarityGate(seed=levels), brighter(still, levels)
        skips = 0
        for _ in range(400):
            gate.reset()
            look(gate, still)
            skips += look(gate, picture, threshold=4).skip
        share[levels] = skips / 400
    assert share[0] == 1.0
    assert share[4] == 0.0
    assert [share[1], share[2], share[3]] == pytest.approx([0.75, 0.5, 0.25], abs=0.08)


def mixed(gate: SimilarityGate, seed: int = 5) -> list[tuple[bool, str, float]]:
    """Verdicts on pictures of which many are left to chance."""
    rng, still = np.random.default_rng(seed), scene(64, 96)
    verdicts = [look(gate, brighter(still, rng.integers(0, 4))) for _ in range(60)]
    return [(one.skip, one.reason, one.likeness) for one in verdicts]


def test_equal_seeds_decide_alike_and_others_differ() -> None:
    first = mixed(SimilarityGate(seed=3))
    assert mixed(SimilarityGate(seed=3)) == first
    assert any(mixed(SimilarityGate(seed=seed)) != first for seed in range(4, 8))
    assert {reason for _, reason, _ in first} >= {"still", "chance", "changed"}


def test_gates_share_no_luck_with_each_other_nor_with_the_world() -> None:
    alone = mixed(SimilarityGate(seed=3))
    world = (random.getstate(), np.random.get_state()[1].tolist())
    gate, other, still = SimilarityGate(seed=3), SimilarityGate(seed=3), scene(64, 96)
    rng, together = np.random.default_rng(5), []
    for _ in range(60):
        look(other, brighter(still, 1))
        one = look(gate, brighter(still, rng.integers(0, 4)))
        together.append((one.skip, one.reason, one.likeness))
    assert together == alone
    assert world == (random.getstate(), np.random.get_state()[1].tolist())


def test_another_size_and_a_reset_begin_anew() -> None:
    gate = settled(scene(64, 64))
    assert look(gate, scene(64, 64)).skip
    wider = look(gate, scene(64, 96))
    assert (wider.skip, wider.reason, wider.changed.all(), gate.skipped_in_row) == (False, "size", True, 0)
    assert look(gate, scene(64, 96)).skip
    gate.reset()
    assert look(gate, scene(64, 96)).reason == "first"
    gate.reset()
    assert look(gate, scene(32, 32)).reason == "first"


def test_a_reset_forgets_the_noise_too() -> None:
    rng, still = np.random.default_rng(0), scene(64, 64)
    gate = SimilarityGate()
    for _ in range(30):
        look(gate, noisy(still, 8, rng))
    gate.reset()
    look(gate, still)
    picture = still.copy()
    picture[20:36, 20:36] += np.uint8(5)
    assert look(gate, picture).reason == "changed"


def test_pictures_are_only_read_and_may_lie_anyhow_in_memory() -> None:
    still = scene(96, 96)
    frozen = still.copy()
    frozen.flags.writeable = False
    gate = settled(frozen)
    still[...] = 0  # the gate keeps no view of a picture
    assert look(gate, frozen).likeness == 1.0
    mirrored = np.ascontiguousarray(frozen[:, ::-1])
    for view in (
        mirrored[:, ::-1],
        np.asfortranarray(frozen),
        np.pad(frozen, ((3, 3), (5, 4), (0, 0)))[3:-3, 5:-4],
    ):
        assert look(gate, view).likeness == 1.0
    assert look(gate, mirrored).reason == "changed"


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 4), (16, 16), (9, 21)])
def test_tiny_pictures_are_judged_too(size: tuple[int, int]) -> None:
    grey = np.full((*size, 3), 100, np.uint8)
    gate = settled(grey)
    assert look(gate, grey).skip
    assert look(gate, np.full((*size, 3), 255, np.uint8)).reason == "changed"


def test_settings_are_those_of_the_call() -> None:
    gate, still = settled(scene(64, 64)), scene(64, 64)
    assert [look(gate, still, max_skips=5).skip for _ in range(3)] == [True] * 3
    assert look(gate, still, max_skips=2).reason == "cap"
    assert look(gate, brighter(still, 2), threshold=2).reason == "changed"
    assert look(gate, brighter(still, 2), threshold=0).skip
    assert look(gate, still, threshold=0).reason == "changed"


@pytest.mark.parametrize(
    "wrong", [{"threshold_levels": -1}, {"threshold_levels": float("nan")}, {"max_skips": -1}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        SimilarityGate().look(scene(16, 16), **{"threshold_levels": 1, "max_skips": 1, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(wrong: Pixels) -> None:
    with pytest.raises(ValueError, match="a picture is"):
        look(SimilarityGate(), wrong)


@timeless
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=60),
    st.floats(0, 6),
    st.integers(0, 99),
)
def test_never_more_skips_in_a_row_than_asked_for(
    frames: list[tuple[int, int]], threshold: float, seed: int
) -> None:
    """Whatever comes, and however the cap changes meanwhile."""
    gate, row = SimilarityGate(seed), 0
    for levels, cap in frames:
        verdict = look(gate, np.full((16, 16, 3), 100 + levels, np.uint8), cap, threshold)
        row = row + 1 if verdict.skip else 0
        assert row == gate.skipped_in_row
        assert row <= cap or not verdict.skip
        assert verdict.skip == (verdict.reason == "still")
        assert 0.0 <= verdict.likeness <= 1.0
