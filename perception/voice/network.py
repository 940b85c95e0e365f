"""A grammar as a network of phones, and the best way through it: what was said, if it was a sentence of it.

A sentence is scored by CTC (Graves et al. 2006): each frame is a phone of the way, or blank; all ways are
followed at once, and the best one is kept (Viterbi). Beside it goes the best way of *any* phones, which is
what other speech would be: how far the sentence falls behind that, word by word, tells whether it was said.

A phone's log probability is never below a floor: one that was swallowed or misheard costs that much and no
more, so that a sentence survives a few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
import numpy.typing as npt

from .rules import Either, Maybe, Means, Rule, Seq, Words

Phones = tuple[int, ...]
Floats = npt.NDArray[np.float32]
NEVER = np.float32(-1e30)


@dataclass(frozen=True, slots=True)
class HeardWord:
    """Hold one word of the best way, its frames, and how far it falls behind the best phones of all."""

    text: str
    begin: int
    end: int
    """Frames; half-open."""
    behind: float
    """Nats for each phone of the word; 0 is as good as can be."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Hold the best way through the network."""

    words: tuple[HeardWord, ...]
    behind: float
    """Nats for each phone of the sentence."""
    phones: int = 0

    @property
    def text(self) -> str:
        return " ".join(one.text for one in self.words)

    @property
    def worst(self) -> float:
        """Return how far the worst word falls behind."""
        return max((one.behind for one in self.words), default=float("inf"))


class Network:
    """Hold the phones of all sentences of a rule. It has no state: any number of streams may use it.

    `sounds(word)` gives the ways to say a word, each a sequence of phones.
    """

    def __init__(self, rule: Rule, sounds: Callable[[str], Sequence[Phones]]) -> None:
        made = _Maker(sounds)
        last = made.node()
        made.add(rule, 0, last)
        self._last = last
        self._nodes = made.nodes
        self._words = made.words
        self._phones = np.array(made.phones, np.intp)
        self._entries = np.array(made.entries, np.intp)
        self._firsts = np.array(made.firsts, np.intp)
        """States that begin a word; the state before any other one is that of its word's phone before."""
        ends = np.array(made.ends, np.intp)
        targets = np.array(made.targets, np.intp)
        order = np.argsort(targets, kind="stable")
        self._order, self._ends = order, ends[order]
        self._into, self._starts = np.unique(targets[order], return_index=True)
        self._segment = np.repeat(np.arange(len(self._into)), np.diff([*self._starts, len(order)]))
        self._empty = made.sorted_empty()
        before = np.arange(-1, len(self._phones) - 1)
        same = self._phones == self._phones[before]
        same[self._firsts] = False
        self._repeats = np.flatnonzero(same)
        """A phone twice in a word needs a blank between."""
        self._lengths = np.array([len(one) for one in made.chains], np.intp)

    @property
    def states(self) -> int:
        """Return how many phones it has."""
        return len(self._phones)

    def hear(self, scores_TV: Floats, blank: int) -> Heard | None:
        """Return the best sentence for (frames, phones) log probabilities; None where none fits in them."""
        frames = len(scores_TV)
        count, word_count = len(self._phones), len(self._ends)
        said = np.full(count, NEVER, np.float32)
        after = np.full(count, NEVER, np.float32)
        said_link = np.full(count, -1, np.int64)
        after_link = np.full(count, -1, np.int64)
        node = np.full(self._nodes, NEVER, np.float32)
        node_link = np.full(self._nodes, -1, np.int64)
        node[0] = 0.0
        self._relax(node, node_link)
        came = np.full((frames, word_count), -1, np.int64)
        total = np.zeros((frames, word_count), np.float32)
        begun = np.zeros((frames, word_count), np.int32)
        free = np.concatenate([[0.0], np.cumsum(scores_TV.max(axis=1), dtype=np.float64)])
        silence = 0.0
        said_at = np.zeros(count, np.int32)
        after_at = np.zeros(count, np.int32)
        for t in range(frames):
            row = scores_TV[t]
            # Into a phone: from the phone before or the blank after it; at a word's first from its node.
            step = np.empty_like(said)
            step[1:] = np.maximum(said[:-1], after[:-1])
            step_link = np.empty_like(said_link)
            is_said = np.empty(count, np.bool_)
            is_said[1:] = said[:-1] >= after[:-1]
            step_link[1:] = np.where(is_said[1:], said_link[:-1], after_link[:-1])
            step_at = np.empty_like(said_at)
            step_at[1:] = np.where(is_said[1:], said_at[:-1], after_at[:-1])
            step[self._repeats] = after[self._repeats - 1]
            step_link[self._repeats] = after_link[self._repeats - 1]
            step_at[self._repeats] = after_at[self._repeats - 1]
            step[self._firsts] = node[self._entries]
            step_link[self._firsts] = node_link[self._entries]
            step_at[self._firsts] = t
            stays = after >= said
            new_after = np.where(stays, after, said) + row[blank]
            new_after_link = np.where(stays, after_link, said_link)
            new_after_at = np.where(stays, after_at, said_at)
            moves = step > said
            said = np.where(moves, step, said) + row[self._phones]
            said_link = np.where(moves, step_link, said_link)
            said_at = np.where(moves, step_at, said_at)
            after, after_link, after_at = new_after, new_after_link, new_after_at
            silence += float(row[blank])
            # Words that end here lead into their nodes.
            left, right = said[self._ends], after[self._ends]
            spoken = left >= right
            value = np.where(spoken, left, right)
            came[t] = np.where(spoken, said_link[self._ends], after_link[self._ends])
            begun[t] = np.where(spoken, said_at[self._ends], after_at[self._ends])
            total[t] = value
            node.fill(NEVER)
            best = np.maximum.reduceat(value, self._starts)
            node[self._into] = best
            winners = np.flatnonzero(value == best[self._segment])
            node_link[self._into[self._segment[winners]]] = t * word_count + winners
            node[0], node_link[0] = silence, -1
            self._relax(node, node_link)
        if node[self._last] <= NEVER / 2:
            return None
        return self._traced(int(node_link[self._last]), came, begun, total, free)

    def _relax(self, node: Floats, link: npt.NDArray[np.int64]) -> None:
        for source, target in self._empty:
            if node[source] > node[target]:
                node[target], link[target] = node[source], link[source]

    def _traced(self, link: int, came: Any, begun: Any, total: Any, free: Any) -> Heard | None:
        count = came.shape[1]
        found: list[HeardWord] = []
        phones = 0
        behind = 0.0
        while link >= 0:
            t, word = divmod(link, count)
            link = int(came[t, word])
            if link >= 0:
                before, other = divmod(link, count)
                gained, begin = float(total[before, other]), before + 1
            else:
                gained, begin = 0.0, 0
            lost = float(free[t + 1] - free[begin]) - (float(total[t, word]) - gained)
            length = int(self._lengths[self._order[word]])
            phones += length
            behind += lost
            text = self._words[self._order[word]]
            found.append(HeardWord(text, int(begun[t, word]), t + 1, lost / length))
        return Heard(tuple(reversed(found)), behind / phones, phones) if found else None


