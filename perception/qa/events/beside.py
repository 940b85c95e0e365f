"""Find when something happened that a question leans on: "after the dog left" becomes a span of time."""

from __future__ import annotations

from dataclasses import replace

from realtime.core.clock import NS_PER_S

from .asked import Asked
from .phrases import Reply
from .reading import Reading
from .records import Record
from .seen import doubt
from .spans import Span
from .told import words_of

MOST_VISITS = 200
"""Of "while the dog was there" so many visits are looked into, the newest."""


def beside(asked: Asked, reading: Reading) -> Asked | Reply:
    """Turn "… after the dog left" into a span; or say why that cannot be."""
    one = asked.beside
    assert one is not None
    if one.topic:
        heard = reading.search(words_of(one.topic), asked.span, ("heard",), limit=1)
        if not heard:
            return Reply(f'I did not hear "{one.topic}"{asked.span.says}.', observed=False)
        found, name = heard, f'"{one.topic}" was said'
    else:
        now_asked = replace(asked, subjects=(one.subject,), is_past=True)
        if reply := doubt(one.subject, now_asked, reading):
            return reply
        kind = "moved" if one.edge == "moved" else "thing"
        edge = "" if kind == "moved" else one.edge
        most = MOST_VISITS if one.order == "during" else 1
        found = reading.things(one.subject, asked.span, kind=kind, edge=edge, limit=most)  # type: ignore[arg-type]
        if one.order == "during" and len(found) > 1:
            found = [_shared(found, asked, reading)]
        verb = {"appeared": "appeared", "left": "left", "moved": "moved", "": "was there"}[one.edge]
        name = f"{one.subject.a_name} {verb}"
        if not found or one.subject.leftover:
            what = f'I cannot tell anything of "{one.subject.leftover}"' if one.subject.leftover else ""
            wanted = {"appeared": "appear", "left": "leave", "moved": "move", "": ""}[one.edge]
            return Reply(
                f"{what or f'I did not see {one.subject.a_name} {wanted}'.rstrip()}{asked.span.says}.",
                observed=False,
            )
    event = found[0]
    begin_ns, end_ns = event.begin_ns, event.end_ns
    if one.edge == "left":
        begin_ns = end_ns
    elif one.edge == "appeared" and one.order != "during":
        end_ns = begin_ns
    if one.order == "during":
        span = Span(begin_ns, end_ns, f" while {name}")
        if one.edge == "appeared":
            span = Span(begin_ns, begin_ns + NS_PER_S, f" when {name}")
    elif one.order == "before":
        span = Span(begin_ns - 60 * NS_PER_S, begin_ns - 1, f" in the minute before {name}")
    else:
        span = Span(end_ns + 1, end_ns + 60 * NS_PER_S, f" in the minute after {name}")
    if one.order == "before" and asked.intent != "summary":
        span = Span(0, begin_ns - 1, f" before {name}")
    if one.order == "after" and asked.intent != "summary":
        span = Span(end_ns + 1, reading.now_ns, f" after {name}")
    return replace(asked, span=span, beside=None, is_past=True)


def _shared(found: list[Record], asked: Asked, reading: Reading) -> Record:
    """Return the newest of some records during which what is asked about was there; else the newest."""
    for event in found:
        span = Span(event.begin_ns, event.end_ns)
        others = reading.things(asked.subject, span, limit=3)
        if asked.subject.labels and any(
            one.thing != event.thing or one.label != event.label for one in others
        ):
            return event
    return found[0]
