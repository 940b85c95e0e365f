"""What a window of several frames costs a flow, against windows one frame apart and against pairs; and our
StreamFlow as one of the methods that are judged.

python -m benchmarks._streamflow    # both figures; `benchmarks flow` calls the functions

Processor time on one thread. The ways take turns, and what counts is the median of the turns' ratios: other
programs disturb both ways of a turn alike. Weights are random: they cost what trained ones do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from benchmarks._measure import median
from perception.flow.streamflow import FlowNet
from perception.nets.streamflow.model import StreamFlow
from perception.nets.streamflow.plans import PLANS
from perception.nets.streamflow.sides import cropped, padded
from perception.nets.streamflow.windows import Live, chunked, live, onward

FRAMES = 4
SIDES = (192, 256)
ITERATIONS = 4
LEAST_GAIN, MOST_RATIO = 2.5, 1.0


def window_gain(plan: str = "small", rounds: int = 7) -> float:
    """Return how much more processor time a flow takes live, by windows one frame apart of which one flow is
    kept, than in a film, by windows that share one frame. Same network, same number of rounds.
    """
    model, film = _model(plan, FRAMES), _film(2 * FRAMES - 1)

    def flowing(frames, start):  # type: ignore[no-untyped-def]
        return model(frames, ITERATIONS, start)

    def by_chunks() -> int:
        return len(list(chunked(film, FRAMES, flowing)))

    def by_frames() -> int:
        return sum(flow is not None for flow in live(film, FRAMES, flowing))

    return _ratio(by_frames, by_chunks, rounds)


def pair_ratio(plan: str = "small", rounds: int = 21) -> float:
    """Return what a flow costs in a window of four frames, as a share of what it costs by pairs."""
    window, pair = _model(plan, FRAMES), _model(plan, 2)
    frames = torch.stack(_film(FRAMES))[None]

    def together() -> int:
        return int(window(frames, ITERATIONS).pixels_BS2HW.shape[1])

    def pairwise() -> int:
        return sum(pair(frames[:, k : k + 2], ITERATIONS).pixels_BS2HW.shape[1] for k in range(FRAMES - 1))

    return _ratio(together, pairwise, rounds)


def _model(plan: str, frames: int) -> StreamFlow:
    torch.manual_seed(0)
    model = StreamFlow(PLANS[plan], frames)
    model.eval()
    return model


def _film(count: int) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, SIDES[0] // 8, SIDES[1] // 8, generator=draw) * 255
    first = torch.nn.functional.interpolate(coarse, size=SIDES, mode="bilinear")[0]
    return [first.roll(3 * k, -1) for k in range(count)]


def _ratio(dear: Callable[[], int], cheap: Callable[[], int], rounds: int) -> float:
    """Return the processor time of a flow of the first way over that of the second, the median of turns."""
    ways = (dear, cheap)
    ratios = []
    with _one_thread(), torch.inference_mode():
        for turn in range(rounds + 1):
            spent_s = [0.0, 0.0]
            for way in (0, 1) if turn % 2 else (1, 0):
                began_s = time.process_time()
                flows = ways[way]()
                spent_s[way] = (time.process_time() - began_s) / flows
            ratios.append(spent_s[0] / spent_s[1])
    return median(ratios[1:])  # the first turn warms up


class Windows:
    """Find flow as a live stage does, by windows that end with the newest picture, forward alone.

    A pair whose first picture is the second one of the pair before goes on from there.
    """

    def __init__(self, net: FlowNet) -> None:
        self._net = net
        self._state = Live()
        self._size = (0, 0)

    def seen(self, pixels_HW3: Any) -> torch.Tensor:
        self._size = pixels_HW3.shape[:2]
        picture = torch.from_numpy(pixels_HW3.transpose(2, 0, 1).astype(np.float32))
        return padded(picture[None, None])[0, 0]

    def flow(self, before: torch.Tensor, now: torch.Tensor) -> Any:
        if not self._state.frames or not torch.equal(self._state.frames[-1], before):
            self._state = Live((before,))
        self._state, flows = onward(self._state, (now,), self._net.frames, self._net.run)
        return cropped(flows[-1], *self._size).permute(1, 2, 0).numpy()


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def main() -> None:
    print(f"flows one by one over flows of whole windows: {window_gain():.2f} (at least {LEAST_GAIN:g})")
    print(f"flows of whole windows over flows of pairs: {pair_ratio():.2f} (at most {MOST_RATIO:g})")


if __name__ == "__main__":
    main()
