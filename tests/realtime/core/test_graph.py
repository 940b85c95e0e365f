"""Graphs: checked before they open, opened in order, closed in reverse, and what goes in comes out."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from realtime.core.channel import Channel, Drop
from realtime.core.errors import (
    ChannelClosed,
    ChannelFull,
    ConfigError,
    ModelMissing,
    SessionError,
    StageError,
    VitascopeError,
)
from realtime.core.frame import AudioChunk, Frame, Result
from realtime.core.graph import SOUND_CHUNKS_HELD, Graph, Node
from realtime.core.lane import Lanes
from realtime.core.seat import ERRORS_TO_SWITCH_OFF
from realtime.core.stage import Emitted, StageContext, StageSpec
from tests.realtime.core.stages import (
    AFTER_COUNT,
    COUNTING,
    SPEC,
    Count,
    Counting,
    Delay,
    Faulty,
    Gated,
    Settings,
)
from tests.vocabulary import PATIENCE_S, make_chunk, make_frame, running

CTX = StageContext(session="test")


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    lanes = Lanes()
    yield lanes
    lanes.close()


def node(name: str, stage: Any = None, spec: StageSpec = SPEC, **rest: Any) -> Node:
    return Node(name, stage or Delay(), spec, Settings(), **rest)


def chain(*stages: Any, **options: Any) -> Graph:
    """A graph in which each stage reads the one before; they are named a, b, c ..."""
    names = "abcdefgh"[: len(stages)]
    inputs = ["source:video", *names]
    return Graph([node(n, s, input=i) for n, s, i in zip(names, stages, inputs, strict=False)], **options)


def seqs(results: list[Result[Any]]) -> list[int]:
    return [result.stamp.seq for result in results]


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
        (
            [node("n", spec=COUNTING), node("a", input="n")],
            'Node "a" takes Frame, but "n" gives Count.',
            "",
        ),
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


def test_results_go_to_the_next_stage_as_samples_and_to_subscribers_as_results(lanes: Lanes) -> None:
    graph = Graph(
        [
            node("n", Counting(), COUNTING, input="a"),
            node("a", Delay()),
            node("b", Delay(), input="a"),
        ],
        live=False,
    )
    outs = {name: graph.subscribe(name) for name in "abn"}
    graph.open(lanes, CTX)
    graph.configure("a", Settings(3))
    frame = make_frame(4)
    assert graph.drain(PATIENCE_S)
    graph.put("video", frame)
    results = {name: out.get(PATIENCE_S) for name, out in outs.items()}
    assert all(result.stamp is frame.stamp for result in results.values())
    assert {name: result.stage for name, result in results.items()} == {name: name for name in "abn"}
    assert np.array_equal(results["b"].value.pixels, frame.pixels + 3)
    assert results["n"].value == Count(frame.stamp, int((frame.pixels + 3).mean()))
    assert next(iter(graph.snapshot())) == "a"
    graph.close()


@pytest.mark.parametrize("behind", [0, 1, 3])
def test_a_graph_that_is_not_live_loses_nothing_however_slow_the_reader(lanes: Lanes, behind: int) -> None:
    """Three stages on one lane and one on another, n in flight in each, every channel full all the time."""
    graph = Graph(
        [
            node("a", Delay(behind)),
            node("b", Delay(behind), input="a"),
            node("n", Counting(), COUNTING, input="b"),
            node("c", Delay(behind), input="b"),
        ],
        live=False,
    )
    outs = [graph.subscribe("c"), graph.subscribe("n", capacity=3)]
    graph.open(lanes, CTX)
    got: list[list[int]] = [[], []]

    def feed() -> None:
        for seq in range(40):
            assert graph.put("video", make_frame(seq)) == ()
        assert graph.drain(PATIENCE_S)
        graph.close()

    def read(number: int) -> None:
        try:
            while True:
                got[number].append(outs[number].get(PATIENCE_S).stamp.seq)
        except ChannelClosed:
            return

    with running(feed, lambda: read(0), lambda: read(1)):
        pass
    assert got == [list(range(40))] * 2


def test_the_pressure_of_a_reader_that_does_not_read_reaches_the_source(lanes: Lanes) -> None:
    graph = chain(Delay(), Delay(), live=False)
    out = graph.subscribe("b")
    more_than_fits = threading.Event()
    graph.open(lanes, CTX)
    taken: list[int] = []

    def feed() -> None:
        for seq in range(100):
            graph.put("video", make_frame(seq))
            taken.append(seq)
            if seq == 1:  # two are in, and the subscriber's channel has room for one
                more_than_fits.set()

    def feed_until_closed() -> None:
        with pytest.raises(ChannelClosed):
            feed()

    with running(feed_until_closed):
        assert more_than_fits.wait(PATIENCE_S)
        assert not graph.drain(0.1)  # nobody reads
        graph.close()  # and still it closes, and wakes the putter
    assert len(taken) <= 2 + 1 + 2 + 1 + 1  # two inboxes, what is stuck at two stages, the subscriber's one
    assert out.closed


def test_drain_waits_for_what_is_in_flight_and_says_when_it_was_not_enough(lanes: Lanes) -> None:
    stage = Gated(behind=2)
    graph = chain(stage, live=False)
    out = graph.subscribe("a", capacity=10)
    graph.open(lanes, CTX)
    graph.put("video", make_frame(0))
    stage.entered()
    assert not graph.drain(0)
    stage.go.release()
    assert graph.drain(PATIENCE_S)
    assert len(out) == 1
    graph.close()


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


def test_a_live_graph_keeps_the_newest_and_says_what_it_forgot(lanes: Lanes) -> None:
    stage = Gated()
    graph = chain(stage)
    out = graph.subscribe("a", capacity=8)
    graph.open(lanes, CTX)
    assert graph.put("video", make_frame(0)) == ()
    stage.entered()
    assert graph.put("video", make_frame(1)) == ()
    assert seqs(list(graph.put("video", make_frame(2)))) == [1]
    for _ in range(2):
        stage.go.release()
    assert graph.drain(PATIENCE_S)
    assert [out.get(0).stamp.seq for _ in range(2)] == [0, 2]
    assert graph.snapshot()["a"].dropped == 1
    graph.close()


def test_the_newest_config_counts_before_open_and_after(lanes: Lanes) -> None:
    stage = Delay()
    graph = chain(stage, live=False)
    out = graph.subscribe("a")
    for shift in (1, 2, 3):
        graph.configure("a", Settings(shift))
    graph.open(lanes, CTX)
    assert stage.settings == Settings(3)
    assert stage.threads == {threading.current_thread().name}
    graph.configure("a", Settings(9))
    graph.put("video", make_frame(0))
    assert np.array_equal(out.get(PATIENCE_S).value.pixels, make_frame(0).pixels + 9)
    graph.close()


def test_a_stage_that_fails_thirty_times_is_told_of_and_the_picture_goes_on(lanes: Lanes) -> None:
    told: list[tuple[str, VitascopeError]] = []
    graph = chain(Delay(), Faulty("all"), live=False, on_error=lambda name, error: told.append((name, error)))
    out = graph.subscribe("b", capacity=100)
    graph.open(lanes, CTX)
    for seq in range(ERRORS_TO_SWITCH_OFF + 2):
        graph.put("video", make_frame(seq))
    assert graph.drain(PATIENCE_S)
    results = [out.get(0) for _ in range(ERRORS_TO_SWITCH_OFF + 2)]
    assert seqs(results) == list(range(ERRORS_TO_SWITCH_OFF + 2))
    assert all(np.array_equal(r.value.pixels, make_frame(r.stamp.seq).pixels) for r in results[-2:])
    ((name, error),) = told
    assert name == "b"
    assert isinstance(error, StageError)
    assert error.permanent
    assert graph.snapshot()["b"].state == "passed-through"
    assert graph.snapshot()["a"].state == "ok"
    graph.close()


def test_a_failed_sample_does_not_reach_the_next_stage(lanes: Lanes) -> None:
    second = Delay()
    graph = chain(Faulty({1}), second, live=False)
    out = graph.subscribe("b", capacity=8)
    graph.open(lanes, CTX)
    for seq in range(3):
        graph.put("video", make_frame(seq))
    assert graph.drain(PATIENCE_S)
    assert [out.get(0).stamp.seq for _ in range(2)] == [0, 2]
    graph.close()


def test_sound_is_not_forgotten_but_refused(lanes: Lanes) -> None:
    sound = StageSpec(name="hear", takes=AudioChunk, gives=AudioChunk, config=Settings, lane="hear")
    inside, go = threading.Event(), threading.Event()

    class Hearing(Delay):
        def process(self, item: AudioChunk | None) -> list[Emitted]:  # type: ignore[override]
            inside.set()
            assert go.wait(PATIENCE_S)
            return [] if item is None else [Emitted(item.stamp, item)]

    graph = Graph(
        [node("hear", Hearing(), sound, input="source:audio"), node("see", spec=SPEC)],
        sources={"audio": AudioChunk, "video": Frame},
    )
    out = graph.subscribe("hear", capacity=SOUND_CHUNKS_HELD + 1, drop=Drop.NEVER)
    graph.open(lanes, CTX)
    graph.put("audio", make_chunk(0))
    assert inside.wait(PATIENCE_S)
    for seq in range(1, SOUND_CHUNKS_HELD + 1):
        assert graph.put("audio", make_chunk(seq)) == ()
    with pytest.raises(ChannelFull):
        graph.put("audio", make_chunk(SOUND_CHUNKS_HELD + 1))
    go.set()
    assert graph.drain(PATIENCE_S)
    assert [out.get(0).stamp.seq for _ in range(SOUND_CHUNKS_HELD + 1)] == list(range(SOUND_CHUNKS_HELD + 1))
    graph.close()


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


async def test_an_event_loop_reads_what_threads_paint(lanes: Lanes) -> None:
    graph = chain(Delay(1), live=False)
    out: Channel[Result[Frame]] = graph.subscribe("a")
    graph.open(lanes, CTX)

    def feed() -> None:
        for seq in range(25):
            graph.put("video", make_frame(seq))
        assert graph.drain(PATIENCE_S)
        graph.close()

    with running(feed):
        assert [result.stamp.seq async for result in out] == list(range(25))


def test_two_sessions_share_a_lane_and_neither_sees_the_other_s_pictures(lanes: Lanes) -> None:
    graphs = [chain(Delay(), live=False) for _ in range(2)]
    outs = [graph.subscribe("a", capacity=64) for graph in graphs]
    for graph in graphs:
        graph.open(lanes, CTX)
    for seq in range(20):
        for number, graph in enumerate(graphs):
            graph.put("video", make_frame(seq, f"session {number}"))
    assert all(graph.drain(PATIENCE_S) for graph in graphs)
    for number, out in enumerate(outs):
        results = [out.get(0) for _ in range(20)]
        assert {result.stamp.source for result in results} == {f"session {number}"}
        assert seqs(results) == list(range(20))
    graphs[0].close()
    graphs[1].put("video", make_frame(20))
    assert graphs[1].drain(PATIENCE_S)
    assert len(outs[1]) == 1
    graphs[1].close()


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
