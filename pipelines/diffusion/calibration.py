"""Real inputs of the networks, for engines that round to int8: pictures, and what painting makes of them.

The pictures are windows cut out of the embedded painter's contact sheet (photographs and what they were
painted to), or the files in the model's own folder `calibration`, if it has one. They are painted in plain
torch, each in another look, and what went into each network on the way is the sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from realtime.core.errors import ModelError
from realtime.core.frame import Stamp

from .guidance import Guidance
from .kits import Kit
from .noise import Seeds
from .pictures import Pixels, square
from .stream_batch import StreamBatch, tick
from .wish import Wish

if TYPE_CHECKING:
    from torch import Tensor

    from .painter import Painter

SAMPLES = 16
PROMPTS = ("oil painting", "pencil sketch", "photograph", "watercolor", "neon lights at night", "cartoon")
"""For models that list no looks."""


def sample_pictures(folder: Path, size_px: int, count: int = SAMPLES) -> list[Pixels]:
    """Return `count` pictures (size_px, size_px, 3): the model's own, or windows of the contact sheet."""
    own = [file for file in sorted(folder.glob("calibration/*")) if file.suffix in (".jpg", ".png")]
    if own:
        return [square(_read(own[i % len(own)]), size_px) for i in range(count)]
    from pipelines.models.store import locate

    sheet = _read(Path(locate("painter")) / "sheet.jpg")
    return [square(_window(sheet, i, size_px), size_px) for i in range(count)]


def samples_of(painter: Painter, pictures: Sequence[Pixels], looks: Sequence[str]) -> dict[str, list[Any]]:
    """Paint each picture with a painter in fp32, and return what each network was given, by its name."""
    import torch

    seen: dict[str, list[Any]] = {}
    heard = [_Heard(name, engine, seen) for name, engine in _named(painter)]
    painter.engines = type(painter.engines)(*heard)
    painter.plain = Kit(painter.engines.unet)
    with torch.inference_mode():
        for i, pixels in enumerate(pictures):
            words = painter.book.words(looks[i % len(looks)], "")
            batch = StreamBatch()
            batch.admit(
                painter.start(
                    Stamp("calibration", i, i, Fraction(1, 30), 0),
                    "calibration",
                    painter.encode([pixels]),
                    words,
                    Wish(seeds=Seeds(i, i)),
                    Guidance(),
                )
            )
            for done in batch.due():
                tick(painter, [batch])
                painter.decode(done.latent_1CHW)
    return seen


class _Heard:
    """Pass on to an engine, and keep what it was given."""

    def __init__(self, name: str, engine: Any, seen: dict[str, list[Any]]) -> None:
        self.info = engine.info
        self._engine = engine
        self._kept = seen.setdefault(name, [])

    def run(self, **tensors: Tensor) -> Mapping[str, Tensor]:
        self._kept.append({name: value.detach().clone() for name, value in tensors.items()})
        return {name: value.clone() for name, value in self._engine.run(**tensors).items()}

    def warm(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._engine.warm(shapes)

    def close(self) -> None:
        self._engine.close()


def _named(painter: Painter) -> list[tuple[str, Any]]:
    return list(zip(("encoder", "unet", "decoder"), painter.engines, strict=True))


@cache
def _read(file: Path) -> Pixels:
    found = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
    if found is None:
        raise ModelError(f"{file} cannot be read, and int8 is calibrated with it.")
    return np.asarray(found, np.uint8)


def _window(sheet: Pixels, number: int, size_px: int) -> Pixels:
    """Return window `number` of the sheet: by turns as fine as it is, and twice as large."""
    draw = np.random.default_rng(number)
    side = min(size_px if number % 2 else size_px // 2, *sheet.shape[:2])
    top, left = (int(draw.integers(0, whole - side + 1)) for whole in sheet.shape[:2])
    return np.ascontiguousarray(sheet[top : top + side, left : left + side])
