"""The line is dead for some seconds: afterwards pictures are as young as before, and nothing was piled up.

After five seconds a link goes on by itself. After ten the server has given it up: who then offers anew to the
same session is served, as is one who did not wait.
"""

from __future__ import annotations

import threading

import psutil
import pytest

from benchmarks._measure import median
from benchmarks._netns import Cable
from benchmarks._processes import Server, begin_visit

pytestmark = [pytest.mark.netns, pytest.mark.nightly]

CLEAN_S, AFTER_S = 4.0, 8.0
BACK_WITHIN_S = 5.0


@pytest.mark.parametrize(("dark_s", "reoffer_after_s"), [(5.0, None), (5.0, 2.0), (10.0, 2.0)])
def test_after_a_blackout_pictures_are_young_again(
    mirror: Server, healthy: Cable, dark_s: float, reoffer_after_s: float | None
) -> None:
    process = psutil.Process(mirror.pid)
    again = () if reoffer_after_s is None else ("--reoffer-after-s", str(reoffer_after_s))
    with begin_visit(mirror, CLEAN_S + dark_s + AFTER_S, again) as under_way:
        threading.Timer(CLEAN_S, healthy.cut).start()
        threading.Timer(CLEAN_S + dark_s, healthy.heal).start()
        before_mb = process.memory_info().rss / 1e6
        seen = under_way.finish()
        after_mb = process.memory_info().rss / 1e6
    pairs = list(zip(seen.at_s, seen.ages_ms, strict=True))
    light_s = CLEAN_S + dark_s
    clean_ms = [age for at, age in pairs if at < CLEAN_S - 0.5]
    dark = [at for at, _ in pairs if CLEAN_S + 0.5 < at < light_s]
    back_ms = [age for at, age in pairs if at > light_s + BACK_WITHIN_S]
    assert len(clean_ms) > 60
    assert dark == [], "the line was not dead"
    assert len(back_ms) > 45, "pictures did not come back"
    assert median(back_ms) < 1.5 * median(clean_ms)
    assert after_mb < before_mb + 40
    assert (seen.report["reoffers"] > 0) == bool(again)
