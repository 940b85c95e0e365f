"""LoRAs (Hu et al. 2021, arXiv:2106.09685) beside the weights, how strong each is being an input.

A layer W that a LoRA changes becomes W x + scale * B A x. The scale is one number a row of a call: it may
change from frame to frame, users with different scales share a call, and an engine that holds its weights in
its own format needs no new build. The price is two thin layers a changed layer; what never changes is better
fused (`vitascope.json`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipelines.diffusion.kits import Row
from pipelines.diffusion.lora_files import LoraFile, read_lora
from pipelines.engines.base import TensorSpec
from pipelines.engines.networks import Plain, sharing_copy
from pipelines.models.checksums import sum_of
from realtime.core.errors import ModelError

SCALES = "lora_scale"
WEIGHTS = "loras"
"""Name in a trajectory's `extras` of the weights by LoRA; one that is not named has 0."""
OUTSIDE = ("time_embedding", "add_embedding", "time_embed", "time_proj", "class_embedding")
"""Parts of a denoiser that are computed outside of its engine."""


class Scales:
    """Hold the scales of the run that is going on, (B, n); shared by all layers of a network."""

    def __init__(self) -> None:
        self.now_BN: torch.Tensor | None = None


class LowRank(nn.Module):  # type: ignore[misc] # torch is not followed
    """Add low-rank layers to a linear or convolutional layer, each times its scale."""

    def __init__(self, layer: nn.Module, scales: Scales) -> None:
        super().__init__()
        self.layer = layer
        self.scales = scales
        self.places: list[int] = []
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()

    def add(self, place: int, down: nn.Module, up: nn.Module) -> None:
        """Add the LoRA at `place`; `up` holds its constant factor."""
        self.places.append(place)
        self.downs.append(down)
        self.ups.append(up)

    @property
    def weight(self) -> torch.Tensor:
        """The layer's own weight, for code that asks a layer for its type."""
        return self.layer.weight

    def forward(self, x: torch.Tensor, *more: Any, **named: Any) -> torch.Tensor:
        out: torch.Tensor = self.layer(x, *more, **named)
        scales_BN = self.scales.now_BN
        assert scales_BN is not None  # `enter` came first
        for place, down, up in zip(self.places, self.downs, self.ups, strict=True):
            scale = scales_BN[:, place].reshape(-1, *[1] * (out.dim() - 1))
            out = out + scale * up(down(x))
        return out


class LoraExtension(Plain):
    """Put LoRAs into a denoiser, with their scales as the input "lora_scale" (b, n), in the files' order."""

    name = "lora"
    backbones = ("unet", "sana")

    def __init__(self, files: Sequence[Path], report: Callable[[str], None] = lambda sentence: None) -> None:
        self._files = tuple(files)
        self._report = report
        self._scales = Scales()
        self.recipe = " ".join(f"{file.name} {sum_of(file).sha256}" for file in files)
        self.inputs = (TensorSpec(SCALES, "float32", ("b", len(files))),)

    def install(self, unet: Any) -> None:
        """Read the files and put their layers beside those of the denoiser, a copy that shares its weights.

        Raises ModelError for a LoRA of another kind of model, or with parts that cannot be weighted live.
        """
        found = [layers_of(unet, read_lora(unet, file), self._report) for file in self._files]
        for place, layers in enumerate(found):
            for path, (down, up) in layers.items():
                parent, _, last = path.rpartition(".")
                layer = unet.get_submodule(path)
                if not isinstance(layer, LowRank):
                    layer = LowRank(layer, self._scales)
                    setattr(unet.get_submodule(parent), last, layer)
                layer.add(place, down, up)

    def example(self, rows: int, side: int) -> tuple[torch.Tensor, ...]:
        return (torch.full((rows, len(self._files)), 0.8),)

    def enter(self, tensors: Sequence[torch.Tensor]) -> None:
        self._scales.now_BN = tensors[0]

    def leave(self) -> tuple[torch.Tensor, ...]:
        self._scales.now_BN = None
        return ()


class LoraWeights:
    """Feed the scales: each row has those of its frame."""

    name = "lora"

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)

    def before(self, rows: Sequence[Row], named: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        weights = [row.trajectory.extras.get(WEIGHTS, {}) for row in rows]
        table = [[float(one.get(name, 0.0)) for name in self._names] for one in weights]
        return {SCALES: torch.tensor(table, dtype=torch.float32)}

    def after(self, rows: Sequence[Row], outputs: Mapping[str, torch.Tensor]) -> None: ...

    def shapes(self, rows: int, side: int) -> Mapping[str, tuple[int, ...]]:
        return {SCALES: (rows, len(self._names))}

    def close(self) -> None: ...


def layers_of(
    denoiser: Any, lora: LoraFile, report: Callable[[str], None] = lambda sentence: None
) -> dict[str, tuple[nn.Module, nn.Module]]:
    """Return the low-rank layers of a LoRA by the path of the layer that each changes.

    peft reads them, into a copy of the denoiser that is then thrown away: so every rank, kernel and constant
    factor is as diffusers would have it. Raises ModelError.
    """
    from peft.tuners.lora import LoraLayer

    shell = sharing_copy(denoiser)
    lora.load_into(shell, "live")
    found: dict[str, tuple[nn.Module, nn.Module]] = {}
    for path, layer in shell.named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        if layer.use_dora.get("live"):
            raise ModelError(f"The LoRA {lora.name} is a DoRA, whose weight cannot be changed live.")
        if path.split(".")[0] in OUTSIDE:
            raise ModelError(
                f"The LoRA {lora.name} changes {path}, which cannot be weighted live.",
                hint="List it in the model's vitascope.json instead: there it is made part of the model.",
            )
        up = layer.lora_B["live"]
        with torch.no_grad():
            up.weight.mul_(float(layer.scaling["live"]))
        found[path] = (layer.lora_A["live"], up)
    if not found:
        raise ModelError(f"The LoRA {lora.name} changes no layer of this model.")
    if lora.left_out:
        report(f"The LoRA {lora.name} acts on the picture only; its {lora.left_out} part is left out.")
    return found
