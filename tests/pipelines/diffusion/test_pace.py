"""Still frames are not painted, and pictures do not get older than the limit; on the real stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.pace import LATE, STILL, fewer
from pipelines.diffusion.stage import PaintStage
from pipelines.diffusion.wish import Wish
from realtime.core.clock import NS_PER_MS, ManualClock
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.stage import Emitted, StageContext
from tests.pipelines.diffusion.vocabulary import picture

SIDE = 192
INTERVAL_MS = 40


class Studio:
    """Hold stages over one painter, with a clock that only engines move."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.made = folder, ManualClock(), dict[str, Any]()
        self.network_runs = 0
        self.stages: list[PaintStage] = []

    def shared(self, key: str, make: Callable[[], Any]) -> Any:
        return self.made[key] if key in self.made else self.made.setdefault(key, make())

    def open(self, **wish: Any) -> PaintStage:
        stage = PaintStage()
        stage.configure(self.config(**wish))
        stage.open(StageContext("one", self.clock, self.shared))
        self.stages.append(stage)
        return stage

    def config(self, **wish: Any) -> PaintConfig:
        plain = {"model": str(self.folder), "engine": "torch", "precision": "fp32", "size_px": SIDE}
        return PaintConfig(**{**plain, "prompt": "oil", **wish})

    def watch(self, stage: PaintStage, row_ms: float = 0.0) -> None:
        """Count the network's runs, and let each take `row_ms` a row of the clock's time."""
        engine = stage.painter.plain.engine
        run = engine.run

        def counted(**tensors: Any) -> Mapping[str, Any]:
            self.network_runs += 1
            self.clock.advance(ms=len(tensors["latent"]) * row_ms)
            return run(**tensors)

        engine.run = counted  # type: ignore[method-assign]

    def frame(self, seq: int, pixels: np.ndarray) -> Frame:
        return Frame(Stamp("video", seq, seq * 3600, VIDEO_CLOCK, self.clock.now_ns()), pixels.copy())


@pytest.fixture
def studio(folder_of: Callable[..., Path]) -> Iterator[Studio]:
    made = Studio(folder_of("painter"))
    yield made
    for stage in made.stages:
        stage.close()


def drained(stage: PaintStage) -> list[Emitted]:
    out: list[Emitted] = []
    while stage.batch:
        out += stage.process(None)
    return out


def test_a_still_scene_is_painted_once_in_eleven_and_every_frame_comes_out(studio: Studio) -> None:
    stage = studio.open(skip_still=True, max_skips=10)
    studio.watch(stage)
    still = picture(1, SIDE, SIDE)
    out = [e for seq in range(110) for e in stage.process(studio.frame(seq, still))] + drained(stage)
    assert [e.stamp.seq for e in out] == list(range(110))
    assert studio.network_runs == 10
    assert [e.note for e in out].count(STILL) == 100
    assert len({e.value.pixels.tobytes() for e in out}) == 1


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_scene_that_changed_once_is_right_within_n_frames(studio: Studio, steps: int) -> None:
    stage = studio.open(skip_still=True, steps=steps, max_skips=1000)
    before, after = picture(1, SIDE, SIDE), picture(2, SIDE, SIDE)
    for seq in range(12):
        stage.process(studio.frame(seq, before))
    out = [e for seq in range(12, 12 + steps) for e in stage.process(studio.frame(seq, after))]
    alone = studio.open(steps=steps)
    (right,) = (*alone.process(studio.frame(0, after)), *drained(alone))
    assert np.abs(out[-1].value.pixels.astype(int) - right.value.pixels).max() <= 1


