"""From the sound of an utterance to a command: the best sentence of the grammar, and how sure it is.

Each utterance is heard with its steady noise turned down and, unless that is sure, a little slower: the two
mishear different things. A grammar makes a command of any speech, so the sentence is held against what the
same sound would be without a grammar. How far it falls behind, on the whole and in its worst word, gives
the confidence; the weights were fitted on voices and sentences that no benchmark uses
(benchmarks/_hear_voice.py says which).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from perception.asr.intake import Samples

from .book import Book
from .clean import cleaned, slowed
from .grammar import Grammar, grammar_of
from .network import Floats, Heard, Network
from .phones import PhoneNet
from .pronounce import spoken
from .rules import Rule, Words, maybe, seq
from .wishes import Wish

BIAS, SUMMONED = 8.5, 8.5
"""Log odds of a sentence that is behind by nothing: as it is, and after the wake phrase."""
BEHIND, WORST, SHORT = 2.6, 0.6, 0.2
"""What is taken away for each nat a phone, on the whole and in the worst word, and for each phone that a
sentence has less than `ENOUGH`."""
ENOUGH = 12
NEVER = -50.0
SURE = 4.0
"""Log odds from which once is enough."""


@dataclass(frozen=True, slots=True)
class Understood:
    """Hold what an utterance was taken for."""

    text: str
    wish: Wish | None
    """None for the wake phrase alone."""
    confidence: float
    is_summons: bool
    """Whether it began with the wake phrase."""


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
        bias = SUMMONED if needs_wake else BIAS
        hearings: list[Floats] = []
        found: dict[str, list[Heard | None]] = {}
        for at, change in enumerate((cleaned, slowed)):
            hearings.append(self._net.scores(change(samples)))
            heard = network.hear(hearings[-1], self._net.blank)
            if heard is not None:
                found.setdefault(heard.text, [None, None])[at] = heard
                if odds(heard, bias) >= SURE:
                    break
        sure = {text: self._confidence(text, heard, hearings, bias) for text, heard in found.items()}
        if not sure:
            return None
        text = max(sure, key=lambda one: sure[one])
        words = text.split()
        rest = words[len(self._wake) :] if needs_wake else words
        wish = self.grammar.read(" ".join(rest)) if rest else None
        return Understood(" ".join(rest), wish, sure[text], needs_wake)

    def _confidence(
        self, text: str, heard: Sequence[Heard | None], hearings: Sequence[Floats], bias: float
    ) -> float:
        """Return how likely a sentence was said, by all hearings; None in `heard`: another one was nearer."""
        alone: Network | None = None
        found = []
        for one, scores in zip(heard, hearings, strict=False):
            if one is None:
                alone = alone or Network(Words(tuple(text.split())), self._net.sounds)
                one = alone.hear(scores, self._net.blank)
            found.append(NEVER if one is None else odds(one, bias))
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, sum(found) / len(found)))))

    def _with_wake(self) -> Rule:
        return seq(Words(self._wake), maybe(self.grammar.rule))


def odds(heard: Heard, bias: float = BIAS) -> float:
    """Return the log odds that a sentence was said, by one hearing."""
    short = max(0, ENOUGH - heard.phones)
    return bias - BEHIND * heard.behind - WORST * heard.worst - SHORT * short


def shared_ear(
    book: Book, wake: str, shared: Callable[[str, Callable[[], Any]], Any]
) -> tuple[Ear, Sequence[str]]:
    """Return an ear on the house's one network of phones, and the wordings that it could not take in."""
    net = shared("voice phones", PhoneNet)
    ear = Ear(book, wake, net)
    return ear, ear.grammar.left_out
