"""Answer whether something was seen, and say what is nearest to it when it was not."""

from __future__ import annotations

from dataclasses import replace

from realtime.core.clock import NS_PER_S

from .asked import Asked
from .phrases import Reply, ago, listed, long, named, then, times
from .places import is_in, phrase, place_of
from .reading import Reading
from .records import Record
from .spans import Span, lasting
from .subjects import Subject
from .watching import SEEN
from .whereabouts import here, were_in
from .words import a, many, number_of

STALE_NS = 10 * NS_PER_S
"""If nobody told of things for longer, nobody knows what is there now."""


def doubt(subject: Subject, asked: Asked, reading: Reading) -> Reply | None:
    """Say why nothing can be known of what was asked; None when there is no reason."""
    if subject.unknown or (subject.labels and subject.is_known is False):
        name = subject.unknown or subject.said
        names = many(name) if " " not in name else f'"{name}"'
        return Reply(f"I cannot tell {names} from other things, so I do not know.", observed=False)
    span = window(asked, reading)
    if not asked.is_past and not asked.span.says:
        span = Span(reading.now_ns - STALE_NS, reading.now_ns, " at this moment")
    if not reading.watched(SEEN, span):
        if reading.watched(SEEN):
            return Reply(f"Nobody told me what was in the picture{span.says}.", observed=False)
        why = "no detector told me of things in the picture"
        return Reply(f"I cannot say, for {why} so far.", observed=False)
    return None


def was(asked: Asked, reading: Reading) -> Reply:
    """Answer "was there a red cup?", of one thing or of several."""
    parts = [_was_one(one, asked, reading) for one in asked.subjects]
    seen = [part.observed for part in parts]
    observed = any(seen) if asked.joined == "or" else all(seen)
    text = " ".join(part.text for part in parts)
    records = [record for part in parts for record in part.records]
    sure = [part.confidence for part in parts if part.confidence is not None]
    return Reply(text, records, observed, min(sure) if sure else None)


def _was_one(subject: Subject, asked: Asked, reading: Reading) -> Reply:
    if reply := doubt(subject, asked, reading):
        return reply
    now_ns, span = reading.now_ns, window(asked, reading)
    if subject.number > 1 and not asked.edge:
        return _so_many(subject, asked, reading, span)
    is_now = not asked.is_past and asked.span.says == ""
    if is_now:
        found = here(subject, reading)
    elif subject.place and not asked.edge:
        found = were_in(subject, span, reading)
    else:
        found = reading.things(subject, span, edge=asked.edge, limit=4)
    if not found:
        return absent(subject, asked, reading, is_now)
    if subject.leftover:
        return untold(subject, found, asked, reading)
    last = found[0]
    name = a(named(last) if subject.is_anything else subject.name) if subject.said else a(named(last))
    if is_now and len(found) > 1:
        return Reply(f"Yes, I see {len(found)} {subject.names} now{warned(subject)}.", found)
    count = len(found) if subject.place else reading.visits(subject, span, asked.edge)
    if subject.place and not is_now and not is_in(last.box, subject.place):
        later = phrase(place_of(last.box))
        text = f"Yes, {name} was {phrase(subject.place)}{asked.span.says}, and {later} later"
        return Reply(f"{text}; I saw it last {ago(last.end_ns, now_ns)}{warned(subject)}.", found)
    if asked.edge == "left":
        return Reply(f"Yes, {name} left {ago(last.end_ns, now_ns)}, after {long(last)}.", found)
    if last.is_open:
        one = "one" if subject.labels else "other things"
        before = f", and I saw {one} {times(count - 1)} before" if count > 1 and not is_now else ""
        where = phrase(place_of(last.box))
        text = f"Yes, {name} is there now, {where}, and has been for {long(last)}{before}{warned(subject)}."
        return Reply(text, found)
    if count > 1:
        text = f"Yes, I saw {name} {times(count)}{asked.span.says}; the last was there {then(last, now_ns)}"
        return Reply(f"{text}{warned(subject)}.", found)
    return Reply(
        f"Yes, I saw {name}{asked.span.says}: it was there {then(last, now_ns)}{warned(subject)}.", found
    )


def warned(subject: Subject) -> str:
    """Warn where a word says more than can be told."""
    return "; I do not tell men, women and children apart" if subject.is_more_than_told else ""


def placed(subject: Subject) -> str:
    """Return the place that is asked about, with a blank before it."""
    return f" {phrase(subject.place)}" if subject.place else ""


