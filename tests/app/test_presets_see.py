"""The presets that see, whole, with the detector that comes along: others may or may not be here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.layers import read_settings
from app.registry import Registry
from app.wiring import House, Wiring
from perception.scene import Scene
from realtime.core.clock import NS_PER_S
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.stage import StageContext
from tests.perception.flow.views import view, wall

TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    one = House()
    yield one
    one.close()


def wired(house: House, preset: str, **flags: Any) -> Wiring:
    pairs = [
        ("preset", preset),
        ("stages.detect.detector", "streamnet"),
        *((name.replace("__", "."), value) for name, value in flags.items()),
    ]
    settings = read_settings(flags=pairs, environ={}).settings
    wiring = Wiring(settings, Registry(), house, StageContext(shared=house.shared), live=False)
    wiring.open()
    return wiring


def room(seq: int) -> Frame:
    pixels = np.random.default_rng(1).integers(60, 120, (30, 40, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    return Frame(Stamp("video", seq, seq * 3000, VIDEO_CLOCK, NS_PER_S + seq * NS_PER_S // 30), pixels)


def test_see_shows_the_camera_tells_scenes_and_is_steered_by_its_detector(house: House) -> None:
    wiring = wired(house, "see")
    output, (_, scenes) = wiring.output, wiring.tellings()  # of flow and detect
    assert wiring.size_px() is None
    for seq in range(4):
        wiring.put(room(seq))
        result = output.get(timeout_s=TIMEOUT_S)
        assert result.error is None
        assert result.value.pixels.shape == (240, 320, 3)
        scene = scenes.get(timeout_s=TIMEOUT_S)
        assert isinstance(scene.value, Scene)
        told = scene.value.told(NS_PER_S)
        assert (told["type"], told["detector"]) == ("seen", "streamnet")
    assert (wiring.engine() or {})["name"].startswith("Streaming detector of drawn shapes")
    wiring.configure({"zones": "door: 0,0 1,0 1,1", "overlay.trails": True, "share": 0.3})
    assert wiring.settings()["zones"].startswith("door")
    assert wiring.settings()["overlay.trails"] is True
    wiring.close()


def test_see_moves_what_it_follows_along_with_a_camera_that_turns(house: House) -> None:
    wiring = wired(house, "see")
    detect: Any = wiring._stages["detect"]
    tracker, cameras = detect._tracker, list[Any]()
    update = tracker.update

    def noted(*args: Any, camera: Any = None, **more: Any) -> Any:
        cameras.append(camera)
        return update(*args, camera=camera, **more)

    tracker.update = noted
    output, of = wiring.output, wall(0)
    for seq in range(5):
        wiring.put(replace(room(seq), pixels=view(of, 50 + 4 * seq, size=(320, 240))))
        output.get(timeout_s=TIMEOUT_S)
        assert wiring._graph.drain(TIMEOUT_S)
    assert [one is None for one in cameras] == [True, False, False, False, False]
    assert [one[0, 2] for one in cameras[1:]] == pytest.approx([-4 / 320] * 4, abs=0.003)
    wiring.close()


def test_paint_see_paints_and_draws(house: House) -> None:
    wiring = wired(house, "paint-see")
    assert wiring.size_px() == 256
    output = wiring.output
    wiring.put(room(0))
    result = output.get(timeout_s=TIMEOUT_S)
    assert result.error is None
    assert result.value.pixels.shape == (256, 256, 3)
    assert {"prompt", "detect.zones", "overlay.boxes"} <= wiring.settings().keys()
    wiring.close()


def test_faceless_covers_the_whole_picture_until_it_knows_better(house: House) -> None:
    """A detector that has seen nothing yet is no reason to show a face."""
    wiring = wired(house, "faceless", graph__output="cover")
    output = wiring.output
    wiring.put(room(0))
    first = output.get(timeout_s=TIMEOUT_S).value.pixels.astype(float)
    sharp = room(0).pixels.astype(float)
    assert np.abs(np.diff(first, axis=1)).mean() < 0.3 * np.abs(np.diff(sharp, axis=1)).mean()
    wiring.close()
