"""How far coarse numbers may stray: the gate that an int8 engine passes on real pictures.

The parity gate compares one random input, which tells a wrong engine from a right one. Whether rounding shows
is asked on what the network sees in earnest, on samples that the rounding was not fitted to.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    Tensors = Mapping[str, torch.Tensor]

LEAST_DB = 38.0
"""Below this a person who looks for it sees the difference in flat areas."""
EVERY = 4
"""Every fourth sample judges, the others calibrate."""


def split(samples: Iterable[Tensors]) -> tuple[list[Tensors], list[Tensors]]:
    """Return the samples to calibrate with and those to judge by. Raises ValueError for fewer than two."""
    every = list(samples)
    if len(every) < 2:
        raise ValueError(f"two samples are needed, one to calibrate and one to judge by; got {len(every)}")
    judging = every[EVERY - 1 :: EVERY] or every[-1:]
    fitting = [sample for i, sample in enumerate(every) if i % EVERY != EVERY - 1]
    return (fitting, judging) if len(every) >= EVERY else (every[:-1], judging)


def psnr_db(pairs: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Return the peak signal to noise ratio of (seen, expected) pairs; inf when they are equal.

    The peak is the range of what was expected: for pictures in [-1, 1] that use it all, 2. -inf for numbers
    that are not finite.
    """
    squares, count = 0.0, 0
    low, high = math.inf, -math.inf
    for seen, expected in pairs:
        difference = seen.detach().double().cpu() - expected.detach().double().cpu()
        squares += float((difference**2).sum())
        count += difference.numel()
        low, high = min(low, float(expected.min())), max(high, float(expected.max()))
    if not math.isfinite(squares):
        return -math.inf
    if squares == 0.0:
        return math.inf
    return 10.0 * math.log10((high - low) ** 2 / (squares / count)) if high > low else -math.inf
