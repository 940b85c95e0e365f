"""What a question is about: a label, a colour, a place; and the words of it that nobody here understands.

What is not understood is kept, so that "a man with a hat" is never answered as if it were "a man".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .words import ANYTHING, COLOURS, GROUPS, UNTOLD, a, many, one, synonyms

Knows = Callable[[str], bool | None]
"""Whether a label can be told apart here; None where nobody knows."""

_SMALL = frozenset(
    re.findall(
        r"\w+",
        "a an the any some my your his her our their its this that these those of at all ever here there "
        "anywhere somewhere please visible present seen around also too else again really actually "
        "you see is was are were it new",
    )
)
_BORDERS = frozenset(
    re.findall(
        r"\w+",
        "with next near beside under behind by from to who which on in at over above below inside between "
        "without for wearing and or than like as after before",
    )
)
_ON = ("in", "on")
_NO_VERBS = ("dining", "parking", "thing", "something", "anything", "king", "ring", "sing", "building")
_SCENE = re.compile(
    r"\b(?:in|on|within|from|inside|into|before|in front of) (?:the |my |your |our |this )?"
    r"(?:picture|pictures|frame|view|sight|image|scene|video|stream|camera|screen|shot|footage|display)\b"
)
_PLACE = re.compile(
    r"\b(?:(?:on|in|at|to|near) )?(?:the |my )?(upper|lower|top|bottom)?[ -]?"
    r"(left|right|middle|center|centre|top|bottom)"
    r"(?: (?:side|half|part|corner|edge|hand side))?(?: of)?$"
)
_NUMBERS = {
    word: k
    for k, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}


@dataclass(frozen=True, slots=True)
class Subject:
    """Hold one thing that is asked about."""

    labels: tuple[str, ...] = ()
    """Labels that count; () for anything, or, with `unknown`, for something that has none."""
    colour: str = ""
    place: str = ""
    unknown: str = ""
    """What it is called by the person, where no label fits."""
    leftover: str = ""
    """Words that say more of it and are not understood."""
    said: str = ""
    """The word that was used."""
    number: int = 0
    """How many are asked about; 0 where no number is named."""
    is_known: bool | None = True
    """Whether what sees can tell it apart; None where nobody knows."""

    @property
    def is_anything(self) -> bool:
        return not self.labels and not self.unknown

    @property
    def name(self) -> str:
        """Return it without an article: "red cup", "person", "thing"."""
        noun = self.unknown or (self.labels[0] if len(self.labels) == 1 else self.said or "thing")
        return self._coloured(noun)

    @property
    def names(self) -> str:
        """Return it in the plural."""
        noun = self.unknown or (self.labels[0] if len(self.labels) == 1 else self.said or "thing")
        return self._coloured(many(noun))

    def _coloured(self, noun: str) -> str:
        """Return a noun with the colour: clothes have one, a person has none."""
        if self.labels == ("person",) and self.colour:
            return f"{noun} in {self.colour}"
        return f"{self.colour} {noun}".strip()

    @property
    def a_name(self) -> str:
        """Return it with an article."""
        return a(self.name)

    @property
    def is_more_than_told(self) -> bool:
        """Whether the word says what no detector tells, as "woman" does."""
        return self.said in UNTOLD


def subject_of(text: str, knows: Knows) -> Subject:
    """Return what some words name. `knows` tells whether a label can be told apart here."""
    rest, place = _placed(_SCENE.sub(" ", text))
    more = re.search(
        r"\b(?:more than|over|at least) (?=(?:\d|one|two|three|four|five|six|seven|eight|nine|ten)\b)", rest
    )
    rest = rest.replace(more.group(0), " ") if more else rest
    tokens = [word for word in rest.split() if word not in _SMALL or word == "one"]
    number = next((_NUMBERS[word] for word in tokens if word in _NUMBERS), 0)
    number = number or next((int(word) for word in tokens if word.isdigit() and len(word) < 4), 0)
    number += bool(more and "least" not in more.group(0))
    tokens = [word for word in tokens if word not in _NUMBERS and not word.isdigit()]
    if len(tokens) > 1 and tokens[0] in ANYTHING and _is_border(tokens[1]) and tokens[1:2] != ["in"]:
        return Subject(place=place, leftover=" ".join(tokens[1:]), said="thing", number=number)
    found = _noun(tokens, knows)
    if found is None:
        colour = next((COLOURS[word] for word in tokens if word in COLOURS), "")
        others = [word for word in tokens if word not in COLOURS]
        things = [word for word in others if word not in ANYTHING]
        things = [] if all(word in _ON for word in things) else things
        if not things:
            return Subject(colour=colour, place=place, said="thing", number=number)
        head = re.split(
            r"\b(?:on|with|in|at|near|by|next|behind|under|from|to|who|which|and)\b", " ".join(things)
        )[0]
        singular = head.strip() or " ".join(things)
        word = singular.split()[-1]
        names = one(word)
        singular = (
            f"{singular[: -len(word)]}{names[min(len(names) - 1, 1)] if names[0] == word else names[0]}"
        )
        return Subject(
            colour=colour, place=place, unknown=singular, said=singular, number=number, is_known=False
        )
    begin, end, labels, said = found
    before, after = tokens[:begin], tokens[end:]
    is_own = all(word in COLOURS or word in _ON for word in after)  # "in red", not "beside a red box"
    coloured = [word for word in (*before, *(after if is_own else ())) if word in COLOURS]
    colour = COLOURS[coloured[0]] if coloured else ""
    left = [word for word in (*before, *after) if word not in coloured]
    left = [] if all(word in _ON for word in left) else left
    seen = [knows(label) for label in labels]
    known = True if any(seen) else None if None in seen else False
    return Subject(labels, colour, place, leftover=" ".join(left), said=said, number=number, is_known=known)


def subjects_of(text: str, knows: Knows) -> tuple[tuple[Subject, ...], str]:
    """Return the things that are named with "and" or "or" between, and which of the two words it was."""
    for word in ("and", "or"):
        parts = [part.strip() for part in re.split(rf"\b{word}\b|,", text) if part.strip()]
        if len(parts) > 1 and f" {word} " in f" {text} ":
            found = tuple(subject_of(part, knows) for part in parts[:6])
            if all(one.labels or one.unknown for one in found):
                return found, word
    return (subject_of(text, knows),), "and"


def _noun(tokens: list[str], knows: Knows) -> tuple[int, int, tuple[str, ...], str] | None:
    """Return where the words that name a label stand, the labels and the word, in the singular.

    It is the last noun before a preposition: "dog bowl" is a bowl, "a cup next to the laptop" a cup.
    """
    border = next((k for k, word in enumerate(tokens) if k and _is_border(word)), len(tokens))
    for part in (range(border, 0, -1), range(border + 1, len(tokens) + 1)):
        for end in part:
            for begin in range(max(end - 3, 0), end):
                for name in one(" ".join(tokens[begin:end])):
                    labels = _labels(name, knows)
                    if labels and not (name in COLOURS and end < border):
                        return begin, end, labels, name
    return None


def _is_border(word: str) -> bool:
    return word in _BORDERS or (word.endswith("ing") and word not in _NO_VERBS)


def _labels(name: str, knows: Knows) -> tuple[str, ...]:
    """Return the labels that a name may mean; of several those that can be told apart here."""
    if knows(name):
        return (name,)
    meant = synonyms().get(name, ())
    known = tuple(label for label in meant if knows(label))
    if name in GROUPS:
        return known or meant
    if known:
        return known[:1]
    if knows(name) is None and _is_label(name):
        return (name,)  # nobody knows what can be told apart: as most detectors call it
    return meant[:1] or ((name,) if _is_label(name) else ())


def _is_label(name: str) -> bool:
    from perception.detectors.coco import NAMES

    return name in NAMES


def _placed(text: str) -> tuple[str, str]:
    """Cut a place at the end out of a text."""
    match = _PLACE.search(text.strip())
    if match is None:
        return text, ""
    row, column = match.group(1) or "", match.group(2).replace("center", "middle").replace("centre", "middle")
    row = row.replace("top", "upper").replace("bottom", "lower")
    if column == "middle":
        place = {"upper": "top", "lower": "bottom", "": "middle"}[row]
    else:
        place = f"{row} {column}".strip()
    return text.strip()[: match.start()], place
