"""The figures of the transport benchmark: what a visit saw, and that ratios are of the right sides."""

from __future__ import annotations

import math
from contextlib import nullcontext

import pytest

from benchmarks._processes import Seen
from benchmarks._relay import candidate, rewritten
from benchmarks.transport import BARE, OURS, Way, figures, visited, ways

ANSWER = (
    "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
    "a=candidate:1 1 udp 2130706431 fd00::1 40000 typ host\r\n"
    "a=candidate:2 1 udp 2130706431 10.0.0.5 40001 typ host\r\na=end-of-candidates\r\n"
)


def seen(ages_ms: list[float], at_s: list[float], cpu: float = 0.1) -> Seen:
    return Seen(ages_ms, at_s, 4.0, cpu, {})


def test_the_longest_gap_counts_both_ends() -> None:
    assert seen([10, 10], [1.0, 1.5]).longest_gap_ms() == pytest.approx(2500)
    assert seen([10, 10], [3.0, 3.9]).longest_gap_ms() == pytest.approx(3000)
    assert seen([], []).longest_gap_ms() == 4000
    assert math.isinf(seen([], []).age_ms(0.95))


def test_ratios_are_ours_over_the_other_s() -> None:
    bare = Way("bare_vp8", BARE, seen=[seen([40.0] * 9, [0.1] * 9, 0.2)])
    ours = Way("ours", OURS, seen=[seen([10.0] * 9, [0.1] * 9, 0.3)])
    found = figures({"bare_vp8": bare, "ours": ours})
    assert found["vs_bare_echo_age"] == 0.25
    assert found["vs_bare_echo_cpu"] == 1.5
    assert "vs_tuned_echo_age" not in found
    assert figures({"bare_vp8": bare})["age_p95_ms"] == {"bare_vp8": 40.0}


def test_a_way_that_fails_says_so_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def turn(way: Way, *_: object) -> Seen:
        tries.append(way.name)
        if (way.name == "shaky" and len(tries) > 3) or way.name == "broken":
            raise RuntimeError("The visit did not begin: Traceback\n  File x\nTimeoutError: no picture\nlog")
        return seen([10.0], [0.1])

    monkeypatch.setattr("benchmarks.transport._turn", turn)
    monkeypatch.setattr("benchmarks.transport.serving", lambda *_: nullcontext(None))
    every = [Way(name, OURS) for name in ("broken", "shaky", "steady")]
    visited(every, 2, 1.0)
    assert tries == ["broken", "shaky", "steady", "shaky", "steady"]
    rows = [way.row() for way in every]
    assert "failed" in rows[0].splitlines()[0]
    assert rows[0].endswith("a visit of 1 failed: TimeoutError: no picture")
    assert rows[1].endswith("a visit of 2 failed: TimeoutError: no picture")
    assert "failed" not in rows[2]
    found = figures({way.name: way for way in every})
    assert found["age_p95_ms"] == {"broken": None, "shaky": 10.0, "steady": 10.0}


def test_a_server_that_does_not_start_fails_its_ways_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def server(module: str, _: object) -> object:
        if module == BARE[0]:
            raise RuntimeError("The server did not answer: no")
        return nullcontext(None)

    monkeypatch.setattr("benchmarks.transport._turn", lambda *_: seen([10.0], [0.1]))
    monkeypatch.setattr("benchmarks.transport.serving", server)
    every = [Way("bare_vp8", BARE), Way("ours", OURS)]
    visited(every, 1, 1.0)
    assert every[0].failed == ["The server did not answer: no"]
    assert every[1].seen


def test_every_way_has_a_name_of_its_own() -> None:
    names = [way.name for way in ways()]
    assert len(names) == len(set(names))


def test_an_answer_is_led_through_the_relay() -> None:
    assert candidate(ANSWER) == ("10.0.0.5", 40_001)
    led = rewritten(ANSWER, ("10.0.0.9", 7))
    assert candidate(led) == ("10.0.0.9", 7)
    assert "40001" not in led
    assert "fd00" not in led
    with pytest.raises(ValueError, match="no candidate"):
        rewritten("v=0\r\n", ("10.0.0.9", 7))
