"""What a session runs: the graph that the settings name, of stages from the registry, in the house's lanes.

A `House` is what the sessions of one process share: lanes and engines. A `Wiring` is one session's graph with
the settings of that session; it knows neither peer nor page, so the server and `python -m app paint` use the
same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from perception.qa.config import AnswerConfig
from perception.qa.desk import Desk
from perception.voice.book import Book
from realtime.core.channel import Channel, Drop
from realtime.core.clock import Clock
from realtime.core.errors import ConfigError, SessionError, StageError, VitascopeError
from realtime.core.frame import VIDEO_CLOCK, AudioChunk, Frame, Result, Stamp
from realtime.core.graph import Graph
from realtime.core.lane import Lanes
from realtime.core.metrics import StageSnapshot
from realtime.core.nodes import SOURCE as SOURCE_PREFIX
from realtime.core.nodes import Node
from realtime.core.stage import StageContext
from ui.port import Vocabulary

from .registry import Registry
from .settings import Settings
from .steering import Steering
from .voice_book import book_of, guards, vocabulary_of

PICTURES, SOUND = "video", "sound"
"""The sources that a node can read."""
TRY_OUT_TIMEOUT_S = 300.0
"""The first picture through a fresh engine may wait for a build."""
TRY_AGAIN_S = 1.0
"""A stage that shows what another one made has nothing to show of the very first picture."""
TRY_OUT_SIDE_PX = 256
FILE_CAPACITY = 2
TELLINGS_HELD = 512
"""More than a loop finds that stood still for 10 s: what was said must not be lost."""


@dataclass(slots=True)
class _Place:
    """Where one shared object stands, or will stand."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    made: list[Any] = field(default_factory=list)


