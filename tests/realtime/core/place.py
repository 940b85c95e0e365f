"""A seat with all that surrounds it, so that a test can feed a lane and wait for what it makes of it."""

import threading
from typing import Any

from realtime.core.channel import Channel, Drop
from realtime.core.clock import ManualClock
from realtime.core.errors import VitascopeError
from realtime.core.frame import Result
from realtime.core.graph import Graph
from realtime.core.lane import Lane
from realtime.core.nodes import Node
from realtime.core.seat import Seat
from realtime.core.stage import StageContext, StageSpec
from tests.realtime.core.stages import SPEC, Delay, Settings
from tests.vocabulary import PATIENCE_S, make_frame


class Place:
    """A seat with all that surrounds it: an inbox with room, an outlet, and ears for errors."""

    def __init__(
        self,
        stage: Any,
        spec: StageSpec = SPEC,
        *,
        room: int = 1000,
        out: Channel[Result[Any]] | None = None,
        clock: ManualClock | None = None,
    ) -> None:
        self.stage = stage
        self.told: list[VitascopeError] = []
        self.turned = threading.Condition()
        self.inbox: Channel[Any] = Channel("in", room, Drop.WAIT, clock)
        self.out = Channel[Result[Any]]("out", 10_000, Drop.NEVER) if out is None else out
        self.seat = Seat(
            "paint", stage, spec, self.inbox, on_error=self._hear, on_turn=self._on_turn, clock=clock
        )
        self.seat.add_outlet(self.out)

    def _hear(self, node: str, error: VitascopeError) -> None:
        assert node == "paint"
        self.told.append(error)

    def _on_turn(self) -> None:
        with self.turned:
            self.turned.notify_all()

    def feed(self, *seqs: int) -> None:
        for seq in seqs:
            self.inbox.put(make_frame(seq))

    def settle(self, lane: Lane) -> list[Result[Any]]:
        """Wait until all that went in is out, and return what came."""
        self.until(lambda: lane.is_idle(self.seat) and not self.seat.has_config)
        results = []
        while (result := self.out.poll()) is not None:
            results.append(result)
        return results

    def until(self, is_so) -> None:
        with self.turned:
            assert self.turned.wait_for(is_so, PATIENCE_S)


def seqs(results: list[Result[Any]]) -> list[int]:
    return [result.stamp.seq for result in results]


CTX = StageContext(session="test")


def node(name: str, stage: Any = None, spec: StageSpec = SPEC, **rest: Any) -> Node:
    return Node(name, stage or Delay(), spec, Settings(), **rest)


def chain(*stages: Any, **options: Any) -> Graph:
    """A graph in which each stage reads the one before; they are named a, b, c ..."""
    names = "abcdefgh"[: len(stages)]
    inputs = ["source:video", *names]
    return Graph([node(n, s, input=i) for n, s, i in zip(names, stages, inputs, strict=False)], **options)
