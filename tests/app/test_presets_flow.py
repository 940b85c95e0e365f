"""The preset that shows motion, whole: pictures with arrows come out, and what happened is told."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from app.layers import read_settings
from app.registry import Registry
from app.wiring import House, Wiring
from perception.flow.value import Flow
from realtime.core.clock import NS_PER_S
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.stage import StageContext
from tests.perception.flow.views import view, wall

TIMEOUT_S = 60.0


@pytest.fixture
def house() -> Iterator[House]:
    one = House()
    yield one
    one.close()


def test_flow_draws_motion_on_the_camera_and_tells_of_it(house: House) -> None:
    settings = read_settings(flags=[("preset", "flow")], environ={}).settings
    wiring = Wiring(settings, Registry(), house, StageContext(shared=house.shared), live=False)
    wiring.open()
    output, (tellings,) = wiring.output, wiring.tellings()
    room, differ = wall(0), 0.0
    for seq in range(12):
        picture = view(room, 50 + 4 * seq, size=(320, 240))
        wiring.put(
            Frame(Stamp("video", seq, seq * 3000, VIDEO_CLOCK, NS_PER_S + seq * NS_PER_S // 30), picture)
        )
        shown = output.get(timeout_s=TIMEOUT_S)
        assert shown.error is None
        differ = float(np.abs(shown.value.pixels.astype(int) - picture).mean())
        told = tellings.get(timeout_s=TIMEOUT_S).value
        assert isinstance(told, Flow)
    assert told.camera_23 is not None
    assert told.camera_23[0, 2] == pytest.approx(-4 / 320, abs=0.002)
    assert told.camera_moves
    assert differ > 3
    wiring.configure({"wheel": 0.0, "flow.half": True})
    assert wiring.settings()["wheel"] == 0.0
    wiring.close()
