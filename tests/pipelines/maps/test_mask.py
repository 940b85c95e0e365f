"""The foreground: what moves, what has not the backdrop's colour, or what a file says."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.maps.mask import MaskConfig, MaskStage
from pipelines.maps.mask_file import MaskFile
from realtime.core.errors import ConfigError
from realtime.core.frame import Frame, Stamp
from realtime.core.stage import StageContext

HEIGHT, WIDTH = 120, 160
SHARP = {"grow_px": 0, "feather_px": 0}


def view(seq: int, left: int | None, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Frame:
    """Return a textured wall, and before it a bright square whose left side is at `left`."""
    wall = np.random.default_rng(1).integers(60, 120, (*size, 3), np.uint8)
    wall = cv2.GaussianBlur(wall, (0, 0), 2)
    noise = np.random.default_rng(seq).integers(-2, 3, wall.shape)
    pixels = (wall + noise).clip(0, 255).astype(np.uint8)
    if left is not None:
        pixels[40:80, left : left + 40] = (230, 180, 150)
    return Frame(Stamp("video", seq, seq, Fraction(1, 10), seq), pixels)


def opened(**how: object) -> MaskStage:
    stage = MaskStage()
    stage.configure(MaskConfig(**how))  # type: ignore[arg-type]
    stage.open(StageContext())
    return stage


def mask_of(stage: MaskStage, frame: Frame) -> np.ndarray:
    (out,) = stage.process(frame)
    assert out.value.pixels is frame.pixels
    return out.value.maps["mask"]


def likeness(mask: np.ndarray, left: int) -> float:
    """Return intersection over union with the square at `left`."""
    right = np.zeros((HEIGHT, WIDTH), bool)
    right[40:80, left : left + 40] = True
    seen = mask > 127
    return float((seen & right).sum() / (seen | right).sum())


def test_what_moves_is_foreground_and_the_wall_is_not() -> None:
    stage = opened(**SHARP)
    for seq in range(20):
        empty = mask_of(stage, view(seq, None))
    assert empty.mean() < 2
    for seq, left in enumerate((10, 60, 110), 20):
        assert likeness(mask_of(stage, view(seq, left)), left) > 0.8
    assert likeness(mask_of(stage, view(23, 10)), 110) < 0.2


def test_a_new_stream_or_size_is_a_new_background() -> None:
    stage = opened(**SHARP)
    for seq in range(5):
        mask_of(stage, view(seq, None))
    stage.reset()
    assert not mask_of(stage, view(5, 60)).any()  # the first of a stream is background
    other = mask_of(stage, view(6, 60, (60, 90)))
    assert other.shape == (60, 90)
    assert not other.any()


def test_a_backdrop_of_the_key_colour_is_left_out_whatever_its_shade() -> None:
    pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:] = (0, 177, 64)
    pixels[:60] = (0, 120, 43)  # a shadow on it
    pixels[40:80, 60:100] = (200, 150, 130)
    frame = Frame(Stamp("video", 0, 0, Fraction(1, 10), 0), pixels)
    assert likeness(mask_of(opened(source="colour", **SHARP), frame), 60) == 1.0
    inverted = mask_of(opened(source="colour", invert=True, **SHARP), frame)
    assert likeness(255 - inverted, 60) == 1.0
    assert mask_of(opened(source="colour", colour="#c89682", **SHARP), frame)[60, 80] == 0


def test_the_edge_is_grown_and_softened() -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), (0, 177, 64), np.uint8)
    pixels[:, 80:] = (200, 150, 130)
    frame = Frame(Stamp("video", 0, 0, Fraction(1, 10), 0), pixels)
    row = mask_of(opened(source="colour", grow_px=6, feather_px=3), frame)[60].astype(int)
    assert row[80 - 6 - 4] == 0
    assert row[80 - 6 + 3] == 255
    assert (np.diff(row) >= 0).all()
    assert np.diff(row).max() <= 40


def video(path: Path, count: int = 5, rate_hz: float = 10.0) -> Path:
    """Write a video whose frame k is white left of 16 (k + 1)."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate_hz, (96, 64))
    for k in range(count):
        picture = np.zeros((64, 96, 3), np.uint8)
        picture[:, : 16 * (k + 1)] = 255
        writer.write(picture)
    writer.release()
    return path


def test_a_video_is_played_along_with_the_streams_own_time(tmp_path: Path) -> None:
    stage = opened(source="file", file=str(video(tmp_path / "mask.mp4")), **SHARP)
    for seq in (7, 8, 10, 11, 12, 11):  # begins at the first; 12 is the end and over again; 11 goes back
        mask = mask_of(stage, view(seq, None))
        assert mask.shape == (HEIGHT, WIDTH)
        white = (mask[60] > 127).sum() / WIDTH
        assert white == pytest.approx(((seq - 7) % 5 + 1) / 6, abs=0.03)
    stage.reset()
    assert (mask_of(stage, view(30, None))[60] > 127).sum() / WIDTH == pytest.approx(1 / 6, abs=0.03)
    stage.close()


def test_a_picture_is_drawn_out_over_the_view_and_what_is_none_is_refused(tmp_path: Path) -> None:
    half = np.zeros((10, 20), np.uint8)
    half[:, 10:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), half)
    mask = mask_of(opened(source="file", file=str(tmp_path / "mask.png"), **SHARP), view(0, None))
    assert mask[:, : WIDTH // 2 - 6].max() == 0
    assert mask[:, WIDTH // 2 + 6 :].min() == 255
    for name in ("text.png", "text.mp4"):
        (tmp_path / name).write_text("neither")
        with pytest.raises(ConfigError, match=f"{name} is no"):
            MaskFile(tmp_path / name)
    with pytest.raises(ConfigError, match="is not there"):
        MaskFile(tmp_path / "none.png")
    with pytest.raises(ConfigError, match="none is named"):
        opened(source="file")
