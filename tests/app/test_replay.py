"""A run that was written down is run again: the same pictures, also those after what was dropped."""

from __future__ import annotations

import itertools
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli import main
from app.journal import CALLS, Journal, check_runs_again, digest
from app.replay import replay, unpacked
from app.wiring import House, Wiring
from realtime.core.errors import ConfigError, UnsupportedMedia
from realtime.core.frame import Frame
from realtime.core.stage import Emitted, StageContext, StageSpec
from tests.app import stages
from tests.app.test_incoming import comes_about
from tests.app.test_inout import PATTERN, running
from tests.app.test_server import is_told, made, serving
from tests.streams import until
from tests.vocabulary import make_frame


class Remembers(stages.Delayed):
    """Mix each picture with the one before, and look at the clock: a run that skips or hurries shows it."""

    spec = StageSpec("remembers", takes=Frame, gives=Frame, config=stages.InvertConfig, lane="paint")

    def __init__(self) -> None:
        super().__init__()
        self._before = np.zeros(1, np.float32)

    def open(self, ctx: StageContext) -> None:
        super().open(ctx)
        self._clock = ctx.clock

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        given = super().process(item)
        out = []
        for one in given:
            self._before = (self._before + one.value.pixels + self._clock.now_ns() % 7) / 2
            out.append(Emitted(one.stamp, Frame(one.stamp, self._before.astype(np.uint8))))
        return out


HERE = f"{__name__}:Remembers"


def registry() -> Any:
    table = stages.registry()
    table._table["paint"] = HERE
    return table


def run_live(folder: Path, table: Any, *, count: int = 60, **flags: Any) -> tuple[list[Frame], int]:
    """Send pictures faster than they are painted, with changes between; return what was painted, in order."""
    settings = stages.settings(table, **flags)
    journal = Journal(folder, settings)
    house = House()
    wiring = Wiring(
        settings, table, house, StageContext("live", shared=house.shared, is_live=True), wrap=journal.wrap
    )
    output = wiring.subscribe(1000)
    wiring.open()
    for seq in range(count):
        frame = make_frame(seq, height_px=64, width_px=64)
        journal.came_in(frame)
        wiring.put(frame)
        if seq == 20:
            wiring.configure({"strength": 0.25})
        if seq % 5 == 0:
            wiring._graph.drain(5.0)
    wiring.close(20.0)
    house.close()
    journal.close()
    painted = []
    while (result := output.poll()) is not None:
        assert isinstance(result.value, Frame)
        painted.append(result.value)
    return painted, count - len(painted)


def test_the_same_pictures_come_again_bit_for_bit_and_what_was_dropped_stays_so(tmp_path: Path) -> None:
    painted, dropped = run_live(tmp_path / "run", registry())
    assert dropped > 0, "the live run should have dropped something"
    again: list[Frame] = []
    done = replay(tmp_path / "run", registry=registry(), on_picture=lambda frame, then: again.append(frame))
    assert [one.stamp for one in again] == [one.stamp for one in painted]
    assert all((a.pixels == b.pixels).all() for a, b in zip(again, painted, strict=True))
    assert (done.pictures, done.equal, done.failed) == (len(painted), len(painted), 0)
    assert done.dropped == dropped
    assert done.first_different == ""


def test_another_stage_shows_itself(tmp_path: Path) -> None:
    run_live(tmp_path / "run", registry())
    done = replay(tmp_path / "run", registry=stages.registry("Delayed"))
    assert done.pictures > 0
    assert done.equal < done.pictures
    assert done.first_different.startswith("test:")


def test_stages_that_read_stages_get_what_they_got(tmp_path: Path) -> None:
    table = stages.registry("Invert")
    table._table["first"] = HERE
    flags = {
        "graph__nodes": {
            "first": {"stage": "first", "input": "source:video"},
            "paint": {"stage": "paint", "input": "first"},
        }
    }
    painted, _ = run_live(tmp_path / "run", table, **flags)
    again: list[Frame] = []
    done = replay(tmp_path / "run", registry=table, on_picture=lambda frame, then: again.append(frame))
    assert done.equal == done.pictures == len(painted) > 5


def test_a_failure_fails_again(tmp_path: Path) -> None:
    table = stages.registry("Fails")
    said: list[str] = []
    folder = tmp_path / "run2"
    settings = stages.settings(table)
    journal = Journal(folder, settings)
    stage = journal.wrap("paint", table.stage("paint")())
    stage.configure(stages.InvertConfig())
    stage.open(StageContext())
    for seq in range(5):
        try:
            stage.process(make_frame(seq, height_px=64, width_px=64))
        except ZeroDivisionError:
            assert seq == 3
    journal.close()
    done = replay(folder, registry=table, report=said.append)
    assert done.failed == 1
    assert "picture 3" in said[-1]
    assert done.equal == done.pictures == 4


