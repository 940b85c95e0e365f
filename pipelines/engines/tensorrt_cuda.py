"""What the TensorRT back end wants of CUDA, through torch: memory, one stream of its own, recorded launches.

A seam, so that the logic above it can be driven on a machine without a GPU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

import torch


class Cuda(Protocol):
    """Order work on one stream against the caller's."""

    device: torch.device
    handle: int
    """The stream, as TensorRT takes it."""

    def ordered(self) -> contextlib.AbstractContextManager[None]:
        """Do what is inside on the own stream: after all that the caller has enqueued, before all he will."""

    def record(self, launch: Callable[[], None]) -> Callable[[], None]:
        """Record a launch without running it, and return what replays it. Raises RuntimeError."""

    def synchronize(self) -> None:
        """Wait until the stream is empty."""


class TorchCuda:
    """The current GPU of torch."""

    def __init__(self) -> None:
        self.device = torch.device("cuda", torch.cuda.current_device())
        self._stream = torch.cuda.Stream(self.device)
        self.handle = int(self._stream.cuda_stream)

    @contextlib.contextmanager
    def ordered(self) -> Iterator[None]:
        caller = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(caller)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            caller.wait_stream(self._stream)

    def record(self, launch: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        self._stream.synchronize()
        # Other threads may allocate meanwhile: only this one is held to what a capture allows.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            launch()
        replay: Callable[[], None] = graph.replay
        return replay

    def synchronize(self) -> None:
        self._stream.synchronize()
