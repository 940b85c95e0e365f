"""Which box belongs to which track: by how likely it is there, not by overlap."""

from __future__ import annotations

import numpy as np

from perception.match import pairs


def matched(
    expected: list[float], seen: list[float], variance: list[float], kinds: tuple[list[int], list[int]]
) -> dict[int, int]:
    """Match things on a line; their other three coordinates are the same."""

    def on_a_line(values: list[float]) -> np.ndarray:
        return np.array([[x, 0.5, 0.1, 0.1] for x in values]).reshape(-1, 4)

    spread = np.array([[one, 1e-4, 1e-4, 1e-4] for one in variance]).reshape(-1, 4)
    tracks, boxes = pairs(
        on_a_line(expected), spread, np.array(kinds[0], int), on_a_line(seen), np.array(kinds[1], int)
    )
    return dict(zip(tracks.tolist(), boxes.tolist(), strict=True))


def test_each_has_its_nearest_and_the_far_one_has_none() -> None:
    found = matched([0.2, 0.5, 0.9], [0.51, 0.21, 0.7], [1e-4] * 3, ([0] * 3, [0] * 3))
    assert found == {0: 1, 1: 0}


def test_what_is_known_well_is_matched_before_what_may_be_anywhere() -> None:
    """The doubtful track stands nearer, but the sure one says that the box is there."""
    found = matched([0.5, 0.525], [0.52], [0.1, 1e-4], ([0, 0], [0]))
    assert found == {1: 0}


def test_the_same_kind_is_taken_first_and_another_rather_than_none() -> None:
    assert matched([0.5], [0.5, 0.51], [1e-3], ([1], [0, 1])) == {0: 1}
    assert matched([0.5], [0.5], [1e-3], ([1], [0])) == {0: 0}


def test_none_of_either() -> None:
    assert matched([], [0.5], [], ([], [0])) == {}
    assert matched([0.5], [], [1e-3], ([0], [])) == {}
