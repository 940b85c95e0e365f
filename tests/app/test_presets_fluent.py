"""The preset that shows pictures between paintings, with a painter that costs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field

from app.layers import read_settings
from app.registry import STAGES, Registry
from app.wiring import House, Wiring
from pipelines.diffusion.pictures import square
from realtime.core.clock import ManualClock
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.stage import Emitted, StageContext, StageSpec
from tests.perception.flow.views import view, wall

TIMEOUT_S = 20.0
WALL = wall(0)


class CheapConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    size_px: int = Field(192, description="Side.")


class Cheap:
    """Paint every third picture of the camera: invert its square."""

    spec = StageSpec("paint", takes=Frame, gives=Frame, config=CheapConfig, lane="paint", says="Inverts.")

    def open(self, ctx: StageContext) -> None: ...

    def configure(self, config: CheapConfig) -> None: ...

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        if item is None or item.stamp.seq % 3:
            return ()
        return (Emitted(item.stamp, Frame(item.stamp, 255 - square(item.pixels, 192))),)

    def reset(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def house() -> Iterator[House]:
    one = House()
    yield one
    one.close()


def test_fluent_shows_more_pictures_than_are_painted_and_says_how_old_the_paint_is(house: House) -> None:
    flags = [("preset", "fluent"), ("stages.paint.size_px", "192")]
    settings = read_settings(flags=flags, environ={}).settings
    clock, registry = ManualClock(), Registry({**STAGES, "paint": f"{__name__}:Cheap"})
    wiring = Wiring(settings, registry, house, StageContext(clock=clock))
    assert wiring.size_px() == 192  # of the painter that it watches
    wiring.open()
    wiring.try_out()
    output = wiring.output

    def show(seq: int) -> None:
        clock.advance(ms=1000 / 30)
        stamp = Stamp("video", seq, seq * 3000, VIDEO_CLOCK, clock.now_ns())
        wiring.put(Frame(stamp, view(WALL, 20 + 2 * seq, size=(320, 240))))
        assert wiring._graph.drain(TIMEOUT_S)  # painted and seen by all

    show(3)
    shown: list[Any] = []
    for seq in range(4, 13):
        show(seq)
        shown.append(output.get(timeout_s=0))
    assert [one.error for one in shown] == [None] * 9
    assert [one.stamp.seq for one in shown] == list(range(4, 13))
    for one in shown:
        wanted = 255 - square(view(WALL, 20 + 2 * one.stamp.seq, size=(320, 240)), 192)
        assert np.abs(one.value.pixels.astype(int) - wanted)[8:-8, 8:-8].mean() < 3
    figures = wiring.figures()
    assert figures["paint_age_p95_ms"] in (33.3, 66.7, 100.0)
    assert figures["age_p95_ms"] == 0
    assert 5 < figures["painted_fps"] < 15 < figures["fps"]
    wiring.configure({"fill.between": False})
    assert wiring.settings()["fill.between"] is False
    wiring.close()


def test_calm_lets_the_painter_ask_flow_whether_anything_moved(house: House) -> None:
    settings = read_settings(flags=[("preset", "calm")], environ={}).settings
    wiring = Wiring(settings, Registry(), house, StageContext())
    assert wiring._graph._glances["paint"].keys() == {"flow"}
    assert wiring.settings()["skip_still"] is True
    wiring.configure({"still_motion": False})  # live
    assert wiring.settings()["still_motion"] is False
    wiring.close()
