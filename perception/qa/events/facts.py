"""Answer when, how long, of which colour, where, and which things."""

from __future__ import annotations

from dataclasses import replace

from .asked import Asked
from .phrases import Reply, ago, listed, long, named, times
from .places import phrase, place_of
from .reading import Reading
from .records import Record
from .seen import absent, doubt, untold, window
from .spans import lasting
from .subjects import Subject
from .whereabouts import here, moves_of, place_at, were_in
from .words import a


def when(asked: Asked, reading: Reading) -> Reply:
    """Answer "when did the dog leave?", "when did you first see a cup?"."""
    subject, now_ns = asked.subject, reading.now_ns
    if reply := doubt(subject, asked, reading):
        return reply
    is_first = asked.which == "first"
    if asked.edge == "moved":
        return _when_moved(asked, reading, is_first=is_first)
    found = reading.things(subject, asked.span, edge=asked.edge, is_first=is_first, limit=4)
    if not found:
        if asked.edge == "left" and (here := reading.things(subject, limit=1)) and here[0].is_open:
            return Reply(f"The {subject.name} has not left: it is still there.", here, observed=False)
        return absent(subject, asked, reading, is_now=False)
    if subject.leftover:
        return untold(subject, found, asked, reading)
    one = found[0]
    number = reading.visits(subject, asked.span, asked.edge)
    several = f", the {'first' if is_first else 'last'} of {number} times" if number > 1 else ""
    if asked.edge == "left":
        return Reply(
            f"I saw {subject.a_name} leave {ago(one.end_ns, now_ns)}, after {long(one)}{several}.", found
        )
    if asked.edge == "appeared" or is_first or one.is_open:
        still = "; it is still there" if one.is_open else f", and it stayed for {long(one)}"
        first = "first " if is_first else ""
        return Reply(
            f"I {first}saw {subject.a_name} appear {ago(one.begin_ns, now_ns)}{still}{several}.", found
        )
    return Reply(
        f"I saw {subject.a_name} last {ago(one.end_ns, now_ns)}: it was there for {long(one)}{several}.",
        found,
    )


def _when_moved(asked: Asked, reading: Reading, *, is_first: bool) -> Reply:
    """Answer "when did the cup move?"."""
    subject, now_ns = asked.subject, reading.now_ns
    found = reading.things(subject, asked.span, kind="moved", is_first=is_first, limit=4)
    if not found:
        here = reading.things(subject, asked.span, limit=1)
        if not here:
            return absent(subject, asked, reading, is_now=False)
        text = f"I saw {subject.a_name}, last {ago(here[0].end_ns, now_ns)}, but did not see it move"
        return Reply(f"{text}{asked.span.says}.", here, observed=False)
    if subject.leftover:
        return untold(subject, found, asked, reading)
    one = found[0]
    still = "and still moves" if one.is_open else f"for {long(one)}"
    which = "first " if is_first else ""
    text = f"I {which}saw {subject.a_name} begin to move {ago(one.begin_ns, now_ns)}, {still}"
    return Reply(f"{text}.", found)


def how_long(asked: Asked, reading: Reading) -> Reply:
    """Answer "how long was the dog there?"."""
    subject, now_ns = asked.subject, reading.now_ns
    if reply := doubt(subject, asked, reading):
        return reply
    found = reading.things(subject, asked.span, limit=4)
    if not found:
        return absent(subject, asked, reading, is_now=False)
    if subject.leftover:
        return untold(subject, found, asked, reading)
    last = found[0]
    number = reading.visits(subject, asked.span)
    if last.is_open:
        text = f"The {subject.name} has been there for {long(last)} now"
    else:
        text = f"The {subject.name} was there for {long(last)}, until {ago(last.end_ns, now_ns)}"
    if number > 1:
        total = lasting(reading.total_s(subject, asked.span))
        text = f"{text}; in all for {total} in {number} visits{asked.span.says}"
    return Reply(f"{text}.", found)


def colour(asked: Asked, reading: Reading) -> Reply:
    """Answer "what colour was the cup?"."""
    subject, now_ns = asked.subject, reading.now_ns
    if reply := doubt(subject, asked, reading):
        return reply
    found = reading.things(subject, window(asked, reading), limit=20)
    if not found:
        return absent(subject, asked, reading, is_now=False)
    if subject.leftover:
        return untold(subject, found, asked, reading)
    told = [one for one in found if one.colour]
    if not told:
        text = f"I saw {subject.a_name} {ago(found[0].end_ns, now_ns)}, but could not tell its colour."
        return Reply(text, found[:1], observed=False)
    last = told[0]
    is_person = last.label == "person"
    who = f"What the {subject.name} wore" if is_person else f"The {subject.name}"
    verb = "is" if last.is_open and not asked.is_past else "was"
    text = f"{who} {verb} {'mostly ' if is_person else ''}{last.colour}"
    others = sorted({one.colour for one in told} - {last.colour})
    if others:
        text = f"{text} ({ago(last.end_ns, now_ns)}); earlier ones were {listed(others)}"
    agreeing = sum(one.colour == last.colour for one in told) / len(told)
    return Reply(f"{text}.", told[:4], confidence=last.confidence * (0.5 + 0.5 * agreeing))


