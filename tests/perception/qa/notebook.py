"""A small real engine: it remembers words of events and times of pictures, and can be held up."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from perception.qa.base import Answer, EngineCard, Moment
from realtime.core.clock import NS_PER_S
from realtime.core.errors import EngineError
from realtime.core.frame import Frame, Stamp

PATIENCE_S = 20.0


def frame(seq: int, at_s: float | None = None, level: int = 100) -> Frame:
    """Return a picture of one grey, captured `at_s` seconds after the start (else `seq` seconds)."""
    captured_ns = round((seq if at_s is None else at_s) * NS_PER_S)
    return Frame(Stamp("cam", seq, seq, Fraction(1), captured_ns), np.full((8, 8, 3), level, np.uint8))


class Notebook:
    """Answer with all words noted up to the snapshot, one a part; "fail" fails, and "break" breaks."""

    def __init__(self) -> None:
        self.may_push = threading.Event()
        self.may_answer = threading.Event()
        self.may_push.set()
        self.may_answer.set()
        self.pushing, self.answering = threading.Event(), threading.Semaphore(0)
        self.words: tuple[tuple[str, int], ...] = ()
        self.frames: tuple[int, ...] = ()
        self.is_closed = False

    @property
    def card(self) -> EngineCard:
        return EngineCard("notebook", "event memory", "Repeats what it was told.")

    def push_frame(self, frame: Frame) -> None:
        self.pushing.set()
        assert self.may_push.wait(PATIENCE_S)
        self.frames += (frame.stamp.captured_ns,)

    def note(self, event: Mapping[str, Any], at_ns: int) -> None:
        if event["text"] == "break":
            raise RuntimeError("broken")
        self.words += ((str(event["text"]), at_ns),)

    def snapshot(self) -> tuple[tuple[tuple[str, int], ...], tuple[int, ...]]:
        return self.words, self.frames

    def ask(self, text: str, memory: Any) -> Iterator[Answer]:
        words, frames = memory
        self.answering.release()
        assert self.may_answer.wait(PATIENCE_S)
        if text == "fail":
            raise EngineError("It failed.", hint="Ask otherwise.")
        if text == "break":
            raise RuntimeError("broken")
        known_ns = max((*frames, *(at_ns for _, at_ns in words)), default=0)
        for count in range(1, len(words) + 1):
            said = " ".join(word for word, _ in words[:count])
            moments = tuple(Moment(at_ns, word) for word, at_ns in words[:count])
            yield Answer(said, "notebook", known_ns, moments, is_final=count == len(words))
        if not words:
            yield Answer("Nothing.", "notebook", known_ns, observed=False)

    def picture(self, number: int) -> bytes | None:
        return b"jpeg" if number == 7 else None

    def forget(self, begin_ns: int = 0, end_ns: int | None = None) -> int:
        before = len(self.words)
        self.words = tuple(
            one for one in self.words if one[1] < begin_ns or (end_ns is not None and one[1] >= end_ns)
        )
        return before - len(self.words)

    def close(self) -> None:
        self.is_closed = True
