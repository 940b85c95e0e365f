"""Paint only inside a mask, or only outside it: each latent cell has a share of the frame's strength.

The mask is a map of the frame, so it may move with every frame, or a picture file. It is cut and scaled like
the picture, drawn out softly at its edge, and averaged over latent cells; what is done with it stands in
`trajectory.joined` and `trajectory.reached`. The rest of the picture goes through the autoencoder alone.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from realtime.core.errors import ConfigError

from .config import PaintConfig
from .features import Draft, Nothing
from .pictures import square

if TYPE_CHECKING:
    from torch import Tensor

KEPT_FILES = 8
Mask = npt.NDArray[np.float32]
"""(H, W) from 0 to 1."""


class Masking(Nothing):
    """Give each frame the strengths of its latent cells."""

    def __init__(self) -> None:
        self._told = ""

    def key(self, config: PaintConfig) -> tuple[()] | None:
        return () if config.mask else None

    def draft(self, draft: Draft, config: PaintConfig) -> None:
        if not config.mask:  # switched off a moment ago
            return
        try:
            if draft.start_1CHW is not None:
                raise ConfigError(
                    "A mask keeps parts of the picture, and none is painted over.",
                    hint="Set start_from = picture.",
                )
            found = mask_of(config.mask, draft.frame.maps)
        except ConfigError as error:
            self._tell(draft, f"{error} The whole picture is painted.")
            return
        self._told = ""
        strengths = strengths_of(
            square(found, draft.size_px),
            paints_inside=config.mask_paints == "inside",
            feather_px=config.mask_feather_px,
            elsewhere=config.mask_outside_strength,
        )
        draft.cells_11HW = to_cells(strengths, int(draft.reference_1CHW.shape[-1]))

    def _tell(self, draft: Draft, sentence: str) -> None:
        if sentence != self._told:
            self._told = sentence
            draft.report(sentence)


def mask_of(name: str, maps: Any) -> Mask:
    """Return the mask `name`: one of `maps`, or a picture file. Raises ConfigError when there is none."""
    if not set("/\\.") & set(name):
        if name not in maps:
            others = ", ".join(sorted(maps)) or "none"
            raise ConfigError(
                f'No stage made a map "{name}" of this picture; there are: {others}.',
                hint=f'Put the stage "{name}" before the painter, or name a file.',
            )
        return to_mask(maps[name])
    path = Path(name).expanduser()
    try:
        return _of_file(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise ConfigError(f"The mask {path} cannot be read: {error.strerror or error}.") from error


def to_mask(array: npt.NDArray[Any]) -> Mask:
    """Return a map as a mask: the lightness of a picture, a grey map as it is. Raises ConfigError."""
    if array.dtype == np.uint8:
        grey = array if array.ndim == 2 else cv2.cvtColor(array, cv2.COLOR_RGB2GRAY)
        return np.asarray(grey, np.float32) / np.float32(255.0)
    if array.ndim == 2:
        return np.asarray(array, np.float32)
    raise ConfigError("A motion is no mask.", hint="Name a map of grey values or a picture.")


@lru_cache(KEPT_FILES)
def _of_file(path: Path, changed_ns: int) -> Mask:
    """Read a picture file; `changed_ns` makes a file that was written anew another one."""
    pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise ConfigError(f"The mask {path} is no picture.", hint="Use a PNG whose white is to be painted.")
    return to_mask(np.asarray(pixels, np.uint8))


def strengths_of(mask: Mask, *, paints_inside: bool, feather_px: int, elsewhere: float) -> Mask:
    """Return the share of the strength at each pixel: 1 where it paints, `elsewhere` where it does not.

    At the mask's edge it goes from one to the other over `feather_px` to each side, with no kink.
    """
    soft = feathered(mask, feather_px)
    if not paints_inside:
        soft = 1.0 - soft
    return np.asarray(elsewhere + (1.0 - elsewhere) * soft, np.float32)


def feathered(mask: Mask, feather_px: int) -> Mask:
    """Return the mask with soft edges that reach `feather_px` to each side and no further.

    Two box filters: a hard edge becomes two parabolas, in place of a Gaussian's endless tail.
    """
    soft: Any = mask
    for half in (feather_px // 2, feather_px - feather_px // 2):
        if half:
            soft = cv2.blur(soft, (2 * half + 1, 2 * half + 1), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(soft, np.float32).clip(0.0, 1.0)


def to_cells(strengths: Mask, side: int) -> Tensor:
    """Return strengths (H, W) averaged over `side` by `side` latent cells, (1, 1, side, side)."""
    import torch

    cells = cv2.resize(strengths, (side, side), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(np.ascontiguousarray(cells, np.float32))[None, None]
