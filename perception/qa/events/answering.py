"""From a question to an answer: read it, look it up as of a snapshot, say it. Nothing typed raises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import tzinfo
from statistics import fmean

from perception.qa.base import Answer, Moment

from . import amounts, facts, happened, seen, told
from .asked import Asked
from .beside import beside
from .grammar import read
from .phrases import Reply, sentence, shown
from .reading import Reading
from .spans import When

CAN = (
    "I can answer: was there X, how many X, when did X appear or leave, how long was X there, what colour "
    "was X, where is X, which way did X move, who or what was there, what was said (about X), what happened "
    "before or after X, what is happening now, what happened in the last N minutes. Times such as "
    '"two minutes ago" or "since 3 pm" may be added.'
)
_ANSWERS: Mapping[str, Callable[[Asked, Reading], Reply]] = {
    "was": seen.was,
    "count": amounts.count,
    "visits": amounts.visits,
    "when": facts.when,
    "how long": facts.how_long,
    "colour": facts.colour,
    "where": facts.where,
    "which things": facts.which_things,
    "said": told.said,
    "now": happened.now,
    "summary": happened.summary,
    "moved": happened.moved,
    "changed": told.changed,
    "cut": told.cut,
    "camera": told.camera,
}
_ABOUT_ZONES = ("was", "count", "visits", "when", "which things")
_ONE_BY_ONE = ("count", "visits", "when", "how long", "colour", "where", "moved")
_OF_NUMBERS = ("was", "said", "now", "summary", "changed", "cut", "camera")
MOST_MOMENTS = 8


def answer(text: str, reading: Reading, engine: str, offset_ns: int, zone: tzinfo | None = None) -> Answer:
    """Answer a question. Times of the answer are `offset_ns` behind those of the records."""
    memory = reading.memory
    if not memory.known_ns:
        text = "Nothing has come yet: I have seen and heard nothing to answer from."
        return Answer(text, engine, 0, observed=False, confidence=1.0)
    reply = _replied(text, reading, zone)
    records = list(dict.fromkeys(reply.records))[:MOST_MOMENTS]
    sure = reply.confidence
    if sure is None:
        sure = fmean([one.confidence for one in records]) if records and reply.observed else 1.0
    moments = tuple(
        Moment(
            one.begin_ns - offset_ns,
            shown(one),
            0 if one.is_open or one.end_ns == one.begin_ns else one.end_ns - offset_ns,
            reading.picture(one),
        )
        for one in records
    )
    return Answer(
        sentence(reply.text), engine, memory.known_ns - offset_ns, moments, reply.observed, round(sure, 3)
    )


def _replied(text: str, reading: Reading, zone: tzinfo | None) -> Reply:
    asked = read(text, When(reading.now_ns, reading.start_ns(), zone), reading.knows)
    if asked.intent == "empty":
        return Reply(f"You asked nothing. {CAN}", observed=False)
    if asked.intent == "help":
        return Reply(CAN, observed=False)
    if asked.intent == "future":
        return Reply("I know only what was and what is; what will be I do not know.", observed=False)
    if asked.intent == "unknown":
        found = told.in_words(asked.text, asked, reading)
        return found or Reply(f"I do not understand that question. {CAN}", observed=False)
    if asked.beside is not None:
        placed = beside(asked, reading)
        if isinstance(placed, Reply):
            return placed
        asked = placed
    if len(asked.subjects) > 1 and asked.intent in _ONE_BY_ONE:
        parts = [_ANSWERS[asked.intent](replace(asked, subjects=(one,)), reading) for one in asked.subjects]
        return Reply(
            " ".join(sentence(part.text) for part in parts),
            [record for part in parts for record in part.records],
            all(part.observed for part in parts),
        )
    if asked.subject.number > 1 and asked.intent not in _OF_NUMBERS:
        subject = asked.subject
        left = f"{subject.number} {subject.leftover}".strip()
        asked = replace(asked, subjects=(replace(subject, leftover=left),))
    if asked.intent in _ABOUT_ZONES and (reply := told.zones(asked, reading)):
        return reply
    return _ANSWERS[asked.intent](asked, reading)
