"""What hearing costs others in the same process: the event loop's punctuality, and the painter's rate."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from benchmarks._hear_sets import RATE_HZ, NotHere, two_cities, without_pause
from benchmarks._measure import median, quantile
from benchmarks.paint import PICTURES, House, Session
from perception.asr.config import HearConfig
from perception.asr.recognizers.base import RecognizerInfo, Samples
from perception.asr.stage import HearStage
from perception.asr.transcript import Hypothesis
from pipelines.diffusion.config import PaintConfig
from realtime.core.clock import MonotonicClock
from realtime.core.frame import AudioChunk, Frame, Stamp
from realtime.core.graph import Graph
from realtime.core.lane import Lanes
from realtime.core.nodes import Node
from realtime.core.stage import StageContext

CHUNK = RATE_HZ // 50
TICK_S = 0.005
BUSY_S = 0.8
"""What an update of the fake recogniser takes, as those of Moonshine did in its own streaming mode."""
SHARE = 0.05
"""As in the preset paint-hear, and who says the final words there: "same"."""
WARM_S = 3.0


class Busy:
    """Take 0.8 s of a core for every text, with Python's lock free (as the real ones) or held."""

    def __init__(self, *, holds_lock: bool) -> None:
        self.info = RecognizerInfo("busy", "Busy", "-", is_append_only=False, update_s=0.3)
        self._holds_lock = holds_lock

    def accept(self, samples: Samples) -> None: ...

    def partial(self) -> Hypothesis:
        until_s = time.perf_counter() + BUSY_S
        while time.perf_counter() < until_s:
            if self._holds_lock:
                sum(range(20_000))
            else:
                hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 20_000)
        return Hypothesis("busy")

    def finish(self) -> Hypothesis:
        return self.partial()

    def reset(self) -> None: ...

    def close(self) -> None: ...


def speech() -> np.ndarray:
    """Return speech at RATE_HZ that goes on for as long as it is asked for, when repeated."""
    try:
        return next(without_pause()).sound
    except NotHere:
        return next(two_cities()).sound


