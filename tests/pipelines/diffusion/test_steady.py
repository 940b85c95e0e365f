"""The picture shown before as a part of the next: calm along the motion, and no ghost, by each guard alone.

Paintings are given, not painted, save in the last tests: random ones where nothing but the guard could tell
old from new.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.embedding import Embedding, Words
from pipelines.diffusion.features import Draft
from pipelines.diffusion.steady import BESIDE_LEVELS, Steady
from pipelines.diffusion.ways import Ways
from pipelines.diffusion.wish import Wish
from realtime.core.frame import Frame
from tests.pipelines.diffusion.stages import SIDE as PAINTED
from tests.pipelines.diffusion.stages import Stages
from tests.pipelines.diffusion.vocabulary import picture, stamp

SIDE = 128
RIGHT = np.s_[:, SIDE // 2 + 8 :]
LEFT = np.s_[:, : SIDE // 2 - 8]


def words() -> Words:
    nothing = Embedding("", cast(Any, None))
    return Words(nothing, nothing)


class Screen:
    """Show one session's paintings through the feature, without a model."""

    def __init__(self, coherence: float = 1.0) -> None:
        self.steady, self.ways = Steady(), Ways()
        self.config = PaintConfig(coherence=coherence)
        self.words = words()

    def show(
        self,
        seq: int,
        camera: np.ndarray,
        painting: np.ndarray,
        dx_px: float | None = None,
        *,
        before: int | None = None,
        hidden: np.ndarray | None = None,
    ) -> np.ndarray:
        """Show a painting; everything was `dx_px` to the right in the frame `before`; None: nobody knows."""
        frame = Frame(stamp(seq), camera)
        if dx_px is not None:
            flow = np.zeros((*camera.shape[:2], 2), np.float32)
            flow[..., 0] = dx_px
            none = np.zeros(camera.shape[:2], np.float32)
            then = stamp(seq - 1 if before is None else before)
            frame = frame.with_motion(then, flow=flow, occlusion=none if hidden is None else hidden)
        self.ways.see(frame)
        draft = Draft(frame, Wish(), self.words, cast(Any, None), size_px=len(painting), ways=self.ways)
        self.steady.draft(draft, self.config)
        one = cast(Any, SimpleNamespace(extras=draft.extras))
        return self.steady.shown(one, painting, self.config).astype(np.float32)


