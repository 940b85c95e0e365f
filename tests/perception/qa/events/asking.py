"""Ask an event memory and take its last answer."""

from __future__ import annotations

from perception.qa.base import Answer
from perception.qa.events.memory import EventMemory
from perception.qa.events.reading import Memory
from realtime.core.clock import NS_PER_S

ANCHOR_NS = 1_760_000_000 * NS_PER_S


def asked(memory: EventMemory, text: str, snapshot: Memory | None = None) -> Answer:
    """Return the final answer, from the newest snapshot unless another is given."""
    *_, last = memory.ask(text, snapshot or memory.snapshot())
    assert last.is_final
    assert last.engine == "events"
    return last
