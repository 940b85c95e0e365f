"""Join what a question brought back to moments that a person can look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .memory import Pick


def stretches(picks: Sequence[Pick], gap_ns: int, most: int) -> list[list[Pick]]:
    """Return the best `most` stretches of picks, each and all in the order of time.

    The better half of the picks is looked at, `most` at least: what else was brought back has little to do
    with the question. Two of them that are `gap_ns` apart at most are of one stretch.
    """
    count = max(most, len(picks) // 2)
    ranked = sorted(picks, key=lambda pick: (-pick.score, -pick.at_ns))[:count]
    found: list[list[Pick]] = []
    for pick in sorted(ranked, key=lambda one: one.at_ns):
        if found and pick.at_ns - found[-1][-1].at_ns <= gap_ns:
            found[-1].append(pick)
        else:
            found.append([pick])
    best = sorted(found, key=lambda stretch: -max(pick.score for pick in stretch))[:most]
    return sorted(best, key=lambda stretch: stretch[0].at_ns)
