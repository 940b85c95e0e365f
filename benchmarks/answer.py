"""Are questions about a stream answered right, after hours as after minutes, at what price for others?

*video*: made streams that training never saw, watched by the small demo model; strategies and memories choose
from the same blocks. *past* questions are about what is gone from the newest frames, *now* about the last
one. *hours*: the same engine over a time-compressed stream of 240 minutes, a frame a second, with blocks
going to disk, in a process of its own. *events*: the event memory at 100,000 records, and on scripted scenes.
*paint*: what a memory that is written and asked costs the painter; *pace*: the age of painted pictures while
an answer takes seconds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks._measure import print_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), help="default: all")
    parser.add_argument("--lengths", nargs="+", type=int, default=[64, 256, 1024, 4096], help="frames")
    parser.add_argument("--seeds", type=int, default=3, help="groups of streams, for the intervals")
    parser.add_argument("--minutes", type=int, default=240, help="length of the long stream")
    parser.add_argument("--rounds", type=int, default=9, help="pairs of turns with and without answers")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a turn")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do every part; each returns some of the figures."""
    figures: dict[str, Any] = {}
    for name in options.parts or PARTS:
        print(f"\n{name}", flush=True)
        figures.update(PARTS[name](options))
    return figures


def of_video(options: argparse.Namespace) -> dict[str, Any]:
    """Judge what brings frames back, by length of stream and kind of question."""
    from benchmarks._answer_video import accuracy, text_of

    found = accuracy(tuple(options.lengths), options.seeds, say=lambda line: print(f"  {line}", flush=True))
    print(text_of(found), flush=True)
    return found


def of_hours(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what does not grow."""
    from benchmarks._answer_kv import hours

    found = hours(options.minutes)
    print_table(found)
    return dict(found)


def of_events(options: argparse.Namespace) -> dict[str, Any]:
    """Time the event memory, and look for what it says that is not so."""
    from benchmarks._answer_events import event_ask_p95_ms, false_claims

    found = {**event_ask_p95_ms(), **false_claims()}
    print(json.dumps(found, indent=1), flush=True)
    return found


def of_paint(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what answering costs the painter's rate."""
    from benchmarks._answer_paint import paint_loss

    found = paint_loss(options.rounds, options.seconds)
    print_table(found)
    return found


def of_pace(options: argparse.Namespace) -> dict[str, Any]:
    """Measure whether pictures are late while an answer takes long."""
    from benchmarks._answer_paint import pace

    found = pace(options.rounds, options.seconds)
    print_table(found)
    return found


PARTS: Mapping[str, Callable[[argparse.Namespace], Mapping[str, Any]]] = {
    "video": of_video,
    "hours": of_hours,
    "events": of_events,
    "paint": of_paint,
    "pace": of_pace,
}
"""What is measured, in turn; each prints its table and returns its figures."""
