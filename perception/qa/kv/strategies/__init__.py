"""Ways to choose which frames a question brings back. `NAMES` lists them; `strategy` makes one."""

from __future__ import annotations

from realtime.core.errors import ConfigError

from .base import Asked, Choice, Strategy
from .external import ColourEmbedder, Embedder, External
from .internal import Hybrid, Rekv, Voted
from .plain import Full, LastK, Novelty, Uniform

__all__ = [
    "NAMES",
    "Asked",
    "Choice",
    "ColourEmbedder",
    "Embedder",
    "External",
    "Full",
    "Hybrid",
    "LastK",
    "Novelty",
    "Rekv",
    "Strategy",
    "Uniform",
    "Voted",
    "strategy",
]

NAMES = ("hybrid", "voted", "rekv", "novelty", "external", "last-k", "uniform", "full")


def strategy(name: str, frames: int = 8, recent: int = 2, embedder: Embedder | None = None) -> Strategy:
    """Make a strategy that brings back `frames` frames, the `recent` newest among them.

    "rekv" is as published and takes no newest frames; "last-k", "uniform" and "full" have no use for
    `recent`. Raises ConfigError for a name that is not in `NAMES`.
    """
    match name:
        case "hybrid":
            return Hybrid(frames, recent)
        case "voted":
            return Voted(frames, recent)
        case "rekv":
            return Rekv(frames)
        case "novelty":
            return Novelty(frames, recent)
        case "external":
            return External(embedder or ColourEmbedder(), frames, recent)
        case "last-k":
            return LastK(frames)
        case "uniform":
            return Uniform(frames)
        case "full":
            return Full()
    raise ConfigError(f'There is no strategy "{name}".', hint=f"Known: {', '.join(NAMES)}.")
