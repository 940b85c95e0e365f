"""Read the weights of a StreamFlow: ours from a folder, or a published checkpoint of a person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from realtime.core.errors import ModelCorrupt, ModelError, ModelMissing

from .model import StreamFlow
from .plans import PLANS

CONFIG, WEIGHTS = "config.json", "model.safetensors"
PREFIX = "module."
"""What the published training's wrapper puts before each name."""
HEAD = "update_block.flow_head.ffn2.2.weight"
"""Its rows are the two directions of each pair: they tell how many frames a checkpoint takes."""


def from_folder(folder: Path) -> tuple[StreamFlow, dict[str, Any]]:
    """Return the network in a folder of ours and its config ("plan", "frames", more).

    Raises ModelCorrupt for what cannot be read, ModelError for weights that do not fit.
    """
    from safetensors.torch import load_file

    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        model = StreamFlow(PLANS[config["plan"]], int(config["frames"]))
        state = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
    except Exception as error:  # safetensors has errors of its own for what it cannot read
        raise ModelCorrupt(
            f"The flow network in {folder} cannot be read: {_first(error)}.",
            hint="Get the checkout's files again.",
        ) from error
    _fill(model, state, folder)
    model.eval()
    return model, config


def to_folder(model: StreamFlow, config: dict[str, Any], folder: Path) -> None:
    """Write a network of ours, `config` naming its "plan"; what `from_folder` reads."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    whole = {**config, "frames": model.frames}
    (folder / CONFIG).write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / WEIGHTS)


def from_checkpoint(path: Path) -> StreamFlow:
    """Return the network of a published checkpoint, {"model": {"module.fnet...": ...}}; all must fit.

    How many frames it takes is told by its shapes. Raises ModelMissing without the file, ModelError for one
    that is something else.
    """
    if not path.is_file():
        raise ModelMissing(f"There is no file {path}.", hint="Give the path of a StreamFlow checkpoint.")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever unpickling raises for a file that is none
        raise ModelError(f"{path} is no checkpoint that can be read: {_first(error)}.") from error
    state = held.get("model") if isinstance(held, dict) else None
    if not isinstance(state, dict):
        raise ModelError(f'{path} holds no "model".', hint="A StreamFlow checkpoint is a dict with that key.")
    bare = [name for name in state if not name.startswith(PREFIX)]
    if bare:
        raise ModelError(
            f'{path} is no published StreamFlow checkpoint: "{bare[0]}" does not begin with "{PREFIX}".',
            hint='Its names do, each: "module.fnet.svt...".',
        )
    state = {name.removeprefix(PREFIX): value for name, value in state.items()}
    head = state.get(HEAD)
    if head is None or head.ndim != 4 or len(head) % 2 or not len(head):
        raise ModelError(f'{path} is no StreamFlow checkpoint: it has no usable "{HEAD}".')
    model = StreamFlow(PLANS["large"], len(head) // 2 + 1)
    _fill(model, state, path)
    model.eval()
    return model


def _fill(model: StreamFlow, state: dict[str, Tensor], where: Path) -> None:
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ModelError(f"The weights in {where} do not fit the network: {_first(error)}.") from error


def _first(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]).rstrip(".")[:300] if lines else type(error).__name__
