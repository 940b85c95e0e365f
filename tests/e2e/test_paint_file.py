"""A file with sound goes through the real painter: nothing lost, nothing late, the same twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.clips import click_time_s, flash_time_s, make_clip, numbers_of, pictures_of
from tests.e2e.conftest import ROOT

pytestmark = pytest.mark.slow

SECONDS, FPS, FLASH_AT = 4.0, 24, 52


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Return a clip and what two runs of the command made of it."""
    folder = tmp_path_factory.mktemp("paint")
    clip = make_clip(folder / "in.mp4", SECONDS, FPS, size=(320, 240), flash_at=FLASH_AT)
    outputs = [folder / "first.mp4", folder / "second.mp4"]
    for output in outputs:
        command = [
            sys.executable,
            "-m",
            "app",
            "paint",
            str(clip),
            str(output),
            "--prompt",
            "photo",
            "--quiet",
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr[-2000:]
    return clip, outputs[0], outputs[1]


def test_every_picture_comes_out_at_its_time(painted: tuple[Path, Path, Path]) -> None:
    clip, output, _ = painted
    before, after = (np.array([time_s for time_s, _ in pictures_of(path)]) for path in (clip, output))
    assert len(after) == len(before) == round(SECONDS * FPS)
    assert np.abs(after - before).max() < 0.001


def test_the_pictures_are_in_order(painted: tuple[Path, Path, Path]) -> None:
    numbers = numbers_of(painted[1])
    read = {at: number for at, number in enumerate(numbers) if number is not None}
    assert len(read) > 0.8 * len(numbers), "the number should be readable in most painted pictures"
    assert all(number == at for at, number in read.items())


def test_sound_stays_with_the_picture(painted: tuple[Path, Path, Path]) -> None:
    clip, output, _ = painted
    apart_before_s = click_time_s(clip) - flash_time_s(clip)
    apart_after_s = click_time_s(output) - flash_time_s(output)
    assert abs(apart_after_s - apart_before_s) < 0.020


def test_the_same_seed_paints_the_same_pixels_twice(painted: tuple[Path, Path, Path]) -> None:
    _, first, second = painted
    pairs = zip(pictures_of(first), pictures_of(second), strict=True)
    assert all(np.array_equal(a, b) for (_, a), (_, b) in pairs)
