"""The contract of a stage: plain sync code that turns one sample into results, and a static description.

A stage never sees a queue, a thread or a socket. Its lane calls it from one thread, never concurrently.
Weights live in shared engines; what a stage holds is one session's memory, and `reset` forgets it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from .clock import Clock, MonotonicClock
from .frame import Stamp

C = TypeVar("C", contravariant=True)


class Live:
    """Mark a config field that acts between two samples: `Annotated[float, Live()]`.

    A field without the mark applies after the stage is opened again, and the page says so.
    """


@dataclass(frozen=True, slots=True)
class StageSpec:
    """Describe a stage so that a graph is checked before anything loads."""

    name: str
    takes: type
    """Type of the samples it processes, e.g. `Frame`."""
    gives: type
    """Type of the values it emits; `NoneType` for one whose results leave by another way than the graph."""
    config: type
    """Frozen pydantic model of its settings; `Live` marks what may change while it runs."""
    lane: str
    """Thread that pays: "paint", "show" (what keeps the camera's pace), "see", "hear" or "answer"."""
    models: tuple[str, ...] = ()
    """Config fields that name a catalog id, e.g. ("model",)."""
    together: Callable[[Sequence[tuple[Any, Any]]], Sequence[Sequence[Emitted]]] | None = None
    """Process `(stage, sample or None)` pairs of several sessions in one call, one list of results a pair.

    A stage with `together` must give the same results from it as from `process` alone.
    """
    says: str = ""
    """One sentence for doctor, docs and page."""
    watches: type | None = None
    """Type of the values of other nodes that it looks at while it works, see `StageContext.watched`."""
    files: tuple[str, ...] = ()
    """Further config fields that may name files or folders of this machine: a client elsewhere may not set
    them."""
    writes: bool = False
    """Whether it writes words into pictures: a page does not mirror those."""
    keeps_samples: bool = True
    """Whether a result may come later than the call that its sample was given in; False spares the calls that
    ask for it, of which a stage that gives nothing for most samples would get several for each."""
    passes_when_off: bool = True
    """Whether samples pass through once the stage was switched off after too many errors, where the types
    allow it; False for a stage that hides something."""


@dataclass(frozen=True, slots=True)
class Emitted:
    """Hold one result on its way out of a stage: the stamp of its sample, and the value made of it."""

    stamp: Stamp
    value: Any
    note: str = ""
    """Why the value is special, e.g. "passed through"; empty for an ordinary result."""


@dataclass(frozen=True, slots=True)
class StageContext:
    """Hand a stage what it may use: time, the session's name and the house's shared engines."""

    session: str = "local"
    clock: Clock = field(default_factory=MonotonicClock)
    shared: Callable[[str, Callable[[], Any]], Any] = lambda key, make: make()
    """`shared(key, make)` gives the one object of that key, made at first use: engines, not stream state."""
    report: Callable[[str], None] = lambda sentence: None
    """Tell the person who watches what is going on ("building the engine, about 20 s")."""
    watched: Mapping[str, Callable[[], Any | None]] = field(default_factory=dict)
    """Nodes that this stage watches, by name: a call gives the newest value, or None before the first."""
    book: Callable[[], Any] = lambda: None
    """What may be said to steer this graph, for a stage that hears commands; None where nobody knows."""
    is_live: bool = False
    """Whether somebody watches: what takes long may be built while the session runs on something else."""


class Stage(Protocol[C]):
    """Turn one sample into results. `process(None)` means: no new sample came, go on with what is in flight.

    `process` returns nothing while a sample is still in flight (warm-up), and several results when several
    finish; each carries the stamp of *its own* sample. A stage with nothing in flight answers `process(None)`
    with an empty sequence, which tells the lane that it may sleep. While a sample has given no result yet,
    the lane asks a few times more (`seat.DRAIN_PATIENCE`): one of several steps may finish nothing.
    """

    def open(self, ctx: StageContext) -> None:
        """Get the engines; heavy imports happen here. Twice does no harm."""

    def configure(self, config: C) -> None:
        """Take a new config. The lane calls it before `open` and then between two samples."""

    def process(self, item: Any | None) -> Sequence[Emitted]:
        """Take one sample (or None: drain) and return what is finished."""

    def reset(self) -> None:
        """Forget the stream, keep the engines."""

    def close(self) -> None:
        """Let go of everything. Twice does no harm."""
