"""torch.compile as an engine: the same module, fused by inductor for each shape.

A name of its own beside "torch", since it goes with any precision and needs what plain torch does not: a C++
compiler on a processor, Triton on a GPU. Half a minute and more a shape, so `auto` does not wait for it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from typing import Any

import torch

from realtime.core.errors import EngineUnavailable

from .base import Engine, Network, Report
from .torch_engine import KEPT_SHAPES, TorchEngine, check

COMPILERS = ("g++", "clang++", "c++", "cl")
HINT = "Use engine = torch, or auto."
MODES = {"cpu": None, "cuda": "max-autotune-no-cudagraphs"}


def why_not(device: str, which: Callable[[str], str | None] = shutil.which) -> str:
    """Say why torch.compile cannot work here; empty when it can."""
    if device == "cuda":
        if importlib.util.find_spec("triton") is None:
            return "torch.compile needs the package triton to make code for the GPU, which is not installed."
        return ""
    named = os.environ.get("CXX")
    if not any(which(name) for name in ((named,) if named else COMPILERS)):
        looked = named or ", ".join(COMPILERS)
        return f"torch.compile needs a C++ compiler, and none is installed (looked for {looked})."
    return ""


def build(network: Network, *, precision: str, device: str, report: Report = lambda sentence: None) -> Engine:
    """Return the compiled engine; a shape is compiled when it is warmed or first run, its code kept by torch.

    Raises EngineUnavailable for a device or precision that torch has not here, and without a compiler.
    """
    check("torch-compile", precision, device)
    if reason := why_not(device):
        raise EngineUnavailable(reason, hint=HINT)

    def prepare(module: torch.nn.Module) -> Callable[..., Any]:
        report(f"Compiling {network.name} with torch, which takes half a minute or more.")
        compiled: Callable[..., Any] = torch.compile(
            module,
            dynamic=False,
            mode=MODES[device],
            recompile_limit=KEPT_SHAPES,
            isolate_recompiles=True,  # else the shapes of all engines count against one limit
        )
        return compiled

    return TorchEngine(network, precision, device, backend="torch-compile", prepare=prepare)
