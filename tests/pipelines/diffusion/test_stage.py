"""The stage as its lane uses it: warm-up, drain, stamps, sizes, settings, several sessions in one call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.painter import Painter
from pipelines.diffusion.stage import PaintStage, paint_together
from realtime.core.errors import ConfigError, EngineError, SessionError
from realtime.core.frame import Frame
from realtime.core.stage import Emitted, Live, StageContext
from tests.pipelines.diffusion.house import SIDE, House, alone, drained, near, off
from tests.pipelines.diffusion.vocabulary import Oracle, frame, picture, stamp

TIMEOUT_S = 20.0
Folders = Callable[..., Path]


@pytest.fixture(scope="module")
def loaded(folder_of: Folders) -> House:
    return House(folder_of("painter"))


@pytest.fixture
def house(loaded: House) -> House:
    loaded.reports.clear()
    return loaded


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_pictures_come_n_minus_1_calls_later_under_their_own_stamp(house: House, steps: int) -> None:
    oracle, stage = Oracle.of(house.folder), house.open(steps=steps)
    frames = [frame(seq, height=SIDE, width=SIDE) for seq in range(5)]
    out: list[Emitted] = []
    for seq, one in enumerate(frames):
        some = stage.process(one)
        assert [e.stamp.seq for e in some] == (
            [seq - steps + 1] if seq >= steps - 1 else []
        )  # else: not ready
        out += some
    for _ in range(steps - 1):
        (last,) = stage.process(None)
        out.append(last)
    assert stage.process(None) == ()
    assert [e.stamp for e in out] == [e.value.stamp for e in out] == [one.stamp for one in frames]
    for one, painted in zip(frames, out, strict=True):
        assert off(painted.value.pixels, alone(oracle, one.pixels, stage, steps=steps)) < 0.55
        assert off(painted.value.pixels, alone(oracle, one.pixels, stage, steps=steps, seed=3)) > 5.0


def test_the_same_seed_gives_the_same_bytes_in_two_programs(folder_of: Folders) -> None:
    runs = []
    for _ in range(2):
        stage = House(folder_of("painter")).open(steps=2)  # loaded anew
        runs.append(
            [e.value.pixels.tobytes() for seq in range(3) for e in stage.process(frame(seq, None, 200, 300))]
        )
    assert runs[0] == runs[1]
    assert len(runs[0]) == 2
    assert runs[0][0] != runs[0][1]


def test_a_still_picture_stays_still(house: House) -> None:
    stage = house.open(steps=2)
    first, *rest = [e.value.pixels for seq in range(6) for e in stage.process(frame(seq, seed=1))]
    assert len({pixels.tobytes() for pixels in rest}) == 1
    assert near(
        first, rest[0]
    )  # its first step shared its call with no other row: the sums are rounded otherwise


@pytest.mark.parametrize("size", [(193, 331), (331, 193), (1080, 1921), (17, 9), (1, 1), (SIDE, SIDE)])
def test_a_frame_of_any_size_gives_the_square_of_its_middle(house: House, size: tuple[int, int]) -> None:
    stage = house.open()
    (out,) = stage.process(frame(0, 3, *size))
    assert out.value.pixels.shape == (SIDE, SIDE, 3)
    wide = np.zeros((size[0] + 40, size[1] + 40, 3), np.uint8)
    short = min(size)
    top, left = (size[0] - short) // 2, (size[1] - short) // 2
    middle = picture(3, *size)[top : top + short, left : left + short]
    (same,) = stage.process(Frame(stamp(1), middle))
    assert np.array_equal(out.value.pixels, same.value.pixels)
    wide[20:-20, 20:-20] = picture(3, *size)
    (other,) = stage.process(Frame(stamp(2), wide))
    assert not near(out.value.pixels, other.value.pixels)


def test_the_size_may_change_in_mid_stream(house: House) -> None:
    oracle, stage = Oracle.of(house.folder), house.open(steps=2)
    sizes = [(SIDE, SIDE), (480, 640), (101, 57), (SIDE, SIDE)]
    out = [e for seq, size in enumerate(sizes) for e in stage.process(frame(seq, seq, *size))] + drained(
        stage
    )
    assert [e.stamp.seq for e in out] == [0, 1, 2, 3]
    assert {e.value.pixels.shape for e in out} == {(SIDE, SIDE, 3)}
    assert off(out[3].value.pixels, alone(oracle, picture(3, SIDE, SIDE), stage, steps=2)) < 0.55


def test_sessions_together_get_what_each_gets_alone_and_never_the_others_picture(house: House) -> None:
    wishes = [
        {"prompt": "oil", "steps": 2},
        {"prompt": "warm", "steps": 4, "seed": 5},
        {"prompt": "pencil", "steps": 1},
    ]
    together = [house.open(f"user {i}", **wish) for i, wish in enumerate(wishes)]
    single = [house.open(f"user {i}", **wish) for i, wish in enumerate(wishes)]
    assert len({stage.group for stage in together}) == 1
    seen: list[list[Emitted]] = [[], [], []]
    expected: list[list[Emitted]] = [[], [], []]
    for now in range(7):
        # Each session shows its own pictures; the third misses every other tick, all end early.
        items = [frame(now, 10 * i + now) if now < 4 and (i < 2 or now % 2) else None for i in range(3)]
        for i, results in enumerate(paint_together(list(zip(together, items, strict=True)))):
            seen[i] += results
            expected[i] += single[i].process(items[i])
    for mine, right in zip(seen, expected, strict=True):
        assert [e.stamp for e in mine] == [e.stamp for e in right]
        assert all(near(a.value.pixels, b.value.pixels) for a, b in zip(mine, right, strict=True))
    assert [len(mine) for mine in seen] == [4, 4, 2]
    assert not near(seen[0][1].value.pixels, seen[1][1].value.pixels)
    assert not any(stage.batch for stage in together)


def test_live_settings_act_on_the_next_frame(house: House) -> None:
    stage = house.open(steps=1, seed=2)
    (before,) = stage.process(frame(0, 1))
    stage.configure(house.config(steps=1, seed=3))
    (after,) = stage.process(frame(1, 1))
    assert not near(before.value.pixels, after.value.pixels)


def test_a_new_size_acts_at_once_where_nothing_is_built_and_frames_in_flight_keep_theirs(
    house: House,
) -> None:
    oracle, stage = Oracle.of(house.folder), house.open(steps=2)
    stage.process(frame(0, 1))
    stage.configure(house.config(steps=2, size_px=256))
    out = [e for seq in range(1, 5) for e in stage.process(frame(seq, 1, 256, 256))] + drained(stage)
    assert [e.stamp.seq for e in out] == [0, 1, 2, 3, 4]
    assert [e.value.pixels.shape[0] for e in out] == [SIDE, 256, 256, 256, 256]
    assert off(out[-1].value.pixels, alone(oracle, picture(1, 256, 256), stage, steps=2)) < 0.55


def test_a_size_that_the_model_cannot_paint_is_refused_and_the_old_one_stays(house: House) -> None:
    stage = house.open()
    stage.painter.multiple_px = 128
    try:
        with pytest.raises(ConfigError, match="size_px = 320"):
            stage.configure(house.config(size_px=320))
    finally:
        stage.painter.multiple_px = 16
    (out,) = stage.process(frame(0))
    assert out.value.pixels.shape == (SIDE, SIDE, 3)


def test_frames_in_flight_keep_the_settings_that_they_came_with(house: House) -> None:
    oracle, stage = Oracle.of(house.folder), house.open(steps=2, seed=2)
    stage.process(frame(0, 1, SIDE, SIDE))
    stage.configure(house.config(steps=1, seed=7))
    first, second = stage.process(frame(1, 1, SIDE, SIDE))
    assert off(first.value.pixels, alone(oracle, picture(1, SIDE, SIDE), stage, steps=2, seed=2)) < 0.55
    assert off(second.value.pixels, alone(oracle, picture(1, SIDE, SIDE), stage, steps=1, seed=7)) < 0.55


def test_a_new_prompt_acts_once_it_is_encoded_and_not_before(house: House) -> None:
    oracle, stage = Oracle.of(house.folder), house.open(prompt="oil")
    stage.configure(house.config(prompt="pencil"))
    stage.painter.book.later(lambda: None).result(TIMEOUT_S)  # the book works in order: "pencil" is done
    (out,) = stage.process(frame(0, 1, SIDE, SIDE))
    assert off(out.value.pixels, alone(oracle, picture(1, SIDE, SIDE), stage, "pencil")) < 0.55
    assert off(out.value.pixels, alone(oracle, picture(1, SIDE, SIDE), stage, "oil")) > 2.0


def test_a_synonym_paints_what_it_stands_for(house: House) -> None:
    free, known = house.open(prompt="Monet"), house.open(prompt="oil painting")
    pictures = [stage.process(frame(0))[0].value.pixels for stage in (free, known)]
    assert np.array_equal(*pictures)


def test_words_beyond_the_models_length_are_told_once(house: House) -> None:
    stage = house.open(prompt="oil " * 40)
    for seq in range(3):
        stage.process(frame(seq))
    told = [sentence for sentence in house.reports if "longer" in sentence]
    assert len(told) == 1
    assert "last 106 tokens of 122" in told[0]


def test_reset_forgets_the_stream_and_keeps_the_engine(house: House) -> None:
    stage = house.open(steps=4)
    painter = stage.painter
    for seq in range(3):
        assert stage.process(frame(seq)) == []
    stage.reset()
    assert stage.process(None) == ()
    assert stage.painter is painter


def test_a_failing_engine_is_told_and_leaves_no_half_painted_frame(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = house.open(steps=2)
    stage.process(frame(0))

    def fail(self: Painter, *tensors: object) -> None:
        raise EngineError("The engine is gone.")

    with monkeypatch.context() as patch:
        patch.setattr(Painter, "denoise", fail)
        with pytest.raises(EngineError, match="gone"):
            stage.process(frame(1))
    assert stage.process(None) == ()
    assert stage.process(frame(2)) == []
    assert [e.stamp.seq for e in stage.process(None)] == [2]


def test_open_and_close_twice_do_no_harm_and_a_closed_stage_says_so(house: House) -> None:
    stage = house.open()
    info = stage.engine_info()
    assert info is not None
    assert (info.name, bool(info.why)) == ("torch fp32", True)
    stage.open(StageContext())  # would load anew if it did anything
    stage.close()
    stage.close()
    assert stage.engine_info() is None
    assert stage.group is None
    with pytest.raises(SessionError, match="not open"):
        stage.process(frame(0))


def test_the_spec_tells_the_graph_what_it_needs() -> None:
    spec = PaintStage.spec
    assert (spec.name, spec.lane, spec.takes, spec.gives) == ("paint", "paint", Frame, Frame)
    live = {
        name
        for name, field in PaintConfig.model_fields.items()
        if any(isinstance(m, Live) for m in field.metadata)
    }
    at_start = {"model", "engine", "precision", "lora_folder"}
    assert set(PaintConfig.model_fields) - live == at_start
    assert all(field.description for field in PaintConfig.model_fields.values())
