"""Networks that look at a picture, as transformers has them: read from a folder, and made a `Network`.

A picture in [0, 1] goes in; that the model wants other numbers is settled inside, so that engines of all
back ends are fed alike.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipelines.engines.base import Network, TensorSpec
from pipelines.models.store import digest
from realtime.core.errors import ModelCorrupt, ModelError

VERIFY = "Check it with `python -m app models verify`."
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

AS_IT_IS = ("glpn",)
"""Model types whose preprocessing does not normalise."""


@dataclass(frozen=True, slots=True)
class Seeing:
    """Hold a model of transformers, and what it wants to be shown."""

    model: Any
    kind: str
    """Its `model_type`."""
    height_px: int
    width_px: int
    network: Network
    """"picture" (1, 3, height_px, width_px) in [0, 1] to "map" (1, ...)."""

    def example(self) -> dict[str, torch.Tensor]:
        """Return a picture to check engines with."""
        shape = (1, 3, self.height_px, self.width_px)
        return {"picture": torch.rand(shape, generator=torch.Generator().manual_seed(0))}


class SeeingNet(nn.Module):  # type: ignore[misc] # torch is not followed
    """Run a model on a picture_B3HW in [0, 1]; give the output named `output`."""

    def __init__(self, model: nn.Module, output: str, normal: tuple[Any, Any]) -> None:
        super().__init__()
        self.model = model
        self.output = output
        for name, values in zip(("mean", "std"), normal, strict=True):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).reshape(1, 3, 1, 1))

    def forward(self, picture_B3HW: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = getattr(self.model((picture_B3HW - self.mean) / self.std), self.output)
        return found


def read_seeing(folder: Path, name: str, auto: str, output: str, kinds: tuple[str, ...]) -> Seeing:
    """Load the model in `folder` with transformers' auto class `auto`, from disk only.

    `output` is the field of its answer that is wanted, `kinds` the model types that are taken. Raises
    ModelError for another kind, ModelCorrupt for files that cannot be read.
    """
    import transformers
    from safetensors import SafetensorError

    config = _json(folder / "config.json")
    kind = str(config.get("model_type"))
    if kind not in kinds:
        raise ModelError(
            f"{folder.name} is a model of the type {kind}, from which {name} is not made.",
            hint=f"Types that are taken: {', '.join(kinds)}.",
        )
    shown = _json(folder / "preprocessor_config.json", {})
    try:
        model = getattr(transformers, auto).from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
        model = model.eval().requires_grad_(False)
        height, width = _size(model.config, shown)
        normal = _normal(kind, shown)
        net = SeeingNet(model, output, normal).eval().requires_grad_(False)
        with torch.inference_mode():
            dims = tuple(net(torch.zeros(1, 3, height, width)).shape)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelCorrupt(f"{folder.name} cannot be used: {reason[0]}", hint=VERIFY) from error
    picture = TensorSpec("picture", "float32", ("b", 3, height, width))
    made = TensorSpec("map", "float32", ("b", *dims[1:]))
    weights = f"{digest(folder)} {height} {width} {normal}"
    return Seeing(model, kind, height, width, Network(name, net, (picture,), (made,), weights))


def _normal(kind: str, shown: dict[str, Any]) -> tuple[Any, Any]:
    """Return the mean and spread that a model's pictures are normalised with."""
    if kind in AS_IT_IS or shown.get("do_normalize") is False:
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return shown.get("image_mean", IMAGENET[0]), shown.get("image_std", IMAGENET[1])


def _size(config: Any, shown: dict[str, Any]) -> tuple[int, int]:
    """Return the height and width that a model wants to be shown, in pixels."""
    said = shown.get("size")
    if isinstance(said, dict) and {"height", "width"} <= said.keys():
        return int(said["height"]), int(said["width"])
    inner = getattr(config, "backbone_config", None)
    size = getattr(config, "image_size", None) or getattr(inner, "image_size", None) or 384
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))


def _json(file: Path, default: dict[str, Any] | None = None) -> dict[str, Any]:
    if default is not None and not file.is_file():
        return default
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelCorrupt(f"{file.parent.name}/{file.name} cannot be read: {error}.", hint=VERIFY) from error
    return found
