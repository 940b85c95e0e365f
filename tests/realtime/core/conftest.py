"""Lanes that end with the test."""

from collections.abc import Iterator

import pytest

from realtime.core.lane import Lane, Lanes
from tests.vocabulary import PATIENCE_S


@pytest.fixture
def lane() -> Iterator[Lane]:
    lane = Lane("paint")
    yield lane
    assert lane.close(PATIENCE_S)


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    lanes = Lanes()
    yield lanes
    lanes.close()
