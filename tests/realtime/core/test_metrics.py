"""Figures: exact on literal numbers, of the last seconds only, safe from threads, valid Prometheus text."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.core.clock import ManualClock
from realtime.core.metrics import MOST_HELD, Counter, Histogram, Sample, prometheus_text
from tests.vocabulary import running, timeless

floats = st.floats(-1e6, 1e6, allow_nan=False)


def test_a_counter_counts_up_only() -> None:
    counter = Counter("frames_total")
    counter.add()
    counter.add(4)
    with pytest.raises(ValueError, match="frames_total"):
        counter.add(-1)
    assert counter.value == 5


def test_counter_and_histogram_lose_nothing_between_threads() -> None:
    counter, histogram = Counter("n"), Histogram("h", clock=ManualClock())

    def count() -> None:
        for _ in range(2000):
            counter.add()
            histogram.observe(1.0)

    with running(*[count] * 4):
        pass
    assert counter.value == histogram.count == 8000
    assert histogram.mean() == 1.0


def test_an_empty_histogram_says_zero() -> None:
    histogram = Histogram("age_ms", clock=ManualClock())
    assert (histogram.quantile(0.95), histogram.mean(), histogram.rate_hz(), histogram.count) == (0, 0, 0, 0)


def test_quantiles_of_literal_numbers() -> None:
    histogram = Histogram("age_ms", clock=ManualClock())
    for value in range(100, 0, -1):
        histogram.observe(value)
    assert [histogram.quantile(q) for q in (0, 0.01, 0.5, 0.95, 1)] == [1, 1, 50, 95, 100]
    assert histogram.mean() == 50.5


@timeless
@given(st.lists(floats, min_size=1, max_size=60), st.floats(0, 1))
def test_a_quantile_is_an_observation_and_agrees_with_numpy(values: list[float], q: float) -> None:
    histogram = Histogram("h", clock=ManualClock())
    for value in values:
        histogram.observe(value)
    assert histogram.quantile(q) == np.quantile(values, q, method="inverted_cdf")


@timeless
@given(st.lists(st.tuples(st.integers(0, 4000), floats), max_size=50), st.integers(0, 12_000))
def test_only_the_window_counts(steps: list[tuple[int, float]], pause_ms: int) -> None:
    clock = ManualClock()
    histogram = Histogram("h", window_s=5, clock=clock)
    seen: list[tuple[int, float]] = []
    for gap_ms, value in steps:
        clock.advance(ms=gap_ms)
        histogram.observe(value)
        seen.append((clock.now_ns(), value))
    clock.advance(ms=pause_ms)
    held = [value for at_ns, value in seen if clock.now_ns() - at_ns <= 5e9]
    assert histogram.quantile(1) == (max(held) if held else 0.0)
    assert histogram.mean() == pytest.approx(math.fsum(held) / len(held) if held else 0.0)
    assert histogram.count == len(steps)


def test_the_rate_is_that_of_now_and_falls_when_nothing_comes() -> None:
    clock = ManualClock()
    histogram = Histogram("h", window_s=10, clock=clock)
    rates = []
    for _ in range(600):
        clock.advance(ms=40)
        histogram.observe(1.0)
        rates.append(histogram.rate_hz())
    assert rates[0] == 0.0
    assert rates[1:] == pytest.approx([25.0] * 599)
    clock.advance(ms=5000)
    assert 10 < histogram.rate_hz() < 14
    clock.advance(ms=6000)
    assert histogram.rate_hz() == 0.0


def test_memory_is_bounded() -> None:
    histogram = Histogram("h", clock=ManualClock())
    for value in range(MOST_HELD + 10):
        histogram.observe(value)
    assert histogram.quantile(0) == 10
    assert histogram.count == MOST_HELD + 10


def test_prometheus_text_keeps_a_family_together_and_escapes() -> None:
    text = prometheus_text(
        [
            Sample("age_ms", 12.5, {"stage": 'a"b\\c\nd'}, help="Age,\nby stage."),
            Sample("frames_total", 3, kind="counter"),
            Sample("age_ms", float("inf"), {"stage": "x", "q": "0.95"}),
            Sample("nothing_ratio", float("nan")),
        ]
    )
    assert text.splitlines() == [
        r"# HELP age_ms Age,\nby stage.",
        "# TYPE age_ms gauge",
        r'age_ms{stage="a\"b\\c\nd"} 12.5',
        'age_ms{stage="x",q="0.95"} +Inf',
        "# TYPE frames_total counter",
        "frames_total 3",
        "# TYPE nothing_ratio gauge",
        "nothing_ratio NaN",
    ]
    assert text.endswith("\n")
    assert prometheus_text([]) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        [Sample("age ms", 1)],
        [Sample("age", 1, {"a-b": ""})],
        [Sample("", 1)],
        [Sample("a", 1), Sample("a", 1, kind="counter")],
    ],
)
def test_what_prometheus_would_refuse_is_refused(wrong: list[Sample]) -> None:
    with pytest.raises(ValueError):
        prometheus_text(wrong)
