"""What a session's earlier pictures looked like: keys and values that its next pictures attend to as well.

A picture at one noise level meets what earlier ones had at the same level. Every `memory_interval`-th picture
is merged into the bank: of old and new tokens every other one stays, and each that goes is averaged into the
most similar that stays (token merging, Bolya et al. 2022, arXiv:2210.09461). So a bank never holds more than
one picture's tokens, and what is k updates old weighs about 2^-k in it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .config import PaintConfig
from .features import Additions, Draft, Nothing, Report
from .kits import Row

if TYPE_CHECKING:
    from torch import Tensor

    from .painter import Painter

NAME = "memory"
BYTES = 2
"""A kept number's: half precision."""
Pair = tuple["Tensor", "Tensor"]
"""Keys and values of one layer, (n, d) each."""


@dataclass(slots=True)
class Level:
    """Hold the bank of one noise level, a pair for each layer."""

    t: float
    pairs: list[Pair]
    turn: int = 0
    """Which half of the tokens stays at the next update."""


@dataclass(slots=True)
class Store:
    """Hold a session's banks by step and side of guidance."""

    levels: dict[tuple[int, bool], Level] = field(default_factory=dict)

    def trim(self, steps: int) -> None:
        """Forget the steps that are taken no more."""
        for key in [key for key in self.levels if key[0] >= steps]:
            del self.levels[key]

    def nbytes(self) -> int:
        """Return the bytes of all banks."""
        return sum(
            side.numel() * side.element_size()
            for level in self.levels.values()
            for pair in level.pairs
            for side in pair
        )


@dataclass(frozen=True, slots=True)
class Visit:
    """Say what a frame may see of its session's store, and whether it leaves something there."""

    store: Store
    log_weight: float
    updates: bool

    def held(self, row: Row, shapes: Sequence[tuple[int, ...]]) -> Sequence[Pair] | None:
        """Return the bank of the row's due step; None when there is none of that level and size."""
        level = self.store.levels.get((row.trajectory.index, row.is_negative))
        if level is None or level.t != row.trajectory.step.t:
            return None
        return level.pairs if [tuple(key.shape) for key, _ in level.pairs] == list(shapes) else None

    def take(self, row: Row, pairs: Sequence[Pair]) -> None:
        """Merge a row's keys and values into the bank of its due step."""
        held = self.held(row, [tuple(key.shape) for key, _ in pairs])
        place = (row.trajectory.index, row.is_negative)
        if held is None:
            kept = [(key.half(), value.half()) for key, value in pairs]  # copies: the engine owns these
            self.store.levels[place] = Level(row.trajectory.step.t, kept)
            return
        level = self.store.levels[place]
        level.pairs = [merged(old, new, level.turn) for old, new in zip(held, pairs, strict=True)]
        level.turn = 1 - level.turn


def merged(old: Pair, new: Pair, turn: int) -> Pair:
    """Return as many tokens as either has: every other one of both, with the rest averaged into them.

    A token goes to the one of the most similar key (cosine). `turn` (0 or 1) says which half of `old` stays;
    what takes an old token's place is new, so with turns that alternate the older half goes first.
    """
    import torch

    (old_key, old_value), (new_key, new_value) = old, new
    keys = torch.stack([old_key.float(), new_key.float()], dim=1)
    values = torch.stack([old_value.float(), new_value.float()], dim=1)
    at = torch.arange(len(keys), device=keys.device)
    stays = (at + turn) % 2
    key, gone = keys[at, stays], keys[at, 1 - stays]
    value, gone_value = values[at, stays], values[at, 1 - stays]
    unit, gone_unit = (torch.nn.functional.normalize(side, dim=-1) for side in (key, gone))
    nearest = (gone_unit @ unit.T).argmax(dim=-1)
    count = torch.ones_like(key[:, :1]).index_add_(0, nearest, torch.ones_like(gone[:, :1]))
    key = key.index_add(0, nearest, gone) / count
    value = value.index_add(0, nearest, gone_value) / count
    return key.half(), value.half()


class Memory(Nothing):
    """Own one session's store, and say how strongly each frame sees it."""

    def __init__(self) -> None:
        self._store = Store()
        self._count = 0

    @property
    def nbytes(self) -> int:
        """Bytes that the session's banks take."""
        return self._store.nbytes()

    def key(self, config: PaintConfig) -> Hashable | None:
        return NAME if config.memory > 0 else None

    def additions(self, painter: Painter, config: PaintConfig, report: Report) -> Additions:
        from .nets.bank import Bank, Remembered, banked

        found = banked(painter.unet) if painter.unet is not None else ()
        if not found:
            return Additions(notes=("This model has no self-attention: it paints without memory.",))
        side = painter.side(config.size_px)
        size_mb = sum(2 * BYTES * layer.tokens(side, side) * layer.width for layer in found) / 1e6
        note = f"Memory takes {size_mb:.1f} MB of a session for each step at {config.size_px} px."
        return Additions((Bank(found),), (Remembered(found),), notes=(note,))

    def draft(self, draft: Draft, config: PaintConfig) -> None:
        from .nets.self_attention import log_weight

        self._store.trim(len(draft.wish))
        updates = self._count % config.memory_interval == 0
        self._count += 1
        draft.extras[NAME] = Visit(self._store, log_weight(config.memory), updates)

    def reset(self) -> None:
        self._store = Store()
        self._count = 0
