"""The network in the stage: live and in films, there and back, what it refuses, and that ours sees motion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perception.flow.config import FlowConfig
from perception.flow.stage import FlowStage
from perception.flow.value import Flow
from perception.nets.streamflow.model import StreamFlow
from perception.nets.streamflow.plans import PLANS
from perception.nets.streamflow.weights import to_folder
from perception.nets.streamflow.windows import chunked, live
from realtime.core.errors import ConfigError, ModelError, ModelMissing
from realtime.core.frame import Frame
from realtime.core.stage import Emitted, StageContext
from tests.perception.flow.views import view, wall, with_thing
from tests.vocabulary import make_stamp

WALL, OTHER = wall(0), wall(1)
SIZE = (160, 132)
"""Width and height; the latter is no multiple of 8."""
FRAMES, ROUNDS = 3, 2


@pytest.fixture(scope="module")
def model() -> StreamFlow:
    torch.manual_seed(3)
    return StreamFlow(PLANS["tiny"], FRAMES).eval()


@pytest.fixture(scope="module")
def folder(model: StreamFlow, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("streamflow")
    to_folder(model, {"plan": "tiny"}, place)
    return place


@pytest.fixture(scope="module")
def shared() -> Callable[[str, Callable[[], Any]], Any]:
    made: dict[str, Any] = {}

    def share(key: str, make: Callable[[], Any]) -> Any:
        if key not in made:
            made[key] = make()
        return made[key]

    return share


@pytest.fixture
def stages(folder: Path, shared: Any) -> Iterator[Callable[..., FlowStage]]:
    opened: list[FlowStage] = []

    def make(*, is_live: bool, **config: Any) -> FlowStage:
        stage = FlowStage()
        how = {"method": "streamflow", "weights": str(folder), "rounds": ROUNDS, "engine": "torch"} | config
        stage.configure(FlowConfig(**how))
        stage.open(StageContext(shared=shared, is_live=is_live))
        opened.append(stage)
        return stage

    yield make
    for stage in opened:
        stage.close()


def pictures(count: int, size: tuple[int, int] = SIZE, of: Any = WALL) -> list[Any]:
    return [view(of, 50 + 3 * k, size=size) for k in range(count)]


def given(stage: FlowStage, pixels: Any, seq: int) -> list[Emitted]:
    return list(stage.process(Frame(make_stamp(seq, "camera"), pixels)))


def frames_of(shown: list[Any]) -> list[torch.Tensor]:
    return [torch.from_numpy(one.transpose(2, 0, 1).astype(np.float32)) for one in shown]


def off(value_HW2: Any, wanted_2HW: torch.Tensor) -> float:
    return float(np.abs(value_HW2 - wanted_2HW.permute(1, 2, 0).numpy()).max())


@torch.inference_mode()
def test_live_it_gives_what_live_windows_give_and_a_cut_begins_anew(
    stages: Callable[..., FlowStage], model: StreamFlow
) -> None:
    shown = [*pictures(4), *pictures(3, of=OTHER)]
    stage = stages(is_live=True)
    flows = []
    for seq, pixels in enumerate(shown):
        (one,) = given(stage, pixels, seq)
        assert one.stamp.seq == seq
        flows.append(one.value)
    assert [flow.is_cut for flow in flows] == [False] * 4 + [True] + [False] * 2
    for part, scene in ((shown[:4], flows[:4]), (shown[4:], flows[4:])):
        wanted = list(live(frames_of(part), FRAMES, lambda window, start: model(window, ROUNDS, start)))
        assert scene[0].before is None
        for flow, forward in zip(scene[1:], wanted[1:], strict=True):
            assert forward is not None
            assert float(forward.abs().max()) > 0.1
            assert flow.forward_HW2.shape == (132, 160, 2)
            assert off(flow.forward_HW2, forward) < 1e-3


@torch.inference_mode()
def test_in_a_film_windows_share_one_picture_and_each_flow_has_its_own_stamp(
    stages: Callable[..., FlowStage], model: StreamFlow
) -> None:
    """Four pictures: a window of three, and a last one that is shifted back when no more come."""
    shown, stage = pictures(4), stages(is_live=False)
    counts, flows = [], []
    for seq, pixels in enumerate(shown):
        found = given(stage, pixels, seq)
        counts.append(len(found))
        flows += found
    flows += stage.process(None)
    assert counts == [1, 0, 2, 0]
    assert list(stage.process(None)) == []
    assert [one.stamp.seq for one in flows] == [0, 1, 2, 3]
    assert [one.value.before and one.value.before.seq for one in flows] == [None, 0, 1, 2]
    wanted = list(chunked(frames_of(shown), FRAMES, lambda window, start: model(window, ROUNDS, start)))
    for one, forward in zip(flows[1:], wanted, strict=True):
        assert off(one.value.forward_HW2, forward) < 1e-3
    # The way back is that of a film that runs backwards.
    back = model(torch.stack(frames_of(shown[:3])).flip(0)[None], ROUNDS).pixels_BS2HW[0]
    assert off(flows[1].value.backward_HW2, back[1]) < 1e-3
    assert off(flows[2].value.backward_HW2, back[0]) < 1e-3


def test_what_waits_is_told_before_a_cut_and_a_flash_keeps_its_place(
    stages: Callable[..., FlowStage],
) -> None:
    first, second = pictures(2)
    black, other = np.zeros_like(first), view(OTHER, 50, size=SIZE)
    stage, told = stages(is_live=False), []
    for seq, pixels in enumerate((first, second, black, second, other)):
        found = given(stage, pixels, seq)
        assert bool(found) == (seq in (0, 4))
        told += found
    assert [one.stamp.seq for one in told] == [0, 1, 2, 3, 4]
    flows: list[Flow] = [one.value for one in told]
    assert [flow.before is not None for flow in flows] == [False, True, False, True, False]
    assert not flows[3].forward_HW2.any()
    assert flows[3].consistent_HW.all()  # the same picture again
    assert flows[4].is_cut


def test_a_picture_that_it_cannot_take_is_refused(stages: Callable[..., FlowStage]) -> None:
    stage = stages(is_live=True, longest_px=80)
    with pytest.raises(ConfigError, match="80x66 px is too small") as caught:
        given(stage, pictures(1)[0], 0)
    assert "128 px" in caught.value.hint
    large = stages(is_live=True, longest_px=1920)
    with pytest.raises(ConfigError, match="GB for a picture of 1920x1080 px") as caught:
        given(large, pictures(1, (1920, 1080))[0], 0)
    assert "longest_px" in caught.value.hint


def test_weights_that_are_none_are_refused(stages: Callable[..., FlowStage], tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="no file"):
        stages(is_live=True, weights=str(tmp_path / "sintel.pth"))
    (tmp_path / "things.pth").write_bytes(b"none")
    with pytest.raises(ModelError, match="no checkpoint"):
        stages(is_live=True, weights=str(tmp_path / "things.pth"))


def test_ours_sees_motion(shared: Any) -> None:
    """A pan of 6 px with a thing that goes 10 px the other way, in colours that training never saw."""
    stage = FlowStage()
    stage.configure(FlowConfig(method="streamflow", engine="torch"))
    stage.open(StageContext(shared=shared, is_live=True))
    size = (192, 160)
    shown = [with_thing(view(WALL, 50 + 6 * k, size=size), OTHER, 30 + 10 * k, 50, 64) for k in range(3)]
    flow = [given(stage, pixels, seq)[0].value for seq, pixels in enumerate(shown)][-1]
    stage.close()
    wanted = np.broadcast_to(np.float32((6, 0)), flow.backward_HW2.shape).copy()
    wanted[50:114, 50:114] = (-10, 0)
    off = np.linalg.norm(flow.backward_HW2 - wanted, axis=-1)
    none = np.linalg.norm(wanted, axis=-1)
    assert off.mean() < 0.5 * none.mean()
    assert off[60:104, 60:104].mean() < 0.5 * none[60:104, 60:104].mean()
    sure = flow.consistent_HW
    assert sure.mean() > 0.05
    assert off[sure].mean() < off[~sure].mean()  # what leads home is the better part


@pytest.mark.nightly
def test_a_published_checkpoint_of_a_person_is_taken(
    stages: Callable[..., FlowStage], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    state = {f"module.{name}": value for name, value in StreamFlow(PLANS["large"], 2).state_dict().items()}
    torch.save({"model": state}, tmp_path / "pairs.pth")
    stage = stages(is_live=True, weights=str(tmp_path / "pairs.pth"), rounds=1)
    assert stage._estimator is not None
    assert stage._estimator.at_once == 1  # two frames: one pair
