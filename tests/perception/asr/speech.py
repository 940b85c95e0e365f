"""Sound that a test writes down as a script, a detector that hears just that, and a recogniser that counts.

Each letter of a script is a window of sound at the level of its place in the alphabet; dots are silence. So
what reached a recogniser can be read off its samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import groupby

import numpy as np

from perception.asr.intake import WINDOW
from perception.asr.recognizers.base import RecognizerInfo, Samples
from perception.asr.transcript import Hypothesis
from realtime.core.clock import NS_PER_S
from realtime.core.frame import AudioChunk, Stamp

LEAST = 0.1
WINDOWS_PER_S = 16_000 / WINDOW


def script(*parts: str | float) -> str:
    """Return a script of words, a second long each, and of pauses in seconds."""
    return "".join(
        part * round(WINDOWS_PER_S) if isinstance(part, str) else "." * round(part * WINDOWS_PER_S)
        for part in parts
    )


def sound_of(text: str) -> np.ndarray:
    """Return (n,) at 16 kHz."""
    levels = [0.0 if one == "." else LEAST + (ord(one) - ord("a")) / 100 for one in text]
    return np.repeat(np.array(levels, np.float32), WINDOW)


def chunks(
    text: str, *, size: int = 320, source: str = "mic", first: int = 0, late_ns: int = 0
) -> Iterator[AudioChunk]:
    """Yield a script's sound, 20 ms a chunk, the first one being number `first`."""
    sound = sound_of(text)
    for k, at in enumerate(range(0, len(sound), size)):
        pts = first * size + at
        stamp = Stamp(source, first + k, pts, Fraction(1, 16_000), pts * NS_PER_S // 16_000 + late_ns)
        yield AudioChunk(stamp, sound[at : at + size].copy(), 16_000)


class Sure:
    """Hear speech in every window that is not silent."""

    name = "sure"

    def probability(self, samples: Samples) -> float:
        return 0.95 if np.abs(samples).max() > LEAST / 2 else 0.02

    def reset(self) -> None: ...


def read(sound: np.ndarray) -> str:
    """Return the words of a script that a sound was made of: a letter for each run, pauses left out."""
    windows = sound[: len(sound) // WINDOW * WINDOW].reshape(-1, WINDOW)[:, WINDOW // 2]
    places = [-1 if level < LEAST / 2 else round((level - LEAST) * 100) for level in windows]
    letters = ["." if at < 0 else chr(ord("a") + at) for at in places]
    return " ".join(letter for letter, _ in groupby(letters) if letter != ".")


class Reader:
    """Recognise scripts; `spend` is called with the seconds of sound at each decoding, `heard` keeps all."""

    def __init__(
        self,
        name: str = "reader",
        *,
        spend: Callable[[float], None] = lambda seconds: None,
        say: Callable[[str], str] = lambda text: text,
        update_s: float = 0.2,
    ) -> None:
        self.info = RecognizerInfo(name, name.title(), "MIT", is_append_only=False, update_s=update_s)
        self.heard: list[np.ndarray] = []
        self.decodings = 0
        self.is_closed = False
        self._parts: list[np.ndarray] = []
        self._known: Hypothesis | None = None
        self._spend, self._say = spend, say

    def accept(self, samples: Samples) -> None:
        self._parts.append(samples)
        self._known = None

    def partial(self) -> Hypothesis:
        if self._known is None:
            self._known = Hypothesis(self._say(self._decoded()))
        return self._known

    def _decoded(self) -> str:
        sound = np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32)
        self.decodings += 1
        self._spend(len(sound) / 16_000)
        return read(sound)

    def finish(self) -> Hypothesis:
        final = self.partial()
        self.heard.append(np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32))
        self.reset()
        return final

    def reset(self) -> None:
        self._parts, self._known = [], None

    def close(self) -> None:
        self.is_closed = True