def _so_many(subject: Subject, asked: Asked, reading: Reading, span: Span) -> Reply:
    """Answer "were there two people?"."""
    if not asked.is_past and not asked.span.says:
        records = here(subject, reading)
        number = len(records)
        text = f"I see {number_of(subject.name, number)} now"
    else:
        number, when = reading.peak(subject, span)
        records = [when] if when else []
        text = f"I saw {number_of(subject.name, number)} at the same time at most{asked.span.says}"
    if subject.place and asked.is_past:
        records = were_in(subject, span, reading)
        number = len(records)
        text = f"I saw {number_of(subject.name, number)}{placed(subject)}, at any time{asked.span.says}"
        if number >= subject.number:
            return Reply(f"{text}; whether at the same time I cannot tell.", records, observed=False)
    if subject.leftover and number:
        return untold(subject, records, asked, reading)
    if number >= subject.number:
        return Reply(f"Yes: {text}.", records)
    return Reply(f"{text}, so not {subject.number}.", records, observed=False)


def absent(subject: Subject, asked: Asked, reading: Reading, is_now: bool) -> Reply:
    """Say that something was not seen, and what comes near it."""
    now_ns = reading.now_ns
    name = "anything that I can name" if subject.is_anything and not subject.colour else subject.a_name
    place = placed(subject)
    verb = {"appeared": f"{name} appear", "left": f"{name} leave"}.get(asked.edge, name)
    if is_now:
        text, last = f"I do not see {name}{place} now", reading.things(subject, limit=1)
        if subject.place and (there := were_in(subject, asked.span, reading)):
            return Reply(f"{text}; I saw one there before.", there[:1], observed=False)
        if last and not subject.place:
            return Reply(f"{text}; I saw one last {ago(last[0].end_ns, now_ns)}.", last, observed=False)
        text = f"{text}, and did not see one before"
    else:
        text = f"I did not see {verb}{place}{asked.span.says or remembered(reading)}"
    close, records = near(subject, asked, reading)
    if subject.labels and subject.is_known is None:
        close = f"{close}; I do not know whether what looks at the pictures can tell {subject.names}"
    return Reply(f"{text}{close}.", records, observed=False)


def near(subject: Subject, asked: Asked, reading: Reading) -> tuple[str, list[Record]]:
    """Say what is nearest to something that was not seen: another colour, another place, another time."""
    now_ns, span = reading.now_ns, window(asked, reading)
    plainer = replace(subject, colour="", place="")
    if subject.colour or subject.place:
        found = reading.things(plainer, span, limit=50)
        if found:
            last = found[0]
            colours = sorted({one.colour for one in found if one.colour})
            if subject.place and not subject.colour:
                return f"; I saw one {phrase(place_of(last.box))}, {ago(last.end_ns, now_ns)}", found[:1]
            if subject.is_anything:
                return "", []
            if not colours:
                said = f"; I saw {a(plainer.name)} whose colour I could not tell, {ago(last.end_ns, now_ns)}"
                return said, found[:1]
            verb = "the one that I saw was" if len(found) == 1 else f"the {plainer.names} that I saw were"
            return f"; {verb} {listed(colours)}, the last {ago(last.end_ns, now_ns)}", found[:1]
    if not asked.span.is_all:
        found = reading.things(subject, limit=1)
        if found and not subject.is_anything:
            return f"; I saw one last {ago(found[0].end_ns, now_ns)}", found
    return "", []


def untold(subject: Subject, found: list[Record], asked: Asked, reading: Reading) -> Reply:
    """Say that part of a question cannot be told, and what can."""
    last = found[0]
    if subject.is_anything:
        return Reply(f'I cannot tell anything of "{subject.leftover}".', observed=False)
    plainer = replace(subject, leftover="")
    text = f'I cannot tell anything of "{subject.leftover}", but I saw {plainer.a_name}{asked.span.says}'
    when = "there now" if last.is_open else ago(last.end_ns, reading.now_ns)
    return Reply(f"{text}, {'it is ' if last.is_open else 'the last '}{when}.", found[:1], observed=False)


def remembered(reading: Reading) -> str:
    start_ns = reading.start_ns()
    return f" in the {lasting((reading.now_ns - start_ns) / NS_PER_S)} that I remember" if start_ns else ""


def window(asked: Asked, reading: Reading) -> Span:
    """Return the span to look in; for what is now the last moments."""
    if asked.span.is_now:
        return Span(reading.now_ns - STALE_NS, reading.now_ns, is_now=True)
    return asked.span
