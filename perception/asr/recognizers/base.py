"""What a speech recogniser is to the stage that hears: it takes 16 kHz sound and says what it makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from perception.asr.transcript import Hypothesis

Samples = npt.NDArray[np.float32]
"""(n,) mono in [-1, 1] at 16 kHz."""


@dataclass(frozen=True, slots=True)
class RecognizerInfo:
    """Describe a recogniser for page, doctor and docs."""

    id: str
    name: str
    licence: str
    is_append_only: bool
    """Whether partial texts only grow; others go through a stable-prefix filter."""
    update_s: float
    """Seconds of sound between two partial texts that are worth their cost."""
    step_s: float = 0.0
    """Seconds of sound that it takes at once; 0: any."""
    has_word_times: bool = False
    has_hotwords: bool = False


class Recognizer(Protocol):
    """Recognise one stream, utterance after utterance. One thread calls it; it owns state, not weights.

    `finish` ends an utterance. What carries over to the next (an encoder's context) is the recogniser's own;
    labels do not, so that the same word on both sides of an end is heard twice.
    """

    info: RecognizerInfo

    def accept(self, samples: Samples) -> None:
        """Take the next sound; costs little unless the recogniser works step by step."""

    def partial(self) -> Hypothesis:
        """Return what stands so far, of the whole utterance."""

    def finish(self) -> Hypothesis:
        """Return the final words of the utterance and begin the next one."""

    def reset(self) -> None:
        """Forget the stream."""

    def close(self) -> None:
        """Let go of everything. Twice does no harm."""


@runtime_checkable
class LooksAhead(Protocol):
    """What a recogniser has that may wait longer for what follows, and errs less then."""

    def look(self, lookahead: int) -> None:
        """Wait for so many frames of the future, from the next utterance on.

        Raises ConfigError for a number that does not fit, EngineError when no engine can run it.
        """
