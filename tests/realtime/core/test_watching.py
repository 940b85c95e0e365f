"""A stage that watches another node: it gets the newest value, and never waits for one."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest

from realtime.core.errors import ConfigError
from realtime.core.frame import Frame
from realtime.core.graph import Graph
from realtime.core.lane import Lanes
from realtime.core.nodes import Node
from realtime.core.stage import Emitted, StageContext, StageSpec
from tests.realtime.core.place import CTX, node
from tests.realtime.core.stages import COUNTING, SPEC, Count, Counting, Delay, Settings
from tests.vocabulary import PATIENCE_S, make_frame


class Watching:
    """Give for each frame the newest mean that was counted, or None."""

    spec: ClassVar[StageSpec] = StageSpec(
        "watching", takes=Frame, gives=object, config=Settings, lane="paint", watches=Count
    )

    def open(self, ctx: StageContext) -> None:
        self.looks: Callable[[], Any] = ctx.watched["n"]

    def configure(self, config: Settings) -> None: ...

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        return [] if item is None else [Emitted(item.stamp, (self.looks(),))]

    def reset(self) -> None: ...

    def close(self) -> None: ...


def watcher(*watches: str) -> Node:
    return Node("w", Watching(), Watching.spec, Settings(), watches=watches)


def test_a_watcher_sees_the_newest_value_and_keeps_it(lanes: Lanes) -> None:
    graph = Graph([watcher("n"), node("n", Counting(), COUNTING, input="source:other")],
                  sources={"video": Frame, "other": Frame})  # fmt: skip
    seen, counted = graph.subscribe("w"), graph.subscribe("n")
    graph.open(lanes, CTX)

    def shown(seq: int) -> Any:
        graph.put("video", make_frame(seq))
        return seen.get(PATIENCE_S).value[0]

    assert shown(0) is None
    for seq in (7, 8):
        graph.put("other", make_frame(seq))
        newest = counted.get(PATIENCE_S).value
    assert shown(1) is newest
    assert shown(2) is newest
    graph.close()


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([watcher("x")], 'watches "x", which there is not'),
        ([watcher("d"), node("d", Delay())], 'watches Count, but "d" gives Frame'),
        ([Node("d", Delay(), SPEC, Settings(), watches=("n",)), node("n", Counting(), COUNTING)], "nothing"),
    ],
)
def test_what_cannot_be_watched_is_refused_before_anything_opens(nodes: list[Node], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Graph(nodes)
