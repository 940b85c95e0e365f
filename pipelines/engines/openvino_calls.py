"""The memory of one shape and the requests that read and write it.

A request does not keep a shared tensor's memory alive: with the memory gone it computes nonsense without an
error. So the arrays are held beside the requests, and live as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import openvino as ov
import torch

from . import cost
from .base import Key, Network

LETTERS = {"float32": np.float32, "int64": np.int64, "uint8": np.uint8}


class Calls:
    """Hold the buffers of one batch shape, and for each way to run it the requests bound to them."""

    def __init__(
        self, network: Network, key: Key, compiled: Mapping[cost.Way, ov.CompiledModel], plan: cost.RowPlan
    ) -> None:
        """Bind each way's compiled model: "batch" is compiled for all rows, "rows" for a single one."""
        self.rows = key[0][0]
        types = [LETTERS[spec.dtype] for spec in network.inputs]
        ports = next(iter(compiled.values())).outputs
        ins = [np.zeros(shape, dtype) for shape, dtype in zip(key, types, strict=True)]
        outs = [
            np.zeros((self.rows, *tuple(port.shape)[1:]), LETTERS[spec.dtype])
            for spec, port in zip(network.outputs, ports, strict=True)
        ]
        with torch.inference_mode(False):  # a caller of either mode may write to them
            self.inputs = [torch.from_numpy(array) for array in ins]
            self.outputs = [torch.from_numpy(array) for array in outs]
        self.watch = cost.RowWatch(plan, may_turn=len(compiled) > 1)
        self._held = (dict(compiled), ins, outs)
        self._requests: dict[cost.Way, list[Any]] = {
            way: _bound(model, ins, outs, self.rows if way == "batch" else 1)
            for way, model in compiled.items()
        }

    def run(self, way: cost.Way) -> None:
        """Fill the outputs from the inputs; all requests are done when this returns."""
        requests = self._requests[way]
        if len(requests) == 1:
            requests[0].infer()
            return
        for request in requests:
            request.start_async()
        for request in requests:
            request.wait()


def _bound(
    compiled: ov.CompiledModel, ins: list[np.ndarray], outs: list[np.ndarray], each_rows: int
) -> list[Any]:
    """Return requests that cover all rows, `each_rows` of them in each."""
    requests = []
    for first in range(0, len(ins[0]), each_rows):
        request = compiled.create_infer_request()
        own = slice(first, first + each_rows)
        for i, array in enumerate(ins):
            request.set_input_tensor(i, ov.Tensor(array[own], shared_memory=True))
        for i, array in enumerate(outs):
            request.set_output_tensor(i, ov.Tensor(array[own], shared_memory=True))
        requests.append(request)
    return requests
