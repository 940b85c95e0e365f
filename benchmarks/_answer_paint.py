"""What answering costs the painter: its rate beside a memory that is written and asked, and its pace while an
answer takes long.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks._measure import median, quantile
from benchmarks._see_beside import WARM_S, Live, photo_with_person
from benchmarks.paint import PICTURES, House
from perception.qa.apart import ApartEngine
from perception.qa.base import Answer, EngineCard, QAEngine
from perception.qa.config import AnswerConfig
from perception.qa.stage import AnswerStage
from pipelines.diffusion.config import PaintConfig
from realtime.core.clock import NS_PER_S
from realtime.core.frame import Frame
from realtime.core.nodes import Node

SEEN_HZ = 15.0
ASKED_EVERY_S = 1.0
QUESTIONS = (
    "Is there a person?",
    "How many cups are there?",
    "When did a dog first appear?",
    "What was said about the weather?",
    "Summarise the last 5 minutes.",
)
PACE = 0.6
"""Share of the painter's own rate that pictures come at while its pace is measured."""
THINKS_S = 2.0
PATIENCE_S = 60.0
"""An answer that takes longer beside a painter at its full rate is given up."""


class Thinking:
    """Compute for `THINKS_S` for every answer, with Python's lock free, as a model's products have it.

    However long it takes until a core has given so much.
    """

    @property
    def card(self) -> EngineCard:
        return EngineCard("thinking", "demo model", "Takes long.")

    def push_frame(self, frame: Frame) -> None: ...

    def note(self, event: Mapping[str, Any], at_ns: int) -> None: ...

    def snapshot(self) -> None: ...

    def ask(self, text: str, memory: None) -> Iterator[Answer]:
        until_s = time.thread_time() + THINKS_S
        while time.thread_time() < until_s:
            hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 20_000)
        yield Answer("So it is.", "thinking", 0)

    def picture(self, number: int) -> None: ...

    def forget(self, begin_ns: int = 0, end_ns: int | None = None) -> int:
        return 0

    def close(self) -> None: ...


