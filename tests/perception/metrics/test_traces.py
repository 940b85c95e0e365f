"""A session's record is judged as what its viewer saw: late boxes are wrong, carried on they are right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.recording import _Track
from perception.metrics.sap import streaming_ap
from perception.metrics.traces import outputs_of
from perception.scene import Scene, Things
from realtime.core.clock import NS_PER_S, ManualClock
from realtime.core.errors import ConfigError
from realtime.core.frame import VIDEO_CLOCK, Stamp

FPS, FRAMES, SIZE = 30.0, 60, (640, 480)
BEGUN_NS = 7 * NS_PER_S
NAMES = ("cup", "person")


def box(at_s: float) -> list[float]:
    """Where a person is who walks through the picture in four seconds, as shares."""
    left = 0.1 + 0.25 * at_s
    return [left, 0.3, left + 0.1, 0.7]


class Walk:
    def __init__(self, held_s: float | None) -> None:
        self._held_s = held_s

    def at(self, when_ns: int) -> Things:
        at_s = (when_ns - BEGUN_NS) / NS_PER_S if self._held_s is None else self._held_s
        boxes = np.array([box(at_s), [0.0, 0.0, 0.1, 0.1]], np.float32)
        still = np.zeros((2, 2), np.float32)
        return Things(
            when_ns, np.arange(2), boxes, still, np.full(2, 0.9, np.float32), np.array([1, 0]), NAMES
        )


def recorded(path: Path, *, is_held: bool, late_s: float = 0.15) -> list[str]:
    """Write the track of a session whose scenes are told `late_s` after their pictures were taken."""
    clock = ManualClock(BEGUN_NS)
    track = _Track(path, BEGUN_NS, clock)
    track.note("settings", {"least_score": 0.4})
    for frame in range(FRAMES):
        captured_ns = BEGUN_NS + round(frame / FPS * NS_PER_S)
        told_ns = captured_ns + round(late_s * NS_PER_S)
        stamp = Stamp("camera", frame, frame * 3000, VIDEO_CLOCK, captured_ns)
        scene = Scene(stamp, SIZE, "test", Walk(frame / FPS if is_held else None))
        clock.advance(ns=told_ns - clock.now_ns())
        track.note("seen", scene.told(told_ns))
    track.close()
    return path.read_text().splitlines()


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    sides = np.array([*SIZE, *SIZE])
    boxes = [np.array(box(k / FPS)) * sides for k in range(FRAMES)]
    return {
        "images": [
            {"id": k, "sid": 0, "fid": k, "width": SIZE[0], "height": SIZE[1]} for k in range(FRAMES)
        ],
        "annotations": [
            {"id": k + 1, "image_id": k, "category_id": 4, "bbox": [*b[:2], *(b[2:] - b[:2])],
             "area": float(np.prod(b[2:] - b[:2])), "iscrowd": 0}
            for k, b in enumerate(boxes)
        ],
        "categories": [{"id": 4, "name": "person"}],
        "sequences": ["walk"],
    }  # fmt: skip


def test_a_record_is_judged_by_when_things_were_told(truth: dict[str, Any], tmp_path: Path) -> None:
    score = {}
    for is_held in (False, True):
        lines = recorded(tmp_path / f"{is_held}.jsonl", is_held=is_held)
        outputs = outputs_of(lines, BEGUN_NS, SIZE, {"person": 4})
        assert len(outputs) == FRAMES
        assert outputs[0].finish_s == pytest.approx(0.15, abs=1e-4)
        assert all(len(one.boxes_N4) == 1 for one in outputs)  # the cup is in no annotation
        score[is_held] = streaming_ap(truth, {0: outputs}, FPS)
    assert score[False].missed == score[True].missed == 5
    assert score[False].ap > 75
    assert score[True].ap < 25


def test_a_line_that_is_no_event_is_named(tmp_path: Path) -> None:
    lines = [json.dumps({"type": "stats"}), "", "{broken"]
    with pytest.raises(ConfigError, match="Line 3"):
        outputs_of(lines, 0, SIZE, {})
    with pytest.raises(ConfigError, match="Line 1"):
        outputs_of(["[]"], 0, SIZE, {})
    assert outputs_of(lines[:2], 0, SIZE, {}) == []
