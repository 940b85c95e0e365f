"""Windows over films and live streams, on a network of the test's own that tells what it was shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from perception.nets.streamflow.model import Flows
from perception.nets.streamflow.warm import started
from perception.nets.streamflow.windows import Live, chunked, chunks, live, stepped
from realtime.core.errors import ConfigError


@pytest.mark.parametrize("length", [2, 3, 4])
@pytest.mark.parametrize("count", range(12))
def test_each_pair_of_a_film_is_fresh_once_and_in_order(count: int, length: int) -> None:
    windows = list(chunks(range(count), length))
    pairs = [(w.frames[k], w.frames[k + 1]) for w in windows for k in w.fresh]
    assert pairs == [(k, k + 1) for k in range(count - 1)]
    assert all(len(w.frames) == length for w in windows)
    assert len(windows) == -(-max(count - 1, 0) // (length - 1))  # none is run for nothing
    for window in windows:
        assert window.frames[0] == window.first


def test_the_last_window_is_shifted_back() -> None:
    windows = list(chunks(range(6), 4))
    assert [w.frames for w in windows] == [(0, 1, 2, 3), (2, 3, 4, 5)]
    assert [list(w.fresh) for w in windows] == [[0, 1, 2], [1, 2]]


def test_a_short_film_is_filled_with_its_last_frame() -> None:
    (window,) = chunks("ab", 4)
    assert window.frames == ("a", "b", "b", "b")
    assert list(window.fresh) == [0]


def test_a_film_is_read_no_further_than_needed() -> None:
    seen = []

    def frames() -> Iterator[int]:
        for k in range(100):
            seen.append(k)
            yield k

    next(iter(chunks(frames(), 4)))
    assert seen == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match="2 frames or more, got 1"):
        next(iter(chunks(frames(), 1)))


class Teller:
    """Give as a pair's flow the level of its two frames, and keep what it was given."""

    def __init__(self) -> None:
        self.starts: list[Tensor | None] = []
        self.windows: list[list[float]] = []

    def __call__(self, frames: Tensor, start: Tensor | None) -> Flows:
        levels = frames.mean((0, 2, 3, 4))
        self.windows.append(levels.tolist())
        self.starts.append(start)
        pairs = torch.stack((levels[:-1], levels[1:]), 1)[None, :, :, None, None]
        height, width = frames.shape[-2:]
        return Flows(pairs.expand(1, -1, 2, height, width), pairs.expand(1, -1, 2, height // 8, width // 8))


def film(count: int, sides: tuple[int, int] = (16, 24)) -> list[Tensor]:
    return [torch.full((3, *sides), float(k)) for k in range(count)]


def told(flow: Tensor | None) -> tuple[float, ...] | None:
    return None if flow is None else tuple(flow[:, 0, 0].tolist())


def test_a_film_in_chunks() -> None:
    teller = Teller()
    flows = list(chunked(film(6), 4, teller))
    assert [told(flow) for flow in flows] == [(k, k + 1) for k in range(5)]
    assert flows[0].shape == (2, 16, 24)
    assert teller.windows == [[0, 1, 2, 3], [2, 3, 4, 5]]


def test_a_live_stream_keeps_the_last_flow() -> None:
    teller = Teller()
    flows = [told(flow) for flow in live(film(6), 4, teller)]
    assert flows == [None, (0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert teller.windows == [[0, 0, 0, 1], [0, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]


def test_live_windows_begin_warm() -> None:
    teller, state = Teller(), Live()
    states = []
    for frame in film(5):
        state, _ = stepped(state, frame, 4, teller)
        states.append(state)
    assert teller.starts[0] is None
    for known, start in zip(states[1:], teller.starts[1:], strict=False):
        assert start is not None
        assert known.cells_1S2HW is not None
        assert torch.equal(start, started(known.cells_1S2HW))
    cold = Teller()
    list(live(film(5), 4, cold, is_warm=False))
    assert cold.starts == [None] * 4


def test_another_size_begins_anew() -> None:
    teller = Teller()
    frames = [*film(3), *film(3, (24, 24))]
    assert [told(flow) for flow in live(frames, 4, teller)] == [None, (0, 1), (1, 2), None, (0, 1), (1, 2)]
    assert teller.windows[2] == [0, 0, 0, 1]
    assert teller.starts[2] is None


def test_a_state_can_be_gone_on_from_twice() -> None:
    state = Live()
    for frame in film(3):
        state, _ = stepped(state, frame, 3, Teller())
    one, two = Teller(), Teller()
    ways = [stepped(state, film(5)[k], 3, teller)[1] for k, teller in ((3, one), (4, two))]
    assert [told(flow) for flow in ways] == [(2, 3), (2, 4)]
    assert torch.equal(one.starts[0], two.starts[0])


def test_flows_outlive_the_memory_that_an_engine_writes_to_again() -> None:
    memory = Flows(torch.zeros(1, 1, 2, 16, 24), torch.zeros(1, 1, 2, 2, 3))

    def engine(frames: Tensor, start: Tensor | None) -> Flows:
        memory.pixels_BS2HW.fill_(float(frames[0, 1].mean()))
        memory.cells_BS2HW.fill_(float(frames[0, 1].mean()))
        return memory

    flows = [flow for flow in live(film(4), 2, engine) if flow is not None]
    assert [float(flow.mean()) for flow in flows] == [1, 2, 3]
    assert [float(flow.mean()) for flow in chunked(film(4), 2, engine)] == [1, 2, 3]
    assert [float(flow.mean()) for flow in list(chunked(film(4), 2, engine))] == [1, 2, 3]
