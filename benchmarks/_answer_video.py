"""How right the watcher is about made streams, by what brings frames back: memories and baselines.

Each stream is encoded once; all strategies choose from the same blocks. Questions come at its end: about
now, and about what was. All bring back `FRAMES` frames, where they bring back frames. An answer is one word,
so its first token is the answer that stock `generate()` would give.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from perception.qa.kv.ask import ready
from perception.qa.kv.families.load import load
from perception.qa.kv.kvmemory import KVMemory
from perception.qa.kv.memories.clips import ClipMemory
from perception.qa.kv.memories.flash import FlashMemory
from perception.qa.kv.memories.flash_config import SMALL
from perception.qa.kv.memories.summary import best_summariser
from perception.qa.kv.memory import Memory
from perception.qa.kv.options import VideoModelOptions
from perception.qa.kv.remember import memory_for
from perception.qa.kv.strategies import Choice, ColourEmbedder, strategy
from training.qa.paint import film
from training.qa.questions import Asked, View, ask
from training.qa.train import HELD_OUT
from training.qa.words import NOW, NUMBER_OF, PAST
from training.qa.world import World, world

FRAMES, RECENT = 16, 4
"""What a question brings back, and how many of these are the newest: the engine's defaults."""
WINDOW = 32
"""Frames that a frame sees while it is encoded."""
MEASURED, TUNED = 5, 6
"""Second numbers of seeds: of streams that are reported, and of those that a default may be tuned by."""
STREAMS = {64: 2}
"""Streams of a length, a seed and a density; one of any other length."""
BLIND = ("last-k", "uniform", "full", "novelty", "flash-vstream")
"""These do not look at the question: what they give is made once a stream."""
CHOOSING = ("rekv", "voted", "external", "video-streaming", "hybrid", "oracle")
DEFAULT = "hybrid"
STUDENT_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""Of a t distribution with one degree of freedom less than seeds."""


@dataclass(frozen=True, slots=True)
class Question:
    """Hold a question about a stream, and the frames that show what it is about, the more telling first."""

    asked: Asked
    shown_by: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Oracle:
    """Bring back the frames that the truth rests on, and the newest."""

    shown_by: tuple[int, ...]
    name: str = "oracle"

    def choose(self, query: Any, rows: Any, memory: Any) -> Choice:
        newest = range(max(len(rows) - RECENT, 0), len(rows))
        old = [frame for frame in self.shown_by if frame < newest.start][: FRAMES - RECENT]
        return Choice((torch.tensor(sorted({*old, *newest})),))


def shown_by(made: World, about: Sequence[int]) -> tuple[int, ...]:
    """Return the frames that show things: the last and first of each, then the others, evenly."""
    told: list[int] = []
    rest: list[int] = []
    for what in about:
        there = np.flatnonzero((made.thing_TK == what).any(1)).tolist()
        if there:
            told += [there[-1], there[0]]
            rest += there[1:-1]
    step = max(len(rest) // FRAMES, 1)
    return tuple(dict.fromkeys([*told, *sorted(rest)[::step]]))


def questions(made: World, seed: tuple[int, ...], each: int) -> list[Question]:
    """Draw questions of each kind about a whole stream; of a kind that has no plain answers fewer."""
    rng, view, drawn = np.random.default_rng(seed), View(made, range(made.frames)), []
    for kind in (*NOW, *PAST):
        found: dict[str, Asked] = {}
        for _ in range(30 * each):
            one = ask(kind, view, rng, plain=True)
            if one is not None:
                found.setdefault(one.text, one)
            if len(found) == (1 if kind == "count now" else each):
                break
        drawn += [Question(one, shown_by(made, one.about if kind in PAST else ())) for one in found.values()]
    return drawn


class Watched:
    """A stream that was encoded once, for all strategies."""

    def __init__(self, model: Any, made: World, seed: int) -> None:
        self.model, self.embedder = model, ColourEmbedder()
        options = VideoModelOptions(
            strategy="external", frames=FRAMES, recent=RECENT,
            window_tokens=model.layout.sink + WINDOW * model.layout.tokens,
        )  # fmt: skip
        memory = memory_for(model, options, revision="benchmark", embedder=self.embedder)
        assert isinstance(memory, KVMemory)
        self.memory = memory
        self.others: dict[str, Memory[Any]] = {
            "flash-vstream": FlashMemory(model.grid_hw, SMALL),
            "video-streaming": ClipMemory(model.grid_hw, best_summariser(model.width, model.grid_hw)),
        }
        frames_THW3 = film(made.thing_TK, made.drawn_TK4, seed)
        for at, (features_TC, pixels_HW3) in enumerate(
            zip(self._features(frames_THW3), frames_THW3, strict=True)
        ):
            at_ns = (at + 1) * 1_000_000_000
            memory.push(features_TC, at_ns, embedding_E=self.embedder.picture(pixels_HW3))
            for other in self.others.values():
                other.push(features_TC, at_ns)
        self._kept: dict[str, tuple[Any, int]] = {}

    def _features(self, frames_THW3: np.ndarray, piece: int = 64) -> Iterator[torch.Tensor]:
        """Yield each frame's tokens; many at once cost a fifth of one after the other, and are the same."""
        inner = self.model.model.model
        for begin in range(0, len(frames_THW3), piece):
            part = (
                torch.from_numpy(frames_THW3[begin : begin + piece]).permute(0, 3, 1, 2).float() / 127.5 - 1
            )
            with torch.no_grad():
                every = inner.get_video_features(part[:, None]).pooler_output
            yield from every[:, :-1]

    def context(self, name: str, question: Question) -> tuple[Any, int]:
        """Return what a strategy gives for a question as a plain cache, and its tokens."""
        query = self.model.query(question.asked.text)
        if name in self.others:
            other = self.others[name]
            return ready(self.model, other.context(query, other.snapshot()))
        chosen: Any = (
            Oracle(question.shown_by) if name == "oracle" else strategy(name, FRAMES, RECENT, self.embedder)
        )
        self.memory.strategy = chosen
        return ready(self.model, self.memory.context(query, self.memory.snapshot()))

    def says(self, name: str, question: Question) -> int:
        """Return the first token of the answer."""
        if name not in BLIND:
            return first(self.model, *self.context(name, question), question.asked.text)
        if name not in self._kept:
            self._kept[name] = self.context(name, question)
        cache, tokens = self._kept[name]
        said = first(self.model, cache, tokens, question.asked.text)
        cache.crop(-len(self.model.prompt_ids(question.asked.text)))
        return said


