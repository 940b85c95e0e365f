"""Things are drawn where they are in the picture that is shown, and nothing else of it is touched."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from perception.overlay.config import OverlayConfig
from perception.overlay.stage import OverlayStage
from perception.scene import Place
from realtime.core.clock import NS_PER_MS
from realtime.core.frame import Frame
from realtime.core.planar import PlanarFrame, Planes
from realtime.core.stage import StageContext
from tests.perception.overlay.scenes import Node, make_scene, make_things, plain_frame
from tests.vocabulary import make_stamp

BOX = (0.25, 0.25, 0.5, 0.5)
BOXES_ONLY: dict[str, Any] = {"labels": False}


def opened(*nodes: Node, **config: Any) -> OverlayStage:
    stage = OverlayStage()
    stage.configure(OverlayConfig(**config))
    stage.open(StageContext(watched={f"see{k}": node for k, node in enumerate(nodes)}))
    return stage


def shown(stage: OverlayStage, frame: Frame) -> Frame:
    (out,) = stage.process(frame)
    assert out.stamp is frame.stamp
    return out.value  # type: ignore[no-any-return]


def touched(before: Frame, after: Frame) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what differs."""
    y, x = np.nonzero((before.pixels != after.pixels).any(2))
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1


def middle_px(before: Frame, after: Frame) -> tuple[float, float]:
    left, top, right, bottom = touched(before, after)
    return (left + right) / 2, (top + bottom) / 2


def test_a_box_is_drawn_where_the_thing_is_at_the_time_of_the_picture() -> None:
    things = make_things([BOX], velocity=[[0.5, 0.25]])
    stage = opened(Node(make_scene(things, (640, 480))), **BOXES_ONLY)
    for late_ms in (0, 100, 400):
        frame = plain_frame(late_ms * NS_PER_MS, (640, 480), 128)
        x, y = middle_px(frame, shown(stage, frame))
        passed_s = late_ms / 1000
        assert x == pytest.approx((0.375 + 0.5 * passed_s) * 640, abs=1)
        assert y == pytest.approx((0.375 + 0.25 * passed_s) * 480, abs=1)


def test_a_picture_from_before_the_scene_shows_where_things_were() -> None:
    things = make_things([BOX], at_ns=500 * NS_PER_MS, velocity=[[0.2, 0.0]])
    stage = opened(Node(make_scene(things, (640, 480))), **BOXES_ONLY)
    frame = plain_frame(0, (640, 480), 128)
    assert middle_px(frame, shown(stage, frame))[0] == pytest.approx((0.375 - 0.1) * 640, abs=1)


def test_a_late_picture_meets_the_scene_of_its_own_time() -> None:
    node = Node(make_scene(make_things([BOX]), (640, 480)))
    stage = opened(node, **BOXES_ONLY)
    shown(stage, plain_frame(0, (640, 480)))
    node.newest = make_scene(make_things([(0.6, 0.6, 0.8, 0.8)], at_ns=400 * NS_PER_MS), (640, 480))
    late = plain_frame(10 * NS_PER_MS, (640, 480), 128)
    assert middle_px(late, shown(stage, late))[0] == pytest.approx(0.375 * 640, abs=1)


def test_what_is_stale_is_not_drawn() -> None:
    stage = opened(Node(make_scene(make_things([BOX]))), stale_ms=300.0)
    young, old = plain_frame(290 * NS_PER_MS), plain_frame(310 * NS_PER_MS)
    assert (shown(stage, young).pixels != young.pixels).any()
    assert shown(stage, old) is old


def test_another_source_and_no_scene_and_no_node_pass_the_picture_on() -> None:
    frame = plain_frame(source="other")
    assert shown(opened(Node(make_scene(make_things([BOX])))), frame) is frame
    assert shown(opened(Node()), frame) is frame
    assert shown(opened(), frame) is frame


def test_reset_forgets_the_scene_that_the_node_still_holds() -> None:
    node, frame = Node(make_scene(make_things([BOX]))), plain_frame()
    stage = opened(node)
    assert shown(stage, frame) is not frame
    stage.reset()
    assert shown(stage, frame) is frame
    node.newest = make_scene(make_things([BOX]))
    assert shown(stage, frame) is not frame


