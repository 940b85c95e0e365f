"""The number in a picture survives what happens on the way, and a wrong number is never read."""

import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.media import fit
from realtime.sources.mark import NUMBERS, crc8, mark_bits, read_mark, write_mark
from realtime.sources.pattern import pattern_picture

SIZES = [(640, 480), (256, 256), (480, 641), (101, 97), (48, 48)]


@settings(max_examples=60, deadline=None)
@given(number=st.integers(0, NUMBERS - 1), size=st.sampled_from(SIZES))
def test_what_is_written_is_read(number: int, size: tuple[int, int]) -> None:
    pixels = pattern_picture(0, *size, mark=False)
    write_mark(pixels, number)
    assert read_mark(pixels) == number


def test_number_wraps_around() -> None:
    assert mark_bits(NUMBERS + 5) == mark_bits(5)


def test_crc_is_the_standard_one() -> None:
    assert crc8(b"123456789") == 0xF4


def jpeg(pixels: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 15])[1], cv2.IMREAD_COLOR)


def noisy(pixels: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 60, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def repainted(pixels: np.ndarray) -> np.ndarray:
    """Sepia-blue instead of black and white, soft edges, a vignette: what a painter may make of it."""
    grey = cv2.GaussianBlur(pixels, (9, 9), 3).mean(axis=2, keepdims=True) / 255
    colours = np.array([40, 60, 110]) * (1 - grey) + np.array([190, 160, 120]) * grey
    y, x = np.mgrid[-1 : 1 : pixels.shape[0] * 1j, -1 : 1 : pixels.shape[1] * 1j]
    return (colours * (1 - 0.2 * (x**2 + y**2))[..., None]).astype(np.uint8)


DAMAGES = {
    "jpeg": jpeg,
    "noise": noisy,
    "inverted": lambda p: 255 - p,
    "channels swapped": lambda p: np.ascontiguousarray(p[..., ::-1]),
    "pale": lambda p: (p // 4 + 90).astype(np.uint8),
    "repainted": repainted,
    "smaller": lambda p: fit(p, 160, 120),
    "larger": lambda p: fit(p, 960, 720),
    "square crop": lambda p: fit(p, 256, 256),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_survives(damage: str) -> None:
    for number in (0, 1, 4711, NUMBERS - 1):
        pixels = pattern_picture(number, 640, 480)
        assert read_mark(DAMAGES[damage](pixels)) == number


def test_a_blend_of_two_pictures_reads_as_neither_wrong_number() -> None:
    a, b = pattern_picture(1000, 256, 256), pattern_picture(1037, 256, 256)
    for share in np.linspace(0, 1, 21):
        mix = (a * (1 - share) + b * share).astype(np.uint8)
        assert read_mark(mix) in (1000, 1037, None)
    assert read_mark((a // 2 + b // 2).astype(np.uint8)) is None


def test_pictures_without_a_mark_read_as_none() -> None:
    noise = np.random.default_rng(1)
    for seq in range(300):
        assert read_mark(pattern_picture(seq, 64, 64, mark=False)) is None
        assert read_mark(noise.integers(0, 256, (48, 48, 3), np.uint8)) is None
    assert read_mark(np.zeros((480, 640, 3), np.uint8)) is None
    assert read_mark(np.zeros((8, 8, 3), np.uint8)) is None


def test_too_small_a_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 48 px"):
        write_mark(np.zeros((40, 200, 3), np.uint8), 1)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js to run the browser's twin")
def test_the_browser_twin_reads_the_same(tmp_path: Path) -> None:
    twin = Path(__file__).parents[2] / "mark.js"
    pictures = [(4711, 640, 480), (NUMBERS - 1, 97, 101), (12, 256, 256), (None, 320, 240)]
    names = []
    for number, width, height in pictures:
        pixels = pattern_picture(number or 0, width, height, mark=number is not None)
        rgba = np.dstack([pixels, np.full((height, width), 255, np.uint8)])
        names.append([str(tmp_path / f"{number}.rgba"), width, height])
        Path(names[-1][0]).write_bytes(rgba.tobytes())
    script = (
        f"const {{readMark}} = require({json.dumps(str(twin))}); const fs = require('fs');"
        f"const read = ([file, w, h]) => readMark(fs.readFileSync(file), w, h);"
        f"console.log(JSON.stringify({json.dumps(names)}.map(read)))"
    )
    out = subprocess.run(["node", "-e", script], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(out.stdout) == [number for number, _, _ in pictures]
