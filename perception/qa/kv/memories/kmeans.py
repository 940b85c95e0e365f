"""Weighted k-means that always gives the same: no random beginning and no random repair of empty clusters.

Points have weights, so that the centre of a thousand frames counts as a thousand. It begins with one cluster
a point, joins the two that cost the least (Ward 1963: w1 w2 / (w1 + w2) times the squared distance) until `k`
are left, and then moves points to the nearest centre (Lloyd 1982) until nothing moves.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ITERATIONS = 10

Floats = npt.NDArray[np.float64]


def weighted_kmeans(points_ND: Floats, weights_N: Floats, k: int) -> list[list[int]]:
    """Return the points of each cluster, at most `k` clusters, none empty, ordered by their first point."""
    clusters = _joined(points_ND, weights_N, k)
    for _ in range(ITERATIONS):
        centres_KD = np.stack([centre(points_ND, weights_N, members) for members in clusters])
        nearest = _distances(points_ND, centres_KD).argmin(1).tolist()
        moved: list[list[int]] = [[] for _ in clusters]
        for i, to in enumerate(nearest):
            moved[to].append(i)
        moved = _filled(moved, points_ND, weights_N, centres_KD)
        if moved == clusters:
            break
        clusters = moved
    return sorted(clusters)


def centre(points_ND: Floats, weights_N: Floats, members: list[int]) -> Floats:
    """Return the weighted mean of some points, (D,)."""
    weights = weights_N[members]
    mean: Floats = weights @ points_ND[members] / weights.sum()
    return mean


def _distances(a_ND: Floats, b_MD: Floats) -> Floats:
    squares: Floats = (a_ND**2).sum(1)[:, None] + (b_MD**2).sum(1) - 2 * a_ND @ b_MD.T
    return squares


def _joined(points_ND: Floats, weights_N: Floats, k: int) -> list[list[int]]:
    clusters = [[i] for i in range(len(points_ND))]
    centres, weights = points_ND, weights_N
    while len(clusters) > k:
        cost = _distances(centres, centres) * (weights[:, None] * weights / (weights[:, None] + weights))
        cost[np.tri(len(clusters), dtype=bool)] = np.inf
        a, b = divmod(int(cost.argmin()), len(clusters))
        both = [a, b]
        centres, weights = centres.copy(), weights.copy()
        centres[a], weights[a] = centre(centres, weights, both), weights[both].sum()
        centres, weights = np.delete(centres, b, 0), np.delete(weights, b)
        clusters[a] = sorted(clusters[a] + clusters.pop(b))
    return clusters


def _filled(
    clusters: list[list[int]], points_ND: Floats, weights_N: Floats, centres_KD: Floats
) -> list[list[int]]:
    """Give each empty cluster the point that fits worst where it is, of a cluster that can spare one."""
    for members in clusters:
        if members:
            continue
        misfit = [
            (float(weights_N[i] * ((points_ND[i] - centres_KD[c]) ** 2).sum()), -i, c)
            for c, others in enumerate(clusters) if len(others) > 1 for i in others
        ]  # fmt: skip
        if misfit:
            _, minus_i, c = max(misfit)
            clusters[c].remove(-minus_i)
            members.append(-minus_i)
    return [members for members in clusters if members]
