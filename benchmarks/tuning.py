"""What each change to aiortc is worth alone: a bare echo with that change and no other, beside one with none.

Echo and client have a process of their own, the client always has the whole tuning; so a figure is about the
server's half of the way. The two servers are visited in turn. NACKs are measured with 3 % of packets lost
between two network namespaces, and left out where there can be none. Changes whose worth shows only under a
load of their own (an own executor, bounded queues, the line's books, a lonely host, ciphers) have tests.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks import _netns
from benchmarks._measure import median, quantile
from benchmarks._processes import Seen, Server, serving, visit

ALONE = {"receiver": "offer", "x264": "h264", "vp8_threads": "offer", "bit_rates": "offer"}
"""A change, and the codec at which it shows; "offer" is VP8, aiortc's own choice."""
UNDER_LOSS = {"nacks": "offer"}
LOSS = 0.03


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=4.0, help="of counting, a visit")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=[*ALONE, *UNDER_LOSS])


def run(options: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    print(f"  {'change':12} {'':8} {'age p50':>8} {'p95 ms':>8} {'gap ms':>8} {'fps':>6} {'cpu %':>6}")
    for change, codec in {**ALONE, **UNDER_LOSS}.items():
        if options.only and change not in options.only:
            continue
        with ExitStack() as stack:
            where: dict[str, Any] = {}
            if change in UNDER_LOSS:
                if why := _netns.why_not():
                    print(f"  {change}: left out. {why}")
                    continue
                line = stack.enter_context(_netns.cable())
                line.lose(LOSS)
                where = {"host": line.server_address, "inside": line.at_server, "within": line.at_client}
            servers = [
                stack.enter_context(serving("benchmarks._echo", arguments, **where))
                for arguments in ((), ("--only", change))
            ]
            without, with_it = in_turn(servers, options.rounds, options.seconds, codec)
        for label, seen in (("without", without), ("with", with_it)):
            print(row(change, label, seen))
        figures[change] = {"without": summary(without), "with": summary(with_it)}
    return figures


def in_turn(servers: Sequence[Server], rounds: int, seconds: float, codec: str) -> list[list[Seen]]:
    """Visit the servers in turn, `rounds` times; return what was seen at each."""
    seen: list[list[Seen]] = [[] for _ in servers]
    for _ in range(rounds):
        for server, those in zip(servers, seen, strict=True):
            those.append(visit(server, seconds, ("--door", "bare", "--codec", codec)))
    return seen


def summary(seen: Sequence[Seen]) -> dict[str, float]:
    ages = [age for one in seen for age in one.ages_ms]
    return {
        "age_ms_p50": round(quantile(ages, 0.5), 1),
        "age_ms_p95": round(quantile(ages, 0.95), 1),
        "longest_gap_ms": round(max(one.longest_gap_ms() for one in seen)),
        "fps": round(median([one.fps for one in seen]), 1),
        "cpu_share": round(median([one.cpu_share for one in seen]), 3),
    }


def row(change: str, label: str, seen: Sequence[Seen]) -> str:
    one = summary(seen)
    return (
        f"  {change:12} {label:8} {one['age_ms_p50']:8.1f} {one['age_ms_p95']:8.1f}"
        f" {one['longest_gap_ms']:8.0f} {one['fps']:6.1f} {100 * one['cpu_share']:6.1f}"
    )
