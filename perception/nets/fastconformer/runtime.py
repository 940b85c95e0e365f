"""Hear a stream chunk by chunk: sound in, tokens out, every state a value.

A stream's state may be kept and gone on from twice; any number of streams take turns on one set of engines.
What a step costs does not depend on how long a stream has run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from . import state as caches
from .decode import Carried, Decoder
from .features import HOP, Floats, Heard, LogMel
from .networks import NEXT, heads
from .pieces import Token
from .state import Cached

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.engines.base import Engine

    from .plans import Plan

Made = Mapping[str, "Tensor"]
"""What the heads made of a chunk's frames, (frames, width) each, and "frames" themselves."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Hold all that is known of a stream."""

    sound: Heard
    rows: Floats
    """Mel frames (n, mels) that wait for a whole chunk."""
    cached: Cached
    carried: Carried
    lookahead: int
    said: tuple[Token, ...] = ()
    """Tokens of this utterance."""
    begin: int = 0
    """The frame with which this utterance begins."""

    @property
    def bytes(self) -> int:
        """What it takes in memory, roughly."""
        return self.sound.samples.nbytes + self.rows.nbytes + self.cached.bytes


class Runtime:
    """Run the steps of one network with one decoder, for any number of streams and threads."""

    def __init__(self, plan: Plan, engine: Callable[[int], Engine], decoder: Decoder) -> None:
        """`engine` gives the engine of a look-ahead; it is asked once for each."""
        self.plan = plan
        self._engine, self._decoder = engine, decoder
        self._engines: dict[int, Engine] = {}
        self._mel = LogMel(plan.mels, plan.factor)
        self._heads = ("frames", *heads(plan))
        self._lock = threading.Lock()
        """Held for one run, until what was found is copied: an engine writes to the same memory again."""

    def begin(self, lookahead: int) -> Stream:
        """Return a stream that has heard nothing. Raises ConfigError for a look-ahead that does not fit."""
        self.plan.check(lookahead)
        empty = np.zeros((self.plan.factor - 1, self.plan.mels), np.float32)
        return Stream(self._mel.begin(), empty, caches.nothing(self.plan), self._decoder.begin(), lookahead)

    def ready(self, lookahead: int) -> Engine:
        """Return the engine of a look-ahead, made when first asked for."""
        with self._lock:
            if lookahead not in self._engines:
                self._engines[lookahead] = self._engine(lookahead)
            return self._engines[lookahead]

    def push(self, stream: Stream, samples: Floats) -> Stream:
        """Return the stream after this sound: it runs a step for each chunk that is whole."""
        sound, rows = self._mel.push(stream.sound, samples)
        stream = replace(stream, sound=sound, rows=np.concatenate([stream.rows, rows]))
        chunk = (stream.lookahead + 1) * self.plan.factor
        while len(stream.rows) >= chunk:
            stream = self._advanced(stream, stream.rows[:chunk], None)
            stream = replace(stream, rows=stream.rows[chunk:])
        return stream

    def finish(
        self, stream: Stream, lookahead: int | None = None, ended: Stream | None = None
    ) -> tuple[tuple[Token, ...], Stream]:
        """Return the utterance's tokens, heard to its last sample, and the stream with the next one begun.

        A chunk that is not whole is heard as if the recording ended there; the stream itself goes on where
        it stands, and what was said already is not said again. With `lookahead` chunks have that length from
        now on; `ended` is what `flushed` gave, where it was asked. Raises ConfigError for a look-ahead that
        does not fit.
        """
        if lookahead is not None:
            self.plan.check(lookahead)
        ended = self.flushed(stream) if ended is None else ended
        begin = max(ended.cached.frames, stream.begin)
        chosen = stream.lookahead if lookahead is None else lookahead
        carried = self._decoder.begin()
        return ended.said, replace(stream, carried=carried, lookahead=chosen, said=(), begin=begin)

    def flushed(self, stream: Stream) -> Stream:
        """Return the stream as if its sound ended here. Its caches are of no use for more."""
        mels = stream.sound.total // HOP
        if not mels:
            return stream
        rows = np.concatenate([stream.rows, self._mel.end(stream.sound)])
        chunk = (stream.lookahead + 1) * self.plan.factor
        for at in range(0, len(rows), chunk):
            stream = self._advanced(stream, rows[at : at + chunk], mels)
        return replace(stream, rows=rows[:0], cached=replace(stream.cached, frames=self.plan.frames(mels)))

    def step(
        self, cached: Cached, rows: Floats, lookahead: int, mels: int | None = None
    ) -> tuple[Made, Cached]:
        """Run one chunk of mel frames (n, mels), or fewer where the stream ends in it after `mels` frames."""
        plan, count = self.plan, lookahead + 1
        full = np.zeros((1, count * plan.factor, plan.mels), np.float32)
        full[0, : len(rows)] = rows
        engine = self.ready(lookahead)
        inputs = {
            "mel": torch.from_numpy(full),
            "spans": caches.spans(plan, lookahead, cached.frames, mels),
            "seen": torch.tensor([[float(min(cached.frames, plan.left))]]),
        }
        with self._lock:
            found = engine.run(**inputs, **dict(zip(caches.NAMES, cached.tensors, strict=True)))
            made = {name: found[name][0].float().cpu().clone() for name in self._heads}
            after = Cached(tuple(found[NEXT + name].clone() for name in caches.NAMES), cached.frames + count)
        return made, after

    def close(self) -> None:
        """Give the engines back."""
        with self._lock:
            for engine in self._engines.values():
                engine.close()
            self._engines.clear()

    def _advanced(self, stream: Stream, rows: Floats, mels: int | None) -> Stream:
        """Return the stream one chunk later."""
        first = stream.cached.frames
        made, cached = self.step(stream.cached, rows, stream.lookahead, mels)
        frames = made[self._decoder.head]
        if mels is not None:
            frames = frames[: max(self.plan.frames(mels) - first, 0)]
        skipped = min(max(stream.begin - first, 0), len(frames))  # an utterance ended within this chunk
        said, carried = self._decoder.decode(frames[skipped:], first + skipped, stream.carried)
        return replace(stream, cached=cached, carried=carried, said=(*stream.said, *said))
