"""Stages wired into a graph: checked before anything loads, opened in order, closed in reverse.

Sources put samples in at one end, subscribers take results out at the other. A live graph forgets what is too
old; one that is not live loses nothing, and `put` waits until the slowest reader has room.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Any

from .channel import Channel, Drop
from .clock import Clock
from .errors import ChannelFull, ConfigError, SessionError, VitascopeError
from .frame import AudioChunk, Frame, Question, Result
from .glance import Glance
from .lane import Lane, Lanes
from .metrics import StageSnapshot
from .nodes import SOURCE, Node, known, ordered
from .seat import Seat
from .stage import StageContext

log = logging.getLogger(__name__)

VIDEO_ONLY: Mapping[str, type] = MappingProxyType({"video": Frame})
SOUND_CHUNKS_HELD = 500
"""10 s of 20 ms chunks; a stage that is later than that has to be told of."""
QUESTIONS_HELD = 8
FILE_ITEMS_HELD = 2


class _Life(Enum):
    NEW = auto()
    OPENING = auto()
    OPEN = auto()
    CLOSED = auto()


class Graph:
    """Run the stages of one session on shared lanes. Every method from any thread.

    `on_error(node, error)` hears what a person should know, on the lane's thread: a config that was refused,
    a stage that was switched off. Raises ConfigError for nodes that cannot work together.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        sources: Mapping[str, type] = VIDEO_ONLY,
        clock: Clock | None = None,
        live: bool = True,
        on_error: Callable[[str, VitascopeError], None] | None = None,
    ) -> None:
        self._sources = dict(sources)
        self._nodes = ordered(nodes, self._sources)
        self._clock = clock
        self._live = live
        self._lock = threading.Lock()
        self._life = _Life.NEW
        self._turned = threading.Condition()
        self._undo = ExitStack()
        self._lanes: dict[str, Lane] = {}
        self._hung: set[str] = set()
        self._subscribers: list[Channel[Result[Any]]] = []
        self._configs = {node.name: node.config for node in self._nodes}
        self._entries: dict[str, list[Channel[Any]]] = {name: [] for name in self._sources}
        self._seats: dict[str, Seat] = {}
        for node in self._nodes:  # a node comes after its input
            capacity, drop = _inbox_rule(node.spec.takes, live)
            inbox: Channel[Any] = Channel(f"{node.name}.in", capacity, drop, clock)
            self._seats[node.name] = Seat(
                node.name, node.stage, node.spec, inbox, on_error=on_error, on_turn=self._on_turn, clock=clock
            )
            if node.input.startswith(SOURCE):
                self._entries[node.input.removeprefix(SOURCE)].append(inbox)
            else:
                self._seats[node.input].add_outlet(inbox, node.spec.takes)
        self._glances = {node.name: self._watch(node) for node in self._nodes}

    # Life.

    def open(self, lanes: Lanes, ctx: StageContext) -> None:
        """Configure and open the stages on the caller's thread, then let the lanes serve them. Blocks.

        When a stage fails to open, those before it are closed again and its error is raised; the graph may be
        opened anew. Twice does no harm. Raises SessionError after `close`.
        """
        with self._lock:
            if self._life is _Life.CLOSED:
                raise SessionError("A graph that was closed cannot be opened.", hint="Make a new one.")
            if self._life is not _Life.NEW:
                return
            self._life = _Life.OPENING
        with ExitStack() as undo:
            undo.callback(self._become, _Life.NEW)
            for node in self._nodes:
                seat = self._seats[node.name]
                seat.session = ctx.session
                seat.take_config()
                node.stage.configure(self._configs[node.name])
                node.stage.open(replace(ctx, watched=self._glances[node.name]))
                undo.callback(self._close_stage, node)
                if self._life is _Life.CLOSED:
                    return
            for node in self._nodes:
                lane, seat = lanes.get(node.spec.lane), self._seats[node.name]
                lane.attach(seat)
                undo.callback(self._leave, lane, seat)
                self._lanes[node.name] = lane
            with self._lock:
                if self._life is _Life.OPENING:
                    self._life = _Life.OPEN
                    self._undo = undo.pop_all()

    def close(self) -> None:
        """End at once: wake who waits, leave the lanes, close the stages in reverse, then the subscribers.

        Twice does no harm; a second call does not wait for the first. While `open` runs on another thread,
        that one closes the stages when it comes back.
        """
        with self._lock:
            if self._life is _Life.CLOSED:
                return
            self._life = _Life.CLOSED
            undo, self._undo = self._undo, ExitStack()
        for seat in self._seats.values():
            seat.inbox.close()
        self._on_turn()
        try:
            undo.close()
        finally:
            with self._lock:
                subscribers = tuple(self._subscribers)
            for channel in subscribers:
                channel.close()

    def drain(self, timeout_s: float) -> bool:
        """Wait until all that went in has come out or was dropped; False if that takes longer, or at `close`.

        Results are out when they are in the subscribers' channels: somebody has to empty those that wait.
        """
        with self._turned:
            self._turned.wait_for(lambda: self._life is _Life.CLOSED or self._is_idle(), timeout_s)
            return self._life is not _Life.CLOSED and self._is_idle()

    # Samples, settings, results, figures.

    def put(self, source: str, sample: Any) -> tuple[Any, ...]:
        """Give a sample to the stages that read `source`; return what they forgot for it.

        Blocks in a graph that is not live. Raises ChannelClosed after `close`, ChannelFull where a stage that
        may lose nothing has no room (the others got the sample), ConfigError for a wrong source or type.
        """
        wanted = self._sources.get(source)
        if wanted is None:
            raise ConfigError(f'There is no source "{source}".', hint=known(self._sources))
        if not isinstance(sample, wanted):
            raise ConfigError(f"Source {source} takes {wanted.__name__}, got {type(sample).__name__}.")
        forgotten: list[Any] = []
        full: ChannelFull | None = None
        for inbox in self._entries[source]:
            try:
                forgotten += inbox.put(sample)
            except ChannelFull as error:
                full = error
        if full is not None:
            raise full
        return tuple(forgotten)

    def configure(self, node: str, config: Any) -> None:
        """Let `node` take a config before its next sample; only the newest counts."""
        seat = self._seat(node)
        self._configs[node] = config
        seat.configure(config)

    def subscribe(self, node: str, capacity: int = 1, drop: Drop | None = None) -> Channel[Result[Any]]:
        """Return a channel of the node's results from now on; to close it ends the subscription.

        Without `drop` a live graph forgets the oldest, any other waits for the reader.
        """
        seat = self._seat(node)
        rule = drop or (Drop.OLDEST if self._live else Drop.WAIT)
        channel: Channel[Result[Any]] = Channel(f"{node}.out", capacity, rule, self._clock)
        with self._lock:
            if self._life is _Life.CLOSED:
                channel.close()
            self._subscribers = [one for one in self._subscribers if not one.closed] + [channel]
            seat.add_outlet(channel)
        return channel

    def snapshot(self) -> dict[str, StageSnapshot]:
        """Return the figures of each node, sources first."""
        return {name: seat.snapshot() for name, seat in self._seats.items()}

    def _watch(self, node: Node) -> dict[str, Glance]:
        """Lead the values of the nodes that `node` watches to it; even a file's may be missed."""
        glances = {}
        for name in node.watches:
            channel: Channel[Any] = Channel(f"{node.name}.{name}", clock=self._clock)
            self._seats[name].add_outlet(channel, node.spec.watches)
            glances[name] = Glance(channel)
        return glances

    def _seat(self, node: str) -> Seat:
        if node not in self._seats:
            raise ConfigError(f'There is no node "{node}".', hint=known(self._seats))
        return self._seats[node]

    def _is_idle(self) -> bool:
        # Sources first: an idle seat has handed all on, so that no sample slips past between two looks.
        for name, seat in self._seats.items():
            lane = self._lanes.get(name)
            if seat.has_work if lane is None else not lane.is_idle(seat):
                return False
        return True

    def _on_turn(self) -> None:
        with self._turned:
            self._turned.notify_all()

    def _become(self, life: _Life) -> None:
        with self._lock:
            if self._life is not _Life.CLOSED:
                self._life = life

    def _leave(self, lane: Lane, seat: Seat) -> None:
        self._lanes.pop(seat.name, None)
        if not lane.detach(seat):
            self._hung.add(seat.name)
            log.error("session %s: %s does not come back; it is left as it is", seat.session, seat.name)

    def _close_stage(self, node: Node) -> None:
        if node.name not in self._hung:
            node.stage.close()


def _inbox_rule(takes: type, live: bool) -> tuple[int, Drop]:
    if not live:
        return FILE_ITEMS_HELD, Drop.WAIT
    if issubclass(takes, AudioChunk):
        return SOUND_CHUNKS_HELD, Drop.NEVER
    if issubclass(takes, Question):
        return QUESTIONS_HELD, Drop.NEVER
    return 1, Drop.OLDEST
