"""Round a graph to int8 by NNCF's post-training quantisation: activations and weights, by what it sees.

Weights alone would make a smaller file and nothing faster. Optional and used while building only: what it
made is kept on the shelf, and runs without it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import openvino as ov
import torch

from realtime.core.errors import EngineUnavailable

from .base import Network

HINT = 'Install it with `pip install "nncf>=3.4"`, or use precision = bf16 or fp32.'


def check(network: Network) -> None:
    """Raise EngineUnavailable with the reason why this network cannot be rounded here."""
    if importlib.util.find_spec("nncf") is None:
        raise EngineUnavailable("int8 needs the package nncf, which is not installed.", hint=HINT)
    if network.calibration is None:
        raise EngineUnavailable(
            f"int8 needs pictures to calibrate with, and nobody brought any for {network.name}.",
            hint="Use precision = bf16 or fp32.",
        )


def quantised(graph: ov.Model, network: Network, samples: Sequence[Mapping[str, torch.Tensor]]) -> ov.Model:
    """Return the graph with int8 in place of float where NNCF finds that it can be."""
    nncf, console = _imported()
    names = [spec.name for spec in network.inputs]
    inputs = [[sample[name].cpu().contiguous().numpy() for name in names] for sample in samples]
    was_quiet, console.quiet = console.quiet, True  # its progress bars would run through ours
    try:
        return nncf.quantize(graph, nncf.Dataset(inputs), subset_size=len(inputs))
    finally:
        console.quiet = was_quiet


def version() -> str:
    """Return what rounds, for keys and for the badge."""
    try:
        return f"nncf {importlib.metadata.version('nncf')}"
    except importlib.metadata.PackageNotFoundError:
        return "no nncf"


def _imported() -> tuple[Any, Any]:
    """Import NNCF without its reports to its makers, and what it draws progress bars on."""
    os.environ.setdefault("NNCF_CI", "1")  # the one switch that it has for them, read at import
    usual = logging.getLoggerClass()
    import nncf
    import rich

    logging.setLoggerClass(usual)  # it puts its own in place for everybody
    logging.getLogger("nncf").setLevel(logging.ERROR)  # its `set_log_level` would raise that of our handlers
    return nncf, rich.get_console()
