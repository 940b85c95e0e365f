"""Make partial texts that only grow of a recogniser that decodes the whole utterance again and again.

A word stands once two texts in a row agree on it and on all before it (LocalAgreement-2; Liu et al. 2020,
Macháček et al. 2023). What stands is never taken back: where a later text has it otherwise, only what follows
on the same place is taken from that text. The final text corrects all of it.
"""

from __future__ import annotations

from collections.abc import Sequence

Words = tuple[str, ...]


class StablePrefix:
    """Follow the texts of one utterance."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin the next utterance."""
        self._stands: Words = ()
        self._before: Words = ()

    def take(self, text: str) -> tuple[str, str]:
        """Take the newest text of the whole utterance; return what stands, and what may still change."""
        words = tuple(text.split())
        rest = words[end_of(self._stands, words) :]
        rest_before = self._before[end_of(self._stands, self._before) :]
        agreed = agreement(rest_before, rest)
        self._stands += rest[:agreed]
        self._before = words
        return " ".join(self._stands), " ".join(rest[agreed:])


def plain(word: str) -> str:
    """Return a word without case and punctuation; a word of nothing else as it is."""
    return "".join(letter for letter in word.casefold() if letter.isalnum()) or word


def agreement(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many words two texts begin with in common, whatever their case and punctuation."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if plain(a) != plain(b)), min(len(one), len(other)))


def end_of(prefix: Sequence[str], words: Sequence[str]) -> int:
    """Return after how many of `words` that ends which `prefix` says, though some words may differ.

    That is where the edit distance of the two is smallest; of several such places, the one that has as many
    words before it as the prefix.
    """
    costs = list(range(len(words) + 1))
    for said in prefix:
        row = [costs[0] + 1]
        for at, word in enumerate(words):
            changed = costs[at] + (plain(said) != plain(word))
            row.append(min(changed, costs[at + 1] + 1, row[at] + 1))
        costs = row
    return min(range(len(costs)), key=lambda at: (costs[at], abs(at - len(prefix))))
