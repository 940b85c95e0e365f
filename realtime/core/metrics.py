"""Figures of a running graph: counters, sliding histograms, and their form in Prometheus' text format.

A histogram keeps what was observed in the last seconds and nothing older, so that a figure on the page speaks
of now. Names end in their unit: `age_ms`, `frames_total`.
"""

from __future__ import annotations

import math
import re
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .clock import NS_PER_S, Clock, MonotonicClock

MOST_HELD = 8192
"""Observations that a histogram keeps at most: 10 s at 800 a second."""


class Counter:
    """Count up. From any thread."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._value = 0

    @property
    def value(self) -> int:
        return self._value

    def add(self, n: int = 1) -> None:
        """Add `n`, which may not be negative."""
        if n < 0:
            raise ValueError(f"counter {self.name} only counts up, got {n}")
        with self._lock:
            self._value += n


class Histogram:
    """Hold the observations of the last `window_s` seconds. From any thread.

    Every figure but `count` speaks of the window; when that is empty they are 0.0.
    """

    def __init__(self, name: str, window_s: float = 10.0, clock: Clock | None = None) -> None:
        self.name = name
        self._clock: Clock = clock or MonotonicClock()
        self._window_ns = round(window_s * NS_PER_S)
        self._lock = threading.Lock()
        self._held: deque[tuple[int, float]] = deque(maxlen=MOST_HELD)
        self._count = 0

    @property
    def count(self) -> int:
        """Observations since the beginning."""
        return self._count

    @property
    def recent(self) -> int:
        """Observations in the window."""
        return len(self._values())

    def observe(self, value: float) -> None:
        """Add one observation."""
        now_ns = self._clock.now_ns()
        with self._lock:
            self._held.append((now_ns, value))
            self._count += 1
            self._forget(now_ns)

    def quantile(self, q: float) -> float:
        """Return the smallest observation that at least the share `q` (0..1) of all does not exceed."""
        values = sorted(self._values())
        return values[max(0, math.ceil(q * len(values)) - 1)] if values else 0.0

    def mean(self) -> float:
        """Return the mean."""
        values = self._values()
        return math.fsum(values) / len(values) if values else 0.0

    def rate_hz(self) -> float:
        """Return observations a second, from the first one in the window until now."""
        now_ns = self._clock.now_ns()
        with self._lock:
            self._forget(now_ns)
            if len(self._held) < 2 or now_ns <= self._held[0][0]:
                return 0.0
            return (len(self._held) - 1) * NS_PER_S / (now_ns - self._held[0][0])

    def _values(self) -> list[float]:
        now_ns = self._clock.now_ns()
        with self._lock:
            self._forget(now_ns)
            return [value for _, value in self._held]

    def _forget(self, now_ns: int) -> None:
        while self._held and now_ns - self._held[0][0] > self._window_ns:
            self._held.popleft()


@dataclass(frozen=True, slots=True)
class StageSnapshot:
    """Say how one stage is doing; quantiles and rate over the last 10 s, counts since the beginning."""

    name: str
    lane: str
    frames: int
    """Results given, passed-through ones among them."""
    noted: int
    """Of these, results with a note: repeated or passed through, not made anew."""
    dropped: int
    """Samples that were replaced by newer ones before the stage could take them."""
    errors: int
    work_ms_p50: float
    """Lane time that a result cost."""
    work_ms_p95: float
    wait_ms_p50: float
    """How long a sample waited for the lane."""
    age_ms_p50: float
    """From the door to the stage's result."""
    age_ms_p95: float
    rate_hz: float
    """Results a second."""
    state: Literal["ok", "failing", "passed-through"]
    message: str
    """What the last error said; empty while all is well."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold one figure for `prometheus_text`."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["gauge", "counter"] = "gauge"
    help: str = ""
    """One sentence; the first one given for a name is written."""


_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def prometheus_text(samples: Iterable[Sample]) -> str:
    """Write samples in Prometheus' text exposition format 0.0.4, those of one name together.

    Raises ValueError for a name that the format does not allow, or one name with two kinds.
    """
    families: dict[str, list[Sample]] = {}
    for sample in samples:
        family = families.setdefault(sample.name, [])
        if not _METRIC.fullmatch(sample.name) or not all(map(_LABEL.fullmatch, sample.labels)):
            raise ValueError(f"not a metric or label name: {sample.name} {sorted(sample.labels)}")
        if family and family[0].kind != sample.kind:
            raise ValueError(f"{sample.name} is a {family[0].kind} and a {sample.kind}")
        family.append(sample)
    lines: list[str] = []
    for name, family in families.items():
        says = next((sample.help for sample in family if sample.help), "")
        if says:
            lines.append(f"# HELP {name} {_escaped(says)}")
        lines.append(f"# TYPE {name} {family[0].kind}")
        lines += [f"{name}{_labels(sample.labels)} {_number(sample.value)}" for sample in family]
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _labels(labels: Mapping[str, str]) -> str:
    pairs = [name + '="' + _escaped(value).replace('"', r"\"") + '"' for name, value in labels.items()]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
