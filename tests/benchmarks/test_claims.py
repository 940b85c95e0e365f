"""How the share of time outside engines is counted."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks._claims import Stopwatch


def test_time_inside_engines_is_added_up_also_when_one_fails() -> None:
    ticks = iter(range(0, 100, 10))

    def broken(**tensors: int) -> None:
        raise RuntimeError("no")

    one, other = SimpleNamespace(run=lambda **tensors: tensors), SimpleNamespace(run=broken)
    watch = Stopwatch([one, other], lambda: next(ticks))
    assert one.run(x=3) == {"x": 3}
    with pytest.raises(RuntimeError, match="no"):
        other.run(x=3)
    assert watch.inside_ns == 20
