"""How old a picture is when it comes back, on every way in and out, beside a bare aiortc echo.

Each picture carries its number; age is the time from the moment it is given to the sender's encoder to the
moment it comes out of the receiver's decoder (aiortc clients), or from one video element to the other (a
browser). Ours runs the preset "mirror", so what is measured is transport, intake, lane and sending. The bare
echo is `benchmarks/_echo.py`: "bare" is aiortc as shipped, with the codec that it takes by itself (VP8) and
with H.264; "tuned" has our tuning and nothing else of ours. Servers stand all the time and are visited in
turn.

WHIP and WHEP are a publisher and a player in one process; by RTSP the server reads a camera, whose encoder is
within the age, and an aiortc client looks. A way that cannot be had here is left out with a sentence; one
that fails says why, and the others go on. Machines read null for both.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

import psutil

from benchmarks import _browser, _netns, _rtsp
from benchmarks._measure import median, quantile
from benchmarks._processes import Seen, Server, serving, visit

OURS = ("app serve", ("--no-open", "--preset", "mirror"))
BROWSER = "benchmarks._browser"
RTSP_REMARK = "its ages hold the RTSP server's own encoder, x264 ultrafast, and its packets' way to ours"
LOST_PERCENT = (3, 10)
FAILURES = (RuntimeError, OSError, ValueError, KeyError, psutil.Error, subprocess.SubprocessError)
"""What a visit or a server may end with; one way's must not end the others'."""
BARE, TUNED = ("benchmarks._echo", ()), ("benchmarks._echo", ("--tuned",))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=6.0, help="of counting, a visit")
    parser.add_argument("--rounds", type=int, default=2, help="how often each way has its turn")
    parser.add_argument("--no-loss", action="store_true", help="no namespaces")
    parser.add_argument("--only", nargs="*", help="names of ways, e.g. ours bare_vp8")


@dataclass
class Way:
    """One way in and out of a server, and what its visits saw."""

    name: str
    server: tuple[str, Sequence[str]]
    arguments: Sequence[str] = ()
    visitor: str = "benchmarks._visitor"
    is_missing: Callable[[], str] = lambda: ""
    """Say why this way cannot be had here; empty where it can."""
    delay_s: float = 0.0
    """On the way, in each direction, by a relay of TCP: for ways that go over TCP."""
    remark: str = ""
    """What a reader of the table must know."""
    seen: list[Seen] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Why visits failed, or why there was none."""

    @property
    def ages_ms(self) -> list[float]:
        return [age for one in self.seen for age in one.ages_ms]

    def row(self) -> str:
        """Return the way's lines of the table."""
        lines = [f"  {self.name:16} {self._cells() if self.ages_ms else 'failed'}"]
        lines += [f"  {'':16} ({self.remark})"] if self.remark else []
        tries = len(self.seen) + len(self.failed)
        lines += [f"  {'':16} a visit of {tries} failed: {why}" for why in self.failed]
        return "\n".join(lines)

    def _cells(self) -> str:
        ages = self.ages_ms
        fps = median([one.fps for one in self.seen])
        gap_ms = max(one.longest_gap_ms() for one in self.seen)
        cpu = 100 * median([one.cpu_share for one in self.seen])
        shown = f"{quantile(ages, 0.5):8.1f} {quantile(ages, 0.95):8.1f}"
        return f"{shown} {fps:6.1f} {gap_ms:8.0f} {cpu:8.1f}"

    def age_ms(self, q: float) -> float | None:
        """Return a quantile of the ages; None where there are none."""
        return round(quantile(self.ages_ms, q), 1) if self.ages_ms else None

    def cpu_share(self) -> float | None:
        """Return the median share of a core; None where there was no visit."""
        return round(median([one.cpu_share for one in self.seen]), 3) if self.seen else None


def ways() -> list[Way]:
    """List the ways that are measured; one entry adds one."""
    return [
        Way("bare_vp8", BARE, ("--door", "bare", "--codec", "offer")),
        Way("bare_h264", BARE, ("--door", "bare")),
        Way("tuned_h264", TUNED, ("--door", "bare")),
        Way("ours", OURS),
        Way("chromium", OURS, ("--path", "webrtc"), BROWSER, _browser.why_not),
        Way("websocket", OURS, ("--path", "websocket"), BROWSER, _no_websocket),
        Way("websocket_120ms", OURS, ("--path", "websocket"), BROWSER, _no_websocket, delay_s=0.06),
        Way("whip_whep", OURS, (), "benchmarks._streams"),
        Way("rtsp_in", OURS, (), "benchmarks._rtsp", _rtsp.why_not, remark=RTSP_REMARK),
    ]


def _no_websocket() -> str:
    if find_spec("realtime.websocket") is None:
        return "There is no path over a WebSocket in this checkout."
    return _browser.why_not()


