"""What is known of each track, and for how long it is believed.

All tracks lie in arrays of one length: five hundred cost little more than one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from .kalman import Beliefs, Numbers
from .match import Places


@dataclass(frozen=True, slots=True)
class Patience:
    """Say how long what is not seen is believed in."""

    shown_s: float = 0.5
    """A thing that the detector has stopped seeing is shown on for that long."""
    remembered_s: float = 1.0
    """It gets its number back when it is seen again within that time."""
    rests: float = 3.0
    """With a slow detector it is remembered, and silence borne, for so many times its interval, if longer."""
    silence_s: float = 2.0
    """When the detector says nothing for that long, nothing is shown."""
    least_seen: int = 2
    """A thing must have been seen so many times to be shown or remembered while it is not seen."""
    fading: float = 0.6
    """What becomes of its score with each picture in which it is not seen."""


@dataclass(slots=True)
class Tracks:
    """Hold what is known of each track, in arrays of one length."""

    beliefs: Beliefs
    ids_N: Places
    scores_N: npt.NDArray[np.float32]
    kinds_N: Places
    votes_N: Numbers
    """How sure the kind is: the scores for it less those against it."""
    times_seen_N: Places
    times_missed_N: Places
    """Since it was last seen."""
    seen_N_ns: Places
    """When it was last seen."""

    def __len__(self) -> int:
        return len(self.ids_N)

    def kept(self, which: npt.NDArray[np.bool_]) -> Tracks:
        beliefs = Beliefs(*(one[which] for one in self.beliefs))
        return Tracks(beliefs, *(getattr(self, name)[which] for name in _ARRAYS))

    def joined(self, other: Tracks) -> Tracks:
        beliefs = Beliefs(*map(np.concatenate, zip(self.beliefs, other.beliefs, strict=True)))
        rest = (np.concatenate([getattr(self, name), getattr(other, name)]) for name in _ARRAYS)
        return Tracks(beliefs, *rest)


_ARRAYS = [one.name for one in fields(Tracks)][1:]