@pytest.mark.parametrize("change", ["patch", "brightness", "cut"])
@pytest.mark.parametrize("seed", range(4))
def test_a_change_is_painted_on_the_very_next_frame(studio: Studio, change: str, seed: int) -> None:
    stage = studio.open(skip_still=True, max_skips=1000)
    draw = np.random.default_rng(seed)
    before = picture(1, SIDE, SIDE)
    after = before.copy()
    if change == "patch":
        y, x = draw.integers(0, SIDE - 16, 2)
        after[y : y + 16, x : x + 16] = 255 - after[y : y + 16, x : x + 16]
    elif change == "brightness":
        after = (after.astype(int) + 8).clip(0, 255).astype(np.uint8)
    else:
        after = picture(50 + seed, SIDE, SIDE)
    for seq in range(5):
        stage.process(studio.frame(seq, before))
    (out,) = stage.process(studio.frame(5, after))
    assert out.note == ""
    (same,) = stage.process(studio.frame(6, after))
    assert same.note == STILL
    assert np.array_equal(same.value.pixels, out.value.pixels)


@pytest.mark.parametrize("change", [{"seed": 9}, {"strength": 0.9}, {"steps": 2}, {"prompt": "pencil"}])
def test_a_changed_setting_is_painted_though_the_scene_is_still(
    studio: Studio, change: dict[str, Any]
) -> None:
    stage = studio.open(skip_still=True, max_skips=1000)
    still = picture(1, SIDE, SIDE)
    for seq in range(4):
        stage.process(studio.frame(seq, still))
    stage.configure(studio.config(skip_still=True, max_skips=1000, **change))
    stage.painter.book.later(lambda: None).result(20.0)  # the prompt is encoded
    out = [*stage.process(studio.frame(4, still)), *drained(stage)]
    assert [e.note for e in out] == [""]


def test_each_picture_is_another_one_when_noise_varies(studio: Studio) -> None:
    stage = studio.open(skip_still=True, vary=True)
    still = picture(1, SIDE, SIDE)
    out = [e for seq in range(4) for e in stage.process(studio.frame(seq, still))]
    assert [e.note for e in out] == [""] * 4


def ages(studio: Studio, stage: PaintStage, count: int, seq: int = 0) -> list[float]:
    """Feed frames at the camera's pace; return the ages in ms of what comes out."""
    found: list[float] = []
    begun_ns = studio.clock.now_ns()
    for k in range(count):
        due_ns = begun_ns + k * INTERVAL_MS * NS_PER_MS
        if studio.clock.now_ns() > due_ns + INTERVAL_MS * NS_PER_MS:
            continue  # the channel forgot it for a newer one
        studio.clock.advance(ns=max(due_ns - studio.clock.now_ns(), 0))
        stamp = Stamp("video", seq + k, (seq + k) * 3600, VIDEO_CLOCK, due_ns)
        emitted = stage.process(Frame(stamp, picture(k % 5, SIDE, SIDE)))
        found += [e.stamp.age_ms(studio.clock.now_ns()) for e in emitted if e.note != LATE]
    return found


def test_steps_fall_before_pictures_get_older_than_the_limit(studio: Studio) -> None:
    stage = studio.open(steps=4, max_age_ms=0.0)
    studio.watch(stage, row_ms=12.0)
    free = ages(studio, stage, 60)
    assert max(free[10:]) > 150
    stage.configure(studio.config(steps=4, max_age_ms=90.0))
    kept = ages(studio, stage, 120, seq=60)
    assert max(kept[-60:]) <= 90.0
    plan = stage.pace.plan
    assert plan is not None
    assert 1 <= plan.steps < 4
    stage.configure(studio.config(steps=4, max_age_ms=0.0))
    again = ages(studio, stage, 60, seq=180)
    assert max(again[10:]) > 150


def test_fewer_steps_keep_the_ends_of_exact_levels() -> None:
    wish = Wish(t_index=(0, 16, 32, 45))
    assert fewer(wish, 4) is wish
    assert fewer(wish, 2).t_index == (0, 45)
    assert fewer(wish, 3).t_index == (0, 32, 45)
    assert len(fewer(wish, 1)) == 1
    assert fewer(Wish(steps=4), 2) == Wish(steps=2)