def test_two_nodes_are_drawn_together() -> None:
    left, right = make_things([(0.1, 0.2, 0.3, 0.8)]), make_things([(0.6, 0.2, 0.9, 0.8)], kinds=[2])
    frame = plain_frame(0, (320, 240), 128)
    stage = opened(Node(make_scene(left, (320, 240))), Node(make_scene(right, (320, 240))), **BOXES_ONLY)
    x0, _, x1, _ = touched(frame, shown(stage, frame))
    assert (x0, x1) == (pytest.approx(0.1 * 320, abs=4), pytest.approx(0.9 * 320, abs=4))


def test_the_painted_square_shows_the_middle_of_what_was_seen() -> None:
    things = make_things([(0.5, 0.4, 0.625, 0.6), (0.0, 0.4, 0.1, 0.6)])  # the second is cut off
    frame = plain_frame(0, (256, 256), 128)
    stage = opened(Node(make_scene(things, (640, 480))), **BOXES_ONLY)
    x0, y0, x1, y1 = touched(frame, shown(stage, frame))
    # 640 x 480 shows x from 80 to 560 px: the box from 320 to 400 px lies at 1/2 to 2/3
    assert (x0, x1) == (pytest.approx(128, abs=4), pytest.approx(256 * 2 / 3, abs=4))
    assert (y0, y1) == (pytest.approx(0.4 * 256, abs=4), pytest.approx(0.6 * 256, abs=4))


@pytest.mark.parametrize("size_px", [(1, 1), (1, 300), (300, 1), (7, 5), (48, 85), (1080, 1920)])
@pytest.mark.parametrize("count", [0, 1, 12])
def test_any_size_and_any_number(size_px: tuple[int, int], count: int) -> None:
    stage = OverlayStage()
    random = np.random.default_rng(count)
    ends = np.sort(random.uniform(-0.5, 1.5, (count, 2, 2)), axis=1).reshape(count, 4)
    things = make_things(ends.tolist(), kinds=(np.arange(count) % 3).tolist())
    place = Place("door", np.array([[0.1, 0.1], [0.9, 0.2], [0.5, 0.9]], np.float32), inside=2)
    node = Node(make_scene(things, (64, 48), (place,)))
    stage = opened(node, trails=True, speed=True, ids=True, line_px=3.0)
    frame = plain_frame(0, size_px)
    out = shown(stage, frame)
    assert out.pixels.shape == frame.pixels.shape
    assert not frame.pixels.any()


def test_five_hundred_things() -> None:
    random = np.random.default_rng(0)
    low = random.uniform(0, 0.9, (500, 2))
    things = make_things(np.concatenate([low, low + 0.08], axis=1).tolist())
    frame = plain_frame(0, (640, 480))
    assert shown(opened(Node(make_scene(things, (640, 480)))), frame).pixels.any()


def test_what_is_not_a_number_is_not_drawn() -> None:
    things = make_things([(np.nan, 0.2, 0.5, 0.5), (0.2, 0.2, np.inf, 0.5)])
    frame = plain_frame()
    assert shown(opened(Node(make_scene(things))), frame) is frame


def test_a_change_of_size_amid_the_stream() -> None:
    things = make_things([BOX], velocity=[[0.1, 0.0]])
    stage = opened(Node(make_scene(things, (640, 480))), trails=True)
    for seq, size_px in enumerate([(640, 480), (256, 256), (320, 240), (480, 640)]):
        frame = plain_frame(seq * 33 * NS_PER_MS, size_px)
        assert shown(stage, frame).pixels.shape == frame.pixels.shape


def test_names_and_scores_choose_what_is_drawn() -> None:
    things = make_things([BOX, (0.6, 0.6, 0.9, 0.9)], kinds=[0, 2], scores=[0.9, 0.4])
    node, frame = Node(make_scene(things, (320, 240))), plain_frame(0, (320, 240), 128)
    stage = opened(node, **BOXES_ONLY, names=" Person ,bus")
    assert touched(frame, shown(stage, frame))[2] <= 0.5 * 320 + 3
    stage.configure(OverlayConfig(**BOXES_ONLY, least_score=0.5))
    assert touched(frame, shown(stage, frame))[2] <= 0.5 * 320 + 3
    stage.configure(OverlayConfig(**BOXES_ONLY, names="bus"))
    assert shown(stage, frame) is frame


