"""The event memory measured: how long a question takes at 100,000 events, and what it claims that is not so.

`python -m benchmarks._answer_events` prints both; `python -m benchmarks answer` has them among its figures.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._answer_truth import judged
from benchmarks._measure import print_table, quantile
from perception.detectors.coco import NAMES
from perception.qa.events.colours import NAMES as COLOURS
from perception.qa.events.memory import EventMemory
from perception.qa.events.records import Record
from perception.qa.events.store import Store
from realtime.core.clock import NS_PER_S

EVENTS = 100_000
APART_S = 2.5
"""Between two events: 100,000 of them are 69 hours."""
_WORDS = (
    "the train leaves at nine please do not forget your umbrella we should have lunch soon who left the door"
) + " open again I think so yes no maybe tomorrow coffee is ready call me later that was loud look over there"
QUESTIONS = (
    "was there a dog?",
    "was there a red car in the last hour?",
    "was there a unicorn?",
    "is there a person",
    "how many people were there at the same time?",
    "how many cups came in the last 3 hours",
    "how often did the dog come",
    "how many red cars were there",
    "when did you first see a cat?",
    "when did the last person leave",
    "how long was the person there",
    "what colour was the bicycle",
    "where did I put the cup?",
    "where was the cup two hours ago",
    "who was there in the last 10 minutes",
    "what did you see",
    "what did you see on the left yesterday",
    "what was said about the umbrella",
    "what was said",
    "did anybody mention bananas",
    "when did somebody mention lunch",
    "what happened before the dog appeared",
    "what happened after the cup moved",
    "what is happening now",
    "summary of the last hour",
    "what happened",
    "did the cup move",
    "which way did the car go",
    "was there a black elephant on the left",
    "was anything red there",
    "were there seven people",
    "was there a cat while the dog was there",
    "what is the meaning of lunch",
    "were there any vehicles",
    "how many animals were there",
    "did the camera move",
)


def event_ask_p95_ms(events: int = EVENTS, rounds: int = 3) -> dict[str, float]:
    """Ask `QUESTIONS` about that many events, in memory and on disk; return the 95th percentile of each.

    Times are of the wall, but for those of the processor, which other work blurs less.
    """
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, path in (("memory", None), ("disk", Path(folder))):
            memory, fill_s = filled(path, events)
            waits_ms: list[float] = []
            works_ms: list[float] = []
            slowest = ("", 0.0)
            snapshot = memory.snapshot()
            for _ in range(rounds):
                for text in QUESTIONS:
                    begin, work = time.perf_counter(), time.thread_time()
                    list(memory.ask(text, snapshot))
                    works_ms.append(1000 * (time.thread_time() - work))
                    waits_ms.append(1000 * (time.perf_counter() - begin))
                    slowest = max(slowest, (text, waits_ms[-1]), key=lambda one: one[1])
            memory.close()
            figures[f"event_ask_p95_ms_{name}"] = round(quantile(waits_ms, 0.95), 2)
            figures[f"event_ask_cpu_p95_ms_{name}"] = round(quantile(works_ms, 0.95), 2)
            figures[f"event_ask_p50_ms_{name}"] = round(quantile(waits_ms, 0.5), 2)
            figures[f"event_ask_max_ms_{name}"] = round(slowest[1], 2)
            figures[f"fill_s_{name}"] = round(fill_s, 2)
    figures["event_ask_p95_ms"] = max(figures["event_ask_p95_ms_memory"], figures["event_ask_p95_ms_disk"])
    return figures


def filled(path: Path | None, events: int) -> tuple[EventMemory, float]:
    """Return a memory with that many events of all kinds in it, and how long writing them took."""
    begin = time.perf_counter()
    anchor_ns = time.time_ns() - round(events * APART_S * NS_PER_S)
    memory = EventMemory(path, anchor_ns=anchor_ns)
    store: Store = memory._store
    records = made_up(events, anchor_ns)
    while some := list(islice(records, 5_000)):
        store.write(some)
    at_ns = round(events * APART_S * NS_PER_S)
    things = [
        {"id": 9, "name": "cup", "score": 0.9, "box": [0.1, 0.1, 0.2, 0.2]},
        {"id": 10, "name": "person", "score": 0.9, "box": [0.4, 0.2, 0.6, 0.8]},
    ]
    for step in range(20):
        told = {"type": "seen", "detector": "nanodet-g", "things": things}
        memory.note(told, at_ns + step * NS_PER_S // 10)
    return memory, time.perf_counter() - begin


def made_up(events: int, begin_ns: int, seed: int = 0) -> Iterator[Record]:
    """Give records as a busy place would make them: most of people, cups and dogs."""
    random = np.random.default_rng(seed)
    often = ["person"] * 8 + ["cup"] * 4 + ["dog"] * 2 + ["car"] * 3
    yield Record("watched", begin_ns, begin_ns + round(events * APART_S * NS_PER_S), "seen")
    yield Record("watched", begin_ns, begin_ns + round(events * APART_S * NS_PER_S), "any")
    for k in range(events):
        at_ns = begin_ns + round(k * APART_S * NS_PER_S)
        end_ns = at_ns + int(random.integers(1, 60)) * NS_PER_S
        label = (
            often[int(random.integers(len(often)))]
            if random.random() < 0.8
            else NAMES[int(random.integers(80))]
        )
        if label == "elephant":
            label = "bear"
        x, y = random.uniform(0.1, 0.9, 2)
        box = (x - 0.1, y - 0.1, x + 0.1, y + 0.1)
        colour = COLOURS[int(random.integers(len(COLOURS)))]
        what = random.random()
        if what < 0.35:
            text = f"{colour} {label} on the left"
            yield Record("thing", at_ns, end_ns, label, k, box, box, colour, 0.8, text=text)
        elif what < 0.6:
            yield Record("count", at_ns, end_ns, label, number=int(random.integers(1, 5)))
        elif what < 0.75:
            yield Record(
                "moved", at_ns, end_ns, label, k, box, box, colour, 0.8, text=f"{colour} {label} moved up"
            )
        else:
            said = " ".join(random.choice(_WORDS.split(), 8))
            yield Record("heard", at_ns, end_ns, confidence=0.9, text=said)


def false_claims() -> dict[str, Any]:
    """Ask about scripted scenes whose truth is known: how often is an answer right, and how often untrue?"""
    return judged()


def main(arguments: Sequence[str] = ()) -> None:
    figures: dict[str, Any] = {**event_ask_p95_ms(), **false_claims()}
    print_table({name: value for name, value in figures.items() if not isinstance(value, dict | list)})
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
