"""What an engine is: a network made ready to run, named tensors in, named tensors out, no stream state.

The page, doctor and the log ask an engine two things beside pictures: what it is (`info`) and why it was
chosen over the others. Both are facts of the engine, so they travel with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from realtime.core.errors import EngineError

if TYPE_CHECKING:
    import torch

Report = Callable[[str], None]
Shapes = Mapping[str, tuple[int, ...]]
Key = tuple[tuple[int, ...], ...]
"""The shapes of all inputs, in the network's order."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Describe one input or output of a network."""

    name: str
    dtype: str
    """As torch names it: "float32", "int64", "uint8"."""
    dims: tuple[int | str, ...]
    """Batch first; a word stands for a size that varies, e.g. ("b", 32, "h", "w")."""

    def mismatch(self, shape: tuple[int, ...]) -> str:
        """Say in words why a tensor of this shape does not fit; empty when it does."""
        if len(shape) != len(self.dims):
            return f'"{self.name}" has {len(self.dims)} dimensions {self.dims}, got the shape {shape}.'
        fixed = [(want, got) for want, got in zip(self.dims, shape, strict=True) if isinstance(want, int)]
        if any(want != got for want, got in fixed) or 0 in shape:
            return f'"{self.name}" is {self.dims}, got the shape {shape}.'
        return ""


@dataclass(frozen=True, slots=True)
class Network:
    """Name a torch module and its tensors, so that any back end can build it."""

    name: str
    """Short, used in messages and in file names of the cache: "unet"."""
    module: torch.nn.Module
    """`forward` takes the inputs positionally in the order of `inputs` and returns one tensor or a tuple."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    digest: str
    """sha256 of the weights and configs that it was made from; part of every cache key."""
    couples_rows: bool = False
    """Whether a row's output depends on the other rows of its call, so that a batch must not be split."""
    calibration: Callable[[], Iterable[Mapping[str, torch.Tensor]]] | None = None
    """Gives inputs as they come from real pictures, for back ends that round to int8 by what they see: the
    same ones each time. None where nobody brought any."""
    shown: Callable[[torch.Tensor], torch.Tensor] | None = None
    """Turns its first output to what a person sees, e.g. by decoding a latent: there int8 is judged. None
    where the output is that itself."""
    comparable: Callable[[Mapping[str, torch.Tensor]], Mapping[str, torch.Tensor]] | None = None
    """Turns its outputs into what a back end is compared with torch by, where the same answer may come in
    another order; None where they are compared as they are."""
    rounds_products: bool = False
    """Whether int8 may be made by rounding its products with weights as they come, uncalibrated; it was tried
    and found good."""
    threads: int | None = None
    """How many threads it is run with on a CPU, where the back end can be told (torch cannot, for one network
    alone); None for all that may be used. A small network costs others less on one."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Say what an engine is and how it came to be chosen."""

    backend: str
    """"openvino", "torch", "torch-compile" or "tensorrt"."""
    precision: str
    """"fp32", "bf16", "fp16" or "int8"."""
    device: str
    """"cpu" or "cuda"."""
    versions: str
    """Exact versions of what runs it, e.g. "openvino 2026.4.1"."""
    why: str = ""
    """One sentence: why this one."""
    refused: tuple[tuple[str, str], ...] = ()
    """Back ends that were tried before, each with the reason why it was not taken."""
    builds: bool = True
    """Whether new shapes take time to prepare."""


class Engine(Protocol):
    """Run a network. One thread at a time; any number of shapes. `warm` may be called from another thread."""

    info: EngineInfo

    def run(self, **tensors: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Run once and return the outputs by name.

        Inputs are tensors of the network's shapes and types, batch first; they are copied, and may be changed
        as soon as this returns. Outputs are the engine's own buffers: valid until the next run of the same
        shapes, so copy what is to be kept.

        Raises EngineError for a missing, unknown or ill-shaped tensor, and when the back end fails.
        """

    def warm(self, shapes: Shapes) -> None:
        """Build what these input shapes need, so that the first run is as fast as the next.

        It may come from a thread of its own while pictures are painted, so a run of other shapes must not
        wait for what it builds.

        Raises EngineError for shapes that do not fit, EngineBuildFailed when the back end cannot build them.
        """

    def plans(self) -> tuple[str, ...]:
        """Say how batches are run, a sentence for each shape that was measured; empty without a choice."""

    def close(self) -> None:
        """Give the memory back; twice does no harm. A closed engine runs no more."""


def key_of(network: Network, shapes: Shapes) -> Key:
    """Return the shapes in the order of the network's inputs.

    Raises EngineError with what is missing, unknown or ill-shaped.
    """
    known = [spec.name for spec in network.inputs]
    if set(known) != set(shapes):
        raise EngineError(f"{network.name} takes {', '.join(known)}; got {', '.join(shapes) or 'nothing'}.")
    faults = [fault for spec in network.inputs if (fault := spec.mismatch(tuple(shapes[spec.name])))]
    key: Key = tuple(tuple(shapes[name]) for name in known)
    rows = sorted({shape[0] for shape in key if shape})
    if not faults and len(rows) > 1:
        faults = [f"All inputs of {network.name} must have one batch size, got {rows}."]
    if faults:
        raise EngineError(" ".join(faults))
    return key


def shapes_of(tensors: Mapping[str, torch.Tensor]) -> Shapes:
    """Return the shape of each tensor."""
    return {name: tuple(value.shape) for name, value in tensors.items()}
