"""Every preset that ships is a graph that can be had; the one with a mask paints what moves and no more."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.layers import PRESETS, read_settings
from app.registry import Registry
from app.server import build_app
from app.wiring import House, Wiring
from realtime.core.frame import Frame, Stamp
from realtime.core.stage import StageContext

SIDE = 256
TIMEOUT_S = 120.0


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.toml")), ids=lambda path: path.stem)
def test_a_preset_is_read_and_wired(path: Path, house: House) -> None:
    settings = read_settings(flags=[("preset", path.stem)], environ={}).settings
    table = Registry()
    Wiring(settings, table, house, StageContext(shared=house.shared)).close()


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.toml")), ids=lambda path: path.stem)
def test_a_preset_has_a_page(path: Path) -> None:
    settings = read_settings(flags=[("preset", path.stem), ("server.warm", False)], environ={}).settings
    answer = TestClient(build_app(settings), base_url="http://localhost").get("/")
    assert answer.status_code == 200
    assert "gradio" in answer.text


@pytest.fixture
def house() -> Iterator[House]:
    one = House()
    yield one
    one.close()


def view(seq: int, left: int | None) -> Frame:
    """Return a room, and before it a bright square whose left side is at `left`."""
    pixels = np.random.default_rng(1).integers(60, 120, (SIDE, SIDE, 3), np.uint8)
    pixels = cv2.GaussianBlur(pixels, (0, 0), 6)
    if left is not None:
        pixels[80:176, left : left + 96] = (230, 180, 150)
    return Frame(Stamp("video", seq, seq, Fraction(1, 10), seq), pixels)


def test_only_what_moves_is_repainted(house: House) -> None:
    flags = [("preset", "moving"), ("stages.paint.prompt", "blueprint"), ("stages.paint.skip_still", False)]
    settings = read_settings(flags=flags, environ={}).settings
    context = StageContext(shared=house.shared)
    wiring = Wiring(settings, Registry(), house, context, live=False)
    wiring.open()
    output = wiring.output
    lefts = [None, None, None, 16, 64, 112]
    pictures = []
    for seq, left in enumerate(lefts):
        wiring.put(view(seq, left))
        result = output.get(timeout_s=TIMEOUT_S)
        assert result.error is None
        assert result.stamp.seq == seq
        pictures.append(result.value.pixels.astype(float))
    wiring.close()
    still, moved = pictures[2], pictures[5]
    room = view(2, None).pixels.astype(float)
    assert np.abs(still - room).mean() < 8  # nothing moved: the autoencoder alone
    square = np.abs(moved - view(5, 112).pixels)[96:160, 128:192].mean()
    assert square > 30  # repainted
    assert np.abs(moved - still)[:, :48].mean() < 3  # far from it the room stays
