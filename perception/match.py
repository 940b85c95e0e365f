"""Which box belongs to which track: the likeliest pairs first.

Overlap alone fails where a slow detector meets something small and fast, whose boxes do not touch from one
picture to the next. So a pair is judged by how likely the box is where the track is expected, given how well
that is known. Taking the likeliest pair, then the next, gives what an optimal assignment gives on the
benchmark's world, to the printed digit, and needs no solver.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .kalman import Numbers

Places = npt.NDArray[np.int64]

FARTHEST = 20.0
"""Squared deviations, summed over middle and sides: of true pairs, one in two thousand lies farther."""
OTHER_KIND = 6.0
"""How much worse a pair of two kinds is: detectors take one kind for another once in twenty times."""


def pairs(
    expected_N4: Numbers,
    variance_N4: Numbers,
    kinds_N: Places,
    seen_M4: Numbers,
    seen_kinds_M: Places,
) -> tuple[Places, Places]:
    """Return places of tracks and places of the boxes that belong to them.

    `variance_N4` is that of what a detector would say of each track.
    """
    if not (len(expected_N4) and len(seen_M4)):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    apart = seen_M4[None] - expected_N4[:, None]
    distance = np.einsum("nmk,nk->nm", apart * apart, 1 / variance_N4)
    cost = distance + np.log(variance_N4).sum(axis=1)[:, None]
    cost += OTHER_KIND * (kinds_N[:, None] != seen_kinds_M[None])
    tracks, boxes = np.nonzero(distance < FARTHEST)
    return _likeliest(tracks, boxes, cost[tracks, boxes], min(cost.shape))


def _likeliest(tracks: Places, boxes: Places, costs: Numbers, most: int) -> tuple[Places, Places]:
    taken: dict[int, int] = {}
    given: set[int] = set()
    order = np.argsort(costs, kind="stable")
    for track, box in zip(tracks[order].tolist(), boxes[order].tolist(), strict=True):
        if track not in taken and box not in given:
            taken[track] = box
            given.add(box)
            if len(taken) == most:
                break
    return np.array(list(taken), np.int64), np.array(list(taken.values()), np.int64)
