"""What is known of each remembered frame without reading its block: a row each, of a few hundred bytes.

A block's vector is the mean of its un-rotated keys, per layer; of the heads that keys have, not repeated for
each head of queries: queries are summed per group instead, which gives the same products (Di et al. 2025,
ReKV, arXiv:2503.00540, keeps them repeated). Kept is how a vector differs from the first one, in half
precision: keys have large parts that are the same for all frames, and say nothing of which fits best. A
block's sketch is its picture in few numbers, to tell how new
it was: the frame's embeddings, averaged over a grid of 2 by 2, through a fixed random projection, which keeps
distances.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch

from .grown import Grown

SKETCH = 64
"""Numbers of a sketch: distances come out within about an eighth."""
AT_ONCE = 2048
"""Rows that are worked on at once: what is made of them stays in the processor's cache."""
SAMPLE = 256
"""Frames that a median is taken of, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Hold the rows of a moment, the oldest first; later frames do not change them."""

    numbers_N: torch.Tensor
    """Of blocks, int64."""
    times_N: torch.Tensor
    """When frames were captured, int64 nanoseconds."""
    vectors_LNV: torch.Tensor
    """Float16, less `base_LV`; V is heads of keys times their size."""
    base_LV: torch.Tensor
    """The first vector of all, float32."""
    sketches_NS: torch.Tensor
    """Float32."""
    embeddings_NE: torch.Tensor | None = None
    """What an embedder for pictures and text made of the frames, of length 1 each; None without one."""

    def __len__(self) -> int:
        return int(self.numbers_N.shape[0])

    def only(self, kept_N: torch.Tensor) -> Rows:
        """Return the rows that a mask keeps."""
        if bool(kept_N.all()):
            return self
        index = kept_N.nonzero()[:, 0]
        return Rows(
            self.numbers_N[index],
            self.times_N[index],
            self.vectors_LNV[:, index],
            self.base_LV,
            self.sketches_NS[index],
            None if self.embeddings_NE is None else self.embeddings_NE[index],
        )

    def products(self, layer: int, query_V: torch.Tensor) -> torch.Tensor:
        """Return how well each block's mean key fits a query, (N,): their plain product, in float32."""
        found = [part.float() @ query_V for part in self.vectors_LNV[layer].split(AT_ONCE)]
        return torch.cat(found) + self.base_LV[layer] @ query_V

    def novelty(self) -> torch.Tensor:
        """Return how far each frame lies from the median one, (N,), in the sketches' own measure."""
        if not len(self):
            return torch.zeros(0)
        step = math.ceil(len(self) / SAMPLE)
        median_S = self.sketches_NS[::step].median(dim=0).values
        parts = self.sketches_NS.split(AT_ONCE)
        return torch.cat([torch.linalg.vector_norm(part - median_S, dim=1) for part in parts])


class Table:
    """Keep the rows: one writer, who appends and removes; anybody holds what `now` gave."""

    def __init__(self, room: int = 0) -> None:
        self._numbers, self._times = Grown(0, room), Grown(0, room)
        self._vectors, self._sketches, self._embeddings = Grown(1, room), Grown(0, room), Grown(0, room)
        self._base_LV: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self._numbers)

    def append(
        self,
        number: int,
        at_ns: int,
        vectors_LV: torch.Tensor,
        sketch_S: torch.Tensor,
        embedding_E: torch.Tensor | None = None,
    ) -> None:
        """Add a frame's row. All rows of a table have an embedding, or none has."""
        if self._base_LV is None:
            self._base_LV = vectors_LV
        self._vectors.append((vectors_LV - self._base_LV)[:, None].half())
        self._sketches.append(sketch_S[None])
        if embedding_E is not None:
            self._embeddings.append(embedding_E[None])
        self._times.append(torch.tensor([at_ns]))
        self._numbers.append(torch.tensor([number]))

    def now(self) -> Rows | None:
        """Return all rows; None before the first."""
        if not len(self) or self._base_LV is None:
            return None
        embeddings = self._embeddings.now if len(self._embeddings) else None
        return Rows(
            self._numbers.now,
            self._times.now,
            self._vectors.now,
            self._base_LV,
            self._sketches.now,
            embeddings,
        )

    def drop(self, numbers: Collection[int]) -> None:
        """Remove rows by their blocks' numbers."""
        if not len(self) or not numbers:
            return
        kept_N = ~torch.isin(self._numbers.now, torch.tensor(sorted(numbers)))
        for column in (self._vectors, self._sketches, self._embeddings, self._times, self._numbers):
            if len(column):
                column.keep(kept_N)


class Sketcher:
    """Make sketches of frames from the first layer's keys and values.

    Those are the frame's embeddings through two matrices, nothing attended to yet: so a sketch can be made
    again from a block alone, and says nothing of what came before the frame.
    """

    def __init__(self, grid_hw: tuple[int, int], before: int) -> None:
        """`before`: tokens of a block that come before the grid's."""
        self._grid_hw, self._before = grid_hw, before
        self._matrix: torch.Tensor | None = None

    def __call__(self, keys_HTD: torch.Tensor, values_HTD: torch.Tensor) -> torch.Tensor:
        """Return (S,) float32 on the CPU: averaged over 2 by 2 cells, then projected."""
        rows, columns = self._grid_hw
        both_TV = torch.cat((keys_HTD, values_HTD)).transpose(0, 1).flatten(1).float()
        seen_TV = both_TV[self._before : self._before + rows * columns]
        picture = seen_TV.T.reshape(1, -1, rows, columns)
        cells = torch.nn.functional.adaptive_avg_pool2d(picture, (min(rows, 2), min(columns, 2))).flatten()
        if self._matrix is None:
            generator = torch.Generator().manual_seed(0)
            self._matrix = torch.randn(len(cells), SKETCH, generator=generator) / math.sqrt(SKETCH)
        return cells.cpu() @ self._matrix
