"""From a picture file to the tokens of an image prompt: CLIP's vision encoder, and the adapter's projection.

It runs once a picture, in plain torch on the CPU, away from the painting lane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realtime.core.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from .nets.image_prompt import Adapter

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Hold what the adapter made of a picture, (1, N, D) each."""

    tokens: Tensor
    negative: Tensor
    """What the negative prompt's row attends to."""


def parts_of(model: str) -> tuple[Path, tuple[Path, ...]]:
    """Return the adapter's file and the folders where its vision encoder may lie. Raises ModelError.

    `model` is the file, a folder with one such file, a catalog id or "hub:owner/name".
    """
    from pipelines.models.store import locate

    file = Path(model).expanduser()
    if not file.is_file():
        folder = Path(locate(model))
        found = sorted(folder.glob("*.safetensors"))
        if len(found) != 1:
            names = ", ".join(one.name for one in found) or "none"
            raise ModelError(
                f"{folder} holds {len(found)} adapters, not one: {names}.", hint="Name the .safetensors file."
            )
        file = found[0]
    places = (file.parent, file.parent.parent, file.parent.parent / "models")
    return file, tuple(place / "image_encoder" for place in places)


def encoder_of(adapter: Adapter, places: Sequence[Path]) -> Callable[[Path], Encoded]:
    """Return what makes tokens of a picture file: the first vision encoder that fits, and the projection.

    Raises ModelError when none fits.
    """
    import torch
    from transformers import CLIPVisionModelWithProjection

    from .disk import weights
    from .nets.reading import read_config

    wanted = "projection_dim" if adapter.is_plain else "hidden_size"
    fitting = [
        place
        for place in places
        if (place / "config.json").is_file() and read_config(place).get(wanted) == adapter.takes
    ]
    if not fitting:
        raise ModelError(
            f"No vision encoder whose {wanted} is {adapter.takes} lies beside {adapter.file.name}.",
            hint=f"Put it into {places[0]}: config.json and model.safetensors.",
        )
    vision = weights(CLIPVisionModelWithProjection, fitting[0], stem="model", dtype_name="dtype")
    projector = adapter.projector()
    side = int(vision.config.image_size)

    def embeddings(pixels_13HW: Tensor) -> Tensor:
        if adapter.is_plain:
            embedded: Tensor = vision(pixels_13HW).image_embeds
            return embedded
        inner: Tensor = vision(pixels_13HW, output_hidden_states=True).hidden_states[-2]
        return inner

    def encode(path: Path) -> Encoded:
        pixels = clip_pixels(path, side)
        with torch.inference_mode():
            seen = embeddings(pixels)
            nothing = torch.zeros_like(seen) if adapter.is_plain else embeddings(torch.zeros_like(pixels))
            return Encoded(projector(seen).float(), projector(nothing).float())

    return encode


def clip_pixels(path: Path, side_px: int) -> Any:
    """Return a picture file as CLIP is shown it, (1, 3, side, side). Raises ConfigError.

    The shorter side is scaled to `side_px` (bicubic), the middle is cut out, the channels are normalised.
    """
    import numpy as np
    import torch
    from PIL import Image

    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ConfigError(f"The image prompt {path} is no picture that can be read: {error}.") from error
    short = min(picture.size)
    width, height = (int(side_px * length / short) for length in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - side_px) // 2, (height - side_px) // 2
    cut = np.asarray(picture.crop((left, top, left + side_px, top + side_px)), np.float32) / 255.0
    normal = (cut - np.asarray(CLIP_MEAN, np.float32)) / np.asarray(CLIP_STD, np.float32)
    return torch.from_numpy(np.ascontiguousarray(normal.transpose(2, 0, 1)))[None]
