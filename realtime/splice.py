"""Leave out or repeat a little sound so that nobody hears it: join it where it resembles itself.

A voice repeats itself some hundred times a second. A jump by one such period, cross-faded, changes neither
pitch nor timbre; that is how players catch up with live sound (WSOLA: Verhelst and Roelands, ICASSP 1993).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

_COARSE = 4
"""Every fourth sample is enough to find about where it fits."""


def best_shift(line: Samples, at: int, low: int, high: int, fade: int) -> int:
    """Return the shift, `low` to `high` samples, by which the `fade` samples from `at` resemble others most.

    All of `line[at + low : at + high + fade]` must be there.
    """
    about = _best(line, at, range(low, high + 1, _COARSE), fade, _COARSE)
    near = range(max(low, about - _COARSE + 1), min(high, about + _COARSE - 1) + 1)
    return _best(line, at, near, fade, 1)


def _best(line: Samples, at: int, shifts: range, fade: int, step: int) -> int:
    """Compare every `step`-th sample at each of `shifts`, which are as far apart; return the best of them."""
    here = line[at : at + fade : step]
    others = np.lib.stride_tricks.sliding_window_view(
        line[at + shifts[0] : at + shifts[-1] + fade : step], len(here)
    )
    energy = np.sqrt(np.einsum("ij,ij->i", others, others)) + 1e-9
    return shifts[int(np.argmax(others @ here / energy))]


def spliced(line: Samples, at: int, shift: int, count: int, fade: int) -> Samples:
    """Return `count` samples that begin as those from `at` do and go on as those from `at + shift` do.

    After them the sound goes on at `at + shift + count`. A positive shift leaves sound out, a negative one
    repeats some.
    """
    there = line[at + shift : at + shift + count].copy()
    if shift:
        rise = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
        there[:fade] = there[:fade] * rise + line[at : at + fade] * (1 - rise)
    return there
