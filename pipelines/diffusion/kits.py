"""A kit: one network, and the add-ons that feed its further inputs and read its further outputs.

The plain network takes latent, emb and context. A control net, an image prompt, a bank of keys and values
or a LoRA with a live weight each add inputs. What they add is the same for all rows of a call, so rows of one
kit go through one call, whoever they belong to. A kit may have a shortcut: a cheaper network for those steps
that can be taken by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.engines.base import EngineInfo

    from .embedding import Embedding
    from .trajectory import Trajectory


class Engine(Protocol):
    """What the painter needs of `pipelines.engines.base.Engine`."""

    info: EngineInfo

    def run(self, **tensors: Tensor) -> Mapping[str, Tensor]: ...

    def warm(self, shapes: Mapping[str, tuple[int, ...]]) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Row:
    """Place one row of a call: a frame in flight, and what it is run with."""

    trajectory: Trajectory
    embedding: Embedding
    is_negative: bool = False
    """Whether it is the negative prompt's row of its frame."""


class AddOn(Protocol):
    """Feed further inputs of a network, row by row. It holds nothing of a single frame or session."""

    name: str

    def before(self, rows: Sequence[Row], named: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the further inputs of a call, batch first, by name. `named` holds those so far."""

    def after(self, rows: Sequence[Row], outputs: Mapping[str, Tensor]) -> None:
        """Take what it wants of the call's outputs; they are overwritten by the next call."""

    def shapes(self, rows: int, side: int) -> Mapping[str, tuple[int, ...]]:
        """Return the shapes of its inputs for `rows` rows of latents `side` cells high and wide.

        Asked while a kit is made ready, beside the painting lane: engines of its own are built here.
        """

    def close(self) -> None:
        """Give its memory back."""


@dataclass(frozen=True, slots=True, eq=False)
class Kit:
    """Hold a network with its add-ons; rows with the same kit share a call."""

    engine: Engine
    add_ons: tuple[AddOn, ...] = ()
    couples_rows: bool = False
    """Whether a row sees the other rows of its call, which then must not be split."""
    shortcut: Shortcut | None = None
    number: int = field(default_factory=count().__next__)
    """Which kit of this process it is."""

    def due(self, one: Trajectory) -> Kit:
        """Return the kit that the frame's due step goes through: this one, or that of the shortcut."""
        return self.shortcut.kit if self.shortcut is not None and self.shortcut.serves(one) else self

    def run(self, rows: Sequence[Row], **named: Tensor) -> Tensor:
        """Run the network, (B, C, h, w). The result may be overwritten by the next call."""
        inputs: dict[str, Tensor] = dict(named)
        for add_on in self.add_ons:
            inputs |= add_on.before(rows, inputs)
        outputs = self.engine.run(**inputs)
        for add_on in self.add_ons:
            add_on.after(rows, outputs)
        return outputs["out"]

    def close(self) -> None:
        """Close the engine and the add-ons."""
        self.engine.close()
        for add_on in self.add_ons:
            add_on.close()
        if self.shortcut is not None:
            self.shortcut.kit.close()


@dataclass(frozen=True, slots=True, eq=False)
class Shortcut:
    """Hold a cheaper network that can take some steps of some frames."""

    kit: Kit
    serves: Callable[[Trajectory], bool]
    """Tell whether the due step of a frame may go this way. It is asked more than once a step."""
