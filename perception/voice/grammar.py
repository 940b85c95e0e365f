"""The grammar of commands, made of a `Book`: what it can hear is what it can read, one meaning a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .book import Book, Field, Wording
from .numbers import number
from .pronounce import can_be_sounded_out, spoken
from .rules import Means, Rule, either, maybe, readings, seq, word_for
from .wishes import Act, Deafen, Paint, Preset, Put, Shift, Step, Undo, Wish

SHARES = (("a little", 0.05), ("much", 0.25), ("a lot", 0.25))
SHARE = 0.1
"""Of a number's range, that "more" adds."""
NOTHING = Wording("")


@dataclass(frozen=True, slots=True)
class Grammar:
    """Hold the rule of all commands and what it could not take in."""

    rule: Rule
    """Each sentence of it means one `Wish`."""
    groups: dict[str, Rule] = field(default_factory=dict)
    """The same by kind of sentence."""
    left_out: tuple[str, ...] = ()
    """Wordings that the dictionary has no sounds for, or that would mean two things."""

    def read(self, text: str) -> Wish | None:
        """Return what a sentence means; None if it is none of the grammar's."""
        found = readings(self.rule, text.lower().split())
        return found[0] if len(found) == 1 else None


def grammar_of(book: Book, is_known: Callable[[str], bool] = can_be_sounded_out) -> Grammar:
    """Make the grammar of `book`; `is_known` tells whether the decoder can say a word."""
    maker = _Maker(book, is_known)
    groups = {name: rule for name, rule in maker.groups() if rule is not None}
    return Grammar(either(*groups.values()), groups, tuple(maker.left_out))


