"""The two libraries called TensorRT behind one door: NVIDIA's enterprise one, and TensorRT-RTX from PyPI.

Parser, network, profiles and runtime are the same in both. They differ in what they build for: `tensorrt`
tunes kernels on the GPU that it finds, for that GPU alone; `tensorrt_rtx` compiles for named compute
capabilities, on any machine, and finishes the kernels when an engine is first run.
"""

from __future__ import annotations

import importlib
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from realtime.core.errors import EngineUnavailable

NAMES = ("tensorrt", "tensorrt_rtx")
HINT = "Install it with `pip install tensorrt-rtx onnx onnxscript`, or use engine = torch."
OLDEST = 10
"""Strongly typed networks and tensors with names came with TensorRT 10."""
KEPT_LINES = 40
QUOTED_LINES = 4
SERIOUS = ("INTERNAL_ERROR", "ERROR")


@dataclass(frozen=True, slots=True)
class Api:
    """Hold one of the two libraries."""

    trt: Any
    name: str
    version: str

    @property
    def is_rtx(self) -> bool:
        """Whether engines are built for named compute capabilities, without a GPU."""
        return self.name == "tensorrt_rtx"

    def capability(self, target: str) -> Any:
        """Return the member of ComputeCapability for a target such as "sm89".

        Raises EngineUnavailable with those that there are.
        """
        known = getattr(self.trt.ComputeCapability, "__members__", {})
        if target.upper() not in known:
            has = ", ".join(name.lower() for name in known if name.startswith("SM"))
            raise EngineUnavailable(
                f"TensorRT-RTX {self.version} builds for {has}, not for {target}.",
                hint="Data centre GPUs need the enterprise TensorRT (docs/engines.md); engine = torch runs.",
            )
        return known[target.upper()]


def load_api(names: Sequence[str] = NAMES, importer: Callable[[str], Any] = importlib.import_module) -> Api:
    """Import the first of these libraries that works. Raises EngineUnavailable with a reason for each."""
    reasons: list[str] = []
    for name in names:
        try:
            trt = importer(name)
            version = str(trt.__version__)
            trt.Builder, trt.OnnxParser, trt.Runtime  # noqa: B018 # a stub without its libraries has none
        except Exception as error:  # such packages raise anything while they are imported without a driver
            reasons.append(f"{name}: {_first_line(error)}")
            continue
        if name == "tensorrt" and int(version.split(".")[0]) < OLDEST:
            reasons.append(f"{name}: {version} is older than {OLDEST}")
            continue
        return Api(trt, name, version)
    raise EngineUnavailable(f"TensorRT is not installed here ({'; '.join(reasons)}).", hint=HINT)


def target_here() -> str:
    """Return what the GPU of this machine is to a builder: "sm89"."""
    import torch

    major, minor = torch.cuda.get_device_capability()
    return f"sm{major}{minor}"


def device_here() -> str:
    """Return all of this machine that an enterprise engine is tied to."""
    import torch

    return f"{torch.cuda.get_device_name()} {target_here()} {sys.platform}"


class Log:
    """Keep what a library said, for errors that it returns as None or False."""

    def __init__(self, trt: Any) -> None:
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        lines = self.lines

        class Logger(trt.ILogger):  # type: ignore[misc] # the base is only known when it runs
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                if severity.name in SERIOUS:
                    lines.append(" ".join(message.split()))

        self.logger = Logger()

    def quote(self) -> str:
        """Return the last errors as one line, and forget them."""
        said = list(self.lines)[-QUOTED_LINES:]
        self.lines.clear()
        return " ".join(said) if said else "It gave no reason."


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
