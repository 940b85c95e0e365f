"""Answer what was said, what was changed, and what zones, lines and the camera told."""

from __future__ import annotations

import re

from .asked import Asked
from .phrases import Reply, ago, listed, long, times
from .reading import Reading
from .records import Record

MOST_HEARD = 200
"""Sentences that are counted."""
_EMPTY = frozenset(
    re.findall(
        r"\w+",
        "a an the of to in on at is are was were be been do did does has have had i you he she it we they me "
        "my your what when where who which how why that this there anybody anyone somebody someone anything "
        "something about and or not can could would will tell word words with for from",
    )
)
"""Words that stand in any text."""


def words_of(text: str) -> list[str]:
    """Return the words of a text that say what it is about."""
    return [word for word in text.split() if word not in _EMPTY]


def said(asked: Asked, reading: Reading) -> Reply:
    """Answer "what was said about the train?", "did anybody mention lunch?"."""
    now_ns, span = reading.now_ns, asked.span
    if not asked.topic:
        is_one, is_first = asked.which in ("first", "last"), asked.which == "first"
        found = reading.records("heard", span=span, limit=1 if is_one else 5, is_first=is_first)
        if not found:
            return Reply(f"I heard no words{span.says}.", observed=False)
        if is_one:
            return Reply(f"I heard {asked.which}{span.says}: {quoted(found, now_ns)}", found)
        if asked.which == "who":
            return Reply(f"I do not know who spoke. I heard{span.says}: {quoted(found[::-1], now_ns)}", found)
        number = reading.count("heard", span)
        more = f" (the newest of {number})" if number > len(found) else ""
        return Reply(f"I heard{span.says}{more}: {quoted(found[::-1], now_ns)}", found)
    sought = words_of(asked.topic)
    found = reading.search(sought, span, ("heard",), limit=3) if sought else []
    if not found:
        return Reply(f'I heard nobody say "{" ".join(sought) or asked.topic}"{span.says}.', observed=False)
    if asked.which == "often":
        number = len(reading.search(sought, span, ("heard",), limit=MOST_HEARD))
        more = "at least " if number == MOST_HEARD else ""
        return Reply(
            f"I heard that {more}{times(number)}{span.says}; the last: {quoted(found[:1], now_ns)}", found
        )
    is_anybody = re.search(
        r"\b(?:anybody|anyone|somebody|someone|you hear|when|people|was|were)\b", asked.text
    )
    who = "" if is_anybody and asked.which != "who" else "; I do not know who spoke"
    who = who if asked.which in ("who", "whether") else ""
    yes = "Yes, I" if asked.which == "whether" else "I"
    return Reply(f"{yes} heard{span.says}{who}: {quoted(found, now_ns)}", found)


def quoted(records: list[Record], now_ns: int) -> str:
    return "; ".join(f'"{one.text}", {ago(one.end_ns, now_ns)}' for one in records) + "."


def what_of(record: Record) -> str:
    if record.kind == "command":
        verb = "somebody said" if record.label == "said" else "somebody"
        return f'{verb} "{record.text}"' if record.label == "said" else f"{verb} {record.text}"
    return "the scene was cut to another" if record.kind == "cut" else record.text


def changed(asked: Asked, reading: Reading) -> Reply:
    """Answer "what did I change?"."""
    found = reading.records("command", span=asked.span, limit=5)
    if not found:
        return Reply(f"I know of no command or changed setting{asked.span.says}.", observed=False)
    parts = [f"{what_of(one)}, {ago(one.end_ns, reading.now_ns)}" for one in found[::-1]]
    return Reply(f"{'; '.join(parts)}.", found)


def cut(asked: Asked, reading: Reading) -> Reply:
    """Answer "did the scene change?"."""
    found = reading.records("cut", span=asked.span, limit=4)
    if not found:
        return Reply(f"I saw no cut{asked.span.says}.", observed=False)
    number = reading.count("cut", asked.span)
    return Reply(
        f"The scene was cut {times(number)}{asked.span.says}, last {ago(found[0].end_ns, reading.now_ns)}.",
        found,
    )


def camera(asked: Asked, reading: Reading) -> Reply:
    """Answer "did the camera move?"."""
    found = reading.records("motion", ("the camera",), asked.span, limit=4)
    if not found:
        return Reply(f"Nobody told me of a moving camera{asked.span.says}.", observed=False)
    last = found[0]
    when = (
        f"and has been for {long(last)}"
        if last.is_open
        else f"until {ago(last.end_ns, reading.now_ns)}, for {long(last)}"
    )
    return Reply(f"The camera {'is moving now' if last.is_open else 'moved'} {when}.", found)


def zones(asked: Asked, reading: Reading) -> Reply | None:
    """Answer with what zones and lines told, if a question's own words name one; None otherwise."""
    words = words_of(asked.subject.leftover)
    if not words:
        return None
    found = reading.search([*words, *asked.subject.labels[:1]], asked.span, ("zone",), limit=4)
    if not found:
        return None
    parts = [f"{one.text} {ago(one.end_ns, reading.now_ns)}" for one in found]
    return Reply(f"{listed(parts)}.", found)


def in_words(text: str, asked: Asked, reading: Reading) -> Reply | None:
    """Look a question that nobody understands up word by word; None when nothing has these words."""
    sought = words_of(text)
    found = reading.search(sought, asked.span, limit=3) if sought else []
    if not found:
        return None
    parts = [f'"{one.text}", {ago(one.end_ns, reading.now_ns)}' for one in found]
    return Reply(
        f"I do not understand that question. What I remember with these words: {'; '.join(parts)}.",
        found,
        observed=False,
    )