class Asked(Live):
    """A session with a memory; while it is `busy`, it is told what is seen and asked each second."""

    make: Callable[..., QAEngine[Any]] | None = None

    def nodes(self, config: PaintConfig) -> list[Node]:
        make = self.make
        self.answer = AnswerStage(None if make is None else lambda config, ctx: (make(), None))
        node = Node("answer", self.answer, AnswerStage.spec, AnswerConfig(), "source:video")
        return [node, *super().nodes(config)]

    def painting(self, pictures: Sequence[np.ndarray], seconds: float) -> float:
        ended = threading.Event()
        telling = threading.Thread(target=self._tell, args=(ended,), daemon=True)
        telling.start()
        rate = super().painting(pictures, seconds)
        ended.set()
        telling.join(5)
        return rate

    answered = 0

    def _tell(self, ended: threading.Event) -> None:
        desk, count = self.answer.desk, 0
        assert desk is not None
        while not ended.wait(1 / SEEN_HZ):
            desk.note(_seen(self.house.clock.now_ns(), count))
            if count % round(ASKED_EVERY_S * SEEN_HZ) == 0:
                desk.ask(QUESTIONS[count // 15 % len(QUESTIONS)], self._hear)
            count += 1

    def _hear(self, reply: Any) -> None:
        if reply.error is not None:
            raise reply.error
        self.answered += reply.is_final


def _seen(now_ns: int, count: int) -> dict[str, Any]:
    """Return an event "seen": a person who walks to and fro, a cup, and a dog now and then."""
    x = 0.1 + 0.6 * abs((count / 60) % 2 - 1)
    things = [("person", x, 0.2, 0.25, 0.7), ("cup", 0.1, 0.7, 0.1, 0.1)]
    things += [("dog", 0.6, 0.6, 0.2, 0.2)] * (count // 45 % 2)
    return {
        "type": "seen",
        "captured_ns": now_ns,
        "age_ms": 0.0,
        "aspect": 1.0,
        "detector": "made up",
        "things": [
            {"id": k, "name": name, "score": 0.9, "box": [left, top, left + w, top + h], "velocity": [0, 0]}
            for k, (name, left, top, w, h) in enumerate(things)
        ],
        "happened": [],
    }


class Waiting(Thinking):
    """Take as long, and wait all the while, as for a server or a GPU."""

    def ask(self, text: str, memory: None) -> Iterator[Answer]:
        time.sleep(THINKS_S)
        yield Answer("So it is.", "waiting", 0)


class Thoughtful(Asked):
    make = staticmethod(Thinking)


class Patient(Asked):
    make = staticmethod(Waiting)


class ThoughtfulApart(Asked):
    make = staticmethod(lambda: ApartEngine(Thinking))


def paint_loss(rounds: int, seconds: float) -> dict[str, Any]:
    """Return the share of the painter's rate that a memory of events costs, written and asked all the time.

    Pictures come as fast as the painter takes them; the median of pairs that take turns.
    """
    house, config = House(), PaintConfig(prompt="pencil sketch", skip_still=False)
    pictures = [photo_with_person(k) for k in range(PICTURES)]
    alone, asked = Live(house, config, "alone"), Asked(house, config, "asked")
    pairs = []
    try:
        for session in (alone, asked):
            session.feed(pictures, WARM_S)
        for turn in range(rounds):
            order = (alone, asked) if turn % 2 == 0 else (asked, alone)
            rate = {session.name: session.feed(pictures, seconds) for session in order}
            pairs.append((rate["alone"], rate["asked"]))
            print(f"  {rate['alone']:.1f} pictures a second, {rate['asked']:.1f} with answers", flush=True)
    finally:
        for session in (alone, asked):
            session.close()
        house.lanes.close()
    if not asked.answered:
        raise RuntimeError("nothing was answered, so that nothing was measured")
    return {
        "paint_loss": round(median([1 - beside / one for one, beside in pairs]), 3),
        "paint_fps": round(median([one for one, _ in pairs]), 1),
        "paint_fps_answering": round(median([one for _, one in pairs]), 1),
        "paint_answers": asked.answered,
    }


def pace(rounds: int, seconds: float) -> dict[str, Any]:
    """Return the painter's p99 age while a slow answer runs over that while none does, in the same session.

    Of each turn, and then the median over turns: a pause of the whole machine would else be all that counts.

    The answer waits, as for a server or a GPU ("frame_p99_ratio"), or takes a core of this machine, in this
    process ("here") or in one of its own. Pictures come at `PACE` of the rate that the painter can do.
    "answer_s" is how long an answer of `THINKS_S` took meanwhile, and at the painter's full rate.
    """
    house, config = House(), PaintConfig(prompt="pencil sketch", skip_still=False)
    pictures = [photo_with_person(k) for k in range(PICTURES)]
    sessions: list[Asked] = [Patient(house, config, "waiting"), Thoughtful(house, config, "here")]
    sessions.append(ThoughtfulApart(house, config, "apart"))
    turns = [(session, is_asked) for session in sessions for is_asked in (False, True)]
    ages: dict[str, dict[bool, list[list[float]]]] = {one.name: {False: [], True: []} for one in sessions}
    took_s: dict[str, list[float]] = {session.name: [] for session in sessions}
    full_s: dict[str, float] = {}
    try:
        for session in sessions:
            Live.painting(session, pictures, WARM_S / 2)  # without a question
            session.graph.drain(30)
        rate_hz = PACE * Live.painting(sessions[0], pictures, seconds)
        sessions[0].graph.drain(30)
        for turn in range(rounds):
            for session, is_asked in turns if turn % 2 == 0 else reversed(turns):
                found = took_s[session.name] if is_asked else None
                ages[session.name][is_asked].append(_paced(session, pictures, rate_hz, seconds, found))
        for session in sessions[1:]:
            full_s[session.name] = round(_at_full_rate(session, pictures), 1)
    finally:
        for session in sessions:
            session.close()
        house.lanes.close()

    def typical(name: str, is_asked: bool, share: float) -> float:
        return median([quantile(turn, share) for turn in ages[name][is_asked]])

    ratio = {name: typical(name, True, 0.99) / typical(name, False, 0.99) for name in ages}
    told = {
        f"frame_{what}_ms": {
            f"{name} {'asked' if is_asked else 'not asked'}": round(typical(name, is_asked, share), 1)
            for name in ages
            for is_asked in (False, True)
        }
        for what, share in (("p99", 0.99), ("p50", 0.5))
    }
    return {
        **told,
        "frame_p99_ratio": round(ratio["waiting"], 3),
        "frame_p99_ratio_core_taken": round(ratio["apart"], 3),
        "frame_p99_ratio_core_taken_here": round(ratio["here"], 3),
        "answer_s": {name: round(median(one), 1) if one else None for name, one in took_s.items()},
        "answer_s_full_rate": full_s,
    }


def _paced(
    session: Asked, pictures: Sequence[np.ndarray], rate_hz: float, seconds: float, took_s: list[float] | None
) -> list[float]:
    """Send pictures at a rate; return their ages as they came out, ms.

    With `took_s` a slow answer runs all the while, and how long each took goes there; that which runs at the
    end is waited for, and does not count.
    """
    from realtime.core.frame import VIDEO_CLOCK, Stamp

    ended, quiet = threading.Event(), threading.Event()
    desk, clock = session.answer.desk, session.house.clock
    assert desk is not None

    def think(reply: Any = None) -> None:
        if reply is not None and reply.is_final and not ended.is_set() and took_s is not None:
            took_s.append((clock.now_ns() - reply.asked_ns) / NS_PER_S)
        if took_s is None or (ended.is_set() and reply is not None and reply.is_final):
            quiet.set()
        elif reply is None or reply.is_final:
            desk.ask("What is it?", think)

    first = len(session.reader.ages_ms)
    think()
    begin_ns = clock.now_ns()
    for k in range(round(seconds * rate_hz)):
        wait_s = (begin_ns + k / rate_hz * NS_PER_S - clock.now_ns()) / NS_PER_S
        if wait_s > 0:
            time.sleep(wait_s)
        seq, session._seq = session._seq, session._seq + 1
        stamp = Stamp(session.name, seq, seq, VIDEO_CLOCK, clock.now_ns())
        session.graph.put("video", Frame(stamp, pictures[seq % len(pictures)]))
    ended.set()
    session.graph.drain(30)
    if not quiet.wait(PATIENCE_S):
        raise TimeoutError(f"session {session.name}: an answer did not end within {PATIENCE_S:g} s")
    return session.reader.ages_ms[first:]


def _at_full_rate(session: Asked, pictures: Sequence[np.ndarray]) -> float:
    """Return how long one answer takes while the painter paints all that it can, s; at most `PATIENCE_S`."""
    ended, began_s = threading.Event(), time.perf_counter()
    desk = session.answer.desk
    assert desk is not None
    desk.ask("What is it?", lambda reply: ended.set() if reply.is_final else None)
    while not ended.is_set() and time.perf_counter() - began_s < PATIENCE_S:
        Live.painting(session, pictures, 0.5)
    took_s = time.perf_counter() - began_s
    session.graph.drain(30)
    return took_s
