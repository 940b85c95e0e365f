"""How large a StreamFlow is: the published size, and others that differ from it in width alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

STRIDE = 8
"""Pixels of a side that become one cell of the maps in which flow is found."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Say how one stage of the encoder is built."""

    channels: int
    heads: int
    reduction: int
    """Side of the square of tokens that global attention looks at as one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Say how a StreamFlow is built."""

    stages: tuple[Stage, Stage]
    """At a quarter and at an eighth of the picture's sides. Half of the last one's channels are the context
    map, the other half the state of the decoder."""
    look: tuple[int, int]
    """Channels on the way from correlation to motion."""
    flow: tuple[int, int]
    """Channels on the way from flow to motion."""
    window: int = 7
    """Side of the squares within which tokens attend to each other."""
    levels: int = 4
    """How often the correlation is looked at, each time at half the size."""
    radius: int = 4
    """How far around a cell it is looked at, in cells of each level."""
    wide: int = 15
    """Side of the large kernel of the motion encoder and the flow head."""
    medium: int = 7
    """Side of the large kernel of the state's update."""
    unused_norm: int = 0
    """Channels of a norm that published checkpoints hold and nothing reads; 0 for none."""

    @property
    def hidden(self) -> int:
        """Channels of the state, of the context and of the motion."""
        return self.stages[-1].channels // 2

    @property
    def taps(self) -> int:
        """Channels of what is looked up in the correlation."""
        return self.levels * (2 * self.radius + 1) ** 2

    @property
    def least_px(self) -> int:
        """The shortest side of a picture: below it the coarsest correlation has a single cell."""
        return STRIDE << self.levels


PLANS: Mapping[str, Plan] = MappingProxyType(
    {
        "large": Plan((Stage(128, 4, 8), Stage(256, 8, 4)), (256, 192), (128, 64), unused_norm=1024),
        # Ours, and none of the paper's.
        "small": Plan((Stage(32, 2, 8), Stage(96, 4, 4)), (96, 64), (48, 32), radius=3, wide=9, medium=5),
        "mini": Plan((Stage(16, 2, 8), Stage(64, 4, 4)), (48, 32), (16, 12), radius=2, wide=7, medium=5),
        "tiny": Plan((Stage(16, 2, 8), Stage(32, 4, 4)), (24, 16), (16, 12), radius=2, wide=7, medium=5),
    }
)
