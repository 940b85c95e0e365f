"""Size, features and rows are prepared beside the session: nothing waits, nothing is lost, the newest wins.

The engine's `warm` waits for the test's word, so each test decides what is ready when.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.features import Features
from pipelines.diffusion.fitting import Fitting
from pipelines.diffusion.kit_shelf import KitShelf
from pipelines.diffusion.kits import Kit
from pipelines.diffusion.loader import load_painter
from pipelines.diffusion.painter import Painter
from pipelines.diffusion.stage import PaintStage
from realtime.core.clock import ManualClock
from realtime.core.errors import ConfigError, EngineBuildFailed, SessionError
from realtime.core.stage import StageContext
from tests.pipelines.diffusion.vocabulary import frame

TIMEOUT_S = 20.0


@dataclass
class Slow:
    """Run like the engine within; prepare shapes when it is let, and remember which."""

    within: Any
    asked: list[tuple[int, int]] = field(default_factory=list)
    """Rows and pixels of what was prepared, or tried."""
    faults: dict[int, Exception] = field(default_factory=dict)
    """What preparing a size raises, by pixels."""

    def __post_init__(self) -> None:
        self.info = replace(self.within.info, builds=True)
        self.entered, self.go = threading.Event(), threading.Event()
        self.go.set()

    def run(self, **tensors: torch.Tensor) -> Mapping[str, torch.Tensor]:
        return self.within.run(**tensors)

    def warm(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        rows, _, side, _ = shapes["latent"]
        self.asked.append((rows, side * 8))
        self.entered.set()
        assert self.go.wait(TIMEOUT_S)
        if side * 8 in self.faults:
            raise self.faults[side * 8]

    def hold(self) -> None:
        self.go.clear()
        self.entered.clear()

    def close(self) -> None:
        self.within.close()


@dataclass
class Bench:
    painter: Painter
    slow: Slow
    reports: list[str] = field(default_factory=list)

    @property
    def told(self) -> list[str]:
        """The refusals among the reports."""
        return [one for one in self.reports if "cannot be had" in one]

    def settle(self) -> None:
        """Wait until all that was begun is done: the builder works in order."""
        self.painter.build(lambda: None).result(TIMEOUT_S)

    def fitting(self, config: PaintConfig, rows: int = 1) -> Fitting:
        fitting = Fitting(self.painter, Features(), self.reports.append)
        fitting.first(config, rows)
        return fitting


@pytest.fixture(scope="module")
def loaded(folder_of: Callable[..., Path]) -> Iterator[Painter]:
    painter = load_painter(folder_of("painter"), engine="torch", precision="fp32", size_px=192)
    yield painter
    painter.close()


@pytest.fixture
def bench(loaded: Painter, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    slow = Slow(loaded.engines.unet)
    monkeypatch.setattr(loaded, "plain", Kit(slow))  # what was ready belongs to the kit, so nothing is
    monkeypatch.setattr(loaded, "kits", KitShelf(loaded.plain, loaded.kits._extend))
    bench = Bench(loaded, slow)
    yield bench
    slow.go.set()
    bench.settle()


def config(**wish: Any) -> PaintConfig:
    return PaintConfig(**{"size_px": 192, **wish})


def test_the_old_fit_is_given_until_the_new_one_is_ready(bench: Bench) -> None:
    fitting = bench.fitting(config())
    bench.slow.hold()
    for _ in range(5):
        assert fitting.newest(config(size_px=256), 1).size_px == 192
    assert bench.slow.entered.wait(TIMEOUT_S)
    assert fitting.newest(config(size_px=256), 1).size_px == 192
    bench.slow.go.set()
    bench.settle()
    assert fitting.newest(config(size_px=256), 1).size_px == 256
    assert bench.slow.asked == [(1, 192), (1, 256)]  # asked for once
    assert len(bench.reports) == 1


def test_the_newest_wish_wins_and_what_was_wanted_meanwhile_is_never_prepared(bench: Bench) -> None:
    fitting = bench.fitting(config())
    bench.slow.hold()
    fitting.newest(config(size_px=256), 1)
    assert bench.slow.entered.wait(TIMEOUT_S)  # this one is begun, and cannot be stopped
    for size_px in (320, 384, 448, 512):
        assert fitting.newest(config(size_px=size_px), 1).size_px == 192
    bench.slow.go.set()
    bench.settle()
    assert fitting.newest(config(size_px=512), 1).size_px == 512
    assert bench.slow.asked == [(1, 192), (1, 256), (1, 512)]


def test_who_goes_back_to_the_old_size_stays_there(bench: Bench) -> None:
    fitting, old = bench.fitting(config()), config()
    bench.slow.hold()
    fitting.newest(config(size_px=256), 1)
    assert bench.slow.entered.wait(TIMEOUT_S)
    fitting.newest(config(size_px=320), 1)
    assert fitting.newest(old, 1).size_px == 192
    bench.slow.go.set()
    bench.settle()
    assert fitting.newest(old, 1).size_px == 192
    assert bench.slow.asked == [(1, 192), (1, 256)]


@pytest.mark.parametrize(
    "fault", [EngineBuildFailed("No room for it."), RuntimeError("No room for it\nat 0x00"), MemoryError()]
)
def test_what_cannot_be_prepared_is_told_once_and_the_old_stays(bench: Bench, fault: Exception) -> None:
    fitting = bench.fitting(config())
    bench.slow.faults[512] = fault
    large = config(size_px=512)
    for _ in range(4):
        assert fitting.newest(large, 1).size_px == 192
        bench.settle()
    assert len(bench.told) == 1
    assert ("No room for it" if str(fault) else "MemoryError") in bench.told[0]
    assert "\n" not in bench.told[0]
    assert bench.slow.asked == [(1, 192), (1, 512)]  # and not tried again with each frame


def test_a_refused_size_does_not_keep_other_settings_from_acting(bench: Bench) -> None:
    fitting = bench.fitting(config())
    bench.slow.faults[512] = EngineBuildFailed("No room for it.")
    fitting.newest(config(size_px=512), 1)
    bench.settle()
    fitting.newest(config(size_px=512), 1)
    more = config(size_px=512, steps=2)
    for _ in range(3):
        fitting.newest(more, 2)
        bench.settle()
    fit = fitting.newest(more, 2)
    assert (fit.size_px, fit.config.steps) == (192, 2)
    assert len(bench.told) == 1


def test_a_refused_size_that_is_asked_for_again_is_tried_and_told_again(bench: Bench) -> None:
    fitting = bench.fitting(config())
    bench.slow.faults[512] = EngineBuildFailed("No room for it.")
    for size_px in (512, 256, 512):
        fitting.newest(config(size_px=size_px), 1)
        bench.settle()
        fitting.newest(config(size_px=size_px), 1)
    assert len(bench.told) == 2
    bench.slow.faults.clear()
    fitting.newest(config(size_px=192), 1)
    fitting.newest(config(size_px=512), 1)
    bench.settle()
    assert fitting.newest(config(size_px=512), 1).size_px == 512


def test_more_steps_act_once_their_rows_are_ready_and_known_rows_at_once(bench: Bench) -> None:
    one, three, again = config(), config(steps=3), config(prompt="oil")
    fitting = bench.fitting(one)
    bench.slow.hold()
    assert fitting.newest(three, 3).config.steps == 1
    assert bench.slow.entered.wait(TIMEOUT_S)
    assert fitting.newest(again, 1).config is again  # its rows are known
    bench.slow.go.set()
    bench.settle()
    assert fitting.newest(three, 3).config is three
    assert fitting.newest(again, 1).config is again
    assert fitting.newest(three, 3).config is three
    assert bench.slow.asked == [(1, 192), (3, 192)]


def test_while_a_size_is_prepared_known_rows_go_on_acting(bench: Bench) -> None:
    fitting = bench.fitting(config())
    bench.slow.hold()
    fitting.newest(config(size_px=256), 1)
    assert bench.slow.entered.wait(TIMEOUT_S)
    newer = config(size_px=256, guidance_scale=3.0)
    fit = fitting.newest(newer, 1)
    assert (fit.size_px, fit.config) == (192, newer)


def test_a_size_that_was_ready_before_acts_at_once(bench: Bench) -> None:
    fitting = bench.fitting(config())
    fitting.newest(config(size_px=256), 1)
    bench.settle()
    assert fitting.newest(config(size_px=256), 1).size_px == 256
    bench.slow.hold()
    assert fitting.newest(config(size_px=192), 1).size_px == 192
    assert fitting.newest(config(size_px=256), 1).size_px == 256
    assert len(bench.slow.asked) == 2
    assert len(bench.reports) == 1


def opened(bench: Bench, **wish: Any) -> PaintStage:
    stage = PaintStage()
    stage.configure(config(model="painter", engine="torch", prompt="oil", **wish))
    stage.open(StageContext("one", ManualClock(), lambda key, make: bench.painter, bench.reports.append))
    return stage


def sizes(emitted: Any) -> list[tuple[int, int]]:
    return [(one.stamp.seq, one.value.pixels.shape[0]) for one in emitted]


def test_a_session_paints_on_while_a_size_is_prepared_and_loses_no_frame(bench: Bench) -> None:
    stage = opened(bench, steps=2)
    bench.slow.hold()
    stage.configure(config(prompt="oil", steps=2, size_px=256))
    seen = [one for seq in range(4) for one in sizes(stage.process(frame(seq)))]
    assert bench.slow.entered.wait(TIMEOUT_S)
    seen += [one for seq in range(4, 6) for one in sizes(stage.process(frame(seq)))]
    bench.slow.go.set()
    bench.settle()
    seen += [one for seq in range(6, 9) for one in sizes(stage.process(frame(seq)))]
    seen += sizes(stage.process(None))
    assert seen == [(seq, 192 if seq < 6 else 256) for seq in range(9)]


def test_reset_forgets_the_frames_and_not_what_is_being_prepared(bench: Bench) -> None:
    stage = opened(bench)
    bench.slow.hold()
    stage.configure(config(prompt="oil", size_px=256))
    stage.process(frame(0))
    assert bench.slow.entered.wait(TIMEOUT_S)
    stage.reset()
    bench.slow.go.set()
    bench.settle()
    assert sizes(stage.process(frame(1))) == [(1, 256)]
    assert bench.slow.asked.count((1, 256)) == 1


def test_a_session_may_close_while_its_wish_is_prepared(bench: Bench) -> None:
    stage, other = opened(bench), opened(bench)
    bench.slow.hold()
    stage.configure(config(prompt="oil", size_px=256))
    stage.process(frame(0))
    assert bench.slow.entered.wait(TIMEOUT_S)
    stage.configure(config(prompt="oil", size_px=320))
    stage.process(frame(1))
    stage.close()
    assert sizes(other.process(frame(0))) == [(0, 192)]  # who shares the painter does not notice
    bench.slow.go.set()
    bench.settle()
    assert (1, 320) not in bench.slow.asked  # it was not begun, and nobody wants it now
    with pytest.raises(SessionError, match="not open"):
        stage.process(frame(2))


def test_a_closed_painter_prepares_nothing_more_and_says_so(folder_of: Callable[..., Path]) -> None:
    painter = load_painter(folder_of("painter"), engine="torch", precision="fp32", size_px=192)
    painter.plain = Kit(Slow(painter.engines.unet))
    painter.kits = KitShelf(painter.plain, painter.kits._extend)
    fitting = Fitting(painter, Features(), lambda sentence: None)
    fitting.first(config(), 1)
    painter.close()
    with pytest.raises(SessionError, match="closed"):
        fitting.newest(config(size_px=256), 1)


def test_a_size_that_does_not_fit_is_refused_and_all_else_is_taken(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.painter, "multiple_px", 128)
    with pytest.raises(ConfigError, match="size_px = 192"):
        opened(bench)
    stage = opened(bench, size_px=256)
    with pytest.raises(ConfigError, match="size_px = 320"):
        stage.configure(config(prompt="oil", size_px=320, steps=2))
    bench.settle()
    for seq in range(3):
        stage.process(frame(seq))
        bench.settle()
    assert len(stage.batch) == 1  # two steps: one frame stays in flight
