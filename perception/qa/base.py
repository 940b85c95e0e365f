"""What answers questions about a stream, and what an answer is.

An engine remembers in its own way: events in a data base, keys and values of a language model, pictures that
a server is sent. It is pushed pictures and events from one thread, and asked from others: a question sees the
snapshot of the moment it was asked, so that it neither waits for what comes in nor holds it up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from realtime.core.clock import NS_PER_S
from realtime.core.frame import Frame

S = TypeVar("S")
"""What an engine's snapshot is: its own business."""

EngineKind = Literal["event memory", "demo model", "video model", "server"]


@dataclass(frozen=True, slots=True)
class EngineCard:
    """Say what answers, so that nobody takes one engine for another."""

    name: str
    """What settings call it, and what each of its answers carries: "events", "watcher"."""
    kind: EngineKind
    says: str
    """One sentence for people: what it knows and what it cannot."""
    model: str = ""
    """Name or folder of the model, its revision after an @; empty where there is none."""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """Point to a moment of the stream that an answer rests on."""

    at_ns: int
    """When, on the clock of `Stamp.captured_ns`."""
    says: str = ""
    """What was the case then: "a red cup, left above"."""
    until_ns: int = 0
    """When it ended; 0 for a moment without length, or one that lasts."""
    picture: int | None = None
    """Number of the kept picture that shows it, see `QAEngine.picture`."""

    def told(self, now_ns: int) -> dict[str, Any]:
        """Return the moment as a page shows it; times as seconds before `now_ns`."""
        return {
            "ago_s": round((now_ns - self.at_ns) / NS_PER_S, 1),
            "lasted_s": round(max(self.until_ns - self.at_ns, 0) / NS_PER_S, 1),
            "says": self.says,
            "picture": self.picture,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold what was answered, so far or in full."""

    text: str
    """All of it up to now, not only what is new."""
    engine: str
    """`EngineCard.name` of what answered."""
    known_ns: int
    """The moment up to which the stream was known when this was asked; 0 for an empty stream."""
    moments: tuple[Moment, ...] = ()
    observed: bool = True
    """Whether what was asked about was seen or heard; False goes with "I did not see that"."""
    confidence: float = 1.0
    """0 to 1: how sure the evidence is, as far as the engine can tell."""
    is_final: bool = True


class QAEngine(Protocol, Generic[S]):
    """Watch a stream and answer questions about it.

    `push_frame`, `note` and `forget` are called by one thread. `snapshot` may be called by any, costs under a
    millisecond, and gives something that later pictures do not change. `ask` and `picture` may be called by
    any thread, several at once, also while pictures are pushed.
    """

    @property
    def card(self) -> EngineCard:
        """Say what this is."""

    def push_frame(self, frame: Frame) -> None:
        """Take in a picture; the stamps of one stream grow. May take as long as the model needs."""

    def note(self, event: Mapping[str, Any], at_ns: int) -> None:
        """Take in something that a session told, such as {"type": "heard", …}; an engine may ignore it."""

    def snapshot(self) -> S:
        """Return the memory of this moment, to ask about."""

    def ask(self, text: str, memory: S) -> Iterator[Answer]:
        """Answer in parts that grow; the last is final. Never raises for what a person may type.

        Raises EngineError when a model or server fails; says "I did not see that" when that is so.
        """

    def picture(self, number: int) -> bytes | None:
        """Return the JPEG of a kept picture; None when it was forgotten."""

    def forget(self, begin_ns: int = 0, end_ns: int | None = None) -> int:
        """Delete what is remembered between two moments, on disk too; return how many records went.

        Without arguments all of it. Snapshots that were taken before answer without it.
        """

    def close(self) -> None:
        """Let go of everything. Twice does no harm."""