def first(model: Any, cache: Any, tokens: int, text: str) -> int:
    """Return the token that a greedy answer to a question begins with."""
    prompt = torch.tensor([model.prompt_ids(text)])
    mask = torch.ones(1, tokens + prompt.shape[1], dtype=torch.long)
    with torch.no_grad():
        out = model.model(input_ids=prompt, attention_mask=mask, past_key_values=cache, logits_to_keep=1)
    return int(out.logits[0, -1].argmax())


def accuracy(
    lengths: Sequence[int] = (64, 256, 1024, 4096), seeds: int = 3, *, each: int = 2, purpose: int = MEASURED,
    names: Sequence[str] = (*BLIND, *CHOOSING), say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:  # fmt: skip
    """Return the figures: accuracy by length, kind and strategy, and what is made of them."""
    torch.set_num_threads(1)
    model, _ = load("watcher", device="cpu")
    right: dict[tuple[int, str, str], list[list[bool]]] = defaultdict(lambda: [[] for _ in range(seeds)])
    for length in lengths:
        for seed in range(seeds):
            for number, dense in [(n, d) for n in range(STREAMS.get(length, 1)) for d in (False, True)]:
                began = time.monotonic()
                key = (HELD_OUT, purpose, length, seed, number, int(dense))
                made = world(np.random.default_rng(key), length, dense, 6 if length < 1024 else 8)
                watched = Watched(model, made, hash(key) & 0x7FFFFFFF)
                encoded = time.monotonic() - began
                for question in questions(made, (*key, 1), each):
                    kind = question.asked.kind
                    when, density = "now" if kind in NOW else "past", "dense" if dense else "sparse"
                    groups = [when, f"{when} {density}", kind]
                    if kind in ("colour", "place"):
                        groups.append("colour and place")
                    for name in names:
                        hit = watched.says(name, question) == NUMBER_OF[question.asked.answer]
                        for group in groups:
                            right[length, group, name][seed].append(hit)
                took = time.monotonic() - began - encoded
                say(
                    f"{length} frames, {density}, seed {seed}: {encoded:.1f} s to encode, {took:.1f} s to ask"
                )
    return figures(right, names)


def interval(rows: Sequence[Sequence[bool]]) -> tuple[float, float, float]:
    """Return the mean over seeds, and its 95 % interval, by Student's t, within 0 and 1."""
    means = [sum(row) / len(row) for row in rows if row]
    middle = sum(means) / len(means)
    if len(means) < 2:
        return middle, 0.0, 1.0
    spread = math.sqrt(sum((one - middle) ** 2 for one in means) / (len(means) - 1) / len(means))
    off = STUDENT_95.get(len(means), 2.6) * spread
    return middle, max(middle - off, 0.0), min(middle + off, 1.0)


def figures(right: dict[tuple[int, str, str], list[list[bool]]], names: Sequence[str]) -> dict[str, Any]:
    """Return means, intervals and how many were asked; then what the default gains and loses, in points.

    That is told by length, and as the mean over lengths.
    """
    table: dict[str, Any] = {"accuracy": {}, "interval": {}, "asked": {}}
    for (length, kind, name), rows in right.items():
        middle, low, high = interval(rows)
        for what, value in (("accuracy", round(middle, 4)), ("interval", [round(low, 4), round(high, 4)])):
            table[what].setdefault(str(length), {}).setdefault(kind, {})[name] = value
        table["asked"].setdefault(str(length), {})[kind] = sum(len(row) for row in rows)

    def points(kind: str, one: str, other: str) -> dict[str, float]:
        return {
            length: round(100 * (kinds[kind][one] - kinds[kind][other]), 1)
            for length, kinds in table["accuracy"].items()
            if kind in kinds and one in names and other in names
        }

    for figure, kind, one, other in (
        ("past_gain_over_last_k", "past", DEFAULT, "last-k"),
        ("below_oracle", "colour and place", "oracle", DEFAULT),
        ("now_minus_last_k", "now", DEFAULT, "last-k"),
    ):
        if found := points(kind, one, other):
            table[f"{figure}_by_length"] = found
            table[figure] = round(sum(found.values()) / len(found), 1)
    return table


def text_of(table: dict[str, Any]) -> str:
    """Return the table as people read it: percent, with intervals."""
    lines = []
    for length, kinds in table["accuracy"].items():
        lines.append(f"\n{length} frames")
        for kind, by_name in kinds.items():
            told = []
            for name, value in by_name.items():
                low, high = table["interval"][length][kind][name]
                told.append(f"{name} {100 * value:.0f} ({100 * low:.0f}-{100 * high:.0f})")
            lines.append(f"  {kind} [{table['asked'][length][kind]}]: " + ", ".join(told))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks._answer_video", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="64 and 256 frames, two seeds")
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 256, 1024, 4096])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--each", type=int, default=2, help="questions of each kind about a stream")
    parser.add_argument(
        "--tuning", action="store_true", help="streams to tune by, not those that are reported"
    )
    options = parser.parse_args()
    run = partial(
        accuracy,
        each=options.each,
        purpose=TUNED if options.tuning else MEASURED,
        say=partial(print, flush=True),
    )
    table = run((64, 256), 2) if options.quick else run(options.lengths, options.seeds)
    print(text_of(table))
    print(json.dumps(table))


if __name__ == "__main__":
    main()