@pytest.mark.slow
def test_a_diffusion_painter_comes_within_rounding(tmp_path: Path) -> None:
    from app.registry import Registry
    from tests.tiny import make_folder

    model = make_folder(tmp_path / "model", "painter")
    flags = {
        "stages__paint__model": str(model),
        "stages__paint__engine": "torch",
        "stages__paint__size_px": 192,
        "stages__paint__steps": 2,
        "stages__paint__seed": 7,
    }
    table = Registry()
    painted, _ = run_live(tmp_path / "run", table, count=25, **flags)
    again: list[Frame] = []
    done = replay(tmp_path / "run", registry=table, on_picture=lambda frame, then: again.append(frame))
    assert [one.stamp for one in again] == [one.stamp for one in painted]
    assert len(painted) > 5
    worst = max(
        int(np.abs(a.pixels.astype(int) - b.pixels).max()) for a, b in zip(again, painted, strict=True)
    )
    assert worst <= 1
    assert done.pictures == len(painted)


def test_pictures_are_kept_without_loss_of_any_size(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run", stages.settings())
    frames = [
        make_frame(0, height_px=50, width_px=70),
        make_frame(1, height_px=50, width_px=70),
        make_frame(2, height_px=33, width_px=31),
    ]
    stage = journal.wrap("paint", stages.Invert())
    stage.configure(stages.InvertConfig())
    stage.open(StageContext())
    for frame in frames:
        stage.process(frame)
    packed = journal.close()
    assert journal.close() == packed
    again: list[Frame] = []
    folder = unpacked(packed, tmp_path / "out")
    done = replay(folder, registry=stages.registry(), on_picture=lambda frame, then: again.append(frame))
    assert all((255 - a.pixels == b.pixels).all() for a, b in zip(again, frames, strict=True))
    assert done.equal == 3


def test_a_journal_that_was_cut_off_is_replayed_as_far_as_it_goes(tmp_path: Path) -> None:
    run_live(tmp_path / "run", registry())
    calls = tmp_path / "run" / CALLS
    text = calls.read_text()
    calls.write_text(text[: len(text) // 2])
    done = replay(tmp_path / "run", registry=registry())
    assert done.equal == done.pictures > 5
    for path in (tmp_path / "run").glob("pictures-*"):
        path.unlink()
    with pytest.raises(UnsupportedMedia, match="cut short"):
        replay(tmp_path / "run", registry=registry())


def test_what_is_no_journal_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no zip")
    for path in (tmp_path, tmp_path / "a.zip", tmp_path / "none"):
        with pytest.raises(ConfigError, match="journal"):
            replay(unpacked(path, tmp_path / "into"))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as bundle:
        bundle.writestr("../evil", "x")
        bundle.writestr("pictures-/../../evil", "x")
    unpacked(tmp_path / "b.zip", tmp_path / "into")
    assert not (tmp_path / "evil").exists()
    assert main(["replay", str(tmp_path)]) == 2


def test_a_disk_that_is_too_small_ends_the_journal_not_the_run(tmp_path: Path) -> None:
    ended: list[str] = []
    journal = Journal(tmp_path / "run", stages.settings(), max_bytes=20_000, on_end=ended.append)
    stage = journal.wrap("paint", stages.Invert())
    stage.configure(stages.InvertConfig())
    stage.open(StageContext())
    numbers = itertools.count()
    until(lambda: ended or not stage.process(make_frame(next(numbers), height_px=64, width_px=64)), "an end")
    assert stage.process(make_frame(next(numbers), height_px=64, width_px=64))
    journal.close()
    assert len(ended) == 1
    done = replay(tmp_path / "run", registry=stages.registry())
    assert done.why == ended[0]
    assert done.equal == done.pictures


async def test_a_visitor_makes_a_journal_and_a_developer_replays_it(tmp_path: Path) -> None:
    async with serving() as http:
        one = await running(http, journal=True)
        assert (await http.patch(f"/api/sessions/{one}/settings", json={"strength": 0.5})).status_code == 200
        session = http.studio.manager.get(one)  # type: ignore[attr-defined]
        count = session.wiring.snapshot()["paint"].frames
        await comes_about(lambda: session.wiring.snapshot()["paint"].frames > count + 5)
        await http.delete(f"/api/sessions/{one}")
        got = await http.get(f"/api/sessions/{one}/recordings/run.zip")
        assert got.status_code == 200
    (tmp_path / "run.zip").write_bytes(got.content)
    folder = unpacked(tmp_path / "run.zip", tmp_path / "into")
    done = replay(folder, registry=stages.registry())
    assert done.equal == done.pictures > 5
    configs = [
        json.loads(line)["config"]["strength"]
        for line in (folder / CALLS).read_text().splitlines()
        if '"configure"' in line
    ]
    assert configs[-1] == 0.5
    async with serving(address="8.8.8.8") as http:
        is_told(await http.post("/api/sessions", json={**PATTERN, "journal": True}), 403, "does not record")
        assert await made(http, PATTERN)


def test_digests_tell_pictures_apart() -> None:
    one, other = make_frame(1).pixels, make_frame(2).pixels
    assert digest(one) == digest(one.copy()) != digest(other)


def test_a_session_that_hears_is_not_written_down() -> None:
    table = stages.registry("Invert", hears="Repeats")
    nodes = {"paint": {"stage": "paint"}, "hears": {"stage": "hears", "input": "source:sound"}}
    check_runs_again(stages.settings(table, graph__nodes={"paint": {"stage": "paint"}}))
    with pytest.raises(ConfigError, match="hears cannot be written down"):
        check_runs_again(stages.settings(table, graph__nodes=nodes))
