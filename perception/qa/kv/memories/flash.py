"""Flash-VStream (Zhang et al. 2024, arXiv:2406.08085): four memories of a fixed number of tokens in all.

    spatial     the newest frames, fine
    temporal    centroids of all frames, coarse: weighted k-means over old centroids and the new frame
    abstract    slots that each new frame moves a little, one token each
    retrieved   key frames, fine: those nearest to some of the centroids

As in the second version (arXiv:2506.23825) a centroid carries its weight, the number of frames in it, and the
mean of their times. What is ours: k-means is deterministic (`kmeans.py`). Each centroid brings along the one
frame nearest to it of those that it ever held, so no bank of all frames grows and no index can miss it. Slots
are found by the likeness of directions, since the published projection is trained and we have no weights of
it. A snapshot is a handful of references; nothing is copied between threads or processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from perception.qa.kv.memory import Query, TokenContext

from .flash_config import FlashConfig, fitting
from .kmeans import Floats, distances, means, weighted_kmeans
from .parts import Forgotten, Grid, Piece, checked, context_of, pooled


@dataclass(frozen=True, slots=True, eq=False)
class Centroid:
    """Hold what is known of the frames of one cluster."""

    mean: Piece
    weight: int
    """How many frames are in it."""
    sum_ns: int
    """Of their times."""
    key: Piece
    """The nearest of them, fine."""
    key_coarse_TC: torch.Tensor

    @property
    def time_ns(self) -> float:
        """Mean of their times."""
        return self.sum_ns / self.weight


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """Hold the abstract memory. Never changed."""

    tokens_KC: torch.Tensor
    times_ns: tuple[float, ...]
    begin_ns: int
    end_ns: int

    def pieces(self) -> list[Piece]:
        pairs = zip(self.tokens_KC, self.times_ns, strict=True)
        return [Piece(token[None], round(at), self.begin_ns, self.end_ns) for token, at in pairs]


@dataclass(frozen=True, slots=True, eq=False)
class FlashSnapshot:
    """Hold the four memories of a moment."""

    spatial: tuple[Piece, ...] = ()
    temporal: tuple[Centroid, ...] = ()
    """In order of time."""
    abstract: Slots | None = None
    forgotten: int = 0

    @property
    def frames(self) -> int:
        """How many frames the centroids hold."""
        return sum(centroid.weight for centroid in self.temporal)

    @property
    def pieces(self) -> int:
        """How many frames, centroids and slots there are."""
        return len(self.spatial) + len(self.temporal) + len(self.abstract.times_ns if self.abstract else ())


class FlashMemory:
    """Remember all frames in a fixed number of tokens. Satisfies `Memory[FlashSnapshot]`."""

    def __init__(self, grid_hw: Grid, config: FlashConfig | None = None) -> None:
        """Take the published sizes where `grid_hw` is fine, smaller ones where it is not, or `config`."""
        self._grid, self.config = grid_hw, config or fitting(grid_hw)
        self._forgotten = Forgotten()
        self._now = FlashSnapshot()

    def push(self, features_TC: torch.Tensor, at_ns: int) -> None:
        """Take in one frame."""
        config, now = self.config, self._now
        full_TC = checked(features_TC, self._grid)
        fine = Piece.of_frame(pooled(full_TC, self._grid, config.spatial_grid), at_ns)
        coarse_TC = pooled(full_TC, self._grid, config.temporal_grid)
        spatial = (*now.spatial, fine)[-config.spatial_frames :] if config.spatial_frames else ()
        new = Centroid(Piece.of_frame(coarse_TC, at_ns), 1, at_ns, fine, coarse_TC)
        temporal = self._clustered((*now.temporal, new))
        abstract = self._moved(now.abstract, full_TC.mean(0), at_ns)
        self._now = FlashSnapshot(spatial, temporal, abstract, len(self._forgotten))

    def _clustered(self, centroids: tuple[Centroid, ...]) -> tuple[Centroid, ...]:
        if len(centroids) <= self.config.temporal_frames:
            return centroids
        clusters = weighted_kmeans(*_points(centroids), self.config.temporal_frames)
        joined = [_join([centroids[i] for i in members]) for members in clusters]
        return tuple(sorted(joined, key=lambda c: c.time_ns))

    def _moved(self, slots: Slots | None, token_C: torch.Tensor, at_ns: int) -> Slots | None:
        config = self.config
        if not config.abstract_tokens:
            return None
        if slots is None:
            return Slots(token_C[None], (float(at_ns),), at_ns, at_ns)
        if len(slots.tokens_KC) < config.abstract_tokens:
            tokens_KC = torch.cat((slots.tokens_KC, token_C[None]))
            return Slots(tokens_KC, (*slots.times_ns, float(at_ns)), slots.begin_ns, at_ns)
        alike_K = torch.cosine_similarity(slots.tokens_KC.float(), token_C.float()[None], dim=1)
        share_K = config.abstract_rate * (config.abstract_sharpness * alike_K).softmax(0)
        tokens_KC = torch.lerp(slots.tokens_KC.float(), token_C.float(), share_K[:, None]).to(token_C.dtype)
        pairs = zip(slots.times_ns, share_K.tolist(), strict=True)
        return Slots(tokens_KC, tuple(t + s * (at_ns - t) for t, s in pairs), slots.begin_ns, at_ns)

    def snapshot(self) -> FlashSnapshot:
        return self._now

    def context(self, query: Query, memory: FlashSnapshot) -> TokenContext:
        """Return all four, the newest frame last. Key frames and newest frames may be shown to people."""
        left = self._left(memory, memory.forgotten)
        keys = self._keys(left.temporal)
        abstract = left.abstract.pieces() if left.abstract else []
        pieces = [*abstract, *(c.mean for c in left.temporal), *(c.key for c in keys), *left.spatial]
        heaviest = max((c.weight for c in keys), default=1)
        shown = [(c.key, c.weight / heaviest) for c in keys] + [(frame, 1.0) for frame in left.spatial]
        return context_of(pieces, query.embeddings_NC, shown)

    def _keys(self, centroids: Sequence[Centroid]) -> list[Centroid]:
        """Return whose key frames are shown, in order of time."""
        if not centroids or not self.config.key_frames:
            return []
        ranks = [float(c.weight) for c in centroids]
        if self.config.key_rule == "distinct":
            products_NN, weights_N = _points(centroids)
            middle = means(weights_N, [list(range(len(centroids)))])
            ranks = distances(products_NN, middle)[:, 0].tolist()
        best = sorted(range(len(centroids)), key=lambda i: (-ranks[i], i))[: self.config.key_frames]
        return [centroids[i] for i in sorted(best)]

    def forget(self, begin_ns: int, end_ns: int) -> int:
        """Delete pieces whose stretch of time meets that from `begin_ns` up to `end_ns`; return how many.

        A centroid or slot may go that has frames on both sides only: which it mixed is not kept.
        """
        before, since = self._now, len(self._forgotten)
        self._forgotten.add(begin_ns, end_ns)
        self._now = self._left(before, since)
        return before.pieces - self._now.pieces

    def _left(self, memory: FlashSnapshot, since: int) -> FlashSnapshot:
        """Return what of a snapshot was not forgotten after it knew of `since` times."""
        keeps = self._forgotten.keeps
        slots = memory.abstract
        return FlashSnapshot(
            tuple(piece for piece in memory.spatial if keeps(piece, since)),
            tuple(c for c in memory.temporal if keeps(c.mean, since)),
            slots if slots and all(keeps(piece, since) for piece in slots.pieces()) else None,
            len(self._forgotten),
        )

    def close(self) -> None:
        """Let go of everything. Twice does no harm."""
        self._now = FlashSnapshot()


def _points(centroids: Sequence[Centroid]) -> tuple[Floats, Floats]:
    """Return the products of the centroids, seen from their middle, (N, N), and their weights (N,)."""
    points_ND = torch.stack([c.mean.tokens_TC.flatten() for c in centroids]).float()
    points_ND -= points_ND.mean(0)
    products_NN = (points_ND @ points_ND.T).double().cpu().numpy()
    return products_NN, np.array([c.weight for c in centroids], np.float64)


def _join(centroids: Sequence[Centroid]) -> Centroid:
    """Return one centroid of several: weights add up, means are weighted, the nearest key frame stays."""
    if len(centroids) == 1:
        return centroids[0]
    weight = sum(c.weight for c in centroids)
    tokens_KTC = torch.stack([c.mean.tokens_TC for c in centroids]).double()
    shares_K = torch.tensor([c.weight / weight for c in centroids], dtype=torch.float64)
    mean_TC = (tokens_KTC * shares_K.to(tokens_KTC.device)[:, None, None]).sum(0)
    sum_ns = sum(c.sum_ns for c in centroids)
    nearest = min(centroids, key=lambda c: float(((c.key_coarse_TC.double() - mean_TC) ** 2).sum()))
    begin_ns, end_ns = min(c.mean.begin_ns for c in centroids), max(c.mean.end_ns for c in centroids)
    mean = Piece(mean_TC.to(centroids[0].mean.tokens_TC.dtype), round(sum_ns / weight), begin_ns, end_ns)
    return Centroid(mean, weight, sum_ns, nearest.key, nearest.key_coarse_TC)
