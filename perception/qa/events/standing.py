"""Standing questions: "tell me when a red car appears". Pure: what is told goes in, moments come out.

A wish is read once. Then it is fed each event with the snapshot that holds after it, so what counts as there
is the same as in answers. It fires once for each occurrence, and rests for a while after it did.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from perception.qa.base import Moment
from realtime.core.clock import NS_PER_S
from realtime.core.errors import ConfigError

from .conditions import is_of
from .phrases import shown
from .plain import plain
from .reading import Memory
from .records import Record
from .spans import When, cut_out
from .subjects import Knows, Subject, subject_of
from .told import words_of
from .verbs import SPEECH, WHO, edged, without
from .words import one as forms

COOLDOWN_S = 10.0
"""After it fired a wish rests for that long."""
HINT = (
    'I understand, for instance: "tell me when a red car appears", "when the dog leaves", "when there are '
    'more than 2 people", "when somebody says lunch", "when the cup moves", "when it gets still", "when the '
    'scene changes".'
)
Kind = Literal["appears", "is there", "leaves", "none", "more", "says", "moves", "still", "camera", "cut"]
_TELL = re.compile(
    r"^(?:please )?(?:(?:tell|notify|alert|warn|ping|call|inform|remind) (?:me|us)|let (?:me|us) know|say so"
    r"|shout|beep|watch)(?: please)? ?"
)
_WHEN = re.compile(r"^(?:when|whenever|if|once|as soon as|each time|every time|for when|for)(?: |$)")


@dataclass(frozen=True, slots=True)
class Condition:
    """Hold what is waited for."""

    kind: Kind
    text: str
    """The wish in plain words."""
    subject: Subject = field(default_factory=Subject)
    number: int = 0
    """Of "more": how many there must at least be."""
    words: tuple[str, ...] = ()
    """Of "says": those that must all be said."""


def condition_of(text: str, knows: Knows) -> Condition:
    """Return what a wish waits for. Raises ConfigError for one that cannot be understood, or not be seen."""
    words = plain(text)
    rest = _WHEN.sub("", _TELL.sub("", words))
    if not rest:
        raise ConfigError("That is nothing to wait for.", hint=HINT)
    for pattern, kind in _PLAIN:
        if re.search(pattern, rest):
            return Condition(kind, rest)
    if cut_out(rest, When(0))[0] != rest and not re.search(rf"\b{SPEECH}\b", rest):
        raise ConfigError(f'A wish cannot hold a time, and there is one in "{rest}".', hint=HINT)
    said = re.search(rf"^(?:{WHO}|people|a person|the \w+) {SPEECH}\b ?(?P<topic>.*)$", rest)
    if said:
        sought = tuple(words_of(re.sub(r"^(?:about|of|the words?) ", "", said.group("topic"))))
        if not sought:
            raise ConfigError("No word is named that somebody should say.", hint=HINT)
        return Condition("says", rest, words=sought)
    return _of_things(rest, knows)


_NONE = r"^(?:there (?:is|are) )?(?:no|not any|nobody|no one)\b|\b(?:no longer|not) (?:there|visible|here)\b"
_PLAIN: tuple[tuple[str, Kind], ...] = (
    (
        r"^(?:it|everything|all|the (?:picture|scene)) (?:gets|becomes|is|comes to) (?:still|calm|rest)$",
        "still",
    ),
    (r"^nothing moves(?: any ?more)?$|^(?:it|everything) stops moving$", "still"),
    (r"^the camera (?:moves|is moving|starts moving|shakes|pans)$", "camera"),
    (r"^the (?:scene|shot|picture) (?:changes|is cut|cuts)$|^there is a cut$", "cut"),
)


def _of_things(text: str, knows: Knows) -> Condition:
    """Read a wish about things."""
    more = re.search(r"\b(more than|at least|over) (\d+|[a-z]+)\b", text)
    none = re.search(_NONE, text)
    rest = text
    if more:
        rest = text.replace(more.group(1), " ")
    if none:
        rest = re.sub(r"^there (?:is|are)|\bno longer\b|\bany ?more\b|\bleft\b|\bno one\b", " ", text).strip()
        rest = re.sub(r"^(?:no|not any) ", "", rest)
    rest, edge = edged(rest)
    subject = subject_of(without(re.sub(r"\b(?:is|are|there|starts?|begins?)\b", " ", rest)), knows)
    if subject.leftover:
        raise ConfigError(f'I cannot tell anything of "{subject.leftover}".', hint=HINT)
    if subject.unknown or subject.is_known is False:
        known = bool(edge or more or none or re.search(r"\b(?:is|are|see)\b", text))
        if not known:
            raise ConfigError(f'I do not understand "{text}".', hint=HINT)
        raise ConfigError(f"I cannot tell {subject.names} from other things.", hint=HINT)
    if subject.is_anything and not (edge or subject.colour):
        raise ConfigError(f'I do not understand "{text}".', hint=HINT)
    if more:
        return Condition("more", text, subject, subject.number + (more.group(1) != "at least"))
    if none:
        return Condition("none", text, subject)
    if subject.number > 1:
        return Condition("more", text, subject, subject.number)
    kinds: Mapping[str, Kind] = {"appeared": "appears", "left": "leaves", "moved": "moves", "": "is there"}
    return Condition(kinds[edge], text, subject)


class Standing:
    """Wait for one condition."""

    def __init__(self, condition: Condition, cooldown_s: float = COOLDOWN_S) -> None:
        self.condition = condition
        self._cooldown_ns = round(cooldown_s * NS_PER_S)
        self._before: dict[tuple[str, int, int], Record] | None = None
        """What was there at the last event, by label, number and begin; None before the first."""
        self._was_so = False
        self._seen_any = False
        self._fired_ns: int | None = None
        self._era = 0

    def feed(self, event: Mapping[str, Any], at_ns: int, memory: Memory) -> Moment | None:
        """Take what was told at `at_ns`, and the snapshot after it; return the moment if it came to pass."""
        found = self._heard(event, at_ns) if self.condition.kind in ("says", "cut") else self._seen(memory)
        if found is None:
            return None
        if self._fired_ns is not None and at_ns - self._fired_ns < self._cooldown_ns:
            return None
        self._fired_ns = at_ns
        if isinstance(found, Moment):
            return found
        return Moment(found.begin_ns - memory.offset_ns, shown(found))

    def _heard(self, event: Mapping[str, Any], at_ns: int) -> Moment | None:
        """Look into final words, or for a cut."""
        if self.condition.kind == "cut":
            told = [event, *event.get("happened", ())]
            is_cut = any(one.get("what") == "cut" for one in told)
            return Moment(at_ns, "another scene") if is_cut else None
        if event.get("type") != "heard" or event.get("turn", "end") != "end":
            return None
        text = str(event.get("text", ""))
        said = {form for word in re.findall(r"\w+", text.casefold()) for form in forms(word)}
        if all(said & set(forms(word)) for word in self.condition.words):
            return Moment(at_ns, f'somebody said "{text}"')
        return None

    def _seen(self, memory: Memory) -> Record | Moment | None:
        """Compare what is there with what was there before."""
        subject, kind = self.condition.subject, self.condition.kind
        if kind in ("still", "camera"):
            return self._moving(memory)
        wanted = "moved" if kind == "moves" else "thing"
        here = {
            (one.label, one.thing, one.begin_ns): one
            for one in memory.lasting
            if one.kind == wanted and is_of(one, subject)
        }
        before, self._before = self._before, here
        if memory.era != self._era:  # what was forgotten did not leave
            before, self._era = None, memory.era
        if kind in ("appears", "moves"):
            new = [one for key, one in here.items() if before is not None and key not in before]
            return new[0] if new else None
        if kind == "leaves":
            gone = [one for key, one in (before or {}).items() if key not in here]
            return Moment(gone[0].end_ns - memory.offset_ns, f"{shown(gone[0])}, left") if gone else None
        if kind == "none":
            return self._turned(
                bool(before) and not here, memory, f"no {subject.names}", has_reset=bool(here)
            )
        least = self.condition.number if kind == "more" else 1
        newest = max(here.values(), key=lambda one: one.begin_ns, default=None)
        at_ns = newest.begin_ns - memory.offset_ns if newest is not None else 0
        is_so, was_so = len(here) >= least, self._was_so
        self._was_so = is_so
        if not is_so or was_so or newest is None:
            return None
        return newest if least == 1 else Moment(at_ns, f"{len(here)} {subject.names}")

    def _turned(self, is_so: bool, memory: Memory, says: str, *, has_reset: bool) -> Moment | None:
        """Fire when something begins to hold, and again only after it did not hold."""
        if has_reset:
            self._was_so = False
        if not is_so or self._was_so:
            return None
        self._was_so = True
        return Moment(memory.known_ns - memory.offset_ns, says)

    def _moving(self, memory: Memory) -> Moment | None:
        """Fire when the camera begins to move, or when all movement ends."""
        if self.condition.kind == "camera":
            moves = any(one.kind == "motion" and one.label == "the camera" for one in memory.lasting)
            return self._turned(moves, memory, "the camera moves", has_reset=not moves)
        moves = any(one.kind in ("motion", "moved") for one in memory.lasting)
        moved, self._seen_any = self._seen_any, self._seen_any or moves
        return self._turned(moved and not moves, memory, "nothing moves any more", has_reset=moves)
