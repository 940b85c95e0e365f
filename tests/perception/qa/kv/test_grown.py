"""Tensors that grow keep what they gave, and take memory only for what was written."""

from __future__ import annotations

import psutil
import pytest
import torch

from perception.qa.kv.grown import MAPPED_BYTES, Grown


def rss_mib() -> float:
    return float(psutil.Process().memory_info().rss) / (1 << 20)


@pytest.mark.parametrize("width", [3, MAPPED_BYTES // 4])  # from the heap, and with pages of its own
def test_what_was_given_stays_while_rows_come_and_go(width: int) -> None:
    grown = Grown(0)
    given = []
    for number in range(9):
        grown.append(torch.full((1, width), float(number)))
        given.append(grown.now)
    grown.drop_first(2)
    grown.keep(torch.arange(7) % 2 == 0)
    assert [[float(row[0]) for row in rows] for rows in given] == [list(range(n + 1)) for n in range(9)]
    assert grown.now[:, -1].tolist() == [2, 4, 6, 8]


def test_room_that_nobody_wrote_to_takes_no_memory() -> None:
    before = rss_mib()
    grown = Grown(0, room=1 << 16)
    grown.append(torch.ones(1, 256))  # of 64 MiB
    assert rss_mib() - before < 16
    assert grown.now.sum() == 256