def run(options: argparse.Namespace) -> dict[str, Any]:
    asked = [way for way in ways() if not options.only or way.name in options.only]
    chosen = []
    for way in asked:
        if why := way.is_missing():
            print(f"  {way.name}: left out. {why}")
        else:
            chosen.append(way)
    visited(chosen, options.rounds, options.seconds)
    print(f"\n  {'way':16} {'age p50':>8} {'p95 ms':>8} {'fps':>6} {'gap ms':>8} {'cpu %':>8}")
    for way in chosen:
        print(way.row())
    found = figures({way.name: way for way in asked})
    if why := "it was not asked for" if options.no_loss else _netns.why_not():
        print(f"  loss: left out. {why}")
        return found
    return {**found, **lossy(options.seconds)}


def lossy(seconds: float) -> dict[str, float | None]:
    """Lose packets between two namespaces; return the aiortc client's longest times without a new picture."""
    found: dict[str, float | None] = {f"longest_gap_ms_loss{percent}": None for percent in LOST_PERCENT}
    try:
        with _netns.cable() as line, serving(
            *OURS, host=line.server_address, inside=line.at_server, within=line.at_client
        ) as server:  # fmt: skip
            for percent in LOST_PERCENT:
                line.heal()
                line.lose(percent / 100)
                seen = visit(server, seconds)
                found[f"longest_gap_ms_loss{percent}"] = round(seen.longest_gap_ms())
                print(
                    f"  {percent:2} % loss: longest gap {seen.longest_gap_ms():4.0f} ms, {seen.fps:4.1f} fps"
                )
    except FAILURES as error:
        print(f"  loss: failed: {_why(error)}")
    return found


def visited(chosen: Sequence[Way], rounds: int, seconds: float) -> None:
    """Let every way have its turn, `rounds` times, while all servers stand.

    A way that fails says so, and is not tried again before it has ever succeeded; the others go on.
    """
    with ExitStack() as stack:
        servers: dict[tuple[str, Sequence[str]], Server | str] = {}
        for way in chosen:
            if way.server not in servers:
                try:
                    servers[way.server] = stack.enter_context(serving(*way.server))
                except FAILURES as error:
                    servers[way.server] = _why(error)
        clip: tuple[str, ...] = ()
        if any(way.visitor == BROWSER for way in chosen):
            clip = ("--clip", str(stack.enter_context(_browser.camera_clip())))
        for _ in range(rounds):
            for way in chosen:
                if way.failed and not way.seen:
                    continue
                server = servers[way.server]
                if isinstance(server, str):
                    way.failed.append(server)
                    continue
                try:
                    way.seen.append(_turn(way, server, seconds, clip if way.visitor == BROWSER else ()))
                except FAILURES as error:
                    way.failed.append(_why(error))


def _turn(way: Way, server: Server, seconds: float, more: Sequence[str]) -> Seen:
    with ExitStack() as turn:
        if way.delay_s:
            from tests.faults.relay import Relay

            port = int(server.url.rsplit(":", 1)[1])
            server = replace(server, url=turn.enter_context(Relay(port, way.delay_s)).url)
        seen = visit(server, seconds, [*way.arguments, *more], module=way.visitor)
    if not seen.ages_ms:
        raise RuntimeError("no picture came back while pictures were counted")
    return seen


def _why(error: BaseException) -> str:
    """Return the line of a visitor's traceback that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[A-Za-z_.]*(Error|Exception)\b", line)]
    return (named or lines or [type(error).__name__])[0][:200]


def figures(by_name: dict[str, Way]) -> dict[str, Any]:
    """Return what machines read: None for a way without figures; a ratio is left out where a side is."""
    found: dict[str, Any] = {
        "age_p95_ms": {name: way.age_ms(0.95) for name, way in by_name.items()},
        "age_p50_ms": {name: way.age_ms(0.5) for name, way in by_name.items()},
        "cpu_share": {name: way.cpu_share() for name, way in by_name.items()},
    }
    for name, other, kind in (
        ("vs_bare_echo_age", "bare_vp8", "age_p50_ms"),
        ("vs_bare_h264_age", "bare_h264", "age_p50_ms"),
        ("vs_tuned_echo_age", "tuned_h264", "age_p50_ms"),
        ("vs_bare_echo_cpu", "bare_vp8", "cpu_share"),
        ("vs_bare_h264_cpu", "bare_h264", "cpu_share"),
        ("vs_tuned_echo_cpu", "tuned_h264", "cpu_share"),
    ):
        if found[kind].get("ours") and found[kind].get(other):
            found[name] = round(found[kind]["ours"] / found[kind][other], 3)
    if "websocket" in by_name:
        found["fallback_age_p95_ms"] = found["age_p95_ms"]["websocket"]
    return found
