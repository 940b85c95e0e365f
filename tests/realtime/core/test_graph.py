"""Graphs: what goes in comes out, in order, at the right places, and nothing is lost that may not be."""

import threading

import numpy as np
import pytest

from realtime.core.channel import Channel, Drop
from realtime.core.errors import ChannelClosed, ChannelFull, StageError, VitascopeError
from realtime.core.frame import AudioChunk, Frame, Result
from realtime.core.graph import SOUND_CHUNKS_HELD, Graph
from realtime.core.lane import Lanes
from realtime.core.seat import ERRORS_TO_SWITCH_OFF
from realtime.core.stage import Emitted, StageSpec
from tests.realtime.core.place import CTX, chain, node, seqs
from tests.realtime.core.stages import COUNTING, SPEC, Count, Counting, Delay, Faulty, Gated, Settings
from tests.vocabulary import PATIENCE_S, make_chunk, make_frame, running


def test_results_go_to_the_next_stage_as_samples_and_to_subscribers_as_results(lanes: Lanes) -> None:
    graph = Graph(
        [node("n", Counting(), COUNTING, input="a"), node("a", Delay()), node("b", Delay(), input="a")],
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


def test_what_is_no_picture_does_not_reach_the_next_stage(
    lanes: Lanes, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Faulty):
        def step(self, item: Frame | None) -> list[Emitted]:
            given = super().step(item)
            return [Emitted(one.stamp, "text") if one.stamp.seq == 2 else one for one in given]

    second = Delay()
    graph = chain(Odd({1}), second, live=False)
    out = graph.subscribe("b", capacity=8)
    graph.open(lanes, CTX)
    for seq in range(4):
        graph.put("video", make_frame(seq))
    assert graph.drain(PATIENCE_S)
    assert [out.get(0).stamp.seq for _ in range(2)] == [0, 3]
    assert [seq for seq in second.seen if seq is not None] == [0, 3]
    assert [record.getMessage() for record in caplog.records] == [
        "session test, lane paint: a failed: RuntimeError: no 1"
    ]
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
