"""Partial runs in the stage: exact when off, whole where they must be, close where the picture is alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from pipelines.diffusion.reuse import Reuse
from pipelines.diffusion.stage import PaintStage
from realtime.core.frame import Frame
from tests.pipelines.diffusion.stages import (
    Stages,
    apart,
    different,
    feature,
    noisy_still,
    painted,
    painted_together,
)
from tests.pipelines.diffusion.vocabulary import stamp

Folders = Callable[..., Path]


@pytest.fixture(scope="module", params=["painter", "sd"])
def house(request: pytest.FixtureRequest, folder_of: Folders) -> Stages:
    return Stages(folder_of(request.param), strength=0.5)


def ways(stage: PaintStage, pictures: Sequence[np.ndarray], first: int = 0) -> str:
    """Return which way each picture's due steps went, a letter a call: W whole, p in part."""
    stage_kit = stage._fit.kit if stage._fit else None
    assert stage_kit is not None
    assert stage_kit.shortcut is not None
    seen: list[str] = []
    for kit, letter in ((stage_kit, "W"), (stage_kit.shortcut.kit, "p")):
        kit.engine.run = counted(kit.engine, letter, seen)  # type: ignore[method-assign]
    try:
        for seq, pixels in enumerate(pictures, first):
            stage.process(Frame(stamp(seq), pixels))
    finally:
        for kit in (stage_kit, stage_kit.shortcut.kit):
            del kit.engine.run
    return "".join(seen)


def counted(engine: object, letter: str, seen: list[str]) -> Callable[..., object]:
    run = type(engine).run

    def counting(**named: object) -> object:
        seen.append(letter)
        return run(engine, **named)  # type: ignore[attr-defined]

    return counting


@pytest.mark.parametrize("across", ["frames", "steps"])
def test_an_interval_of_one_is_exact(house: Stages, across: str) -> None:
    wish = {"reuse_across": across, "steps": 2}
    stage = house.open(**wish, reuse_interval=2, reuse_alike=0.0)
    in_part = painted(stage, noisy_still(4, 12.0))
    plain = painted(house.open(steps=2), noisy_still(4, 12.0))
    stage.reset()
    stage.configure(house.config(**wish, reuse_interval=1))
    assert apart(painted(stage, noisy_still(4, 12.0)), plain) <= 1.0
    assert apart(in_part, plain) > 1.0


def test_one_frame_in_so_many_is_whole(house: Stages) -> None:
    stage = house.open(reuse_interval=3)
    assert ways(stage, noisy_still(8)) == "WppWppWp"
    stage.reset()
    assert ways(stage, noisy_still(2)) == "Wp"


def test_another_picture_is_whole_and_so_is_one_with_other_words(house: Stages) -> None:
    stage = house.open(reuse_interval=8)
    assert ways(stage, [*noisy_still(2), *different(3, 70)]) == "WpWWW"
    stage.reset()
    assert ways(stage, noisy_still(2)) == "Wp"
    stage.configure(house.config(reuse_interval=8, seed=9))
    assert ways(stage, noisy_still(3), first=2) == "Wpp"
    house.change(stage, reuse_interval=8, seed=9, prompt="pencil")
    stage._prompter.wait(20.0)  # type: ignore[union-attr]
    assert ways(stage, noisy_still(3), first=5) == "Wpp"


def test_alike_may_be_asked_for_not_at_all(house: Stages) -> None:
    assert ways(house.open(reuse_interval=8, reuse_alike=0.0), different(4)) == "Wppp"


def test_steps_take_what_the_step_before_of_the_same_frame_had(house: Stages) -> None:
    stage = house.open(reuse_interval=2, reuse_across="steps", steps=4, reuse_alike=0.0)
    calls = ways(stage, different(6))
    assert sorted(calls[-2:]) == ["W", "p"]  # a full batch: two steps of four are whole, in one call each
    stage.reset()
    one = painted(stage, different(1))
    stage.reset()
    assert apart(painted(stage, different(3, 5) + different(1))[-1:], one) <= 1.0  # no frame lends to another


def test_a_still_scene_is_close_to_what_it_would_be(house: Stages) -> None:
    plain = painted(house.open(), noisy_still(6))
    in_part = painted(house.open(reuse_interval=3), noisy_still(6))
    other = painted(house.open(reuse_interval=3, reuse_alike=0.0), different(6))
    error = np.mean([np.abs(a - b).mean() for a, b in zip(in_part, plain, strict=True)])
    far = np.mean(
        [np.abs(a - b).mean() for a, b in zip(other, painted(house.open(), different(6)), strict=True)]
    )
    assert error < 0.5 * far


def test_in_company_it_is_what_it_is_alone(house: Stages) -> None:
    wish = {"reuse_interval": 2, "steps": 2, "reuse_alike": 0.0}
    alone = painted(house.open(**wish), different(6))
    stages = [house.open("mine", **wish), house.open("theirs", **{**wish, "steps": 1})]
    ours, _ = painted_together(stages, [different(6), different(6, 50)])
    assert apart(ours, alone) <= 1.0


def test_both_sides_of_guidance_are_reused(house: Stages) -> None:
    wish = {"guidance": "full", "guidance_scale": 1.5, "negative_prompt": "dog"}
    stage = house.open(**wish, reuse_interval=2)
    assert ways(stage, noisy_still(4)) == "WpWp"
    assert set(feature(stage, Reuse)._store.deep) == {(0, False), (0, True)}


def test_beside_other_additions_it_rests_and_says_so(folder_of: Folders) -> None:
    house = Stages(folder_of("sd"))
    stage = house.open(reuse_interval=2, memory=1.0)
    assert any("rests" in report for report in house.reports)
    assert stage._fit is not None
    assert stage._fit.kit.shortcut is None
    assert len(painted(stage, different(3))) == 3
