"""Graphs are checked before they open, opened in order, closed in reverse, and nothing hangs on the way."""

import threading

import pytest

from realtime.core.channel import Drop
from realtime.core.errors import ChannelClosed, ConfigError, ModelMissing, SessionError, VitascopeError
from realtime.core.frame import Frame, Result
from realtime.core.graph import Graph
from realtime.core.lane import Lanes
from realtime.core.nodes import Node
from realtime.core.stage import Emitted, StageContext
from tests.realtime.core.place import CTX, chain, node
from tests.realtime.core.stages import AFTER_COUNT, COUNTING, Delay, Gated, Settings
from tests.vocabulary import PATIENCE_S, make_frame, running


@pytest.mark.parametrize(
    ("nodes", "said", "hint"),
    [
        ([node("a"), node("a")], 'Two nodes are named "a".', "Give each a name of its own."),
        ([node("a", input="b")], 'Node "a" reads "b", which there is not.', "Known: source:video."),
        (
            [node("a", input="source:sound"), node("b")],
            'Node "a" reads "source:sound", which there is not.',
            "Known: b, source:video.",
        ),
        ([node("a", input="a")], "The nodes read each other in a circle: a > a.", "source:video"),
        (
            [node("a", input="b"), node("b", input="c"), node("c", input="a"), node("d")],
            "The nodes read each other in a circle: ",
            "source:video",
        ),
        ([node("a", spec=AFTER_COUNT)], 'Node "a" takes Count, but "source:video" gives Frame.', ""),
        ([node("n", spec=COUNTING), node("a", input="n")], 'Node "a" takes Frame, but "n" gives Count.', ""),
    ],
)
def test_nodes_that_cannot_work_together_are_refused_before_anything_opens(
    nodes: list[Node], said: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Graph(nodes)
    assert caught.value.message.startswith(said)
    assert hint in caught.value.hint
    assert all(one.stage.life == [] for one in nodes)


def test_one_stage_object_cannot_sit_in_two_places() -> None:
    stage = Delay()
    with pytest.raises(ConfigError, match="shares its stage"):
        Graph([node("a", stage), node("b", stage)])


def test_stages_open_in_order_and_close_in_reverse_and_both_twice_without_harm(lanes: Lanes) -> None:
    life: list[str] = []
    graph = Graph(
        [
            node("c", Delay(name="c", life=life), input="b"),
            node("a", Delay(name="a", life=life)),
            node("b", Delay(name="b", life=life), input="a"),
        ]
    )
    graph.open(lanes, CTX)
    graph.open(lanes, CTX)
    assert life == ["open a", "open b", "open c"]
    graph.close()
    graph.close()
    assert life[3:] == ["close c", "close b", "close a"]
    with pytest.raises(SessionError):
        graph.open(lanes, CTX)


def test_a_stage_that_does_not_open_closes_those_before_it_and_may_be_tried_again(lanes: Lanes) -> None:
    life: list[str] = []

    class Missing(Delay):
        def open(self, ctx: StageContext) -> None:
            super().open(ctx)
            if life.count("open b") == 1:
                raise ModelMissing("The model is not here.", hint="Fetch it.")

    graph = chain(Delay(name="a", life=life), Missing(name="b", life=life), Delay(name="c", life=life))
    with pytest.raises(ModelMissing):
        graph.open(lanes, CTX)
    assert life == ["open a", "open b", "close a"]
    out = graph.subscribe("c")
    graph.open(lanes, CTX)
    graph.put("video", make_frame(0))
    assert out.get(PATIENCE_S).stamp.seq == 0
    graph.close()
    assert life[3:] == ["open a", "open b", "open c", "close c", "close b", "close a"]


def test_closed_lanes_refuse_a_graph_and_its_stages_are_closed(lanes: Lanes) -> None:
    stage = Delay()
    lanes.get("paint")
    lanes.close()
    graph = chain(stage)
    with pytest.raises(SessionError):
        graph.open(lanes, CTX)
    assert stage.life == ["open delay", "close delay"]
    graph.close()


def test_a_stage_that_fails_to_close_does_not_keep_others_open(lanes: Lanes) -> None:
    class Clinging(Delay):
        def close(self) -> None:
            super().close()
            raise OSError("no")

    first, last = Delay(), Clinging()
    graph = chain(first, last)
    out = graph.subscribe("b")
    graph.open(lanes, CTX)
    with pytest.raises(OSError, match="no"):
        graph.close()
    assert first.life[-1] == "close delay"
    assert out.closed


def test_a_stage_is_closed_only_after_its_lane_has_left_it(lanes: Lanes) -> None:
    inside, closing, closed = threading.Event(), threading.Event(), threading.Event()

    class Careful(Delay):
        def process(self, item: Frame | None) -> list[Emitted]:
            inside.set()
            assert closing.wait(PATIENCE_S)
            assert not closed.wait(0.1)
            self.life.append("left")
            return []

        def close(self) -> None:
            closed.set()
            super().close()

    stage = Careful()
    graph = chain(stage)
    graph.open(lanes, CTX)
    graph.put("video", make_frame())
    assert inside.wait(PATIENCE_S)
    with running(graph.close):
        closing.set()
    assert stage.life == ["open delay", "left", "close delay"]


def test_close_while_open_runs_leaves_nothing_open(lanes: Lanes) -> None:
    inside, go = threading.Event(), threading.Event()

    class Slow(Delay):
        def open(self, ctx: StageContext) -> None:
            super().open(ctx)
            inside.set()
            assert go.wait(PATIENCE_S)

    slow, never = Slow(), Delay()
    graph = chain(slow, never)
    out = graph.subscribe("b")
    with running(lambda: graph.open(lanes, CTX)):
        assert inside.wait(PATIENCE_S)
        graph.close()
        assert out.closed
        go.set()
    assert slow.life == ["open delay", "close delay"]
    assert never.life == []


def test_close_ends_a_drain(lanes: Lanes) -> None:
    stage = Gated()
    graph = chain(stage)
    graph.open(lanes, CTX)
    graph.put("video", make_frame(0))
    stage.entered()
    ends: list[bool] = []

    def close() -> None:
        stage.go.release()
        graph.close()

    full = graph.subscribe("a", drop=Drop.WAIT)
    full.put(Result(make_frame().stamp, "a", None, 0.0))  # the stage's own result will not come out
    with running(lambda: ends.append(graph.drain(PATIENCE_S)), close):
        pass
    assert ends == [False]


def test_wrong_names_and_types_are_told_at_the_door(lanes: Lanes) -> None:
    graph = chain(Delay())
    with pytest.raises(ConfigError, match=r'no source "audio"\. Known: video\.'):
        graph.put("audio", make_frame())
    with pytest.raises(ConfigError, match="takes Frame, got int"):
        graph.put("video", 3)
    for wrong in (lambda: graph.configure("x", Settings()), lambda: graph.subscribe("x")):
        with pytest.raises(ConfigError, match=r'no node "x"\. Known: a\.'):
            wrong()


def test_after_close_nothing_goes_in_and_readers_end(lanes: Lanes) -> None:
    graph = chain(Delay())
    early = graph.subscribe("a")
    graph.open(lanes, CTX)
    graph.close()
    with pytest.raises(ChannelClosed):
        graph.put("video", make_frame())
    assert early.closed
    assert graph.subscribe("a").closed
    assert not graph.drain(PATIENCE_S)


def test_a_callback_may_close_the_graph(lanes: Lanes) -> None:
    closed = threading.Event()

    def give_up(name: str, error: VitascopeError) -> None:
        graph.close()
        closed.set()

    graph = chain(Delay(), on_error=give_up)
    graph.open(lanes, CTX)
    graph.configure("a", Settings(-1))
    assert closed.wait(PATIENCE_S)
    with pytest.raises(ChannelClosed):
        graph.put("video", make_frame())
