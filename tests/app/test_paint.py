"""`python -m app paint`: every picture, in order, with its sound; and an OUT that is whole or not there."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.paint import Painted, paint_file, paint_in_terminal
from app.settings import Settings
from realtime.core.errors import ConfigError, ModelMissing, SourceClosed, StageError, UnsupportedMedia
from tests.app import stages
from tests.clips import click_time_s, flash_time_s, make_clip, numbers_of, pictures_of


def settings(stage: str = "Invert", **config: Any) -> tuple[Settings, Any]:
    table = stages.registry(stage)
    given = {f"stages__paint__{name}": value for name, value in {"size_px": 128, **config}.items()}
    return stages.settings(table, **given), table


def paint(source: Path, target: Path, stage: str = "Invert", **options: Any) -> Painted:
    chosen, table = settings(stage)
    return paint_file(chosen, source, target, registry=table, **options)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "in.mp4", seconds=1.5, flash_at=20)


@pytest.mark.parametrize("stage", ["Invert", "Delayed"])
def test_every_picture_comes_out_in_order_at_its_time_with_its_sound(
    clip: Path, tmp_path: Path, stage: str
) -> None:
    done = paint(clip, tmp_path / "out.mp4", stage)
    before, after = pictures_of(clip), pictures_of(done.path)
    assert done.pictures == len(before) == len(after) == 45
    assert numbers_of(done.path) == list(range(45))
    assert np.allclose([time for time, _ in after], [time for time, _ in before], atol=0.001)
    assert after[0][1].shape == (128, 128, 3)
    corner = after[0][1][:8, :8].astype(int) + before[0][1][:8, 40:48]
    assert abs(corner.mean() - 255) < 12  # inverted: both add up to white
    assert abs(click_time_s(done.path) - click_time_s(clip)) < 0.02
    assert abs(click_time_s(done.path) - flash_of_inverted(done.path)) < 0.02


def flash_of_inverted(path: Path) -> float:
    """Return the time of the darkest picture: the flash was white."""
    return min(pictures_of(path), key=lambda one: float(one[1][: one[1].shape[0] // 2].mean()))[0]


def test_the_click_and_the_flash_of_the_clip_are_together(clip: Path) -> None:
    assert abs(click_time_s(clip) - flash_time_s(clip)) < 0.02


def test_the_same_settings_give_the_same_pixels(clip: Path, tmp_path: Path) -> None:
    digests = []
    for name in ("a.mp4", "b.mp4"):
        pixels = b"".join(one.tobytes() for _, one in pictures_of(paint(clip, tmp_path / name).path))
        digests.append(hashlib.sha256(pixels).hexdigest())
    assert digests[0] == digests[1]


def test_a_film_without_sound_keeps_silent(tmp_path: Path) -> None:
    mute = make_clip(tmp_path / "mute.mp4", seconds=0.3, sound=False)
    assert paint(mute, tmp_path / "out.mp4").pictures == 9


@pytest.mark.parametrize("force", [False, True])
def test_paths_that_cannot_be(clip: Path, tmp_path: Path, force: bool) -> None:
    own = shutil.copy(clip, tmp_path / "own.mp4")
    link = tmp_path / "link.mp4"
    link.symlink_to(own)
    for target, said in (
        (own, "same file"),
        (link, "same file"),
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "out.mp4", "no folder"),
        (tmp_path / "out.gif", "must end in"),
    ):
        with pytest.raises(ConfigError, match=said):
            paint(own, target, force=force)
    with pytest.raises(ConfigError, match="There is no file"):
        paint(tmp_path / "none.mp4", tmp_path / "out.mp4", force=force)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.mp4", "own.mp4"]
    assert own.read_bytes() == clip.read_bytes()


def test_an_out_that_is_there_is_kept_unless_forced(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_text("dear")
    with pytest.raises(ConfigError, match="there already") as caught:
        paint(clip, out)
    assert "--force" in caught.value.hint
    assert out.read_text() == "dear"
    assert paint(clip, out, force=True).pictures == 45
    assert len(pictures_of(out)) == 45


def is_untouched(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_an_in_that_cannot_be_read(clip: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.mp4"
    words.write_text("This is no film.")
    with pytest.raises(UnsupportedMedia):
        paint(words, tmp_path / "out.mp4")
    cut = tmp_path / "cut.mp4"
    whole = make_clip(tmp_path / "whole.mkv", seconds=2, sound=False).read_bytes()
    cut.write_bytes(whole[: len(whole) // 100])
    with pytest.raises((UnsupportedMedia, SourceClosed)):
        paint(cut, tmp_path / "out.mp4")
    assert is_untouched(tmp_path, "words.mp4", "cut.mp4", "whole.mkv")


@pytest.mark.parametrize(("stage", "error"), [("Fails", StageError), ("NoModel", ModelMissing)])
def test_a_stage_that_fails_ends_the_work_and_leaves_no_torn_out(
    clip: Path, tmp_path: Path, stage: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        paint(clip, tmp_path / "out.mp4", stage)
    assert is_untouched(tmp_path)


def test_ctrl_c_in_the_middle_leaves_no_torn_out(clip: Path, tmp_path: Path) -> None:
    seen = 0

    def interrupted() -> None:
        nonlocal seen
        seen += 1
        if seen == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paint(clip, tmp_path / "out.mp4", on_picture=interrupted)
    assert seen == 7
    assert is_untouched(tmp_path)


def test_ctrl_c_when_all_is_read_and_the_last_pictures_are_in_flight(tmp_path: Path) -> None:
    short = make_clip(tmp_path / "short.mp4", seconds=0.1, sound=False)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paint(short, tmp_path / "out.mp4", "Delayed", on_picture=interrupted)
    assert is_untouched(tmp_path, "short.mp4")


@pytest.mark.parametrize("quiet", [False, True])
def test_the_terminal_gets_a_bar_and_one_last_line(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    chosen, table = settings()
    out = tmp_path / "out.mp4"
    assert paint_in_terminal(chosen, clip, out, quiet=quiet, registry=table) == 0
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    assert said.out.startswith("45 frames in ")
    assert said.out.endswith(f": {out}\n")
    assert ("painting" in said.err) is not quiet
