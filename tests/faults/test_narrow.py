"""The line becomes narrow, 500 kbit/s each way, and wide again: pictures go on, and are young afterwards."""

from __future__ import annotations

import threading

import pytest

from benchmarks import _browser
from benchmarks._measure import median, quantile
from benchmarks._netns import Cable
from benchmarks._processes import Seen, Server, begin_visit

pytestmark = [pytest.mark.netns, pytest.mark.nightly]

CLEAN_S, NARROW_S, AFTER_S = 3.0, 9.0, 8.0
SETTLES_S = 4.0
"""A sender learns by loss and by the receiver's estimate, so it needs some seconds."""
SCREEN_MS = 2 * 1000 / 60
"""A browser tells when a picture was sent and seen in refreshes of its screen: an age of 0 may be 33 ms."""


def narrowed(mirror: Server, line: Cable, module: str, arguments: tuple[str, ...] = ()) -> Seen:
    with begin_visit(mirror, CLEAN_S + NARROW_S + AFTER_S, arguments, module=module) as under_way:
        threading.Timer(CLEAN_S, line.narrow, (500,)).start()
        threading.Timer(CLEAN_S + NARROW_S, line.heal).start()
        return under_way.finish()


def parts(seen: Seen) -> tuple[list[float], list[float], list[float]]:
    """Return the ages before, while it was narrow and had settled, and after that had settled."""
    wide_s = CLEAN_S + NARROW_S
    pairs = list(zip(seen.at_s, seen.ages_ms, strict=True))
    return (
        [age for at, age in pairs if at < CLEAN_S],
        [age for at, age in pairs if CLEAN_S + SETTLES_S < at < wide_s],
        [age for at, age in pairs if at > wide_s + SETTLES_S],
    )


@pytest.mark.browser
def test_a_browser_s_pictures_go_on(mirror: Server, healthy: Cable) -> None:
    if reason := _browser.why_not():
        pytest.skip(reason)
    seen = narrowed(mirror, healthy, "benchmarks._browser", ("--path", "webrtc"))
    clean, narrow, after = parts(seen)
    assert len(narrow) > 5 * (NARROW_S - SETTLES_S), "fewer than 5 pictures a second"
    assert quantile(narrow, 0.5) < 500
    assert median(after) < 1.5 * median(clean) + SCREEN_MS


def test_a_client_s_pictures_go_on(mirror: Server, healthy: Cable) -> None:
    seen = narrowed(mirror, healthy, "benchmarks._visitor")
    clean, narrow, after = parts(seen)
    assert len(narrow) > 5 * (NARROW_S - SETTLES_S), "fewer than 5 pictures a second"
    assert quantile(narrow, 0.5) < 500
    assert median(after) < 1.5 * median(clean)