class Feeder(threading.Thread):
    """Put sound into a graph as a microphone does, until `stop`."""

    def __init__(self, graph: Graph, sound: np.ndarray, source: str = "mic") -> None:
        super().__init__(daemon=True)
        self._graph, self._sound, self._source = graph, sound, source
        self._clock, self._ended = MonotonicClock(), threading.Event()
        self.full = 0

    def run(self) -> None:
        from realtime.core.errors import ChannelClosed, ChannelFull

        began_s, seq = time.perf_counter(), 0
        while not self._ended.wait(max(0.0, began_s + (seq + 1) * 0.02 - time.perf_counter())):
            at = seq * CHUNK % (len(self._sound) // CHUNK * CHUNK)
            samples = np.ascontiguousarray(self._sound[at : at + CHUNK], np.float32)
            captured_ns = self._clock.now_ns() - 20_000_000
            stamp = Stamp(self._source, seq, seq * CHUNK, Fraction(1, RATE_HZ), captured_ns)
            try:
                self._graph.put("sound", AudioChunk(stamp, samples, RATE_HZ))
            except ChannelFull:
                self.full += 1
            except ChannelClosed:
                return
            seq += 1

    def stop(self) -> None:
        self._ended.set()
        self.join(5)


def loop_stalls(seconds: float) -> dict[str, float]:
    """Return how late a loop's timer of 5 ms is, p99 in ms: alone, and beside recognisers on speech."""
    sound = speech()
    cases: dict[str, Callable[[], HearStage] | None] = {
        "alone": None,
        "moonshine": lambda: HearStage(),
        "fake_lock_free": lambda: HearStage(lambda *_: Busy(holds_lock=False)),
        "fake_lock_held": lambda: HearStage(lambda *_: Busy(holds_lock=True)),
    }
    found: dict[str, float] = {}
    for name, make in cases.items():
        if make is None:
            found[name] = asyncio.run(_punctuality(seconds))
            continue
        stage = make()
        config = HearConfig(engine="moonshine", finals="auto" if name == "moonshine" else "same", share=1.0)
        graph = Graph(
            [Node("hear", stage, HearStage.spec, config, "source:sound")], sources={"sound": AudioChunk}
        )
        lanes, out = Lanes(), graph.subscribe("hear", 64)
        graph.open(lanes, StageContext("stall", is_live=True))
        feeder = Feeder(graph, sound)
        feeder.start()
        found[name] = asyncio.run(_punctuality(seconds))
        feeder.stop()
        said = sum(result is not None for result in iter(out.poll, None))
        graph.close()
        lanes.close()
        if not said:
            raise RuntimeError(f"{name}: nothing was recognised, so that nothing was measured")
    return found


async def _punctuality(seconds: float) -> float:
    late_ms, until_s = [], time.perf_counter() + seconds
    while time.perf_counter() < until_s:
        began_s = time.perf_counter()
        await asyncio.sleep(TICK_S)
        late_ms.append(1000 * (time.perf_counter() - began_s - TICK_S))
    return round(quantile(late_ms, 0.99), 2)


class Painting(Session):
    """A session that somebody watches, and in which somebody speaks without a pause; nobody listens."""

    is_live = True

    def __init__(self, house: House, config: PaintConfig, name: str, sound: np.ndarray) -> None:
        self._sound, self._turns = sound, 0
        self.lost = 0
        """Chunks for which there was no room."""
        super().__init__(house, config, name)

    def wired(self, nodes: list[Node]) -> Graph:
        return Graph(nodes, sources={"video": Frame, "sound": AudioChunk}, clock=self.house.clock)

    def painting(self, pictures: Sequence[np.ndarray], seconds: float) -> float:
        self._turns += 1
        feeder = Feeder(self.graph, self._sound, f"mic{self._turns}")
        feeder.start()
        rate = super().painting(pictures, seconds)
        feeder.stop()
        self.lost += feeder.full
        return rate


class Hearing(Painting):
    """One in which the house listens; `finals` as in HearConfig."""

    finals: Any = "same"

    def nodes(self, config: PaintConfig) -> list[Node]:
        hear = Node(
            "hear", HearStage(), HearStage.spec, HearConfig(share=SHARE, finals=self.finals), "source:sound"
        )
        return [hear, *super().nodes(config)]


def paint_loss(rounds: int, seconds: float, finals: str = "same") -> dict[str, Any]:
    """Return the share of the painter's rate that hearing costs while somebody speaks without a pause.

    Pictures come as fast as the painter takes them, so that both cores are busy all the time; the median of
    pairs that take turns.
    """
    from benchmarks._see_beside import photo_with_person

    Hearing.finals = finals
    house, config = House(), PaintConfig(prompt="pencil sketch", skip_still=False)
    pictures = [photo_with_person(k) for k in range(PICTURES)]
    sound = speech()
    alone, hearing = Painting(house, config, "alone", sound), Hearing(house, config, "hearing", sound)
    told, pairs = hearing.graph.subscribe("hear", 512), []
    try:
        for session in (alone, hearing):
            session.feed(pictures, WARM_S)
        for turn in range(rounds):
            order = (alone, hearing) if turn % 2 == 0 else (hearing, alone)
            rate = {session.name: session.feed(pictures, seconds) for session in order}
            pairs.append((rate["alone"], rate["hearing"]))
            print(f"  {rate['alone']:.1f} pictures a second, {rate['hearing']:.1f} with hearing", flush=True)
        said = [one.value for one in iter(told.poll, None) if one.value is not None]
    finally:
        for session in (alone, hearing):
            session.close()
        house.lanes.close()
    return {
        "paint_loss": round(median([1 - beside / one for one, beside in pairs]), 3),
        "paint_fps": round(median([one for one, _ in pairs]), 1),
        "paint_fps_hearing": round(median([one for _, one in pairs]), 1),
        "paint_chunks_lost": hearing.lost,
        "paint_texts": len(said),
    }
