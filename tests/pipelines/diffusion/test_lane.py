"""The painter where it works: in graphs of several sessions that share a lane and an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.stage import PaintStage
from realtime.core.channel import Channel
from realtime.core.frame import Frame, Result
from realtime.core.graph import Graph
from realtime.core.lane import Lanes
from realtime.core.nodes import Node
from realtime.core.stage import StageContext
from tests.pipelines.diffusion.vocabulary import frame

TIMEOUT_S = 60.0


class Studio:
    """Hold what sessions share, and open sessions."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lanes, self.made = folder, Lanes(), dict[str, Any]()
        self.graphs: list[Graph] = []

    def shared(self, key: str, make: Callable[[], Any]) -> Any:
        return self.made[key] if key in self.made else self.made.setdefault(key, make())

    def open(self, name: str, **wish: Any) -> tuple[Graph, Channel[Result[Any]]]:
        plain = {"model": str(self.folder), "size_px": 192, "precision": "fp32", "engine": "torch"}
        config = PaintConfig(**{**plain, **wish})
        node = Node("paint", PaintStage(), PaintStage.spec, config)
        graph = Graph([node], sources={"video": Frame}, live=False)
        out = graph.subscribe("paint", capacity=32)
        graph.open(self.lanes, StageContext(name, shared=self.shared))
        self.graphs.append(graph)
        return graph, out


@pytest.fixture
def studio(folder_of: Callable[..., Path]) -> Iterator[Studio]:
    made = Studio(folder_of("painter"))
    yield made
    for graph in made.graphs:
        graph.close()
    made.lanes.close()
    for one in made.made.values():
        one.close()


def all_of(out: Channel[Result[Any]]) -> list[Result[Any]]:
    return list(iter(out.poll, None))


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_every_frame_comes_out_in_order_and_none_waits_for_the_next(studio: Studio, steps: int) -> None:
    graph, out = studio.open("one", steps=steps)
    for seq in range(6):
        graph.put("video", frame(seq))
    assert graph.drain(TIMEOUT_S)
    graph.put("video", frame(6))  # alone: it must come out though nothing follows
    assert graph.drain(TIMEOUT_S)
    results = all_of(out)
    assert [result.stamp.seq for result in results] == list(range(7))
    assert all(result.error is None and result.value.pixels.shape == (192, 192, 3) for result in results)


def test_two_sessions_on_one_lane_never_see_each_others_picture(studio: Studio) -> None:
    ann, ann_out = studio.open("ann", prompt="oil", steps=2)
    bob, bob_out = studio.open("bob", prompt="pencil", steps=1, seed=9)
    alone, alone_out = studio.open("ann again", prompt="oil", steps=2)
    for seq in range(6):
        ann.put("video", frame(seq, seed=1))
        bob.put("video", frame(seq, seed=2))
    assert ann.drain(TIMEOUT_S)
    assert bob.drain(TIMEOUT_S)
    alone.put("video", frame(0, seed=1))
    assert alone.drain(TIMEOUT_S)
    assert len(studio.made) == 1  # one painter for all
    anns, bobs = ([r.value.pixels.astype(int) for r in all_of(out)] for out in (ann_out, bob_out))
    (right,) = (r.value.pixels.astype(int) for r in all_of(alone_out))
    assert len(anns) == len(bobs) == 6
    assert all(np.abs(pixels - right).max() <= 1 for pixels in anns)
    assert all(np.abs(pixels - right).mean() > 5 for pixels in bobs)


def test_openvino_paints_what_torch_paints(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("VITASCOPE_CACHE_DIR", str(tmp_path))
    pictures = []
    for engine in ("torch", "openvino"):
        graph, out = studio.open(engine, engine=engine, steps=2)
        for seq in range(3):
            graph.put("video", frame(seq))
        assert graph.drain(TIMEOUT_S)
        pictures.append([result.value.pixels.astype(int) for result in all_of(out)])
    assert [painter.info.backend for painter in studio.made.values()] == ["torch", "openvino"]
    assert len(pictures[0]) == 3
    assert all(np.abs(a - b).max() <= 1 for a, b in zip(*pictures, strict=True))
