"""Read a prompt the way a small vocabulary does, and change one word group of it. Pure text, no model.

The prompt is the only truth: thumbnails and chips are views of it, and a click on one edits it. A prompt is
cut into spans, the longest known wording first, so that "thick brush strokes" is one look and not a synonym
("brush") between two unknown words. Of a blend (`oil painting:0.7 | pop art:0.3`) each part is read alone;
the chips show the heaviest part, and a click edits that one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from .port import Vocabulary

Kind = Literal["look", "mood", "strength", "synonym", "filler", "unknown", "bar", "weight"]

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*", re.UNICODE)
_WEIGHT = re.compile(r"\s*:\s*[+-]?(?P<weight>\d+\.?\d*|\.\d+)\s*$")
BAR = "|"
_FILLERS: frozenset[str] = frozenset(
    word.group()
    for word in _WORD.finditer(
        "a an the of in on at as by for with and or to into from my me it its this that is like make turn "
        "look style please very nice high quality best detailed highly beautiful masterpiece art artistic"
    )
)
"""Words that change nothing and are not worth a remark."""

MAX_READ_CHARS = 2000
"""A longer prompt is read up to here: the server refuses it anyway."""


@dataclass(frozen=True, slots=True)
class Span:
    """Hold one wording of a prompt, and what it was taken for."""

    text: str
    start: int
    stop: int
    """Half-open range of characters in the prompt."""
    kind: Kind
    means: str = ""
    """Id of the look or mood, the strength word, or the known words behind a synonym."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Hold one part of a blend: where its words begin and stop, and where its weight stops."""

    start: int
    stop: int
    end: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold a prompt as it was understood. The longest wording of a kind decides, the later one if equal."""

    spans: tuple[Span, ...]
    look: str = ""
    mood: str = ""
    strength: str = ""

    @property
    def unknown(self) -> tuple[str, ...]:
        """The words that change nothing, since the painter never learnt them."""
        return tuple(span.text for span in self.spans if span.kind == "unknown")


def read(prompt: str, vocabulary: Vocabulary) -> Reading:
    """Cut `prompt` into spans and say what each was taken for."""
    table = _table(vocabulary)
    prompt = prompt[:MAX_READ_CHARS]
    parts = _parts(prompt)
    spans: list[Span] = []
    decisive: list[Span] = []
    for part in parts:
        own = _spans(prompt, part, table)
        decisive = own if part is _main(parts) else decisive
        spans += own
        if part.end > part.stop:
            spans.append(Span(prompt[part.stop : part.end].strip(" :"), part.stop, part.end, "weight"))
        if part is not parts[-1]:
            spans.append(Span(BAR, part.end, part.end + 1, "bar"))
    implied = {kind: _decisive(decisive, kind) for kind in ("look", "mood", "strength")}
    for span in decisive:  # a synonym fills in what no plain wording has said
        if span.kind == "synonym":
            behind = read(span.means, Vocabulary(vocabulary.looks, vocabulary.moods, vocabulary.strengths))
            implied["look"] = implied["look"] or behind.look
            implied["mood"] = implied["mood"] or behind.mood
    return Reading(tuple(spans), implied["look"], implied["mood"], implied["strength"])


def _spans(prompt: str, part: _Part, table: Mapping[tuple[str, ...], tuple[Kind, str]]) -> list[Span]:
    longest = max((len(key) for key in table), default=1)
    words = list(_WORD.finditer(prompt, part.start, part.stop))
    spans: list[Span] = []
    at = 0
    while at < len(words):
        for count in range(min(longest, len(words) - at), 0, -1):
            key = tuple(word.group().lower() for word in words[at : at + count])
            if key in table or count == 1:
                kind, means = table.get(key, ("filler" if key[0] in _FILLERS else "unknown", ""))
                start, stop = words[at].start(), words[at + count - 1].end()
                spans.append(Span(prompt[start:stop], start, stop, kind, means))
                at += count
                break
    return spans


def with_look(prompt: str, look_id: str, vocabulary: Vocabulary, wording: str = "") -> str:
    """Return `prompt` with its look changed, its mood and its strength word kept.

    `wording` stands in for the look's usual words.
    """
    new = wording or next(look.prompt for look in vocabulary.looks if look.id == look_id)

    def edit(text: str) -> str:
        seen = read(text, vocabulary)
        if any(span.kind == "look" for span in seen.spans):
            return _swap(text, seen, "look", new)
        # Nothing to swap: words that the painter does not know would only stay as clutter.
        return ", ".join(
            part for part in (f"{seen.strength} {new}".strip(), _mood_words(seen, vocabulary)) if part
        )

    return _edited(prompt, edit)


def with_mood(prompt: str, mood: str, vocabulary: Vocabulary, wording: str = "") -> str:
    """Return `prompt` with another colour mood; "" takes the mood away.

    `wording` stands in for the mood's usual words.
    """
    new = wording or (vocabulary.moods[mood][0] if mood else "")

    def edit(text: str) -> str:
        seen = read(text, vocabulary)
        if any(span.kind == "mood" for span in seen.spans):
            return _swap(text, seen, "mood", new)
        return _tidy(f"{text.rstrip(' ,')}, {new}" if new else text)

    return _edited(prompt, edit)


def with_strength(prompt: str, word: str, vocabulary: Vocabulary) -> str:
    """Return `prompt` with another strength word; "" takes it away."""

    def edit(text: str) -> str:
        seen = read(text, vocabulary)
        if any(span.kind == "strength" for span in seen.spans):
            return _swap(text, seen, "strength", word)
        return _tidy(f"{word} {text}")

    return _edited(prompt, edit)


def _parts(prompt: str) -> list[_Part]:
    """Cut a prompt at its bars; without one all of it is words, also what looks like a weight."""
    if BAR not in prompt:
        return [_Part(0, len(prompt), len(prompt))]
    parts = []
    start = 0
    for text in prompt.split(BAR):
        end = start + len(text)
        found = _WEIGHT.search(text)
        stop = start + found.start() if found else end
        parts.append(_Part(start, stop, end, float(found["weight"]) if found else 1.0))
        start = end + 1
    return parts


def _main(parts: list[_Part]) -> _Part:
    """Return the heaviest part of a blend, the first one if equal."""
    return max(parts, key=lambda part: part.weight)


def _edited(prompt: str, edit: Callable[[str], str]) -> str:
    """Return `prompt` with its heaviest part edited."""
    parts = _parts(prompt)
    if len(parts) == 1:
        return edit(prompt)
    main = _main(parts)
    texts = []
    for part in parts:
        words = prompt[part.start : part.stop].strip()
        texts.append((edit(words) if part is main else words) + prompt[part.stop : part.end].strip())
    return f" {BAR} ".join(texts)


def _table(vocabulary: Vocabulary) -> Mapping[tuple[str, ...], tuple[Kind, str]]:
    table: dict[tuple[str, ...], tuple[Kind, str]] = {}

    def add(wording: str, kind: Kind, means: str) -> None:
        key = tuple(match.group().lower() for match in _WORD.finditer(wording))
        if key:
            table[key] = (kind, means)

    for wording, means in vocabulary.synonyms.items():
        add(wording, "synonym", means)
    for word in vocabulary.strengths:
        add(word, "strength", word)
    for mood, wordings in vocabulary.moods.items():
        for wording in wordings:
            add(wording, "mood", mood)
    for look in vocabulary.looks:
        for wording in (look.prompt, *look.words):
            add(wording, "look", look.id)
    return table


def _decisive(spans: list[Span], kind: str) -> str:
    found = [span for span in spans if span.kind == kind]
    return max(reversed(found), key=lambda span: len(span.text)).means if found else ""


def _mood_words(seen: Reading, vocabulary: Vocabulary) -> str:
    said = [span.text for span in seen.spans if span.kind == "mood"]
    return said[-1] if said else vocabulary.moods[seen.mood][0] if seen.mood else ""


def _swap(prompt: str, seen: Reading, kind: Kind, new: str) -> str:
    pieces: list[str] = []
    at = 0
    for span in seen.spans:
        if span.kind == kind:
            pieces += [prompt[at : span.start], new]
            at, new = span.stop, ""
    return _tidy("".join([*pieces, prompt[at:]]))


def _tidy(prompt: str) -> str:
    parts = (" ".join(part.split()) for part in prompt.split(","))
    return ", ".join(part for part in parts if part)
