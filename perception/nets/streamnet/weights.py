"""Read the weights of a streaming detector: ours from models/, or a published checkpoint of a person."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from realtime.core.errors import ModelCorrupt, ModelError, ModelMissing

from .model import PLANS, DamoStreamNet, Plan

CONFIG, WEIGHTS = "config.json", "model.safetensors"
TEACHERS = ("backbone_t.", "head_t.")
"""What a checkpoint of the published training holds beside the network."""
ROAD = ("person", "bicycle", "car", "motorcycle", "bus", "truck", "traffic light", "stop sign")
"""The classes of Argoverse-HD, which the published checkpoints know."""


COUNTER = "num_batches_tracked"
"""A norm's count of batches: training alone reads it, and files may lack it."""


def from_folder(folder: Path) -> tuple[DamoStreamNet, dict[str, Any]]:
    """Return the network in a folder of ours and its config. Raises ModelCorrupt for what cannot be read."""
    from safetensors.torch import load_file

    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        model = DamoStreamNet(PLANS[config["plan"]], classes=len(config["names"]))
        state = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
    except (OSError, ValueError, KeyError) as error:
        raise ModelCorrupt(
            f"The streaming detector in {folder} cannot be read: {error}.",
            hint="Get the checkout's files again.",
        ) from error
    _fill(model, state, folder)
    model.eval()
    return model, config


def from_checkpoint(path: Path) -> DamoStreamNet:
    """Return the network of a published checkpoint: {"model": ...}, S, M, L or L-1200, told by its shapes.

    The teacher's weights are dropped, all others must fit. Raises ModelMissing without the file, ModelError
    for one that is something else.
    """
    if not path.is_file():
        raise ModelMissing(f"There is no file {path}.", hint="Give the path of a DAMO-StreamNet checkpoint.")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever unpickling raises for a file that is none
        raise ModelError(f"{path} is no checkpoint that can be read: {_first(error)}.") from error
    state = held.get("model") if isinstance(held, dict) else None
    if not isinstance(state, dict):
        raise ModelError(
            f'{path} holds no "model".', hint="A DAMO-StreamNet checkpoint is a dict with that key."
        )
    state = {name: value for name, value in state.items() if not name.startswith(TEACHERS)}
    plan = _plan_of(state)
    if plan is None:
        raise ModelError(f"{path} is no DAMO-StreamNet of size S, M or L.", hint="See docs/models.md.")
    ends = state.get("head.cls_preds.0.weight")
    model = DamoStreamNet(plan, classes=len(ends) if ends is not None else len(ROAD))
    _fill(model, state, path)
    model.eval()
    return model


def digest_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plan_of(state: dict[str, Tensor]) -> Plan | None:
    stem = state.get("backbone.backbone.stem.conv.conv.weight")
    if stem is None:
        return None
    base, fuses = len(stem), "jian2.conv.weight" in state
    plans = (PLANS[size] for size in ("s", "m", "l", "l1200"))
    return next((plan for plan in plans if int(64 * plan.width) == base and plan.fuses == fuses), None)


def _fill(model: DamoStreamNet, state: dict[str, Tensor], where: Path) -> None:
    try:
        counters = {name: value for name, value in model.state_dict().items() if name.endswith(COUNTER)}
        model.load_state_dict({**counters, **state}, strict=True)
    except RuntimeError as error:
        raise ModelError(f"The weights in {where} do not fit the network: {_first(error)}.") from error


def _first(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]).rstrip(".")[:300] if lines else type(error).__name__