class _Maker:
    def __init__(self, book: Book, is_known: Callable[[str], bool]) -> None:
        self.left_out: list[str] = []
        self._book = book
        self._is_known = is_known
        self._moods = self._wordings(book.moods)
        self._scenes = self._wordings(book.scenes)
        strengths = self._phrases((one, one) for one in book.strengths)
        self._how: Rule = maybe(strengths, None) if strengths is not None else word_for("", None)

    def groups(self) -> Iterable[tuple[str, Rule | None]]:
        numbers = [one for one in self._book.fields if one.kind == "number"]
        yield "looks", self._looks()
        yield "colours", self._colours()
        yield "numbers", self._numbers(numbers)
        yield "shifts", self._shifts([one for one in numbers if one.has_range])
        yield "steps", self._steps([one for one in numbers if not one.has_range])
        yield "switches", self._switches([one for one in self._book.fields if one.kind == "switch"])
        yield "choices", self._choices([one for one in self._book.fields if one.kind == "choice"])
        yield "presets", self._presets()
        plain = [word_for("take the color away", Paint(mood="", strength=""))] if self._moods else []
        yield (
            "acts",
            either(
                *plain,
                word_for("undo that", Undo()),
                word_for("undo", Undo()),
                word_for("start recording", Act("start_recording")),
                word_for("stop recording", Act("stop_recording")),
                word_for("stop", Act("stop")),
                word_for("stop listening", Deafen()),
            ),
        )

    # Each kind of sentence.

    def _looks(self) -> Rule | None:
        """Say, for instance, "paint it as a watercolour at night", "turn it into neon in warm colours"."""
        some = self._book.looks
        vowel = self._wordings([one for one in some if one.text[:1] in "aeiou"])
        other = self._wordings([one for one in some if one.text[:1] not in "aeiou"])
        kinds = [(article, rule) for article, rule in (("an", vowel), ("a", other)) if rule is not None]
        if not kinds:
            return None
        looks = either(*(seq(maybe(either(article, "the")), rule) for article, rule in kinds))
        after: list[Rule] = [] if self._scenes is None else [self._scenes]
        if self._moods is not None:
            after.append(seq("in", self._moods))
        end = maybe(either(*after), NOTHING) if after else word_for("", NOTHING)
        verb = either("make it", "make it look like", "paint it as", "turn it into")
        return Means(
            seq(verb, looks, end),
            lambda look, last: _painted(None, look, last),
        )

    def _colours(self) -> Rule | None:
        """Say, for instance, "make it very dark", "make it look warm"."""
        sentences: list[Rule] = []
        if self._moods is not None:
            sentences.append(seq(self._how, self._moods))
        if self._scenes is not None:
            sentences.append(seq(word_for("", None), self._scenes))
        if not sentences:
            return None
        return Means(
            seq("make it", maybe("look"), either(*sentences)),
            lambda how, mood: _painted(how, NOTHING, mood),
        )

    def _numbers(self, fields: Sequence[Field]) -> Rule | None:
        """Say, for instance, "set the strength to zero point seven"."""
        by_range: dict[tuple[Any, ...], list[Field]] = {}
        for one in fields:
            by_range.setdefault((one.low, one.high, one.is_whole, one.multiple_of), []).append(one)
        sentences = []
        for (low, high, is_whole, multiple_of), some in by_range.items():
            names = self._names(some)
            if names is not None:
                value = number(low, high, is_whole=is_whole, multiple_of=multiple_of)
                sentences.append(Means(seq("set", maybe("the"), names, "to", value), _put))
        return either(*sentences) if sentences else None

    def _shifts(self, fields: Sequence[Field]) -> Rule | None:
        """Say, for instance, "a little more strength", "raise the strength"."""
        names = self._names(fields)
        if names is None:
            return None
        amounts = self._phrases(SHARES)
        amount = maybe(amounts, SHARE) if amounts is not None else word_for("", SHARE)
        way = either(word_for("more", 1), word_for("less", -1))
        verb = either(
            word_for("raise", 1), word_for("increase", 1), word_for("lower", -1), word_for("reduce", -1)
        )
        return either(
            Means(seq(amount, way, names), lambda share, sign, one: Shift(one.name, sign * share)),
            Means(seq(verb, maybe("the"), names), lambda sign, one: Shift(one.name, sign * SHARE)),
        )

    def _steps(self, fields: Sequence[Field]) -> Rule | None:
        """Say, for instance, "another seed"."""
        names = self._names([one for one in fields if one.is_whole][:1])
        if names is None:
            return None
        way = either(word_for("another", 1), word_for("next", 1), word_for("previous", -1))
        return Means(seq(way, names), lambda by, one: Step(one.name, by))

    def _switches(self, fields: Sequence[Field]) -> Rule | None:
        """Say, for instance, "turn on the labels", "turn the labels off"."""
        names = self._names(fields)
        if names is None:
            return None
        way = either(word_for("on", True), word_for("off", False))
        verb = either("turn", "switch")
        plainly = either(word_for("enable", True), word_for("disable", False))
        return either(
            Means(seq(plainly, maybe("the"), names), lambda is_on, one: Put(one.name, is_on)),
            Means(seq(verb, way, maybe("the"), names), lambda is_on, one: Put(one.name, is_on)),
            Means(seq(verb, maybe("the"), names, way), lambda one, is_on: Put(one.name, is_on)),
        )

    def _choices(self, fields: Sequence[Field]) -> Rule | None:
        """Say, for instance, "set the blend to spherical"."""
        sentences = []
        for one in fields:
            names = self._names([one])
            values = self._phrases((choice, choice) for choice in one.choices)
            if names is not None and values is not None:
                sentences.append(Means(seq("set", maybe("the"), names, "to", values), _put))
        return either(*sentences) if sentences else None

    def _presets(self) -> Rule | None:
        """Say, for instance, "switch to carnival"."""
        names = self._phrases((name, name) for name in self._book.presets)
        return Means(seq("switch to", names), Preset) if names is not None else None

    # Wordings into words of the dictionary.

    def _names(self, fields: Sequence[Field]) -> Rule | None:
        return self._phrases((called, one) for one in fields for called in one.called)

    def _wordings(self, some: Sequence[Wording]) -> Rule | None:
        return self._phrases((one.text, one) for one in some)

    def _phrases(self, some: Iterable[tuple[str, Any]]) -> Rule | None:
        """Return the rule of these; of two that sound alike the first one stands."""
        found: dict[tuple[str, ...], Any] = {}
        for text, meaning in some:
            sounds = spoken(text, self._is_known)
            if sounds is None:
                self.left_out.append(text)
            elif sounds not in found:
                found[sounds] = meaning
        return either(*(word_for(sounds, meaning) for sounds, meaning in found.items())) if found else None


def _put(one: Field, value: Any) -> Put:
    return Put(one.name, value)


def _painted(how: str | None, look: Wording, last: Wording) -> Paint:
    """Lay the moods of a sentence over each other: the one said last counts, then the look's."""
    moods = [one.mood for one in (last, look) if one.mood is not None]
    return Paint(look.look, moods[0] if moods else None, how)