def test_maps_stay_and_planes_are_only_worked_out_when_something_is_drawn() -> None:
    planes = Planes(
        np.full((72, 64), 128, np.uint8),
        lambda i420: np.asarray(cv2.cvtColor(i420, cv2.COLOR_YUV2RGB_I420), np.uint8),
    )
    frame = PlanarFrame(make_stamp(captured_ns=0), planes, {"edges": np.zeros((48, 64), np.uint8)})
    node = Node(make_scene(make_things([])))
    stage = opened(node)
    assert shown(stage, frame) is frame
    assert not planes.is_converted
    node.newest = make_scene(make_things([BOX]))
    assert set(shown(stage, frame).maps) == {"edges"}


def test_a_trail_shows_where_a_thing_has_been() -> None:
    node = Node()
    stage = opened(node, boxes=False, labels=False, trails=True, trail_s=1.0)
    for k in range(4):
        at_ns = k * 100 * NS_PER_MS
        x = 0.2 + 0.1 * k
        node.newest = make_scene(make_things([(x, 0.4, x + 0.1, 0.6)], at_ns=at_ns), (320, 240))
        frame = plain_frame(at_ns, (320, 240))
        out = shown(stage, frame)
    x0, y0, x1, y1 = touched(frame, out)
    assert x0 < 0.36 * 320
    assert x1 == pytest.approx(0.55 * 320, abs=4)
    assert (y0 + y1) / 2 == pytest.approx(0.5 * 240, abs=2)


def test_a_zone_is_drawn_where_it_is_watched() -> None:
    place = Place("door", np.array([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]], np.float32))
    frame = plain_frame(0, (320, 240), 128)
    stage = opened(Node(make_scene(make_things([]), (320, 240), (place,))))
    x0, y0, x1, y1 = touched(frame, shown(stage, frame))
    assert (x0, y0) == (pytest.approx(80, abs=5), pytest.approx(60, abs=5))
    assert (x1, y1) == (pytest.approx(240, abs=5), pytest.approx(180, abs=5))
    stage.configure(OverlayConfig(zones=False))
    assert shown(stage, frame) is frame


def test_a_line_shows_which_way_is_in() -> None:
    down = Place("", np.array([[0.5, 0.1], [0.5, 0.9]], np.float32), is_line=True)
    frame = plain_frame(0, (63, 48), 128)  # too small for words
    x0, _, x1, _ = touched(frame, shown(opened(Node(make_scene(make_things([]), (63, 48), (down,)))), frame))
    assert 31.5 - x0 > x1 - 31.5 + 3  # who goes down has the picture's left at his right hand


def test_labels_do_not_cover_each_other() -> None:
    things = make_things([(0.4, 0.4, 0.6, 0.6)] * 3)
    frame = plain_frame(0, (320, 320), 128)
    stage = opened(Node(make_scene(things, (320, 320))), boxes=False)
    _, y0, _, y1 = touched(frame, shown(stage, frame))
    assert y0 < 0.4 * 320 < 0.6 * 320 < y1  # one above, one below, and none for the third
    stage = opened(Node(make_scene(make_things([(0.4, 0.0, 0.6, 0.6)]), (320, 320))), boxes=False)
    assert touched(frame, shown(stage, frame))[3] < 0.2 * 320  # no room above: inside


def test_labels_say_name_score_number_and_speed() -> None:
    things = make_things([(0.4, 0.5, 0.6, 0.7)], velocity=[[0.3, 0.4]])
    frame = plain_frame(0, (320, 320), 128)
    widths = []
    for more in ({"scores": False}, {}, {"ids": True}, {"ids": True, "speed": True}):
        stage = opened(Node(make_scene(things, (320, 320))), boxes=False, **more)
        x0, _, x1, _ = touched(frame, shown(stage, frame))
        widths.append(x1 - x0)
    assert widths == sorted(set(widths))
