"""From the sound of an utterance to a command: the best sentence of the grammar, and how sure it is.

A grammar makes a command of any speech, so the sentence is held against what the same sound would be without
a grammar. How far it falls behind, on the whole and in its worst word, gives the confidence; the weights were
fitted on voices and sentences that no benchmark uses (benchmarks/_hear_voice.py says which).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from perception.asr.intake import Samples

from .book import Book
from .clean import cleaned
from .grammar import Grammar, grammar_of
from .network import Heard, Network
from .phones import PhoneNet
from .pronounce import spoken
from .rules import Rule, Words, maybe, seq
from .wishes import Wish

BIAS, SUMMONED = 7.5, 8.5
"""Log odds of a sentence that is behind by nothing: as it is, and after the wake phrase, which other speech
hardly has."""
BEHIND, WORST, SHORT = 2.6, 0.6, 0.2
"""What is taken away for each nat a phone, on the whole and in the worst word, and for each phone that a
sentence has less than `ENOUGH`."""
ENOUGH = 12
SURE = 0.7
"""What is less sure is heard a second time, with its noise turned down."""


@dataclass(frozen=True, slots=True)
class Understood:
    """Hold what an utterance was taken for."""

    text: str
    wish: Wish | None
    """None for the wake phrase alone."""
    confidence: float
    is_summons: bool
    """Whether it began with the wake phrase."""
    heard: Heard


class Ear:
    """Understand utterances of one grammar; it has no state of a stream."""

    def __init__(self, book: Book, wake: str, net: PhoneNet) -> None:
        self.grammar: Grammar = grammar_of(book)
        self._net = net
        self._wake = spoken(wake) or ()
        self._plain = Network(self.grammar.rule, net.sounds)
        self._summoned = Network(self._with_wake(), net.sounds) if self._wake else None

    @property
    def can_wake(self) -> bool:
        """Whether there is a wake phrase that can be said."""
        return self._summoned is not None

    def understand(self, samples: Samples, *, needs_wake: bool = False) -> Understood | None:
        """Return what was said; None where the sound is too short for any sentence."""
        network = self._summoned if needs_wake else self._plain
        if network is None:
            return None
        found = self._hear(network, samples, needs_wake)
        if found is None or confidence(found.heard) >= SURE:
            return found
        again = self._hear(network, cleaned(samples), needs_wake)
        return max(found, again, key=lambda one: one.confidence) if again is not None else found

    def _hear(self, network: Network, samples: Samples, needs_wake: bool) -> Understood | None:
        heard = network.hear(self._net.scores(samples), self._net.blank)
        if heard is None:
            return None
        words = heard.text.split()
        rest = words[len(self._wake) :] if needs_wake else words
        wish = self.grammar.read(" ".join(rest)) if rest else None
        sure = confidence(heard, SUMMONED if needs_wake else BIAS)
        return Understood(" ".join(rest), wish, sure, needs_wake, heard)

    def _with_wake(self) -> Rule:
        return seq(Words(self._wake), maybe(self.grammar.rule))


def confidence(heard: Heard, bias: float = BIAS) -> float:
    """Return how likely a sentence was said, 0 to 1."""
    short = max(0, ENOUGH - heard.phones)
    odds = bias - BEHIND * heard.behind - WORST * heard.worst - SHORT * short
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, odds))))


def shared_ear(
    book: Book, wake: str, shared: Callable[[str, Callable[[], Any]], Any]
) -> tuple[Ear, Sequence[str]]:
    """Return an ear on the house's one network of phones, and the wordings that it could not take in."""
    net = shared("voice phones", PhoneNet)
    ear = Ear(book, wake, net)
    return ear, ear.grammar.left_out
