"""A compiled TensorRT engine at work: memory bound once for each bucket of rows, launches recorded once.

A network of a thousand kernels spends more time launching than computing, at the sizes of live pictures. So
after two launches, in which the library settles what it chooses late, the third is recorded as a CUDA graph,
and from then on one call replays them all. That wants the same addresses each time, hence the fixed buffers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from realtime.core.errors import EngineBuildFailed, EngineError

from .base import Network, Report
from .export import output_names
from .tensorrt_api import Api, Log
from .tensorrt_build import Profile
from .tensorrt_cuda import Cuda

WARM_UPS = 2
DTYPES: Mapping[str, torch.dtype] = {
    "FLOAT": torch.float32,
    "HALF": torch.float16,
    "BF16": torch.bfloat16,
    "INT64": torch.int64,
    "INT32": torch.int32,
    "BOOL": torch.bool,
    "UINT8": torch.uint8,
}


class Compiled:
    """Run one engine file on the GPU. Not for two threads at once."""

    def __init__(
        self,
        network: Network,
        profile: Profile,
        engine: bytes,
        *,
        api: Api,
        cuda: Cuda,
        report: Report,
        kernels: bytes = b"",
    ) -> None:
        """Load the engine. `kernels` is what `kernels()` gave on this GPU before.

        Raises EngineBuildFailed with the library's words when it cannot be loaded.
        """
        self.network = network
        self.profile = profile
        self.api = api
        self.cuda = cuda
        self.report = report
        self.log = Log(api.trt)
        self._runtime = api.trt.Runtime(self.log.logger)
        self.engine = self._runtime.deserialize_cuda_engine(engine)
        if self.engine is None:
            raise EngineBuildFailed(f"TensorRT could not load {network.name}: {self.log.quote()}")
        self.config, self._cache = self._runtime_config(kernels)
        self._buckets: dict[int, _Bucket] = {}

    def run(self, tensors: Mapping[str, torch.Tensor], into: Mapping[str, torch.Tensor]) -> None:
        """Fill `into` from `tensors`, in pieces of the largest bucket when there are more rows than that."""
        rows = len(next(iter(tensors.values())))
        most = self.profile.rows[-1]
        with self.cuda.ordered():
            for first in range(0, rows, most):
                piece = slice(first, min(first + most, rows))
                bucket = self.bucket(self.profile.bucket(piece.stop - piece.start))
                bucket.run(
                    {name: tensor[piece] for name, tensor in tensors.items()},
                    {name: tensor[piece] for name, tensor in into.items()},
                )

    def bucket(self, rows: int) -> _Bucket:
        """Return the memory and the context of one bucket, made at first use. Call it inside `ordered`."""
        if rows not in self._buckets:
            self._buckets[rows] = _Bucket(self, rows)
        return self._buckets[rows]

    def output_shapes(self, rows: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the outputs for this many rows."""
        with self.cuda.ordered():
            bucket = self.bucket(self.profile.bucket(rows))
        return {name: (rows, *tensor.shape[1:]) for name, tensor in bucket.outputs.items()}

    def refit(self, graph_path: str, network: Network) -> str:
        """Put the weights of another graph of the same make, and of `network`, in place of the engine's.

        Returns why not; empty when it is done. After a refusal the engine may hold a mixture: load it anew.
        """
        trt = self.api.trt
        if not getattr(self.engine, "refittable", False):
            return "It was not built to be refitted."
        self.cuda.synchronize()
        refitter = trt.Refitter(self.engine, self.log.logger)
        parser = trt.OnnxParserRefitter(refitter, self.log.logger)
        if not parser.refit_from_file(graph_path) or not refitter.refit_cuda_engine():
            return self.log.quote()
        for bucket in self._buckets.values():
            bucket.forget_recording()
        self.network = network
        return ""

    def kernels(self) -> bytes:
        """Return the kernels that TensorRT-RTX finished on this GPU; empty for the enterprise library."""
        return b"" if self._cache is None else bytes(self._cache.serialize())

    def close(self) -> None:
        """Give the GPU's memory back; contexts before the engine, the engine before the runtime."""
        self.cuda.synchronize()
        self._buckets.clear()
        self.config = self._cache = self.engine = self._runtime = None

    def _runtime_config(self, kernels: bytes) -> tuple[Any, Any]:
        """Return TensorRT-RTX's run-time options and kernel cache; None for the enterprise library."""
        if not self.api.is_rtx:
            return None, None
        trt, config = self.api.trt, self.engine.create_runtime_config()
        config.cuda_graph_strategy = (
            trt.CudaGraphStrategy.DISABLED
        )  # we record ourselves, both libraries alike
        # Kernels that are exchanged later, as in LAZY, would not be in the recording.
        config.dynamic_shapes_kernel_specialization_strategy = (
            trt.DynamicShapesKernelSpecializationStrategy.EAGER
        )
        cache = config.create_runtime_cache()
        if kernels and not cache.deserialize(kernels):
            self.report(f"The kernels kept for {self.network.name} are of another driver or GPU; made anew.")
        config.set_runtime_cache(cache)
        return config, cache


