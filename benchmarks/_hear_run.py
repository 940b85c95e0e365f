"""The stage that hears, run on a sound as if it came in live, on a clock that counts processor time.

A chunk comes when it was spoken. The stage takes it when it has come and the one before is done with, and is
charged with the processor time that it took, of all threads. So a busy machine changes no figure, and a stage
that is too slow is late here as it would be there.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from perception.asr.config import HearConfig
from perception.asr.stage import HearStage
from perception.asr.transcript import Transcript, Turn
from realtime.core.clock import NS_PER_S
from realtime.core.frame import AudioChunk, Stamp
from realtime.core.stage import StageContext

from ._hear_sets import RATE_HZ, Spoken

CHUNK = RATE_HZ // 50
BEFORE_S, AFTER_S = 1.0, 1.5
"""Silence around each recording; that after it ends what was said."""
NORMALISER = "EnglishTextNormalizer of transformers (that of Whisper's paper), without its table of spellings"
ENGINES: dict[str, dict[str, str]] = {
    "moonshine": {"engine": "moonshine", "finals": "same"},
    "whisper": {"engine": "whisper", "finals": "same"},
    "moonshine+whisper": {"engine": "moonshine", "finals": "whisper"},
}


class WorkClock:
    """Tell the time of a stage: when its newest chunk was taken, and what it worked since."""

    def __init__(self) -> None:
        self._begin_ns, self._work_ns = 0, time.process_time_ns()

    def now_ns(self) -> int:
        return self._begin_ns + time.process_time_ns() - self._work_ns

    def take(self, came_ns: int) -> None:
        """Take the next chunk, which came at a time."""
        self._begin_ns = max(self.now_ns(), came_ns)
        self._work_ns = time.process_time_ns()


@dataclass
class Heard:
    """Hold what a stage said about one recording, and when."""

    said: list[tuple[float, Transcript]] = field(default_factory=list)
    """Seconds on the stage's clock, since the recording began."""
    seconds: float = 0.0
    cpu_s: float = 0.0
    worst_lag_s: float = 0.0

    @property
    def text(self) -> str:
        return " ".join(one.text for _, one in self.said if one.is_final).strip()

    @property
    def words_ever(self) -> int:
        """Words in texts of any kind, also in those that were dropped again."""
        return sum(len(f"{one.text} {one.tail}".split()) for _, one in self.said)

    def first_partial_s(self, *, stands: bool = False) -> list[float]:
        """Return, for each utterance, how long after the voice was there its first word was told of, or the
        first one that is never taken back."""
        found: dict[int, float] = {}
        began = {one.utterance: one.begin_s for _, one in self.said if one.turn is Turn.START}
        for at_s, one in self.said:
            if one.text or (one.tail and not stands):
                found.setdefault(one.utterance, at_s - began[one.utterance] - 0.4)
        return list(found.values())

    def final_s(self) -> list[float]:
        """Return how long after its last sound (but the tail of 0.2 s) each utterance had its final words."""
        return [at_s - (one.end_s - 0.2) for at_s, one in self.said if one.is_final and one.text]


class Listener:
    """Keep one stage open for many recordings."""

    def __init__(self, **settings: Any) -> None:
        self._clock = WorkClock()
        self._stage = HearStage()
        self._stage.configure(HearConfig(**settings))
        self._stage.open(StageContext("bench", self._clock, is_live=True))

    def hear(self, sound: np.ndarray, before_s: float = BEFORE_S) -> Heard:
        """Hear a sound (n,) at RATE_HZ, with silence around it, from a new beginning."""
        self._stage.reset()
        heard = Heard(seconds=len(sound) / RATE_HZ)
        self._clock = WorkClock()
        self._stage._clock = self._clock
        self._stage._rest_until_ns = 0
        began_s = time.process_time()
        for chunk in chunks(np.concatenate([quiet(before_s), sound, quiet(AFTER_S)])):
            self._clock.take(chunk.stamp.captured_ns + len(chunk.samples) * NS_PER_S // RATE_HZ)
            for one in self._stage.process(chunk):
                heard.said.append((self._clock.now_ns() / NS_PER_S, one.value))
            lag_s = (self._clock.now_ns() - chunk.stamp.captured_ns) / NS_PER_S
            heard.worst_lag_s = max(heard.worst_lag_s, lag_s)
        heard.cpu_s = time.process_time() - began_s
        return heard

    def close(self) -> None:
        self._stage.close()


def quiet(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def chunks(sound: np.ndarray) -> Iterator[AudioChunk]:
    """Yield a sound as 20 ms chunks of a live source."""
    for seq, at in enumerate(range(0, len(sound), CHUNK)):
        stamp = Stamp("bench", seq, at, Fraction(1, RATE_HZ), at * NS_PER_S // RATE_HZ)
        yield AudioChunk(stamp, np.ascontiguousarray(sound[at : at + CHUNK], np.float32), RATE_HZ)


def error_rate(said: Sequence[str], heard: Sequence[str]) -> float:
    """Return the word error rate over all recordings together, after NORMALISER on both sides."""
    import jiwer

    return float(jiwer.wer([plain(one) for one in said], [plain(one) for one in heard]))


def plain(text: str) -> str:
    """Return a text as it is compared."""
    found: str = _normaliser()(text)
    return re.sub(r"\s+", " ", found).strip()


@cache
def _normaliser() -> Any:
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    return EnglishTextNormalizer({})


def first_word(one: Spoken) -> str:
    return plain(one.words).split(" ")[0]
