"""Sentences as a small algebra: one description gives decoder, parser and random sentences.

A rule says which words may follow each other and what they mean. Since decoder and parser are made from the
same rule, what the one can hear the other can read, and a test can ask whether each sentence means one thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

Meanings = tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Say these words."""

    words: tuple[str, ...]

    def read(self, said: Sequence[str], at: int) -> Iterator[tuple[int, Meanings]]:
        end = at + len(self.words)
        if tuple(said[at:end]) == self.words:
            yield end, ()

    def sample(self, random: Random) -> tuple[tuple[str, ...], Meanings]:
        return self.words, ()

    def parts(self) -> tuple[Rule, ...]:
        return ()


@dataclass(frozen=True, slots=True, eq=False)
class Seq:
    """Say one part after the other; what they mean stands in the same order."""

    rules: tuple[Rule, ...]

    def read(self, said: Sequence[str], at: int) -> Iterator[tuple[int, Meanings]]:
        yield from self._read(said, at, 0)

    def _read(self, said: Sequence[str], at: int, part: int) -> Iterator[tuple[int, Meanings]]:
        if part == len(self.rules):
            yield at, ()
            return
        for end, means in self.rules[part].read(said, at):
            for last, more in self._read(said, end, part + 1):
                yield last, means + more

    def sample(self, random: Random) -> tuple[tuple[str, ...], Meanings]:
        words: tuple[str, ...] = ()
        means: Meanings = ()
        for rule in self.rules:
            some, meant = rule.sample(random)
            words, means = words + some, means + meant
        return words, means

    def parts(self) -> tuple[Rule, ...]:
        return self.rules


@dataclass(frozen=True, slots=True, eq=False)
class Either:
    """Say one of these."""

    rules: tuple[Rule, ...]

    def read(self, said: Sequence[str], at: int) -> Iterator[tuple[int, Meanings]]:
        for rule in self.rules:
            yield from rule.read(said, at)

    def sample(self, random: Random) -> tuple[tuple[str, ...], Meanings]:
        return random.choice(self.rules).sample(random)

    def parts(self) -> tuple[Rule, ...]:
        return self.rules


@dataclass(frozen=True, slots=True, eq=False)
class Maybe:
    """Say it or leave it out; left out, it means `instead`."""

    rule: Rule
    instead: Meanings = ()

    def read(self, said: Sequence[str], at: int) -> Iterator[tuple[int, Meanings]]:
        yield from self.rule.read(said, at)
        yield at, self.instead

    def sample(self, random: Random) -> tuple[tuple[str, ...], Meanings]:
        return self.rule.sample(random) if random.random() < 0.5 else ((), self.instead)

    def parts(self) -> tuple[Rule, ...]:
        return (self.rule,)


@dataclass(frozen=True, slots=True, eq=False)
class Means:
    """Give what was said one meaning: `make` of what its parts mean."""

    rule: Rule
    make: Callable[..., Any]

    def read(self, said: Sequence[str], at: int) -> Iterator[tuple[int, Meanings]]:
        for end, means in self.rule.read(said, at):
            yield end, (self.make(*means),)

    def sample(self, random: Random) -> tuple[tuple[str, ...], Meanings]:
        words, means = self.rule.sample(random)
        return words, (self.make(*means),)

    def parts(self) -> tuple[Rule, ...]:
        return (self.rule,)


Rule = Words | Seq | Either | Maybe | Means


def words(text: str) -> Words:
    """Return the rule of a plain phrase."""
    return Words(tuple(text.split()))


def word_for(text: str | Sequence[str], meaning: Any) -> Means:
    """Return the rule of a phrase that stands for `meaning`."""
    return Means(words(text) if isinstance(text, str) else Words(tuple(text)), lambda: meaning)


def seq(*rules: Rule | str) -> Seq:
    """Return the rule of parts said one after the other; texts are plain phrases."""
    return Seq(tuple(words(rule) if isinstance(rule, str) else rule for rule in rules))


def either(*rules: Rule | str) -> Either:
    """Return the rule of a choice."""
    return Either(tuple(words(rule) if isinstance(rule, str) else rule for rule in rules))


def maybe(rule: Rule | str, *instead: Any) -> Maybe:
    """Return the rule of what may be left out, and then means `instead`."""
    return Maybe(words(rule) if isinstance(rule, str) else rule, instead)


def readings(rule: Rule, said: Sequence[str]) -> list[Any]:
    """Return each thing that the whole of `said` may mean; equal ones count once."""
    found: list[Any] = []
    for end, means in rule.read(said, 0):
        if end == len(said) and means not in found:
            found.append(means)
    return [means[0] if len(means) == 1 else means for means in found]


def vocabulary(rule: Rule) -> set[str]:
    """Return every word of a rule."""
    if isinstance(rule, Words):
        return set(rule.words)
    return set().union(*(vocabulary(part) for part in rule.parts()))
