"""Weighted k-means that always gives the same: no random beginning and no random repair of empty clusters.

Points have weights, so that the centre of a thousand frames counts as a thousand. It begins with one cluster
a point, joins the two that cost the least (Ward 1963: w1 w2 / (w1 + w2) times the squared distance) until `k`
are left, and then moves points to the nearest centre (Lloyd 1982) until nothing moves.

Points are given by their products with each other alone: a frame has 10,000 numbers and more, and they are
looked at once. Centres are weighted means of points, so their distances follow from the products.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ITERATIONS = 10

Floats = npt.NDArray[np.float64]
Clusters = list[list[int]]


def weighted_kmeans(products_NN: Floats, weights_N: Floats, k: int) -> Clusters:
    """Return the points of each cluster, at most `k` clusters, none empty, ordered by their first point."""
    clusters = _joined(products_NN, weights_N, k)
    for _ in range(ITERATIONS):
        away_NK = distances(products_NN, means(weights_N, clusters))
        moved: Clusters = [[] for _ in clusters]
        for i, to in enumerate(away_NK.argmin(1).tolist()):
            moved[to].append(i)
        moved = _filled(moved, weights_N[:, None] * away_NK)
        if moved == clusters:
            break
        clusters = moved
    return sorted(clusters)


def means(weights_N: Floats, clusters: Clusters) -> Floats:
    """Return by how much each point counts in the centre of each cluster, (K, N)."""
    shares_KN = np.zeros((len(clusters), len(weights_N)))
    rows = np.repeat(np.arange(len(clusters)), [len(members) for members in clusters])
    columns = np.array([i for members in clusters for i in members])
    shares_KN[rows, columns] = weights_N[columns]
    shares_KN /= shares_KN.sum(1, keepdims=True)
    return shares_KN


def distances(products_NN: Floats, shares_KN: Floats) -> Floats:
    """Return the squared distances from each point to each centre, (N, K)."""
    mixed_KN = shares_KN @ products_NN
    away: Floats = products_NN.diagonal()[:, None] - 2 * mixed_KN.T + (mixed_KN * shares_KN).sum(1)
    return away


def _joined(products_NN: Floats, weights_N: Floats, k: int) -> Clusters:
    clusters = [[i] for i in range(len(weights_N))]
    while len(clusters) > k:
        shares_KN = means(weights_N, clusters)
        products_KK = shares_KN @ products_NN @ shares_KN.T
        weights_K = np.array([sum(weights_N[i] for i in members) for members in clusters])
        lengths_K = products_KK.diagonal()
        cost_KK = lengths_K[:, None] + lengths_K - 2 * products_KK
        cost_KK *= weights_K[:, None] * weights_K / (weights_K[:, None] + weights_K)
        cost_KK[np.tri(len(clusters), dtype=bool)] = np.inf
        a, b = divmod(int(cost_KK.argmin()), len(clusters))
        clusters[a] = sorted(clusters[a] + clusters.pop(b))
    return clusters


def _filled(clusters: Clusters, misfit_NK: Floats) -> Clusters:
    """Give each empty cluster the point that fits worst where it is, of a cluster that can spare one."""
    for members in clusters:
        if members:
            continue
        spare = [
            (float(misfit_NK[i, c]), -i, c)
            for c, others in enumerate(clusters) if len(others) > 1 for i in others
        ]  # fmt: skip
        if spare:
            _, minus_i, c = max(spare)
            clusters[c].remove(-minus_i)
            members.append(-minus_i)
    return [members for members in clusters if members]