class _Bucket:
    """Hold a context with its memory, for one number of rows."""

    def __init__(self, compiled: Compiled, rows: int) -> None:
        self._of = compiled
        self._launches = 0
        self._replay: Callable[[], None] | None = None
        self._may_record = True
        engine, network, handle = compiled.engine, compiled.network, compiled.cuda.handle
        context = engine.create_execution_context(*([compiled.config] if compiled.config else []))
        if context is None:
            raise EngineBuildFailed(
                f"TensorRT has no room to run {network.name} with {rows} rows: {compiled.log.quote()}",
                hint="Use a smaller size, fewer rows, or engine = torch.",
            )
        self.context = context
        number = compiled.profile.rows.index(rows)
        self._must(context.set_optimization_profile_async(number, handle), f"choose its {rows} rows")
        shapes = compiled.profile.shapes(network, rows)
        for name, shape in shapes.items():
            self._must(context.set_input_shape(name, shape), f'take "{name}" as {shape}')
        self.inputs = {name: self._memory(name, shape) for name, shape in shapes.items()}
        self.outputs = {
            spec.name: self._memory(name, tuple(context.get_tensor_shape(name)))
            for spec, name in zip(network.outputs, output_names(network), strict=True)
        }

    def run(self, tensors: Mapping[str, torch.Tensor], into: Mapping[str, torch.Tensor]) -> None:
        """Fill `into`. Rows past the last keep what an earlier call left; nobody reads what comes of them."""
        for name, own in self.inputs.items():
            own[: len(tensors[name])].copy_(tensors[name])
        self._launch()
        for name, result in into.items():
            result.copy_(self.outputs[name][: len(result)])

    def forget_recording(self) -> None:
        """Launch one by one again, and record anew."""
        self._launches, self._replay = 0, None

    def _launch(self) -> None:
        if self._replay is None and self._may_record and self._launches >= WARM_UPS:
            self._record()
        if self._replay is not None:
            self._replay()
        else:
            self._execute()
        self._launches += 1

    def _execute(self) -> None:
        self._must(self.context.execute_async_v3(self._of.cuda.handle), "run")

    def _record(self) -> None:
        """Record the launch; where that fails it is launched one by one from then on, and said once."""
        name, handle = self._of.network.name, self._of.cuda.handle
        if getattr(self.context, "is_stream_capturable", lambda handle: True)(handle):
            try:
                self._replay = self._of.cuda.record(self._execute)
            except (RuntimeError, EngineError) as error:
                reason = str(error).splitlines()[0]
            else:
                return
        else:
            reason = "TensorRT says that it cannot be."
        self._may_record = False
        self._of.report(f"{name} runs without a CUDA graph, more slowly: {reason}")

    def _memory(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """Return zeros that the context reads or writes under this name."""
        letters = self._of.engine.get_tensor_dtype(name).name
        if letters not in DTYPES:
            raise EngineBuildFailed(f'TensorRT has "{name}" as {letters}, which torch is not given here.')
        if any(side < 0 for side in shape):
            raise EngineBuildFailed(f'TensorRT does not know the size of "{name}" before it runs: {shape}.')
        memory = torch.zeros(shape, dtype=DTYPES[letters], device=self._of.cuda.device)
        self._must(self.context.set_tensor_address(name, memory.data_ptr()), f'take memory for "{name}"')
        return memory

    def _must(self, is_done: bool, what: str) -> None:
        if not is_done:
            raise EngineError(f"TensorRT did not {what} for {self._of.network.name}: {self._of.log.quote()}")
