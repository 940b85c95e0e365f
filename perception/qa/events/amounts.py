"""Answer how many there were, at the same time and one after another."""

from __future__ import annotations

from .asked import Asked
from .phrases import Reply, times
from .reading import Reading
from .seen import doubt, near, placed, remembered, untold, warned, window
from .subjects import Subject
from .whereabouts import here, were_in


def count(asked: Asked, reading: Reading) -> Reply:
    """Answer "how many people are there?" and "how many were there at most?"."""
    subject = asked.subject
    if reply := doubt(subject, asked, reading):
        return reply
    span = window(asked, reading)
    nobody = "people" if subject.labels == ("person",) else subject.names
    if not asked.is_past and not asked.is_peak and not asked.span.says:
        found = here(subject, reading)
        if not found:
            return _none(subject, asked, reading, f"I see no {nobody}{placed(subject)} now")
        if subject.leftover:
            return untold(subject, found, asked, reading)
        return Reply(f"I see {_counted(subject, len(found))} now{warned(subject)}.", found[:4])
    if subject.place:
        return visits(asked, reading)
    most, when = reading.peak(subject, span)
    if not most:
        return _none(
            subject,
            asked,
            reading,
            f"I saw no {nobody}{placed(subject)}{asked.span.says or remembered(reading)}",
        )
    records = [when] if when else []
    if subject.leftover:
        return untold(subject, records, asked, reading)
    number = reading.visits(subject, span)
    text = f"I saw {_counted(subject, most)} at the same time at most{asked.span.says}"
    if number > most:
        text += f", and {number} visits in all (one that comes back counts again)"
    return Reply(f"{text}{warned(subject)}.", records)


def visits(asked: Asked, reading: Reading) -> Reply:
    """Answer "how many people came?", "how often did the dog appear?"."""
    subject = asked.subject
    if reply := doubt(subject, asked, reading):
        return reply
    is_placed = bool(subject.place) and not asked.edge
    found = were_in(subject, asked.span, reading) if is_placed else []
    number = len(found) if is_placed else reading.visits(subject, asked.span, asked.edge)
    if not number:
        verb = {"left": " leave", "appeared": " come"}.get(asked.edge, "")
        return _none(
            subject,
            asked,
            reading,
            f"I saw no {subject.names}{verb}{placed(subject)}{asked.span.says or remembered(reading)}",
        )
    found = found[:4] or reading.things(subject, asked.span, edge=asked.edge, limit=4)
    if subject.leftover:
        return untold(subject, found, asked, reading)
    verb = {"left": "leave", "appeared": "come"}.get(asked.edge, "")
    who = f"{subject.a_name} {verb}".strip()
    text = f"I saw {who}{placed(subject)} {times(number)}{asked.span.says}"
    again = "; I do not know whether it was the same one" if number > 1 else ""
    return Reply(f"{text}{again}{warned(subject)}.", found)


def _counted(subject: Subject, number: int) -> str:
    return f"{number} {subject.name if number == 1 else subject.names}"


def _none(subject: Subject, asked: Asked, reading: Reading, text: str) -> Reply:
    close, records = near(subject, asked, reading)
    return Reply(f"{text}{close}.", records, observed=False)
