"""Read questions: from what was typed to what is asked. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from .asked import Asked, Beside
from .plain import plain
from .rules import ruled
from .spans import FUTURE, When, cut_out
from .subjects import Knows, Subject, subject_of
from .verbs import SPEECH, WHO, edged, without

_NOW = re.compile(r"\b(?:is|are|am|do|does|can)\b")
_PAST = re.compile(
    r"\b(?:was|were|been|did|had|has|have|saw|seen|came|come in|happened|ever|appeared|entered|arrived)\b"
    r"|^(?:who|what) left\b"
)


def read(text: str, when: When, knows: Knows) -> Asked:
    """Return what a question asks. `knows` tells which labels can be told apart here."""
    words = plain(text)
    if not words:
        return Asked("empty")
    if FUTURE.search(words) and not re.search(rf"\b{SPEECH}\b", words):
        return Asked("future", words)
    rest, span = cut_out(words, when)
    if span.is_future:
        return Asked("future", words, span=span)
    if not rest:
        return Asked("summary" if span.says else "now", words, span=span)
    main, beside = _beside(rest, knows)
    found = ruled(main, knows) if beside is not None else None
    if found is None or found.intent == "unknown":
        beside, found = None, ruled(rest, knows)
    is_now = span.is_now or bool(not span.says and _NOW.search(rest) and not _PAST.search(rest))
    return replace(found, text=words, span=span, beside=beside, is_past=not is_now)


def _beside(text: str, knows: Knows) -> tuple[str, Beside | None]:
    """Split "… after the dog left" off a question; one that begins with "when" has none."""
    match = re.search(
        r"^(?P<main>.+?) (?:just |right |shortly |immediately |directly )?"
        r"(?P<order>before|after|since|while|when|during|as) (?P<what>.+)$",
        text,
    )
    if match is None:
        return text, None
    order: Literal["before", "after", "during"] = "during"
    if match.group("order") in ("before", "after", "since"):
        order = "before" if match.group("order") == "before" else "after"
    what = match.group("what")
    spoken = re.search(rf"^(?:{WHO}|people|the \w+) {SPEECH} (?:about )?(?P<topic>.+)$", what)
    spoken = spoken or re.search(rf"^(?P<topic>.+) (?:was|were|is|are) {SPEECH}$", what)
    if spoken:
        return match.group("main"), Beside(order, Subject(), topic=spoken.group("topic"))
    rest, edge = edged(without(what))
    arrival = re.match(r"(?:the )?(arrival|appearance|departure) of\b", rest)
    if arrival:
        rest, edge = rest[arrival.end() :], "left" if arrival.group(1) == "departure" else "appeared"
    subject = subject_of(re.sub(r"\b(?:is|was|were|are|has|had)\b", " ", rest), knows)
    if subject.is_anything and not subject.colour:
        return text, None
    return match.group("main"), Beside(order, subject, edge)
