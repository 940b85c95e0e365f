"""Areas and lines in a picture: how deep a point lies in an area, and whether a step crosses a line.

Points are shares of the picture, y downwards. A step that ends on a line has not crossed it; one that begins
there and goes on has: so each crossing counts once, wherever the points fall.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def depths(points_N2: Floats, polygon_K2: Floats) -> Floats:
    """Return the distance of each point from an area's border, (N,): more than 0 inside, less outside."""
    begin, end = polygon_K2, np.roll(polygon_K2, -1, axis=0)
    x, y = points_N2[:, [0]], points_N2[:, [1]]
    spans = (begin[:, 1] > y) != (end[:, 1] > y)
    rise = np.where(end[:, 1] == begin[:, 1], 1.0, end[:, 1] - begin[:, 1])
    at_x = begin[:, 0] + (y - begin[:, 1]) * (end[:, 0] - begin[:, 0]) / rise
    is_inside = (spans & (x < at_x)).sum(1) % 2 == 1  # how often a ray to the right meets the border
    away = distances(points_N2, begin, end).min(1)
    return np.asarray(np.where(is_inside, away, -away), np.float64)


def distances(points_N2: Floats, begin_K2: Floats, end_K2: Floats) -> Floats:
    """Return the distance of each point from each stretch of a line, (N, K)."""
    along = end_K2 - begin_K2
    length2 = np.maximum((along**2).sum(1), 1e-18)
    from_begin = points_N2[:, None] - begin_K2
    share = np.clip((from_begin * along).sum(2) / length2, 0, 1)
    return np.asarray(np.hypot(*np.moveaxis(from_begin - share[..., None] * along, 2, 0)), np.float64)


def crossing(before_2: Floats, after_2: Floats, begin_2: Floats, end_2: Floats) -> int:
    """Return 1 for a step that crosses a line towards the right hand of one who walks along it, -1, or 0."""
    was, is_now = _is_right(before_2, begin_2, end_2), _is_right(after_2, begin_2, end_2)
    if was == is_now:
        return 0
    step = after_2 - before_2
    away = begin_2 - before_2
    along = end_2 - begin_2
    turn = along[0] * step[1] - along[1] * step[0]  # not 0: the step changes sides
    place = (step[0] * away[1] - step[1] * away[0]) / turn
    return (1 if is_now else -1) if 0 <= place < 1 else 0


def _is_right(point_2: Floats, begin_2: Floats, end_2: Floats) -> bool:
    along, to = end_2 - begin_2, point_2 - begin_2
    return bool(along[0] * to[1] - along[1] * to[0] > 0)


def area(polygon_K2: Floats) -> float:
    """Return the area that a border encloses."""
    x, y = polygon_K2.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def girth(polygon_K2: Floats) -> float:
    """Return the length of a border."""
    return float(np.hypot(*(np.roll(polygon_K2, -1, axis=0) - polygon_K2).T).sum())


def crossed_sides(polygon_K2: Floats) -> tuple[int, int] | None:
    """Return two sides of a border that meet elsewhere than at a common corner, from 1; None if none do."""
    count = len(polygon_K2)
    for i, k in combinations(range(count), 2):
        if k - i in (1, count - 1):
            continue
        one = polygon_K2[i], polygon_K2[(i + 1) % count]
        other = polygon_K2[k], polygon_K2[(k + 1) % count]
        if _meet(one, other):
            return i + 1, k + 1
    return None


def _meet(one: Sequence[Floats], other: Sequence[Floats]) -> bool:
    (a, b), (c, d) = one, other
    straddles = _turn(a, b, c) * _turn(a, b, d) <= 0 and _turn(c, d, a) * _turn(c, d, b) <= 0
    near = np.maximum(np.minimum(a, b), np.minimum(c, d)) <= np.minimum(np.maximum(a, b), np.maximum(c, d))
    return bool(straddles and near.all())


def _turn(a: Floats, b: Floats, c: Floats) -> float:
    return float(np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])))
