"""Answer what goes on now, what happened, all of it in short, and what moved."""

from __future__ import annotations

from dataclasses import replace

from realtime.core.clock import NS_PER_S

from .asked import Asked
from .phrases import Reply, ago, listed, long, named, times
from .places import phrase, place_of, way
from .reading import Reading
from .records import Kind, Record
from .seen import STALE_NS, absent, doubt
from .spans import Span
from .subjects import Subject
from .told import quoted, what_of
from .watching import ANY, SEEN
from .words import a, many

LINES = 8
"""So many events are told one by one; of more there is a summary."""


def now(asked: Asked, reading: Reading) -> Reply:
    """Answer "what is happening now?"."""
    now_ns = reading.now_ns
    span = Span(now_ns - STALE_NS, now_ns)
    things = sorted(reading.lasting("thing"), key=lambda one: one.begin_ns)
    parts: list[str] = []
    if not reading.watched(SEEN, span):
        things = []
        known = reading.records("watched", (SEEN,), limit=1)
        parts.append(
            f"nobody has told me what is in the picture since {ago(known[0].end_ns, now_ns)}"
            if known
            else "nobody tells me what is in the picture"
        )
    elif things:
        parts.append(f"I see {_inventory(things)} now")
    else:
        parts.append("I see nothing now that I can name")
    moving = reading.lasting("moved")
    if moving:
        parts.append(
            f"{listed([a(named(one)) for one in moving[:4]])} {'move' if len(moving) > 1 else 'moves'}"
        )
    if any(one.label == "the camera" for one in reading.lasting("motion")):
        parts.append("the camera moves")
    heard = reading.records("heard", span=Span(now_ns - 30 * NS_PER_S, now_ns), limit=1)
    if heard:
        parts.append(f'I heard "{heard[0].text}" {ago(heard[0].end_ns, now_ns)}')
    return Reply(f"{'; '.join(parts)}.", [*things[:6], *heard], observed=bool(things or heard or moving))


def _inventory(things: list[Record]) -> str:
    """Return "2 people and a red cup (on the left)"."""
    groups: dict[str, list[Record]] = {}
    for one in things:
        groups.setdefault(named(one), []).append(one)
    parts = []
    for name, some in list(groups.items())[:10]:
        where = phrase(place_of(some[0].box))
        parts.append(
            f"{len(some)} {many(name) if name != 'person' else 'people'}"
            if len(some) > 1
            else f"{a(name)} ({where})"
        )
    return listed(parts)


def summary(asked: Asked, reading: Reading) -> Reply:
    """Answer "what happened in the last ten minutes?": one by one if it is little, else in short."""
    span, now_ns = asked.span, reading.now_ns
    if not reading.watched(ANY, span):
        return Reply(f"Nothing was told to me{span.says}: nobody watched then.", observed=False)
    kinds: tuple[Kind, ...] = ("thing", "moved", "heard", "cut", "motion", "zone", "command")
    number = sum(reading.count(kind, span, limit=LINES + 1) for kind in kinds)
    if not number:
        return Reply(f"I saw and heard nothing that I can name{span.says}.", observed=False)
    if number <= LINES:
        found = [one for kind in kinds for one in reading.records(kind, span=span, limit=LINES)]
        found.sort(key=lambda one: _at(one, span))
        return Reply("; ".join(_line(one, span, now_ns) for one in found) + ".", found[:LINES])
    return _shortened(span, reading)


def _at(record: Record, span: Span) -> int:
    """Return when a record has something to tell of a span: when it began, or else ended."""
    is_inside = record.begin_ns >= span.begin_ns or record.is_open or record.end_ns > span.end_ns
    return record.begin_ns if is_inside else record.end_ns


def _line(record: Record, span: Span, now_ns: int) -> str:
    when = ago(_at(record, span), now_ns)
    if record.kind == "thing" and record.begin_ns < span.begin_ns:
        if record.is_open or record.end_ns > span.end_ns:
            return f"{a(named(record))} was there all the while"
        return f"{when} {a(named(record))} left"
    if record.kind == "thing":
        where = phrase(place_of(record.first_box))
        stay = "and is still there" if record.is_open else f"and stayed for {long(record)}"
        return f"{when} {a(named(record))} appeared {where}, {stay}"
    if record.kind == "heard":
        return f'{when} I heard "{record.text}"'
    if record.kind == "moved" and record.box and record.first_box:
        return f"{when} {a(named(record))} moved {way(record.first_box, record.box)}"
    if record.kind == "motion":
        return f"{when} {record.label} began to move, for {long(record)}"
    return f"{when} {what_of(record)}"


