"""Which sizes a network takes, found by running it on tensors without content.

A UNet takes only sizes that its downsamplings divide, and an autoencoder rounds others. Whoever makes a graph
with open sizes has to know these multiples; a word in a `TensorSpec` does not tell them.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from .base import Network, Shapes, TensorSpec, key_of

if TYPE_CHECKING:
    import torch

MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
PROBES = (3, 65)
"""Odd counts of a multiple: what divides these at every level divides all. 65 is past any stride to 64."""
NOISY_LOGGERS = ("torch._subclasses.fake_tensor", "torch.onnx._internal.exporter._registration")


def sizes_of(network: Network, shapes: Shapes) -> dict[str, int]:
    """Return what each word in the network's inputs stands for. Raises EngineError for shapes that misfit."""
    key_of(network, shapes)
    return {
        word: size
        for spec in network.inputs
        for word, size in zip(spec.dims, shapes[spec.name], strict=True)
        if isinstance(word, str)
    }


def shapes_at(network: Network, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each input at these sizes."""
    return {spec.name: shape_of(spec, sizes) for spec in network.inputs}


def shape_of(spec: TensorSpec, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Return the shape of one tensor at these sizes."""
    return tuple(sizes[dim] if isinstance(dim, str) else dim for dim in spec.dims)


def batch_of(network: Network) -> str:
    """Return the word for the rows of a batch; empty when the network takes one number of rows only."""
    word = network.inputs[0].dims[0]
    return word if isinstance(word, str) else ""


def multiples_of(network: Network, sizes: Mapping[str, int]) -> dict[str, int]:
    """Return, for each size that may vary (rows aside), the least number that it must be a multiple of.

    A multiple is good when the module runs at 3 and at 65 times it, and each side of its outputs stays or
    grows in proportion. A word without one, such as a count of tokens tied to height and width, is left out.
    """
    found: dict[str, int] = {}
    with quiet():
        for word in sizes:
            good = (m for m in MULTIPLES if sizes[word] % m == 0 and _grows(network, sizes, word, m))
            if word != batch_of(network) and (multiple := next(good, 0)):
                found[word] = multiple
    return found


def _grows(network: Network, sizes: Mapping[str, int], word: str, multiple: int) -> bool:
    few, many = PROBES
    try:
        small, large = (output_shapes(network, {**sizes, word: multiple * count}) for count in (few, many))
    except Exception:  # whatever a module raises for a size that it cannot take
        return False
    sides = zip((n for s in small for n in s), (n for s in large for n in s), strict=True)
    return all(b in (a, a * many / few) for a, b in sides)


def output_shapes(network: Network, sizes: Mapping[str, int]) -> list[tuple[int, ...]]:
    """Run the module on tensors that have shapes and nothing else, and return the shapes of its outputs."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    weight = next(network.module.parameters(), None)
    dtype = "float32" if weight is None else str(weight.dtype).removeprefix("torch.")
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        found = network.module(*zeros(network, network.module, sizes, dtype))
        return [tuple(t.shape) for t in (found if isinstance(found, tuple) else (found,))]


def zeros(
    network: Network, module: torch.nn.Module, sizes: Mapping[str, int], floating: str
) -> tuple[torch.Tensor, ...]:
    """Return zeros for each input, where the module is: of the type `floating`, or integers as they are."""
    import torch

    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    return tuple(
        torch.zeros(
            shape_of(spec, sizes),
            dtype=getattr(torch, floating if spec.dtype.startswith("float") else spec.dtype),
            device=device,
        )
        for spec in network.inputs
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep out of the log what torch says of packages that we do not need and of sizes that were tried."""
    loggers = [logging.getLogger(name) for name in NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