def where(asked: Asked, reading: Reading) -> Reply:
    """Answer "where did I put the cup?", "where was the dog two minutes ago?"."""
    subject, now_ns = asked.subject, reading.now_ns
    if reply := doubt(subject, asked, reading):
        return reply
    span = window(asked, reading)
    found = reading.things(subject, span, limit=4)
    if not found:
        return absent(subject, asked, reading, is_now=asked.span.is_now)
    if subject.leftover:
        return untold(subject, found, asked, reading)
    now_here = [one for one in found if one.is_open]
    last = found[0]
    if asked.span.says:
        at_ns = min(max(span.at_ns or span.end_ns, last.begin_ns), last.end_ns)
        return Reply(
            f"{ago(at_ns, now_ns)}, the {subject.name} was {place_at(last, at_ns, reading)}.", found[:1]
        )
    if len(now_here) > 1:
        places = listed([phrase(place_of(one.box)) for one in now_here])
        return Reply(f"I see {len(now_here)} {subject.names} now: {places}.", now_here)
    moves = moves_of(last, reading)
    move = moves[-1] if moves else None
    place = phrase(place_of(last.box))
    if last.is_open:
        text = f"The {subject.name} is still in view, {place}"
        if move is not None and not move.is_open:
            text += f"; it came there {ago(move.end_ns, now_ns)}, from {_from(move)}"
        else:
            text += f"; it has been in view for {long(last)}"
        return Reply(f"{text}.", [last, *([move] if move else [])])
    text = f"I saw the {subject.name} last {ago(last.end_ns, now_ns)}, {place}; it is not in view any more"
    return Reply(f"{text}.", [last])


def _from(move: Record) -> str:
    place = place_of(move.first_box)
    return f"the {place}" if place else "elsewhere"


def which_things(asked: Asked, reading: Reading) -> Reply:
    """Answer "who was there?", "what did you see on the left?"."""
    subject, now_ns = asked.subject, reading.now_ns
    if reply := doubt(subject, asked, reading):
        return reply
    span = window(asked, reading)
    if not asked.is_past and not asked.span.says:
        return _here(subject, asked, reading)
    if subject.leftover:
        found = reading.things(replace(subject, leftover=""), span, limit=1)
        return (
            untold(subject, found, asked, reading) if found else absent(subject, asked, reading, is_now=False)
        )
    if subject.colour or subject.place or asked.edge:
        if subject.place and not asked.edge:
            found = were_in(subject, span, reading)
        else:
            found = reading.things(subject, span, edge=asked.edge, limit=200)
        said: dict[str, tuple[int, int]] = {}
        for one in found:
            number, end_ns = said.get(one.label, (0, one.end_ns))
            said[one.label] = number + 1, max(end_ns, one.end_ns)
        labels = [(label, *known) for label, known in said.items()]
    else:
        labels = [one for one in reading.labels(span) if not subject.labels or one[0] in subject.labels]
    if not labels:
        return absent(subject, asked, reading, is_now=False)
    parts = []
    records: list[Record] = []
    for label, number, _ in labels[:8]:
        each = replace(subject, labels=(label,), said=label)
        last = reading.things(each, span, edge=asked.edge, limit=1)
        records += last
        when = (
            "there now" if last and last[0].is_open else f"last {ago(last[0].end_ns, now_ns)}" if last else ""
        )
        parts.append(f"{each.a_name} ({times(number)}, {when})")
    more = f" and {len(labels) - 8} other kinds" if len(labels) > 8 else ""
    who = "; I do not know who" if subject.labels == ("person",) else ""
    verb = {"left": " leave", "appeared": " come"}.get(asked.edge, "")
    place = f" {phrase(subject.place)}" if subject.place else ""
    return Reply(f"I saw {listed(parts)}{more}{verb}{place}{asked.span.says}{who}.", records)


def _here(subject: Subject, asked: Asked, reading: Reading) -> Reply:
    """Answer "what is on the left?"."""
    found = here(replace(subject, leftover=""), reading)
    if subject.leftover and found:
        return untold(subject, found, asked, reading)
    if not found:
        return absent(subject, asked, reading, is_now=True)
    who = "; I do not know who" if subject.labels == ("person",) else ""
    parts = [f"{a(named(one))} ({phrase(place_of(one.box))})" for one in found[:8]]
    return Reply(f"I see {listed(parts)} now{who}.", found)
