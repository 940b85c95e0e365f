"""What is to be hidden is hidden: when it moves, when the detector is late, and when nothing is known."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.cover.config import CoverConfig
from perception.cover.stage import CoverStage
from perception.scene import Things
from realtime.core.clock import NS_PER_MS
from realtime.core.frame import Frame
from realtime.core.planar import PlanarFrame, Planes
from realtime.core.stage import StageContext
from tests.perception.overlay.scenes import Node, make_scene, make_things, plain_frame
from tests.vocabulary import make_stamp, timeless

FACE, PERSON = 1, 0
SIZE = (320, 240)
BOX = (0.4, 0.3, 0.6, 0.6)
NO_FACE = make_things([])


def opened(*nodes: Node, said: list[str] | None = None, **config: Any) -> CoverStage:
    stage = CoverStage()
    stage.configure(CoverConfig(**{"mode": "blur", **config}))
    report = (lambda sentence: None) if said is None else said.append
    stage.open(StageContext(watched={f"see{k}": node for k, node in enumerate(nodes)}, report=report))
    return stage


def shown(stage: CoverStage, frame: Frame) -> Frame:
    (out,) = stage.process(frame)
    assert out.stamp is frame.stamp
    return out.value  # type: ignore[no-any-return]


def faces(*boxes: Any, **more: Any) -> Things:
    return make_things(boxes, kinds=[FACE] * len(boxes), **more)


def striped(captured_ns: int = 0, size_px: tuple[int, int] = SIZE) -> Frame:
    """Return a picture of black and white columns: nothing but detail."""
    width, height = size_px
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, ::2] = 255
    return Frame(make_stamp(captured_ns=captured_ns), pixels)


def detail(frame: Frame) -> Any:
    """Return where the columns can still be told apart, (H, W - 1)."""
    grey = frame.pixels[..., 0].astype(int)
    return np.abs(np.diff(grey, axis=1)) > 16


def part(picture: Any, box: Any) -> Any:
    """Return what of a picture or its detail lies in a box."""
    height, width = picture.shape[:2]
    x0, x1 = np.clip(np.array([box[0], box[2]]) * width, 0, width).round().astype(int)
    y0, y1 = np.clip(np.array([box[1], box[3]]) * height, 0, height).round().astype(int)
    return picture[y0:y1, x0:x1]


def test_off_passes_the_picture_on() -> None:
    frame = striped()
    assert shown(opened(Node(make_scene(faces(BOX), SIZE)), mode="off"), frame) is frame


@pytest.mark.parametrize("look", ["soft", "mosaic", "plain"])
def test_a_face_is_hidden_and_what_is_far_from_it_is_not(look: str) -> None:
    out = shown(opened(Node(make_scene(faces(BOX), SIZE)), look=look), striped())
    assert part(detail(out), BOX).mean() < 0.05  # where squares of a mosaic meet
    assert part(detail(out), (0, 0, 0.2, 1)).all()
    assert part(detail(out), (0.8, 0, 1, 1)).all()


def test_little_is_left_below_a_cover() -> None:
    """A face of 64 x 72 px keeps no more than 6 x 7 numbers a channel: noise of one pixel is gone."""
    random = np.random.default_rng(0)
    frame = Frame(make_stamp(captured_ns=0), random.integers(0, 256, (240, 320, 3), np.uint8))
    hidden = part(shown(opened(Node(make_scene(faces(BOX), SIZE)), cells=6), frame).pixels, BOX)
    assert hidden.std() < 10 < 60 < part(frame.pixels, BOX).std()


def test_only_the_chosen_kinds_are_hidden() -> None:
    things = make_things([(0.05, 0.2, 0.25, 0.8), (0.7, 0.2, 0.9, 0.8)], kinds=[PERSON, FACE])
    out = detail(shown(opened(Node(make_scene(things, SIZE)), kinds="Person"), striped()))
    assert not part(out, things.xyxy_N4[0]).any()
    assert part(out, things.xyxy_N4[1]).all()


@settings(timeless, max_examples=40)
@given(
    x=st.floats(-0.1, 1.1),
    y=st.floats(-0.1, 1.1),
    speed=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
    late_ms=st.integers(-300, 300),
    feather_px=st.integers(0, 12),
)
def test_a_face_that_moves_is_hidden_where_it_was_and_where_it_is(
    x: float, y: float, speed: tuple[float, float], late_ms: int, feather_px: int
) -> None:
    box = (x - 0.08, y - 0.1, x + 0.08, y + 0.1)
    found = faces(box, at_ns=1000 * NS_PER_MS, velocity=[speed])
    stage = opened(Node(make_scene(found, SIZE)), look="plain", feather_px=feather_px)
    out = shown(stage, striped((1000 + late_ms) * NS_PER_MS))
    now = np.array(box) + np.tile(speed, 2) * late_ms / 1000
    for place in (np.array(box), now):
        inner = np.array([place[0] + 0.02, place[1] + 0.02, place[2] - 0.02, place[3] - 0.02])
        assert not part(detail(out), inner).any()


def test_what_is_no_longer_found_stays_hidden_for_a_while() -> None:
    node = Node(make_scene(faces(BOX), SIZE))
    stage = opened(node, hold_ms=300.0)
    shown(stage, striped())
    for at_ms, is_hidden in ((100, True), (290, True), (310, False)):
        node.newest = make_scene(make_things([], at_ns=at_ms * NS_PER_MS), SIZE)
        out = shown(stage, striped(at_ms * NS_PER_MS))
        assert (not part(detail(out), BOX).any()) == is_hidden


def test_nothing_known_hides_everything() -> None:
    said: list[str] = []
    node = Node()
    stage = opened(node, said=said, stale_ms=500.0)
    assert not detail(shown(stage, striped())).any()
    assert said == []  # it has only just begun
    node.newest = make_scene(NO_FACE, SIZE)
    assert detail(shown(stage, striped(10 * NS_PER_MS))).all()
    assert not detail(shown(stage, striped(600 * NS_PER_MS))).any()
    shown(stage, striped(700 * NS_PER_MS))
    assert said == ["Nothing was seen lately: the whole picture is covered."]
    stage.reset()
    assert not detail(shown(stage, striped(10 * NS_PER_MS))).any()


def test_one_silent_detector_of_two_hides_everything() -> None:
    assert not detail(shown(opened(Node(make_scene(NO_FACE, SIZE)), Node()), striped())).any()


def test_without_strict_the_last_places_are_hidden_and_then_nothing() -> None:
    said: list[str] = []
    stage = opened(Node(make_scene(faces(BOX), SIZE)), said=said, strict=False, stale_ms=100.0, hold_ms=400.0)
    shown(stage, striped())
    held = detail(shown(stage, striped(300 * NS_PER_MS)))
    assert not part(held, BOX).any()
    assert part(held, (0, 0, 0.2, 1)).all()
    assert detail(shown(stage, striped(500 * NS_PER_MS))).all()
    assert said == ["Nothing was seen lately: last places stay covered for 400 ms, then nothing is."]


def test_a_cover_without_a_detector_says_so_and_hides_everything() -> None:
    said: list[str] = []
    assert not detail(shown(opened(said=said), striped())).any()
    assert said == ["The cover watches no detector: the whole picture is covered."]


def test_masks_for_the_painter() -> None:
    node, frame = Node(make_scene(faces(BOX), SIZE)), striped()
    keep = shown(opened(node, mode="keep"), frame)
    paint = shown(opened(node, mode="paint"), frame)
    assert keep.pixels is frame.pixels
    assert (keep.maps["mask"] == 255 - paint.maps["mask"]).all()
    assert keep.maps["mask"].shape == (240, 320)
    assert not part(keep.maps["mask"], BOX).any()
    assert (part(paint.maps["mask"], BOX) == 255).all()
    assert not part(paint.maps["mask"], (0, 0, 0.2, 1)).any()
    nothing = Node(make_scene(NO_FACE, SIZE))
    assert (shown(opened(nothing, mode="keep"), frame).maps["mask"] == 255).all()
    assert not shown(opened(nothing, mode="paint"), frame).maps["mask"].any()
    assert not shown(opened(Node(), mode="keep"), frame).maps["mask"].any()  # nothing is known


def test_maps_that_show_the_picture_are_covered_with_it() -> None:
    lines = np.zeros((120, 160), np.uint8)
    lines[:, ::2] = 255
    rough = np.tile(np.array([0, 1], np.float32), (120, 80))
    motion = np.ones((60, 80, 2), np.float32)
    frame = striped().with_maps(edges=lines, depth=rough, motion=motion, mask=lines)
    maps = shown(opened(Node(make_scene(faces(BOX), SIZE))), frame).maps
    for name in ("edges", "depth"):
        there = part(maps[name].astype(float), BOX)
        assert np.abs(np.diff(there, axis=1)).max() < 0.1 * maps[name].max()
    assert maps["motion"].dtype == np.float32
    assert (maps["mask"] == lines).all()


def test_the_painted_square_is_covered_in_its_own_places() -> None:
    things = faces((0.5, 0.4, 0.625, 0.6))
    out = detail(shown(opened(Node(make_scene(things, (640, 480)))), striped(size_px=(256, 256))))
    assert not part(out, (0.5, 0.4, 2 / 3, 0.6)).any()
    assert part(out, (0, 0, 0.3, 1)).all()


@pytest.mark.parametrize("size_px", [(1, 1), (1, 200), (200, 1), (48, 85), (1080, 1920)])
@pytest.mark.parametrize("mode", ["blur", "keep", "paint"])
@pytest.mark.parametrize("look", ["soft", "mosaic", "plain"])
def test_any_size(size_px: tuple[int, int], mode: str, look: str) -> None:
    things = make_things(
        [(-0.2, -0.2, 0.3, 0.4), (0.5, 0.5, 0.5, 0.5), (0.9, 0.9, 2.0, 2.0)],
        kinds=[0, 1, 1],
        velocity=[[np.nan, 1e6], [0, 0], [1, 1]],
    )
    for node in (Node(), Node(make_scene(things, (64, 48))), Node(make_scene(NO_FACE, (64, 48)))):
        stage = opened(node, mode=mode, look=look, kinds="", feather_px=5)
        frame = plain_frame(100 * NS_PER_MS, size_px, 50)
        assert shown(stage, frame).pixels.shape == frame.pixels.shape


def test_five_hundred_faces_and_a_change_of_size() -> None:
    random = np.random.default_rng(0)
    low = random.uniform(0, 0.95, (500, 2))
    things = faces(*np.concatenate([low, low + 0.05], axis=1).tolist())
    stage = opened(Node(make_scene(things, SIZE)))
    for seq, size_px in enumerate([SIZE, (256, 256), (240, 320)]):
        frame = plain_frame(seq * 30 * NS_PER_MS, size_px)
        assert shown(stage, frame).pixels.shape == frame.pixels.shape


def test_planes_are_not_worked_out_for_a_mask() -> None:
    planes = Planes(
        np.full((72, 64), 128, np.uint8),
        lambda i420: np.asarray(cv2.cvtColor(i420, cv2.COLOR_YUV2RGB_I420), np.uint8),
    )
    frame = PlanarFrame(make_stamp(captured_ns=0), planes)
    out = shown(opened(Node(make_scene(faces(BOX), (64, 48))), mode="keep"), frame)
    assert set(out.maps) == {"mask"}
    assert not planes.is_converted