class House:
    """Hold what the sessions of this process share, until `close`. From any thread."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.lanes = Lanes(clock)
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}
        self._made: list[Any] = []
        self._is_closed = False

    def shared(self, key: str, make: Callable[[], Any]) -> Any:
        """Return the one object of `key`: it is made once, others wait for it; a failure is not kept.

        `make` may ask for other keys.
        """
        with self._lock:
            if self._is_closed:
                raise SessionError("The server stops.", permanent=True)
            place = self._places.setdefault(key, _Place())
        with place.lock:
            if not place.made:
                place.made.append(make())
                self._made.append(place.made[0])
            return place.made[0]

    def close(self) -> None:
        """End the lanes, then close the shared objects, newest first. Waits for one that is being made."""
        with self._lock:
            self._is_closed = True
            places = list(self._places.values())
            self._places.clear()
        self.lanes.close()
        for place in places:
            with place.lock:
                pass  # whoever was making it is done
        while self._made:
            one = self._made.pop()
            if hasattr(one, "close"):
                one.close()


class Wiring:
    """Build the graph of `settings` and change its settings while it runs.

    `changes` are settings laid over those of `settings` (steering.py says how they are named). A `live` graph
    forgets pictures when it is late; one that is not makes `put` wait and loses none. A guest cannot change
    what names files of this machine while it runs. `wrap(node, stage)` may put something in a stage's place.
    Raises ConfigError for a graph or a value that cannot be.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        house: House,
        ctx: StageContext,
        *,
        changes: Mapping[str, Any] | None = None,
        on_error: Callable[[VitascopeError], None] | None = None,
        live: bool = True,
        is_guest: bool = False,
        wrap: Callable[[str, Any], Any] = lambda node, stage: stage,
    ) -> None:
        graph = settings.graph
        self._lanes = house.lanes
        self._settings, self._registry = settings, registry
        self._ctx = replace(ctx, book=self.book)
        self._name = graph.output
        self._inputs = {name: node.input for name, node in graph.nodes.items()}
        self._watches = {name: node.watches for name, node in graph.nodes.items()}
        self._steering = Steering(settings, registry, changes or {}, is_guest=is_guest)
        self._configuring = threading.Lock()
        nodes = [
            Node(
                name,
                wrap(name, registry.stage(node.stage)()),
                registry.spec(node.stage),
                self._steering.configs[name],
                node.input,
                node.watches,
            )
            for name, node in graph.nodes.items()
        ]
        self._stage = next(node.stage for node in nodes if node.name == graph.main)
        self._stages = {node.name: node.stage for node in nodes}
        self._telling = [node.name for node in nodes if hasattr(node.spec.gives, "told")]
        gives = registry.spec(graph.nodes[graph.output].stage).gives
        if not issubclass(gives, Frame):
            raise ConfigError(
                f'graph.output = "{graph.output}" gives {gives.__name__}, not pictures.',
                hint="Name a node whose stage gives pictures.",
            )
        self._graph = Graph(
            nodes,
            sources={PICTURES: Frame, SOUND: AudioChunk},
            clock=ctx.clock,
            live=live,
            on_error=(lambda node, error: on_error(error)) if on_error is not None else None,
        )
        self._live = live
        self.hears = SOURCE_PREFIX + SOUND in self._inputs.values()
        """Whether any stage reads sound."""
        self.answers = next((node.name for node in nodes if hasattr(node.stage, "desk")), "")
        """The node that answers questions; "" where none does."""

    @cached_property
    def output(self) -> Channel[Result[Any]]:
        """What the output node makes, from the first use of this on; closed with the wiring."""
        return self.subscribe()

    def tellings(self) -> list[Channel[Result[Any]]]:
        """Return a channel for each node whose values tell something that is no picture, from now on."""
        return [self._graph.subscribe(name, TELLINGS_HELD, Drop.OLDEST) for name in self._telling]

    def subscribe(self, live_capacity: int = 1) -> Channel[Result[Any]]:
        """Return a channel of what the output node makes from now on, to be closed by who is done with it."""
        capacity, drop = (live_capacity, Drop.OLDEST) if self._live else (FILE_CAPACITY, Drop.WAIT)
        return self._graph.subscribe(self._name, capacity=capacity, drop=drop)

    # Life. `open` and `close` block and may run on different threads.

    def open(self) -> None:
        """Open the stages: models load and engines are built here. Raises what a stage raises."""
        self._graph.open(self._lanes, self._ctx)

    def try_out(self) -> None:
        """Send grey pictures until one comes out, so that what an engine does at its first run is done.

        Raises what the stage raises, or StageError when nothing comes.
        """
        side, output = self.size_px() or TRY_OUT_SIDE_PX, self.output
        grey = np.full((side, side, 3), 128, np.uint8)
        for seq in range(round(TRY_OUT_TIMEOUT_S / TRY_AGAIN_S)):
            self.put(Frame(Stamp("try-out", seq, seq, VIDEO_CLOCK, self._ctx.clock.now_ns()), grey))
            with suppress(TimeoutError):
                result = output.get(timeout_s=TRY_AGAIN_S)
                break
        else:
            raise StageError(
                f"The first picture did not come within {TRY_OUT_TIMEOUT_S:g} s.", stage=self._name
            )
        if result.error is not None:
            raise result.error

    def close(self, timeout_s: float = 0.0) -> bool:
        """Let what is in flight come out for at most `timeout_s`, then end; tell whether all of it came out.

        Twice does no harm, and the second call cuts the first one's waiting short. While `open` runs on
        another thread, that one closes the stages when it comes back.
        """
        drained = timeout_s > 0 and self._graph.drain(timeout_s)
        self._graph.close()
        return drained

    def put(self, frame: Frame) -> None:
        """Send a picture through the graph. Raises ChannelClosed after `close`."""
        self._graph.put(PICTURES, frame)

    def put_sound(self, chunk: AudioChunk) -> None:
        """Give sound to the stages that read it. Raises ChannelFull when one is seconds late."""
        if self.hears:
            self._graph.put(SOUND, chunk)

    # Settings, from any thread.

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Apply live settings from the next sample of their stages on: all of them or none.

        Raises ConfigError for a name, a value or a setting that cannot change while it runs.
        """
        with self._configuring:
            for node, config in self._steering.change(changes).items():
                self._graph.configure(node, config)

    def settings(self) -> dict[str, Any]:
        """Return the current values: of the main stage by name, of the others by node and name."""
        return self._steering.values()

    def book(self) -> Book:
        """Return what may be said to change the settings."""
        return book_of(self._settings, self._registry, self.vocabulary())

    def vocabulary(self) -> Vocabulary:
        """Return the words that may be said to the painter."""
        return vocabulary_of(self._settings, self._registry)

    def guards(self) -> set[str]:
        """Return the names of the settings that no voice may change."""
        return guards(self._settings, self._registry)

    def desk(self) -> Desk | None:
        """Return where questions are asked, once the stages are open; None where nothing answers."""
        return getattr(self._stages.get(self.answers), "desk", None)

    def asked_how(self) -> AnswerConfig:
        """Return the settings of the node that answers."""
        found = self._steering.configs.get(self.answers)
        return found if isinstance(found, AnswerConfig) else AnswerConfig()

    def detected(self) -> set[str]:
        """Return what the detectors of this graph can tell apart, once the stages are open."""
        infos = [getattr(stage, "info", None) for stage in self._stages.values()]
        return {name for info in infos for name in getattr(info, "names", ())}

    def size_px(self) -> int | None:
        """Return the side of the square pictures that come out; None when they may have any size.

        A stage on the way may show the pictures of a node that it watches.
        """
        way = self._way()
        names = [*way, *(one for name in way for one in self._watches[name])]
        sides = (getattr(self._steering.configs[name], "size_px", None) for name in names)
        return next((int(side) for side in sides if side), None)

    def engine(self) -> dict[str, str] | None:
        """Return the name of what runs the main stage, and why; None when it does not tell (yet)."""
        tell = getattr(self._stage, "engine_info", None)
        info = tell() if tell is not None else None
        return {"name": str(info.name), "why": str(info.why)} if info is not None else None

    # Figures.

    def snapshot(self) -> dict[str, StageSnapshot]:
        """Return the figures of each node."""
        return self._graph.snapshot()

    def trouble(self) -> str:
        """Return what the first stage that fails says; "" while all is well."""
        failing = (one for one in self.snapshot().values() if one.state == "failing")
        return next((one.message for one in failing), "")

    def figures(self) -> dict[str, Any]:
        """Return what the page shows (ui/port.py): age and rate at the end, waiting and work on the way.

        A stage on the way that has `figures()` of its own adds them.
        """
        nodes = self.snapshot()
        out = nodes[self._name]
        way = [nodes[name] for name in self._way()]
        tell = [getattr(self._stages[name], "figures", dict) for name in self._way()]
        return {
            "age_p50_ms": round(out.age_ms_p50, 1),
            "age_p95_ms": round(out.age_ms_p95, 1),
            "fps": round(out.rate_hz, 1),
            "repeated": out.noted,
            "dropped": sum(node.dropped for node in nodes.values()),
            "wait_ms": round(sum(node.wait_ms_p50 for node in way), 1),
            "work_ms": round(sum(node.work_ms_p50 for node in way), 1),
            **{name: value for figures in tell for name, value in figures().items()},
        }

    def _way(self) -> list[str]:
        """Return the nodes from the output back to the source."""
        way = [self._name]
        while (before := self._inputs[way[-1]]) in self._inputs:
            way.append(before)
        return way
