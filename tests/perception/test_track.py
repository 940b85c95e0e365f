"""Following things: numbers stay, misses are bridged, cuts forget, and nothing is ever NaN."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest

from perception.kalman import START, Habit
from perception.metrics.world import World, WorldSettings, detections
from perception.scene import Detections, Things
from perception.track import Tracker
from realtime.core.clock import NS_PER_MS, NS_PER_S

STEP_NS = NS_PER_S // 30
NAMES = ("person", "car")
Box = tuple[float, float, float, float]


def seen(
    *boxes: Box, kinds: Sequence[int] | None = None, scores: Sequence[float] | None = None
) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores if scores is not None else np.linspace(0.9, 0.5, count), np.float32),
        np.array(kinds if kinds is not None else [0] * count, np.int64),
        NAMES,
    )


def at(x: float, y: float, w: float = 0.1, h: float = 0.2) -> Box:
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def middles(things: Things) -> np.ndarray:
    return (things.xyxy_N4[:, :2] + things.xyxy_N4[:, 2:]) / 2


def test_what_moves_evenly_is_where_it_is_going_and_its_velocity_is_told() -> None:
    tracker = Tracker()
    for k in range(20):
        motion = tracker.update(seen(at(0.2 + 0.01 * k, 0.5 - 0.005 * k)), k * STEP_NS)
    ahead = motion.at(19 * STEP_NS + 100 * NS_PER_MS)
    assert middles(ahead)[0] == pytest.approx([0.2 + 0.01 * 22, 0.5 - 0.005 * 22], abs=0.002)
    assert ahead.velocity_N2[0] == pytest.approx([0.3, -0.15], abs=0.01)
    behind = motion.at(19 * STEP_NS - 2 * STEP_NS)
    assert middles(behind)[0] == pytest.approx([0.2 + 0.01 * 17, 0.5 - 0.005 * 17], abs=0.002)
    assert ahead.at_ns == 19 * STEP_NS + 100 * NS_PER_MS
    assert ahead.names == NAMES


def test_the_first_sight_is_the_box_itself_at_rest() -> None:
    motion = Tracker().update(seen(at(0.4, 0.6)), 5)
    for when_ns in (5, 5 + NS_PER_S // 10, 5 - NS_PER_S // 10):
        assert motion.at(when_ns).xyxy_N4[0] == pytest.approx(at(0.4, 0.6), abs=1e-6)
    assert motion.at(5).velocity_N2.tolist() == [[0.0, 0.0]]


def test_a_forecast_of_the_filter_agrees_with_one_done_by_hand() -> None:
    """Two sights of one thing; gain and velocity of a Kalman filter of three states, written out."""
    tracker = Tracker([Habit(side_off=0.01, side_off_share=0.0, swerve=0.0, swerve_share=0.0)])
    tracker.update(seen(at(0.3, 0.5)), 0, size_px=(100, 100))
    motion = tracker.update(seen(at(0.4, 0.5)), NS_PER_S // 5, size_px=(100, 100))
    noise, start = 0.01**2 / 2, START**2 + 0.1 * 0.2  # a middle is the mean of two sides
    spread = noise + 0.2**2 * start
    gain, gain_of_velocity = spread / (spread + noise), 0.2 * start / (spread + noise)
    assert middles(motion.at(NS_PER_S // 5))[0, 0] == pytest.approx(0.3 + 0.1 * gain, abs=1e-6)
    assert motion.at(NS_PER_S // 5).velocity_N2[0, 0] == pytest.approx(0.1 * gain_of_velocity, abs=1e-6)


def test_a_number_stays_through_misses_and_is_shown_meanwhile() -> None:
    tracker = Tracker()
    for k in range(10):
        motion = tracker.update(seen(at(0.2 + 0.01 * k, 0.5)), k * STEP_NS)
    number, score = int(motion.at(0).ids_N[0]), float(motion.at(0).scores_N[0])
    for k in range(10, 14):
        motion = tracker.update(seen(), k * STEP_NS)
        things = motion.at(k * STEP_NS)
        assert middles(things)[0, 0] == pytest.approx(0.2 + 0.01 * k, abs=0.005)
        assert things.scores_N[0] < score
    again = tracker.update(seen(at(0.34, 0.5)), 14 * STEP_NS).at(14 * STEP_NS)
    assert again.ids_N.tolist() == [number]


def test_what_stays_away_is_left_out_after_half_a_second_and_forgotten_after_one() -> None:
    tracker = Tracker()
    for k in range(10):
        tracker.update(seen(at(0.5, 0.5)), k * STEP_NS)
    last_ns = 9 * STEP_NS
    motion = tracker.update(seen(), last_ns + STEP_NS)
    assert len(motion.at(last_ns + 490 * NS_PER_MS)) == 1
    assert len(motion.at(last_ns + 510 * NS_PER_MS)) == 0
    for k in range(11, 42):
        motion = tracker.update(seen(), k * STEP_NS)
    assert tracker.update(seen(at(0.5, 0.5)), 42 * STEP_NS).at(42 * STEP_NS).ids_N.tolist() == [2]


def test_a_flash_that_is_seen_once_is_gone_with_the_next_picture() -> None:
    tracker = Tracker()
    assert len(tracker.update(seen(at(0.5, 0.5)), 0).at(0)) == 1
    assert len(tracker.update(seen(), STEP_NS).at(STEP_NS)) == 0


def test_a_detector_that_falls_silent_leaves_nothing_on_the_picture() -> None:
    tracker = Tracker()
    for k in range(10):
        motion = tracker.update(seen(at(0.2 + 0.05 * k, 0.5)), k * STEP_NS)
    far = motion.at(9 * STEP_NS + 1900 * NS_PER_MS)
    assert len(far) <= 1
    assert len(motion.at(9 * STEP_NS + 2100 * NS_PER_MS)) == 0


def test_numbers_stay_when_two_cross() -> None:
    tracker = Tracker()
    for k in range(41):
        left, right = at(0.3 + 0.01 * k, 0.48), at(0.7 - 0.01 * k, 0.52)
        motion = tracker.update(seen(left, right, kinds=(0, 0)), k * STEP_NS)
        if k == 0:
            first = dict(zip(motion.at(0).ids_N.tolist(), middles(motion.at(0))[:, 0], strict=True))
    last = dict(
        zip(motion.at(40 * STEP_NS).ids_N.tolist(), middles(motion.at(40 * STEP_NS))[:, 0], strict=True)
    )
    assert set(first) == set(last)
    for number, x in first.items():
        assert last[number] == pytest.approx(1.0 - x, abs=0.01)


def test_the_fast_and_small_is_followed_though_its_boxes_never_touch() -> None:
    tracker = Tracker()
    for k in range(6):
        motion = tracker.update(seen(at(0.1 + 0.06 * k, 0.5, 0.02, 0.04)), k * 4 * STEP_NS)
        assert motion.at(k * 4 * STEP_NS).ids_N.tolist() == [1]


def test_pictures_may_be_any_time_apart() -> None:
    draw = np.random.default_rng(0)
    tracker, at_s = Tracker(), 0.0
    for _ in range(40):
        at_s += float(draw.uniform(0.01, 0.3))
        motion = tracker.update(seen(at(0.5 + 0.3 * np.sin(at_s), 0.5)), round(at_s * NS_PER_S))
    ahead = motion.at(round((at_s + 0.15) * NS_PER_S))
    assert ahead.ids_N.tolist() == [1]
    assert middles(ahead)[0, 0] == pytest.approx(0.5 + 0.3 * np.sin(at_s + 0.15), abs=0.01)


def test_a_reset_forgets_and_never_gives_a_number_again() -> None:
    tracker = Tracker()
    before = tracker.update(seen(at(0.3, 0.5), at(0.7, 0.5)), 0).at(0)
    tracker.reset()
    after = tracker.update(seen(at(0.3, 0.5), at(0.7, 0.5)), STEP_NS).at(STEP_NS)
    assert set(before.ids_N.tolist()).isdisjoint(after.ids_N.tolist())
    assert after.velocity_N2.tolist() == [[0.0, 0.0]] * 2


def test_after_a_cut_that_nobody_tells_of_no_box_flies_across_the_picture() -> None:
    tracker = Tracker()
    for k in range(10):
        tracker.update(seen(at(0.2 + 0.01 * k, 0.3), at(0.7, 0.3)), k * STEP_NS)
    other = (at(0.45, 0.8, 0.3, 0.3), at(0.9, 0.6, 0.05, 0.1))
    motion = tracker.update(seen(*other, kinds=(1, 1)), 10 * STEP_NS)
    later = motion.at(10 * STEP_NS + 60 * NS_PER_MS)
    assert later.xyxy_N4 == pytest.approx(np.array(other, np.float32), abs=1e-5)
    assert later.ids_N.tolist() == [3, 4]


def test_another_picture_size_forgets() -> None:
    tracker = Tracker()
    tracker.update(seen(at(0.5, 0.5)), 0, size_px=(640, 360))
    same = tracker.update(seen(at(0.5, 0.5)), STEP_NS, size_px=(640, 360)).at(STEP_NS)
    other = tracker.update(seen(at(0.5, 0.5)), 2 * STEP_NS, size_px=(360, 640)).at(2 * STEP_NS)
    assert (same.ids_N.tolist(), other.ids_N.tolist()) == ([1], [2])


def test_a_kind_that_is_mistaken_once_changes_neither_number_nor_kind() -> None:
    tracker = Tracker()
    for k in range(8):
        motion = tracker.update(seen(at(0.5, 0.5), kinds=[1 if k == 4 else 0]), k * STEP_NS)
        assert motion.at(k * STEP_NS).kinds_N.tolist() == [0]
    for k in range(8, 20):
        motion = tracker.update(seen(at(0.5, 0.5), kinds=[1]), k * STEP_NS)
    assert (motion.at(0).ids_N.tolist(), motion.at(0).kinds_N.tolist()) == ([1], [1])


def panned(frame: int) -> Box:
    """A thing that stands in the world while the camera starts to pan, at once and fast."""
    return at(0.7 - 0.04 * max(frame - 10, 0), 0.5, 0.03, 0.05)


@pytest.mark.parametrize("told", [True, False])
def test_with_the_camera_s_motion_a_pan_carries_all_things_from_its_first_picture(told: bool) -> None:
    tracker = Tracker()
    for k in range(12):
        camera = np.array([[1.0, 0.0, -0.04 if k > 10 else 0.0], [0.0, 1.0, 0.0]]) if told and k else None
        motion = tracker.update(seen(panned(k)), k * STEP_NS, camera=camera)
    ahead = motion.at(13 * STEP_NS)
    error = abs(float(middles(ahead)[ahead.ids_N == ahead.ids_N.max()][0, 0]) - (0.7 - 0.04 * 3))
    assert error < 0.002 if told else error > 0.01
    if told:
        assert ahead.velocity_N2[0] == pytest.approx([-1.2, 0.0], abs=0.03)
        assert ahead.ids_N.tolist() == [1]


def test_with_the_camera_s_zoom_things_grow() -> None:
    tracker = Tracker()
    zoom = np.array([[1.1, 0.0, -0.05], [0.0, 1.1, -0.05]])
    tracker.update(seen(at(0.6, 0.5)), 0)
    motion = tracker.update(seen(at(0.61, 0.5, 0.11, 0.22)), STEP_NS, camera=zoom)
    ahead = motion.at(2 * STEP_NS)
    assert ahead.xyxy_N4[0] == pytest.approx(at(0.621, 0.5, 0.121, 0.242), abs=0.003)


@pytest.mark.parametrize("camera", [np.full((2, 3), np.nan), np.zeros((2, 3)), np.diag([-1.0, 1.0, 1.0])[:2]])
def test_a_camera_s_motion_that_cannot_be_is_left_aside(camera: np.ndarray) -> None:
    tracker = Tracker()
    tracker.update(seen(at(0.6, 0.5)), 0)
    motion = tracker.update(seen(at(0.6, 0.5)), STEP_NS, camera=camera)
    assert motion.at(STEP_NS).xyxy_N4[0] == pytest.approx(at(0.6, 0.5), abs=1e-4)


def test_what_is_no_box_is_left_aside_and_nothing_is_ever_nan() -> None:
    tracker = Tracker()
    bad = seen((np.nan, 0, 1, 1), (0.5, 0.5, 0.4, 0.6), (0, 0, np.inf, 1), at(0.5, 0.5), (0.3, 0.3, 0.3, 0.3))
    for k in range(30):
        motion = tracker.update(bad, k * STEP_NS)
        for when_ns in (0, k * STEP_NS, k * STEP_NS + 10**9, 10**15, -(10**15)):
            things = motion.at(when_ns)
            assert np.isfinite(things.xyxy_N4).all()
            assert np.isfinite(things.velocity_N2).all()
    assert motion.at(29 * STEP_NS).ids_N.tolist() == [1]


@pytest.mark.parametrize(
    "steps_ns", [(0, 0, 0), (0, 3 * STEP_NS, STEP_NS, 4 * STEP_NS), (0, 10**13, 2 * 10**13)]
)
def test_times_that_stand_go_back_or_leap_do_no_harm(steps_ns: tuple[int, ...]) -> None:
    tracker = Tracker()
    for at_ns in steps_ns:
        things = tracker.update(seen(at(0.5, 0.5), at(0.2, 0.2)), at_ns).at(at_ns)
        assert len(things) == 2
        assert things.xyxy_N4[0] == pytest.approx(at(0.5, 0.5), abs=1e-3)


def test_what_has_left_the_picture_is_gone_and_boxes_end_at_its_edge() -> None:
    tracker = Tracker()
    for k in range(10):
        motion = tracker.update(seen(at(0.75 + 0.02 * k, 0.5)), k * STEP_NS)
    edge = motion.at(10 * STEP_NS)
    assert edge.xyxy_N4[0, 2] == pytest.approx(1.0, abs=1e-4)
    assert motion.at(11 * STEP_NS).xyxy_N4[0, 2] == 1.0
    assert len(motion.at(20 * STEP_NS)) == 0


@pytest.mark.parametrize("count", [0, 500])
def test_none_and_five_hundred(count: int) -> None:
    draw = np.random.default_rng(1)
    start, speed = draw.uniform(0.1, 0.9, (count, 2)), draw.normal(0, 0.002, (count, 2))
    tracker = Tracker()
    began_s = time.perf_counter()
    for k in range(5):
        boxes = [at(x, y, 0.02, 0.03) for x, y in start + speed * k]
        motion = tracker.update(seen(*boxes, kinds=[j % 2 for j in range(count)]), k * STEP_NS)
        things = motion.at(k * STEP_NS)
        assert len(things) == count
    assert time.perf_counter() - began_s < 5.0
    assert np.isfinite(things.xyxy_N4).all()


def test_five_hundred_in_one_place_are_borne() -> None:
    tracker = Tracker()
    for k in range(3):
        motion = tracker.update(seen(*[at(0.5, 0.5)] * 500), k * STEP_NS)
    assert len(motion.at(2 * STEP_NS)) == 500
    assert motion.at(2 * STEP_NS).ids_N.max() == 500


def test_the_roll_forward_takes_under_a_millisecond_for_fourteen() -> None:
    world, tracker = World(0, WorldSettings(sequences=1)), Tracker()
    for k in range(10):
        motion = tracker.update(detections(world, 0, k), k * STEP_NS)
    spent_ms = []
    for k in range(50):
        began_ns = time.perf_counter_ns()
        things = motion.at(9 * STEP_NS + k * NS_PER_MS)
        spent_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
    assert len(things) >= 12
    assert sorted(spent_ms)[10] < 1.0


def test_what_was_returned_does_not_change_and_the_same_gives_the_same() -> None:
    world = World(3, WorldSettings(sequences=1, frames=20))

    def followed() -> list[Things]:
        tracker = Tracker()
        motions = [tracker.update(detections(world, 0, k), k * STEP_NS) for k in range(20)]
        return [motion.at(k * STEP_NS + 7) for k, motion in enumerate(motions)]

    tracker = Tracker()
    live = [tracker.update(detections(world, 0, k), k * STEP_NS).at(k * STEP_NS + 7) for k in range(20)]
    for one, other in zip(live, followed(), strict=True):
        assert one.ids_N.tolist() == other.ids_N.tolist()
        assert np.array_equal(one.xyxy_N4, other.xyxy_N4)
        assert np.array_equal(one.scores_N, other.scores_N)
