"""Remember a stream as keys and values: each frame is run through the model once, when it comes.

It follows ReKV (Di et al. 2025, arXiv:2503.00540): a frame attends to the beginning of the prompt and to a
window of the newest frames; keys are kept un-rotated, a block a frame; a question brings some blocks back.
What is ours: the newest frames are always among them, blocks lie in a store that is bounded, and which blocks
come back is a `Strategy`.

The encoder adds to what it keeps and never changes what a snapshot holds; it takes no lock that a question
takes. So a question waits for encoding no longer than two threads that share a processor do.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from realtime.core.errors import EngineError

from .asking import Asking
from .cache import Fixed, StreamCache
from .grown import Grown
from .memory import CacheContext, Pick, Query
from .plain import plain_cache
from .store import BlockShape, BlockStore
from .table import Rows, Sketcher, Table

if TYPE_CHECKING:
    from .cache import KV
    from .families.base import VideoModel
    from .strategies import Strategy

STALE = 8
"""One row in so many may be of a block that is gone, before the table is cleared of them."""
LOOK = 16
"""Frames from one look for such rows to the next."""
TRIES = 4
"""How often a question begins anew because blocks went while it read."""


@dataclass(frozen=True, slots=True, eq=False)
class KVSnapshot:
    """Hold what a question may know: rows of the frames up to a moment. Blocks are read from the store."""

    rows: Rows | None
    known_ns: int


class KVMemory:
    """Encode frames and bring them back. Satisfies `Memory`."""

    def __init__(
        self,
        model: VideoModel,
        store: Callable[[BlockShape], BlockStore],
        strategy: Strategy,
        *,
        window_tokens: int = 15_000,
        room: int = 0,
        embedding_size: int = 0,
    ) -> None:
        """Begin with the prompt's beginning, and with what the store has kept.

        `room`: rows to make room for at once; 0: as they come. `embedding_size`: of what `push` is given.

        Raises EngineError when the window holds no frame.
        """
        layout = model.layout
        self._window_frames = (window_tokens - layout.sink) // layout.tokens
        if self._window_frames < 1:
            raise EngineError(
                f"A window of {window_tokens} tokens holds no frame of {layout.tokens}.",
                hint=f"Set window_tokens to {layout.sink + layout.tokens} at least.",
                permanent=True,
            )
        self.model, self.strategy = model, strategy
        self._no_embedding = torch.zeros(embedding_size) if embedding_size else None
        self.store = store(BlockShape(model.layers, model.kv_heads, layout.tokens, model.head_dim))
        self._scored = "score" in inspect.signature(self.store.append).parameters
        self._keys, self._values = Grown(2), Grown(2)
        self._window_numbers: list[int] = []
        self._table = Table(room)
        self._sketch = Sketcher(model.grid_hw, len(model.around_ids[0]))
        self._known_ns = 0
        self.sink = self._encoded_sink()
        self._restore()
        self._snapshot = KVSnapshot(self._table.now(), self._known_ns)

    def push(
        self,
        features_TC: torch.Tensor,
        at_ns: int,
        *,
        deep_DTC: torch.Tensor | None = None,
        embedding_E: torch.Tensor | None = None,
    ) -> None:
        """Encode a frame. `embedding_E`: of an embedder for pictures and text, where there is one."""
        model, layout = self.model, self.model.layout
        past: tuple[KV, ...] = (self.sink,)
        if len(self._keys):
            past = (self.sink, (self._keys.now, self._values.now))
        cache = StreamCache(Fixed(*past), layout, model.rotary, layout.offsets_AT, model.layers)
        model.run(model.block(features_TC), cache, deep_DTC=deep_DTC)
        keys_LHTD, values_LHTD = cache.new
        sketch = self._sketch(keys_LHTD[0], values_LHTD[0])
        score = {"score": self._novelty(sketch)} if self._scored else {}
        number = self.store.append(keys_LHTD, values_LHTD, at_ns, **score)
        self._keys.append(keys_LHTD)
        self._values.append(values_LHTD)
        self._window_numbers.append(number)
        self._shorten(len(self._window_numbers) - self._window_frames)
        vectors_LV = keys_LHTD.float().mean(dim=2).flatten(1).cpu()
        self._table.append(
            number, at_ns, vectors_LV, sketch, self._no_embedding if embedding_E is None else embedding_E
        )
        if number % LOOK == 0:
            there = len(self.store.numbers())
            if (len(self._table) - there) * STALE > len(self._table):
                self._clear()
        self._known_ns = at_ns
        self._snapshot = KVSnapshot(self._table.now(), at_ns)

    def snapshot(self) -> KVSnapshot:
        """Return the memory of this moment: made when the last frame was, so this costs nothing."""
        return self._snapshot

    def context(self, query: Query, memory: KVSnapshot) -> CacheContext:
        """Choose blocks for a question and return them as a plain cache. Any thread."""
        rows = memory.rows
        for _ in range(TRIES):
            try:
                return self._context(query, rows)
            except KeyError:  # blocks have gone since; the table was not cleared of them, or is an old one
                assert rows is not None
                rows = rows.only(torch.isin(rows.numbers_N, torch.tensor(list(self.store.numbers()))))
        raise EngineError("Frames went from memory faster than they could be read.", hint="Ask again.")

    def forget(self, begin_ns: int, end_ns: int) -> int:
        """Delete frames from the store, the window and the table.

        Frames that came later have attended to them, and keep what they took from that.
        """
        gone = [n for n in self.store.numbers() if begin_ns <= self.store.at_ns(n) < end_ns]
        self.store.evict(gone)
        left = set(self._window_numbers).difference(gone)
        kept_F = torch.tensor([n in left for n in self._window_numbers], dtype=torch.bool)
        if len(kept_F) and not bool(kept_F.all()):
            kept_N = kept_F.repeat_interleave(self.model.layout.tokens)
            self._keys.keep(kept_N)
            self._values.keep(kept_N)
            self._window_numbers = [n for n in self._window_numbers if n in left]
        self._clear()
        self._snapshot = KVSnapshot(self._table.now(), self._known_ns)
        return len(gone)

    def close(self) -> None:
        """Let go of the store and all rows."""
        self.store.close()
        self._keys, self._values, self._table = Grown(2), Grown(2), Table()
        self._snapshot = KVSnapshot(None, self._known_ns)

    def read(self, numbers: Sequence[int], layer: int) -> KV:
        """Return blocks of one layer on the model's device. Raises KeyError for one that is gone."""
        if not len(numbers):
            empty = self.sink[0][layer][:, :0]
            return empty, empty
        keys, values = self.store.read(numbers, layer)
        device, dtype = self.model.device, self.model.dtype
        return keys.to(device, dtype), values.to(device, dtype)

    def ask_pass(self, query: Query, choose: Callable[[int, torch.Tensor], Sequence[int]]) -> None:
        """Run a bare question through the model; see `Asking.ask_pass`."""
        Asking(self).ask_pass(query, choose)

    def _context(self, query: Query, rows: Rows | None) -> CacheContext:
        if rows is None or not len(rows):
            cache, tokens = plain_cache(self.model, self.sink, [], 0)
            return CacheContext(cache, tokens)
        asking = Asking(self)
        choice = self.strategy.choose(query, rows, asking)
        numbers = [rows.numbers_N[index].tolist() for index in choice.layers(self.model.layers)]
        blocks = [asking.read(chosen, layer) for layer, chosen in enumerate(numbers)]
        cache, tokens = plain_cache(self.model, self.sink, blocks, len(numbers[0]))
        picks = [
            Pick(int(rows.times_N[i]), score, int(rows.numbers_N[i])) for i, score in choice.scored(len(rows))
        ]
        return CacheContext(cache, tokens, tuple(picks), {"numbers": numbers})

    def _encoded_sink(self) -> KV:
        model = self.model
        if not model.layout.sink:
            empty = torch.empty(
                model.layers, model.kv_heads, 0, model.head_dim, dtype=model.dtype, device=model.device
            )
            return empty, empty
        text_AN = model.layout.text(model.layout.sink, 0)
        cache = StreamCache(Fixed(), model.layout, model.rotary, text_AN, model.layers)
        model.run(model.embed(model.sink_ids), cache)
        return cache.new

    def _restore(self) -> None:
        """Make rows of the blocks that a store kept over a restart; the window begins empty."""
        numbers = list(self.store.numbers())
        told = getattr(self.store, "vectors", None)
        known = dict(zip(*told(), strict=True)) if numbers and told is not None else {}
        for number in numbers:
            vector = torch.as_tensor(known[number]).flatten(1) if number in known else self._vector(number)
            sketch = self._sketch(*self.store.read([number], 0))
            at_ns = self.store.at_ns(number)
            self._table.append(number, at_ns, vector, sketch, self._no_embedding)
            self._known_ns = at_ns

    def _vector(self, number: int) -> torch.Tensor:
        keys = [self.store.read([number], layer)[0] for layer in range(self.model.layers)]
        return torch.stack(keys).float().mean(dim=2).flatten(1)

    def _shorten(self, frames: int) -> None:
        """Leave the oldest frames out of the window."""
        if frames > 0:
            del self._window_numbers[:frames]
            self._keys.drop_first(frames * self.model.layout.tokens)
            self._values.drop_first(frames * self.model.layout.tokens)

    def _novelty(self, sketch_S: torch.Tensor) -> float:
        """Return how far a frame lies from the nearest of the last few, for the store to judge by."""
        rows = self._table.now()
        if rows is None:
            return float("inf")
        return float((rows.sketches_NS[-16:] - sketch_S).norm(dim=1).min())

    def _clear(self) -> None:
        """Remove the rows of blocks that are gone."""
        there = set(self.store.numbers())
        rows = self._table.now()
        if rows is not None:
            self._table.drop([n for n in rows.numbers_N.tolist() if n not in there])
