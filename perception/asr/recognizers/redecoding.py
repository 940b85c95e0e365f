"""A recogniser made of one that takes whole utterances: it keeps the sound and decodes all of it each time.

What it makes of the same sound is asked once only, so that the text at a probable end costs nothing more when
the end comes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from perception.asr.transcript import Hypothesis
from realtime.core.frame import SPEECH_RATE_HZ

from .base import RecognizerInfo, Samples

LEAST_S = 0.25
"""Less sound than this holds no word, and networks trained on sentences make one up."""


class Redecoding:
    """Recognise with `decode`, which takes an utterance (n,) and says what it makes of it."""

    def __init__(
        self,
        info: RecognizerInfo,
        decode: Callable[[Samples], Hypothesis],
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.info = info
        self._decode = decode
        self._close = close
        self._heard: list[Samples] = []
        self._known: Hypothesis | None = None

    def accept(self, samples: Samples) -> None:
        self._heard.append(samples)
        self._known = None

    def partial(self) -> Hypothesis:
        if self._known is None:
            heard = np.concatenate(self._heard) if self._heard else np.zeros(0, np.float32)
            enough = len(heard) >= LEAST_S * SPEECH_RATE_HZ
            self._known = self._decode(heard) if enough else Hypothesis()
        return self._known

    def finish(self) -> Hypothesis:
        final = self.partial()
        self.reset()
        return final

    def reset(self) -> None:
        self._heard, self._known = [], None

    def close(self) -> None:
        self.reset()
        self._close()
