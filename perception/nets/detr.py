"""Detectors as transformers has them, RT-DETR and what came of it: read from a folder, and made a `Network`.

They answer with a fixed number of boxes, each with a logit a kind (Carion et al. 2020, arXiv:2005.12872; Zhao
et al. 2023, arXiv:2304.08069). A picture in [0, 1] goes in; that the model wants other numbers is settled
inside, so that engines of all back ends are fed alike.
"""

from __future__ import annotations

import json
import os
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.engines.base import Network, TensorSpec
from pipelines.engines.cost import usable_threads
from pipelines.models.store import digest
from realtime.core.errors import ModelCorrupt, ModelError

KINDS = ("rt_detr", "rt_detr_v2", "d_fine", "deimv2", "rf_detr")
"""Model types that are taken: those whose boxes need no thinning out afterwards."""
NORMALISED = ("rf_detr",)
"""Those whose pictures have ImageNet's mean taken off where nothing is said."""
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SIDE_PX = 640
"""The side of the picture where nothing is said."""
VERIFY = "Check it with `python -m app models verify`, or fetch it again."


@dataclass(frozen=True, slots=True)
class Detr:
    """Hold a detector of transformers, and the names of what it finds."""

    network: Network
    """"picture" (1, 3, H, W) in [0, 1] to "logits" (1, Q, K) and "boxes" (1, Q, 4): middle, width, height."""
    names: tuple[str, ...]
    """By place; empty for a place that the model never uses."""
    kind: str
    """Its `model_type`."""


class DetrNet(nn.Module):
    """Run a model on a picture_13HW in [0, 1]."""

    def __init__(self, model: nn.Module, factor: float, mean: Any, spread: Any) -> None:
        super().__init__()
        self.model, self.factor = model, factor
        for name, values in (("mean", mean), ("spread", spread)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).reshape(1, 3, 1, 1))

    def forward(self, picture_13HW: Tensor) -> tuple[Tensor, Tensor]:
        found = self.model((picture_13HW * self.factor - self.mean) / self.spread)
        return found.logits, found.pred_boxes


def read_detr(folder: Path) -> Detr:
    """Load the detector in `folder`, from disk only.

    Raises ModelError for another kind of model, ModelCorrupt for files that cannot be read.
    """
    import transformers
    from safetensors import SafetensorError

    # Its checks of shapes become operations of a traced graph, for which ONNX has no word.
    os.environ.setdefault("TRANSFORMERS_DISABLE_TORCH_CHECK", "1")
    config = _json(folder / "config.json")
    kind = str(config.get("model_type"))
    if kind not in KINDS:
        raise ModelError(
            f"{folder.name} is a model of the type {kind}, which finds nothing here.",
            hint=f"Types that are taken: {', '.join(KINDS)}.",
        )
    shown = _json(folder / "preprocessor_config.json", {})
    try:
        model = transformers.AutoModelForObjectDetection.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
        size, numbers = _size(shown), _numbers(kind, shown)
        _settle_places(model, *size)
        net = DetrNet(model, *numbers).eval().requires_grad_(False)
        with torch.inference_mode():
            shapes = [tuple(one.shape) for one in net(torch.zeros(1, 3, *size))]
        told = {int(k): str(name) for k, name in model.config.id2label.items()}
        names = tuple(told.get(k, "") for k in range(shapes[0][2]))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelCorrupt(f"{folder.name} cannot be used: {reason[0]}", hint=VERIFY) from error
    network = Network(
        kind,
        net,
        (TensorSpec("picture", "float32", (1, 3, *size)),),
        (TensorSpec("logits", "float32", shapes[0]), TensorSpec("boxes", "float32", shapes[1])),
        f"{digest(folder)} {size} {numbers} {transformers.__version__}",
        comparable=in_any_order,
        threads=max(1, usable_threads() // 2),  # it is as heavy as the painter, and must leave it room
    )
    return Detr(network, names, kind)


def in_any_order(outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return each column by itself, sorted: two answers of the same boxes are alike in any order.

    The order is that of scores half-way through the network, and turns where two are equal but for rounding.
    """
    return {name: value.sort(dim=1).values for name, value in outputs.items()}


def _settle_places(model: nn.Module, height: int, width: int) -> None:
    """Let transformers that know a place by its embedding have those for one size of picture.

    They would resize them anew for each picture, in a way (bicubic, smoothed) that OpenVINO has not.
    """
    for module in model.modules():
        if hasattr(module, "interpolate_pos_encoding"):
            side = module.patch_size
            tokens = torch.empty(
                1, (height // side) * (width // side) + 1, module.position_embeddings.shape[-1]
            )
            with torch.no_grad():
                places = module.interpolate_pos_encoding(tokens, height, width)
            module.position_embeddings = nn.Parameter(places.clone(), requires_grad=False)
            module.interpolate_pos_encoding = types.MethodType(_own_places, module)


def _own_places(module: Any, embeddings: Tensor, height: int, width: int) -> Tensor:
    """Stand for a module's method: the places are those of the one size already."""
    places: Tensor = module.position_embeddings
    return places


def _size(shown: dict[str, Any]) -> tuple[int, int]:
    """Return the height and width that a model wants to be shown, in pixels."""
    said = shown.get("size")
    if isinstance(said, dict) and {"height", "width"} <= said.keys():
        return int(said["height"]), int(said["width"])
    return SIDE_PX, SIDE_PX


def _numbers(kind: str, shown: dict[str, Any]) -> tuple[float, Any, Any]:
    """Return what a picture in [0, 1] is multiplied by, and then its mean and spread."""
    factor = 255.0 * float(shown.get("rescale_factor", 1 / 255)) if shown.get("do_rescale", True) else 255.0
    if not shown.get("do_normalize", kind in NORMALISED):
        return factor, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return factor, shown.get("image_mean", IMAGENET[0]), shown.get("image_std", IMAGENET[1])


def _json(file: Path, default: dict[str, Any] | None = None) -> dict[str, Any]:
    if default is not None and not file.is_file():
        return default
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelCorrupt(f"{file.parent.name}/{file.name} cannot be read: {error}.", hint=VERIFY) from error
    if not isinstance(found, dict):
        raise ModelCorrupt(f"{file.parent.name}/{file.name} holds no settings.", hint=VERIFY)
    return found