def _shortened(span: Span, reading: Reading) -> Reply:
    now_ns = reading.now_ns
    records: list[Record] = []
    parts = []
    labels = reading.labels(span)
    if labels:
        said = []
        for label, number, end_ns in labels[:6]:
            records += reading.records("thing", (label,), span, limit=1)
            said.append(f"{a(label)} {times(number)} (last {ago(end_ns, now_ns)})")
        more = f" and {len(labels) - 6} other kinds" if len(labels) > 6 else ""
        parts.append(f"I saw {listed(said)}{more}")
    others: tuple[tuple[Kind, str], ...] = (
        ("moved", "things moved {}"),
        ("cut", "the scene was cut {}"),
        ("zone", "zones and lines told of something {}"),
        ("command", "settings were changed {}"),
    )
    for kind, says in others:
        number = reading.count(kind, span)
        if number:
            parts.append(says.format(times(number)))
    heard = reading.records("heard", span=span, limit=2)
    if heard:
        number = reading.count("heard", span)
        sentences = "sentence" if number == 1 else "sentences"
        parts.append(f"I heard {number} {sentences}, at last {quoted(heard[:1], now_ns)}")
        records += heard
    when = f"{span.says.strip()}: " if span.says else ""
    return Reply(f"{when}{'; '.join(parts).rstrip('.')}.", records)


def moved(asked: Asked, reading: Reading) -> Reply:
    """Answer "did the cup move?", "which way did the dog go?"."""
    wanted, now_ns = asked.subject.place, reading.now_ns
    subject = replace(asked.subject, place="")
    if reply := doubt(subject, asked, reading):
        return reply
    if asked.span.is_now or (not asked.is_past and not asked.span.says and not asked.which):
        found = [one for one in reading.things(subject, kind="moved") if one.is_open]
        if found:
            name = subject.name if subject.labels else named(found[0])
            return Reply(f"Yes, the {name} is moving {_way(found[0])}.", found)
        return _rests(subject, reading)
    found = reading.things(subject, asked.span, kind="moved", limit=4)
    if not found:
        if subject.is_anything:
            return Reply(f"I did not see anything move{asked.span.says}.", observed=False)
        here = reading.things(subject, asked.span, limit=1)
        if here:
            text = f"I saw {subject.a_name}, last {ago(here[0].end_ns, now_ns)}, but did not see it move"
            return Reply(f"{text}{asked.span.says}.", here, observed=False)
        return absent(subject, asked, reading, is_now=False)
    if subject.leftover:
        text = f'I cannot tell anything of "{subject.leftover}", but {subject.a_name} moved'
        return Reply(f"{text} {ago(found[0].end_ns, now_ns)}.", found[:1], observed=False)
    last = found[0]
    name = a(named(last)) if subject.is_anything else f"the {subject.name}"
    text = " ".join(f"{name} moved {_way(last)}".split())
    text = f"{text}, {ago(last.end_ns, now_ns)}, for {long(last)}"
    if wanted and not any(_goes(one, wanted) for one in found):
        return Reply(f"{text}; I did not see it move to the {wanted}.", found, observed=False)
    number = len(found)
    several = (
        f"; I saw such a movement {times(number)}{' or more' if number == 4 else ''}" if number > 1 else ""
    )
    return Reply(f"{text}{several}.", found)


def _rests(subject: Subject, reading: Reading) -> Reply:
    """Say that something does not move now, and when it did."""
    name = f"the {subject.name}" if subject.labels else "anything"
    text = f"I do not see {name} move now"
    last = reading.things(subject, kind="moved", limit=1)
    if last:
        who = "it" if subject.labels else a(named(last[0]))
        text = f"{text}; {who} moved last {ago(last[0].end_ns, reading.now_ns)}"
    return Reply(f"{text}.", last, observed=False)


def _goes(record: Record, wanted: str) -> bool:
    """Tell whether a movement leads to where somebody asks: "left", "upper right"."""
    if record.first_box is None or record.box is None:
        return False
    told = f"{way(record.first_box, record.box)} {place_of(record.box)}"
    told = told.replace("up", "upper").replace("down", "lower")
    return all(word in told for word in wanted.replace("top", "upper").replace("bottom", "lower").split())


def _way(record: Record) -> str:
    if record.first_box is None or record.box is None:
        return ""
    first, last = place_of(record.first_box), place_of(record.box)
    via = f", from the {first} to the {last}" if first != last else ""
    return f"{way(record.first_box, record.box)}{via}"