def random_painting(seed: int, side: int = SIDE) -> np.ndarray:
    """Return noise over the whole range, so that any level is found near any point."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def carried(shown: np.ndarray, fresh: np.ndarray, where: Any = np.s_[:, :]) -> float:
    """Return how far what is shown is from the fresh painting, levels."""
    return float(np.abs(shown - fresh)[where].mean())


ROOM = picture(1, SIDE, SIDE)
WIDE = picture(2, SIDE, 3 * SIDE)


def test_a_painting_that_moves_is_calmed_and_stays_sharp() -> None:
    screen, speed = Screen(), 3
    strokes = cv2.GaussianBlur(np.random.default_rng(5).normal(128, 500, (SIDE, 3 * SIDE, 3)), (0, 0), 1.5)
    changes: dict[str, list[float]] = {"fresh": [], "shown": []}
    slopes: dict[str, list[float]] = {"fresh": [], "shown": []}
    before: dict[str, np.ndarray] = {}
    for k in range(14):
        cut = np.s_[:, speed * k : speed * k + SIDE]
        noise = np.random.default_rng(k).normal(0, 12, (SIDE, SIDE, 3))
        fresh = np.clip(strokes[cut] + noise, 0, 255).astype(np.uint8)
        shown = screen.show(k, np.ascontiguousarray(WIDE[cut]), fresh, None if k == 0 else float(speed))
        for name, now in (("fresh", fresh.astype(np.float32)), ("shown", shown)):
            if k > 4:
                changes[name].append(
                    float(np.abs(now[:, 8:-16] - before[name][:, 8 + speed : -16 + speed]).mean())
                )
                slopes[name].append(float(np.abs(np.diff(cv2.GaussianBlur(now, (0, 0), 1.5), axis=1)).mean()))
            before[name] = now
    assert np.mean(changes["shown"]) < 0.35 * np.mean(changes["fresh"])
    assert np.mean(slopes["shown"]) > 0.8 * np.mean(slopes["fresh"])


def test_none_of_it_is_exactly_off_and_a_half_is_less() -> None:
    apart = []
    for coherence in (1.0, 0.5):
        screen = Screen(coherence)
        screen.show(0, ROOM, random_painting(0))
        apart.append(carried(screen.show(1, ROOM, random_painting(1), 0.0), random_painting(1)))
    assert apart[0] == pytest.approx(2 * apart[1], rel=0.1)
    assert apart[0] > 20
    assert Steady().key(PaintConfig(coherence=0.0)) is None


def test_what_was_hidden_is_new() -> None:
    screen, hidden = Screen(), np.zeros((SIDE, SIDE), np.float32)
    hidden[RIGHT] = 1.0
    hidden[:, SIDE // 2 : SIDE // 2 + 8] = 1.0
    screen.show(0, ROOM, random_painting(0))
    shown, fresh = screen.show(1, ROOM, random_painting(1), 0.0, hidden=hidden), random_painting(1)
    assert carried(shown, fresh, RIGHT) == 0.0
    assert carried(shown, fresh, LEFT) > 20


def test_what_the_camera_shows_otherwise_is_new() -> None:
    """A flow that errs, a thing that was there and is not: nothing says so but the camera's own picture."""
    screen, other = Screen(), ROOM.copy()
    other[:, SIDE // 2 :] = np.where(
        ROOM[:, SIDE // 2 :] > 127, ROOM[:, SIDE // 2 :] - 60, ROOM[:, SIDE // 2 :] + 60
    )
    screen.show(0, ROOM, random_painting(0))
    shown, fresh = screen.show(1, other, random_painting(1), 0.0), random_painting(1)
    assert carried(shown, fresh, RIGHT) == 0.0
    assert carried(shown, fresh, LEFT) > 20


def test_what_the_camera_hardly_tells_apart_leaves_no_ghost_either() -> None:
    screen = Screen()
    pale = (ROOM // 2 + 60).astype(np.uint8)
    with_hand = pale.copy()
    with_hand[:, SIDE // 2 :] += 8  # less than the camera's agreement allows
    for seq in range(4):
        screen.show(seq, with_hand, np.full((SIDE, SIDE, 3), 200, np.uint8), None if seq == 0 else 0.0)
    gone = np.full((SIDE, SIDE, 3), 100, np.uint8)
    assert carried(screen.show(4, pale, gone, 0.0), gone) == 0.0
    near = np.full((SIDE, SIDE, 3), 112, np.uint8)
    ghosts = [carried(screen.show(seq, pale, near, 0.0), near) for seq in (5, 6, 7)]
    assert 0 < ghosts[0] <= BESIDE_LEVELS
    assert ghosts[2] <= ghosts[0]


def test_a_look_that_stands_on_the_screen_is_not_dragged_along() -> None:
    tiles = random_painting(3)
    tiled, things = Screen(), Screen()
    wide = np.random.default_rng(4).integers(0, 256, (SIDE, 3 * SIDE, 3), np.uint8)
    for k in range(6):
        cut = np.s_[:, 4 * k : 4 * k + SIDE]
        camera, noise = np.ascontiguousarray(WIDE[cut]), np.random.default_rng(k).integers(0, 30, tiles.shape)
        fresh = np.minimum(tiles.astype(int) + noise, 255).astype(np.uint8)
        shown = tiled.show(k, camera, fresh, None if k == 0 else 4.0)
        along = np.minimum(wide[cut].astype(int) + noise, 255).astype(np.uint8)
        moved = things.show(k, camera, along, None if k == 0 else 4.0)
    assert carried(shown, fresh) < 0.5
    assert carried(moved, along) > 2  # one that goes with things is carried
    # Where nothing moves, tiles are calmed like any other look.
    still = [
        tiled.show(6 + k, camera, np.minimum(fresh.astype(int) + 6 * k, 255).astype(np.uint8), 0.0)
        for k in (0, 1)
    ]
    assert carried(still[1], still[0]) < 3


def test_a_cut_begins_anew_even_where_both_scenes_look_alike() -> None:
    """Frames come with motion and this one does not: that is what the stage before says of a cut."""
    screen = Screen()
    for seq in range(3):
        screen.show(seq, ROOM, random_painting(seq), None if seq == 0 else 0.0)
    assert carried(screen.show(3, ROOM, random_painting(3)), random_painting(3)) == 0.0
    assert carried(screen.show(4, ROOM, random_painting(4), 0.0), random_painting(4)) > 20


def test_a_frame_that_was_lost_is_noticed_and_one_left_out_is_gone_over() -> None:
    screen = Screen()
    for seq in range(2):
        screen.show(seq, ROOM, random_painting(seq), None if seq == 0 else 0.0)
    lost = screen.show(4, ROOM, random_painting(4), 0.0, before=3)  # frame 3 was seen before, but not here
    assert carried(lost, random_painting(4)) == 0.0
    screen.ways.see(Frame(stamp(5), ROOM).with_motion(stamp(4), flow=np.zeros((SIDE, SIDE, 2), np.float32)))
    assert carried(screen.show(6, ROOM, random_painting(6), 0.0), random_painting(6)) > 20


def test_other_words_another_size_and_another_camera_begin_anew() -> None:
    screen = Screen()
    screen.show(0, ROOM, random_painting(0))
    screen.words = words()
    assert carried(screen.show(1, ROOM, random_painting(1), 0.0), random_painting(1)) == 0.0
    smaller = random_painting(2, SIDE // 2)
    assert carried(screen.show(2, ROOM, smaller, 0.0), smaller) == 0.0
    again = random_painting(3, SIDE // 2)
    assert carried(screen.show(3, ROOM, again, 0.0), again) > 20
    larger = picture(1, 90, 100)
    assert carried(screen.show(4, larger, smaller, 0.0), smaller) == 0.0


def test_without_any_motion_only_what_rests_is_calmed() -> None:
    screen, other = Screen(), picture(9, SIDE, SIDE)
    other[:24, :24] = ROOM[:24, :24]  # by chance
    screen.show(0, ROOM, random_painting(0))
    assert carried(screen.show(1, ROOM, random_painting(1)), random_painting(1)) > 20
    assert carried(screen.show(2, other, random_painting(2)), random_painting(2)) == 0.0


def test_a_camera_that_hangs_settles_and_does_not_drift() -> None:
    screen, fresh = Screen(), random_painting(7)
    screen.show(0, ROOM, random_painting(6))
    for seq in range(1, 100):
        shown = screen.show(seq, ROOM, fresh, 0.0)
    assert np.abs(shown - fresh).max() <= 1.0


def resting(seq: int, seed: int) -> Frame:
    """Return a noisy picture of a room, with motion that says that nothing moves."""
    noise = np.random.default_rng([seq, seed]).normal(0, 4, (PAINTED, PAINTED, 3))
    room = np.clip(picture(seed, PAINTED, PAINTED) + noise, 0, 255).astype(np.uint8)
    nothing = np.zeros((PAINTED, PAINTED, 2), np.float32)
    frame = Frame(stamp(seq), room)
    return frame.with_motion(stamp(seq - 1), flow=nothing) if seq not in (0, 6) else frame


@pytest.mark.parametrize("kind", ["painter", "sd"])
def test_a_painter_is_calmed_in_flight_and_begins_anew_at_a_cut(
    kind: str, folder_of: Callable[..., Path]
) -> None:
    """With two steps, so that a frame comes out after another has come in."""
    house = Stages(folder_of(kind), steps=2)
    out = []
    for coherence in (0.0, 1.0):
        stage = house.open(coherence=coherence)
        given = [one for seq in range(10) for one in stage.process(resting(seq, 1 if seq < 6 else 2))]
        while stage.batch:
            given += stage.process(None)
        out.append([one.value.pixels.astype(np.float32) for one in given])
        assert [one.stamp.seq for one in given] == list(range(10))
    off, on = out
    assert [carried(a, b) > 0 for a, b in zip(on, off, strict=True)] == [k not in (0, 6) for k in range(10)]
    changes = [np.mean([np.abs(b - a).mean() for a, b in pairwise(one[2:6])]) for one in out]
    assert changes[1] < 0.5 * changes[0]


def test_motion_does_not_keep_a_still_scene_from_being_skipped(folder_of: Callable[..., Path]) -> None:
    stage = Stages(folder_of("painter")).open(coherence=1.0, skip_still=True, max_skips=3, still_levels=20.0)
    notes = [bool(one.note) for seq in range(6) for one in stage.process(resting(seq, 1))]
    assert notes == [False, True, True, True, False, True]
    stage.process(resting(7, 1))  # the frames that were not painted are gone over
    assert stage._ways.between(4, 5) is not None