class _Maker:
    """Lay out the words of a rule between nodes; words that begin alike share their beginning."""

    def __init__(self, sounds: Callable[[str], Sequence[Phones]]) -> None:
        self._sounds = sounds
        self._shared: dict[tuple[int, str], int] = {}
        self._laid: set[tuple[int, str, int]] = set()
        self.nodes = 1
        self.phones: list[int] = []
        self.entries: list[int] = []
        self.firsts: list[int] = []
        self.ends: list[int] = []
        self.targets: list[int] = []
        self.words: list[str] = []
        self.chains: list[Phones] = []
        self._empty: list[tuple[int, int]] = []

    def node(self) -> int:
        self.nodes += 1
        return self.nodes - 1

    def add(self, rule: Rule, at: int, to: int | None) -> int:
        """Lay `rule` out from node `at` and return the node that it ends in: `to`, or one of its own."""
        if isinstance(rule, Words):
            return self._add_words(rule.words, at, to)
        if isinstance(rule, Means):
            return self.add(rule.rule, at, to)
        if isinstance(rule, Seq):
            for part in rule.rules[:-1]:
                at = self.add(part, at, None)
            return self.add(rule.rules[-1], at, to)  # a sequence of nothing is `Words(())`
        end = self.node() if to is None else to
        if isinstance(rule, Either):
            for one in rule.rules:
                self.add(one, at, end)
        elif isinstance(rule, Maybe):
            self._empty.append((at, end))
            self.add(rule.rule, at, end)
        return end

    def _add_words(self, words: Sequence[str], at: int, to: int | None) -> int:
        if not words:
            if to is not None:
                self._empty.append((at, to))
            return at if to is None else to
        inner = words if to is None else words[:-1]
        for word in inner:
            key = (at, word)
            if key not in self._shared:
                self._shared[key] = self.node()
                self._lay(word, at, self._shared[key])
            at = self._shared[key]
        if to is None:
            return at
        if (at, words[-1], to) not in self._laid:
            self._laid.add((at, words[-1], to))
            self._lay(words[-1], at, to)
        return to

    def _lay(self, word: str, at: int, to: int) -> None:
        for chain in self._sounds(word):
            self.firsts.append(len(self.phones))
            self.entries.append(at)
            self.phones += chain
            self.ends.append(len(self.phones) - 1)
            self.targets.append(to)
            self.words.append(word)
            self.chains.append(chain)

    def sorted_empty(self) -> list[tuple[int, int]]:
        """Return the ways without a word so that each comes after those that lead to its beginning."""
        graph: dict[int, set[int]] = {}
        for source, target in self._empty:
            graph.setdefault(target, set()).add(source)
        order = {node: at for at, node in enumerate(TopologicalSorter(graph).static_order())}
        return sorted(set(self._empty), key=lambda edge: order[edge[1]])
