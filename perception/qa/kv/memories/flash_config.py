"""How large Flash-VStream's four memories are: as published, and for a small model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from realtime.core.errors import ConfigError

from .parts import Grid

KeyRule = Literal["heaviest", "distinct"]
"""Which centroids show their key frame: those of the most frames, as published; or those that lie farthest
from the mean of all frames, which are what happened seldom."""


@dataclass(frozen=True, slots=True)
class FlashConfig:
    """Bound the four memories; a part with no frames is left out."""

    spatial_frames: int = 1
    spatial_grid: Grid = (8, 8)
    temporal_frames: int = 25
    temporal_grid: Grid = (4, 4)
    abstract_tokens: int = 25
    abstract_rate: float = 0.2
    """How far a slot moves to a new frame that is all its own."""
    abstract_sharpness: float = 10.0
    """How much a slot gains by likeness: times the cosine, before the softmax over slots. Ours."""
    key_frames: int = 3
    key_rule: KeyRule = "heaviest"

    def __post_init__(self) -> None:
        counts = (self.spatial_frames, self.abstract_tokens, self.key_frames)
        if min(counts) < 0 or self.temporal_frames < 1 or self.key_frames > self.temporal_frames:
            raise ConfigError(f"Flash-VStream has one centroid at least, and no more key frames, got {self}.")

    def tokens(self, grid_hw: Grid) -> int:
        """Return how many tokens a context has at most."""
        fine, coarse = (
            min(grid_hw[0], to[0]) * min(grid_hw[1], to[1]) for to in (self.spatial_grid, self.temporal_grid)
        )
        frames = self.spatial_frames + self.key_frames
        return frames * fine + self.temporal_frames * coarse + self.abstract_tokens


PUBLISHED = FlashConfig()
"""Of the first version: 681 tokens."""
SMALL = FlashConfig(
    spatial_frames=2, temporal_frames=12, temporal_grid=(8, 8), abstract_tokens=9, key_frames=4
)
"""For a model of few tokens a frame, such as the watcher: nothing is made coarser; 171 tokens at 3 by 3."""
FEW = 25
"""A frame of so many tokens or fewer is one of few."""


def fitting(grid_hw: Grid) -> FlashConfig:
    """Return the published sizes, or the small ones for a model of few tokens a frame."""
    return SMALL if grid_hw[0] * grid_hw[1] <= FEW else PUBLISHED


def published_2(grid_hw: Grid) -> FlashConfig:
    """Return the second version's sizes: 60 centroids at half the resolution, 30 key frames at full."""
    half = (max(1, grid_hw[0] // 2), max(1, grid_hw[1] // 2))
    return FlashConfig(0, grid_hw, 60, half, 0, key_frames=30)
