"""OpenVINO as an engine, the fast one on a CPU: one compiled model a shape, static, with buffers of its own.

Static shapes, since a dynamic UNet is 17 to 53 % slower. Compiling one takes a second or more, so it has a
lock of its own: shapes that are ready run on while another is built, and only wait while it is put beside
them.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping

import openvino as ov
import torch

from realtime.core.errors import EngineError, EngineUnavailable

from . import cost, openvino_int8
from .base import Engine, EngineInfo, Key, Network, Report, Shapes, key_of, shapes_of
from .key import Shelf, default_shelf
from .openvino_build import HINTS, Models, knows, single
from .openvino_calls import Calls

KEPT_SHAPES = 6
KEPT_SHAPES_SMALL = 24
"""Of networks below `SMALL_BYTES`: steps, guidance and size may be changed to and fro without a build."""
SMALL_BYTES = 64 << 20
CACHED_BYTES = 512 << 20
"""Weights above this are compiled anew at each start, for their engines would fill a disk, and of the two
ways to run a batch of them only one is held."""


class OpenVinoEngine:
    """Run a network on the CPU. One thread at a time; `warm` may be called from another."""

    def __init__(
        self, network: Network, precision: str, shelf: Shelf | None, threads: int, report: Report
    ) -> None:
        self._network = network
        self._threads = threads
        kept = KEPT_SHAPES_SMALL if bytes_of(network) <= SMALL_BYTES else KEPT_SHAPES
        self._models = Models(network, precision, shelf, threads, report, kept)
        self._calls: OrderedDict[Key, Calls] = OrderedDict()
        self._run_lock = threading.Lock()
        """Held for one run, or to change `_calls`."""
        self._build_lock = threading.Lock()
        """Held while compiling; taken before the other one, never after it."""
        self._is_closed = False
        self._is_large = bytes_of(network) > CACHED_BYTES
        self._kept = kept
        self.info = EngineInfo("openvino", precision, "cpu", f"openvino {_version()}")

    def run(self, **tensors: torch.Tensor) -> Mapping[str, torch.Tensor]:
        key = key_of(self._network, shapes_of(tensors))
        with self._run_lock:
            calls = self._held(key)
            if calls is not None:
                return self._filled(calls, tensors)
        with self._build_lock:
            calls = self._built(key)
            with self._run_lock:
                self._keep(key, calls)
                return self._filled(calls, tensors)

    def warm(self, shapes: Shapes) -> None:
        key = key_of(self._network, shapes)
        with self._build_lock:
            rows = key[0][0]
            with self._run_lock:
                held = self._held(key)
            if held is not None and (held.watch.plan.is_measured or not self._may_split(rows)):
                return
            calls = self._measured(key) if self._may_split(rows) else self._built(key)
            with self._run_lock:
                calls.run(calls.watch.plan.way)
                self._keep(key, calls)

    def plans(self) -> tuple[str, ...]:
        with self._run_lock:
            plans = [calls.watch.plan for calls in self._calls.values() if calls.watch.plan.is_measured]
        return tuple(f"{self._network.name}: {plan.says}" for plan in plans)

    def close(self) -> None:
        """Return at once; a build that is under way finds the engine closed, and is let go."""
        with self._run_lock:
            self._is_closed = True
            self._calls.clear()
        if self._build_lock.acquire(blocking=False):
            self._models.clear()
            self._build_lock.release()

    def _held(self, key: Key) -> Calls | None:
        """Return what is ready for these shapes. The run lock is held."""
        self._check_open()
        calls = self._calls.get(key)
        if calls is not None:
            self._calls.move_to_end(key)
        return calls

    def _filled(self, calls: Calls, tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """Run once. The run lock is held."""
        for spec, own in zip(self._network.inputs, calls.inputs, strict=True):
            own.copy_(tensors[spec.name])
        way = calls.watch.next_way()
        began_ns = time.perf_counter_ns()
        try:
            calls.run(way)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed to run {self._network.name}: {error}.") from error
        calls.watch.took(way, (time.perf_counter_ns() - began_ns) / 1e6)
        return {spec.name: own for spec, own in zip(self._network.outputs, calls.outputs, strict=True)}

    def _keep(self, key: Key, calls: Calls) -> None:
        """Put a shape beside the others; the one used longest ago is forgotten. Both locks are held."""
        if self._is_closed:
            self._models.clear()
        self._check_open()
        self._calls[key] = calls
        self._calls.move_to_end(key)
        while len(self._calls) > self._kept:
            self._calls.popitem(last=False)

    def _built(self, key: Key) -> Calls:
        """Return the calls of a shape that nobody warmed. The build lock is held."""
        with self._run_lock:
            if (calls := self._held(key)) is not None:
                return calls
        rows = key[0][0]
        plan = (
            cost.unmeasured_plan(rows, self._threads)
            if self._may_split(rows)
            else cost.RowPlan("batch", rows)
        )
        return Calls(self._network, key, {plan.way: self._model(key, plan.way)}, plan)

    def _may_split(self, rows: int) -> bool:
        return not self._network.couples_rows and cost.may_split(rows, self._threads)

    def _measured(self, key: Key) -> Calls:
        """Build both ways to run a batch and time them. The build lock is held; each call takes its turn."""
        ways: tuple[cost.Way, ...] = ("batch", "rows")
        compiled = {way: self._model(key, way) for way in ways}
        calls = Calls(self._network, key, compiled, cost.RowPlan("batch", key[0][0]))
        runs = [lambda way=way: calls.run(way) for way in ways]
        batch_ms, rows_ms = cost.measure(runs, time.perf_counter_ns, alone=self._run_lock)
        is_exact = self.info.precision == "fp32"
        plan = cost.row_plan(key[0][0], batch_ms, rows_ms, gain=cost.GAIN if is_exact else cost.APART_GAIN)
        if self._is_large or not is_exact:  # too much to hold for a look now and then, or seen when it turns
            self._models.drop(key, streams=1 if plan.way == "rows" else cost.STREAMS)
            return Calls(self._network, key, {plan.way: compiled[plan.way]}, plan)
        calls.watch = cost.RowWatch(plan)
        return calls

    def _model(self, key: Key, way: cost.Way) -> ov.CompiledModel:
        if way == "batch":
            return self._models.get(key, streams=1)
        return self._models.get(single(key), streams=cost.STREAMS)

    def _check_open(self) -> None:
        if self._is_closed:
            raise EngineError(f"The OpenVINO engine of {self._network.name} is closed.")


def build(
    network: Network,
    *,
    precision: str,
    device: str = "cpu",
    report: Report = lambda sentence: None,
    shelf: Shelf | None = None,
    threads: int | None = None,
) -> Engine:
    """Return the OpenVINO engine; nothing is compiled before a shape is warmed or run.

    `shelf` keeps compiled models (default: this person's cache, unless the network has no digest or is very
    large). Raises EngineUnavailable for a precision or a network that cannot be run here.
    """
    if precision not in HINTS:
        raise EngineUnavailable(f"The OpenVINO back end runs {', '.join(HINTS)}, not {precision}.")
    if precision == "bf16" and not knows(ov.Core(), "BF16"):
        raise EngineUnavailable("This processor has no bf16 arithmetic.", hint="Use precision = fp32.")
    if precision == "int8":
        openvino_int8.check(network)
    if any(
        getattr(module, "time_embedding_norm", "") == "scale_shift" for module in network.module.modules()
    ):
        reason = 'it has resnet_time_scale_shift = "scale_shift", on which OpenVINO 2026.4 crashes.'
        raise EngineUnavailable(
            f"OpenVINO cannot compile this {network.name}: {reason}", hint="Use engine = torch."
        )
    if shelf is None and network.digest and bytes_of(network) <= CACHED_BYTES:
        shelf = default_shelf()
    return OpenVinoEngine(
        network, precision, shelf, threads or network.threads or cost.usable_threads(), report
    )


def bytes_of(network: Network) -> int:
    """Return what a network's weights take."""
    return sum(p.numel() * p.element_size() for p in network.module.parameters())


def _version() -> str:
    return str(ov.get_version()).split("-")[0]
