"""What features see of a session: their own frames from draft to picture, also when turned on and off."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path

import pytest

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.features import Draft, Features, Nothing
from pipelines.diffusion.stage import PaintStage
from pipelines.diffusion.trajectory import Trajectory
from tests.pipelines.diffusion.house import House, drained, near
from tests.pipelines.diffusion.vocabulary import frame

TIMEOUT_S = 20.0


class Marking(Nothing):
    """Act while delta is below 1: mark each draft, and take note of each picture."""

    def __init__(self) -> None:
        self.drafted: list[int] = []
        self.seen: list[int] = []
        self.resets = 0

    def key(self, config: PaintConfig) -> Hashable | None:
        return "on" if config.delta < 1 else None

    def draft(self, draft: Draft, config: PaintConfig) -> None:
        assert config.delta < 1
        self.drafted.append(draft.frame.stamp.seq)
        draft.extras["mark"] = draft.frame.stamp.seq
        draft.start_1CHW = draft.reference_1CHW * 0

    def finished(self, one: Trajectory, config: PaintConfig) -> None:
        assert one.extras["mark"] == one.stamp.seq
        assert config.delta < 1
        self.seen.append(one.stamp.seq)

    def reset(self) -> None:
        self.resets += 1


@pytest.fixture
def house(folder_of: Callable[..., Path]) -> House:
    return House(folder_of("painter"))


def opened(house: House, feature: Marking, **wish: object) -> PaintStage:
    stage = PaintStage()
    stage._features = Features([lambda: feature])
    stage.configure(house.config(**wish))
    stage.open(house.context())
    return stage


def test_a_feature_sees_the_frames_that_it_drafted_and_no_others(house: House) -> None:
    feature = Marking()
    stage = opened(house, feature, steps=3)
    seq = 0
    out = []
    for delta in (1.0, 0.5, 1.0, 0.5):
        stage.configure(house.config(steps=3, delta=delta))
        for _ in range(4):
            out += stage.process(frame(seq, 1))
            stage.painter.build(lambda: None).result(TIMEOUT_S)
            seq += 1
    out += drained(stage)
    assert [one.stamp.seq for one in out] == list(range(16))
    assert feature.seen == feature.drafted
    # The first time it is prepared while a frame is painted without it; then it is known.
    assert feature.drafted == [5, 6, 7, 12, 13, 14, 15]
    pictures = [one.value.pixels for one in out]
    assert not near(pictures[4], pictures[5])
    assert near(pictures[3], pictures[8])


def test_a_feature_that_is_asked_for_at_first_sees_the_first_frame(house: House) -> None:
    feature = Marking()
    stage = opened(house, feature, delta=0.5)
    stage.process(frame(0))
    assert feature.seen == [0]
    stage.reset()
    assert feature.resets == 1
