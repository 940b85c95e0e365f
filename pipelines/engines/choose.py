"""Choose what runs a network: the fastest back end that works here, and for each other one why not.

"auto" tries in the order of the device, the slowest and surest last, so that a picture always comes. A named
back end is obeyed or refused loudly. Either way each refusal is a sentence for the person who asks why it is
slow.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from realtime.core.errors import ConfigError, EngineBuildFailed, EngineError, EngineUnavailable

from . import auto, parity
from .base import Engine, Network, Report

if TYPE_CHECKING:
    import torch

ORDER: Mapping[str, tuple[str, ...]] = {"cpu": ("openvino", "onnx", "torch"), "cuda": ("tensorrt", "torch")}
AUTO_PRECISION: Mapping[str, str] = {"cpu": "fp32", "cuda": "bf16"}
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
HINTS = {
    "openvino": "Install it with `pip install openvino`, or use engine = torch.",
    "onnx": "Install it with `pip install onnxruntime onnx onnxscript`, or use engine = torch.",
    "tensorrt": "Install it with `pip install tensorrt-rtx onnx onnxscript`, or use engine = torch.",
    "torch": "See `python -m app doctor`.",
    "torch-compile": "Use engine = torch, or auto.",
}
# What back ends are known to raise while imported, built or run. Any other error is a fault of this house.
FAULTS = (
    ImportError,
    OSError,
    AssertionError,
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    MemoryError,
)


class Builder(Protocol):
    """Make an engine of a network; a back end's module has one under the name `build`."""

    def __call__(
        self, network: Network, *, precision: str, device: str, report: Report = ...
    ) -> Engine | None: ...


def choose(
    network: Network,
    *,
    wanted: str = "auto",
    precision: str = "auto",
    example: Mapping[str, torch.Tensor],
    report: Report = lambda sentence: None,
    device: str | None = None,
    builders: Mapping[str, Builder] | None = None,
    has_bf16: bool | None = None,
) -> Engine:
    """Return the engine that serves this network here, checked against torch on `example`.

    `wanted` is "auto" or a back end's name; `device` is "cpu" or "cuda" (default: what torch has); `builders`
    stands in for the built-in back ends, `has_bf16` for what the processor says. Raises ConfigError for an
    unknown name, EngineUnavailable or EngineBuildFailed when the named back end, or every one of them, was
    refused.
    """
    device = device or default_device()
    known = builders if builders is not None else BUILT_IN
    order = [name for name in ORDER[device] if name in known] if wanted == "auto" else [wanted]
    if wanted != "auto" and wanted not in known:
        raise ConfigError(f'There is no engine "{wanted}".', hint=f"Known: auto, {', '.join(known)}.")
    if precision not in PRECISIONS:
        raise ConfigError(f'There is no precision "{precision}".', hint=f"Known: {', '.join(PRECISIONS)}.")
    reference: dict[str, torch.Tensor] = {}
    refused: list[tuple[str, EngineError]] = []
    can_bf16 = auto.has_bf16() if has_bf16 is None else has_bf16
    for one in auto.tries(order, precision, AUTO_PRECISION[device], can_bf16):
        report(f"Preparing {network.name} with {one.label}.")
        try:
            build = known[one.backend]
            engine, says = _attempt(one, build, network, device, example, reference, report)
        except EngineError as error:
            refused.append((one.label, error))
            report(f"{one.label} was not taken for {network.name}: {error.message}")
            continue
        reasons = tuple((other, error.message) for other, error in refused)
        engine.info = replace(
            engine.info, why=_why(one.backend, wanted, f"{one.says} {says}".strip(), reasons), refused=reasons
        )
        return engine
    raise _refusal(network, wanted, refused)


def _attempt(
    one: auto.Try,
    build: Builder,
    network: Network,
    device: str,
    example: Mapping[str, torch.Tensor],
    reference: dict[str, torch.Tensor],
    report: Report,
) -> tuple[Engine, str]:
    """Build one engine and pass it through the gate; EngineError says why not."""
    name = one.backend
    try:
        engine = build(network, precision=one.precision, device=device, report=report)
    except ImportError as error:
        raise EngineUnavailable(f"{name} is not installed or cannot be imported: {error}.") from error
    except OSError as error:
        raise EngineUnavailable(f"{name} cannot be loaded on this machine: {error}.") from error
    except FAULTS as error:
        raise EngineBuildFailed(f"{name} could not build {network.name}: {_first_line(error)}.") from error
    if engine is None:
        raise EngineBuildFailed(f"{name} gave no engine for {network.name} and no reason.")
    try:
        seen = engine.run(**example)
        if not reference:
            reference.update(parity.reference_of(network, example))
        verdict = parity.judge(network, seen, reference, engine.info.precision, one.tolerance)
    except EngineError:
        engine.close()
        raise
    except FAULTS as error:
        engine.close()
        raise EngineBuildFailed(
            f"{name} built {network.name}, then failed to run it: {_first_line(error)}."
        ) from error
    if not verdict.is_good:
        engine.close()
        raise EngineBuildFailed(f"{name} runs {network.name} wrongly. {verdict.says}")
    return engine, verdict.says


def _why(name: str, wanted: str, says: str, refused: Sequence[tuple[str, str]]) -> str:
    if wanted != "auto":
        return f"{name} was asked for. {says}"
    if refused:
        others = ", ".join(other for other, _ in refused)
        return f"{name} is the first that works here; {others} was refused. {says}"
    return f"{name} is the fastest back end for this device. {says}"


def _refusal(network: Network, wanted: str, refused: Sequence[tuple[str, EngineError]]) -> EngineError:
    name, last = refused[-1]
    if wanted != "auto":
        return type(last)(last.message, hint=last.hint or HINTS.get(name, ""))
    reasons = " ".join(f"{other}: {error.message}" for other, error in refused)
    return EngineUnavailable(
        f"Nothing here can run {network.name}. {reasons}", hint="See `python -m app doctor`."
    )


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0].rstrip('.')}" if text else type(error).__name__


def default_device() -> str:
    """Return "cuda" where torch sees a GPU, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _late(module: str) -> Builder:
    """Import a back end's module only when it is asked to build."""

    def build(
        network: Network, *, precision: str, device: str, report: Report = lambda sentence: None
    ) -> Engine | None:
        make: Callable[..., Engine | None] = importlib.import_module(module).build
        return make(network, precision=precision, device=device, report=report)

    return build


BUILT_IN: Mapping[str, Builder] = {
    "openvino": _late("pipelines.engines.openvino_engine"),
    "onnx": _late("pipelines.engines.onnx_engine"),
    "torch": _late("pipelines.engines.torch_engine"),
    "torch-compile": _late("pipelines.engines.torch_compile_engine"),
    "tensorrt": _late("pipelines.engines.tensorrt_engine"),
}
