"""What a question turned out to ask: pure values, made by the grammar, answered from the records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .spans import Span
from .subjects import Subject

Intent = Literal[
    "was", "count", "visits", "when", "how long", "colour", "where", "which things", "said", "now", "summary",
    "moved", "changed", "cut", "camera", "help", "future", "unknown", "empty",
]  # fmt: skip
Edge = Literal["appeared", "left", "moved", ""]


@dataclass(frozen=True, slots=True)
class Beside:
    """Hold what something happened before, after or during: "after the dog left"."""

    order: Literal["before", "after", "during"]
    subject: Subject
    edge: Edge = ""
    topic: str = ""
    """Words that were said, where it was not a thing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold one question."""

    intent: Intent
    text: str = ""
    """The question in plain words."""
    subjects: tuple[Subject, ...] = (Subject(),)
    joined: str = "and"
    span: Span = field(default_factory=Span)
    which: Literal["first", "last", "who", "whether", "often", ""] = ""
    """The first or the last; of what was said whether somebody asks who said it, or if anybody did."""
    edge: Edge = ""
    topic: str = ""
    """Of what was said."""
    beside: Beside | None = None
    is_past: bool = True
    """Whether the question is about what was, not what is."""
    is_peak: bool = False
    """Of a count: at the same time."""

    @property
    def subject(self) -> Subject:
        return self.subjects[0]
