"""Frames in flight that see each other, in the stage: live, within a session, only where several are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipelines.diffusion.stages import Stages, apart, different, painted, painted_together

Folders = Callable[..., Path]


@pytest.fixture(scope="module")
def house(folder_of: Folders) -> Stages:
    return Stages(folder_of("sd"), steps=3, strength=0.8)


def test_it_is_live_and_none_is_plain(house: Stages) -> None:
    plain = painted(house.open(), different(5))
    stage = house.open(cross_frame=1.0)
    full = painted(stage, different(5))
    stage.reset()
    stage.configure(house.config(cross_frame=0.3))
    some = painted(stage, different(5))
    stage.reset()
    stage.configure(house.config(cross_frame=0.0))
    assert apart(painted(stage, different(5)), plain) <= 1.0
    assert apart(full, plain) > 5.0
    assert apart(some, full) > 2.0


def test_another_sessions_pictures_change_not_a_byte(house: Stages) -> None:
    outcomes = []
    for first in (50, 80):
        stages = [house.open("mine", cross_frame=1.0), house.open("theirs", cross_frame=1.0)]
        ours, _ = painted_together(stages, [different(5), different(5, first)])
        outcomes.append([pixels.tobytes() for pixels in ours])
    assert outcomes[0] == outcomes[1]
    alone = painted(house.open(cross_frame=1.0), different(5))
    ours = painted_together(
        [house.open("mine", cross_frame=1.0), house.open("theirs", cross_frame=1.0)],
        [different(5), different(5, 50)],
    )[0]
    assert apart(ours, alone) <= 1.0


def test_with_one_step_there_is_nobody_to_see(house: Stages) -> None:
    plain = painted(house.open(steps=1), different(3))
    assert apart(painted(house.open(steps=1, cross_frame=1.0), different(3)), plain) <= 1.0


def test_the_two_sides_of_guidance_do_not_see_each_other(house: Stages) -> None:
    wish = {"steps": 1, "guidance": "full", "guidance_scale": 2.0, "negative_prompt": "dog"}
    plain = painted(house.open(**wish), different(3))
    assert apart(painted(house.open(**wish, cross_frame=1.0), different(3)), plain) <= 1.0
