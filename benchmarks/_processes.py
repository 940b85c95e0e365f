"""Servers and clients in processes of their own, and what a visit costs the server in processor time."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any

import psutil

from benchmarks._measure import quantile
from pipelines.engines.launch import AT_EXEC, IN_PROCESS

START_TIMEOUT_S = 60.0
VISIT_TIMEOUT_S = 60.0
"""Beyond the seconds that are counted: a visitor that hangs is ended, so that others have their turn."""


@dataclass(frozen=True)
class Server:
    """A server that runs: where it is, in which process, and under which command it is visited."""

    url: str
    pid: int
    log: IO[bytes]
    within: tuple[str, ...] = ()
    """Put before the command of whoever visits it, e.g. ip netns exec NAME."""

    def cpu_s(self) -> float:
        """Processor seconds of the process so far, all its threads."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def said(self) -> str:
        """Return the end of its log."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-3000:]


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    module: str, arguments: Sequence[str] = (), *, host: str = "127.0.0.1", inside: Sequence[str] = (),
    within: Sequence[str] = (),
) -> Iterator[Server]:  # fmt: skip
    """Run `python -m module ... --host --port` until the block ends; it answers when the block begins.

    `inside` comes before the server's command, `within` before its visitors'. Raises RuntimeError when it
    does not answer in time.
    """
    port = free_port()
    command = [
        *inside,
        sys.executable,
        "-m",
        *module.split(),
        "--host",
        host,
        "--port",
        str(port),
        *arguments,
    ]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment())
        server = Server(f"http://{host}:{port}", process.pid, log, tuple(within))
        try:
            _wait_for(server, process)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def environment() -> dict[str, str]:
    """Return the environment in which no program has to start itself anew."""
    return {**IN_PROCESS, **AT_EXEC, **os.environ, "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}


def _wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    probe = [*server.within, sys.executable, "-c", _PROBE, f"{server.url}/healthz"]
    end_s = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < end_s:
        if server.within:
            answers = subprocess.run(probe, capture_output=True, timeout=20).returncode == 0
        else:
            answers = _answers(f"{server.url}/healthz")
        if answers:
            return
        time.sleep(0.3)  # another process can only be asked
    raise RuntimeError(f"The server did not answer: {server.said()}")


_PROBE = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=2).read()"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@dataclass(frozen=True)
class Seen:
    """What one visit saw, and what it cost the server."""

    ages_ms: list[float]
    at_s: list[float]
    seconds: float
    cpu_share: float
    """Of one core, by the server, while pictures were counted."""
    report: dict[str, Any]

    @property
    def fps(self) -> float:
        return len(self.ages_ms) / self.seconds

    def longest_gap_ms(self) -> float:
        """Return the longest time without a new picture, ends included; the whole visit when none came."""
        times = [0.0, *self.at_s, self.seconds]
        return 1000 * max(after - before for before, after in pairwise(times))

    def age_ms(self, q: float) -> float:
        """Return a quantile of the ages; infinite when nothing came, so that it meets no limit."""
        return quantile(self.ages_ms, q) if self.ages_ms else float("inf")


def visit(
    server: Server, seconds: float, arguments: Sequence[str] = (), *, module: str = "benchmarks._visitor"
) -> Seen:
    """Send a visitor for `seconds`. Raises RuntimeError with what it said when it fails."""
    with begin_visit(server, seconds, arguments, module=module) as under_way:
        return under_way.finish()


class UnderWay:
    """A visit whose pictures are being counted."""

    def __init__(self, server: Server, process: subprocess.Popen[str], seconds: float) -> None:
        self._server, self._process, self._seconds = server, process, seconds
        self._cpu_s, self._began_s = server.cpu_s(), time.monotonic()

    def finish(self) -> Seen:
        """Wait for its end and return what it saw."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        spent_s, took_s = self._server.cpu_s() - self._cpu_s, time.monotonic() - self._began_s
        if not line:
            raise RuntimeError(f"The visit failed: {_stderr(self._process)}\n{self._server.said()}")
        report = json.loads(line)
        return Seen(report["ages_ms"], report["at_s"], self._seconds, spent_s / took_s, report)


@contextmanager
def begin_visit(
    server: Server, seconds: float, arguments: Sequence[str] = (), *, module: str = "benchmarks._visitor"
) -> Iterator[UnderWay]:
    """Send a visitor; the block begins when it counts, so that faults can be made meanwhile."""
    command = [
        *server.within, sys.executable, "-m", module, server.url, "--seconds", str(seconds), *arguments
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None
    alarm = threading.Timer(seconds + VISIT_TIMEOUT_S, process.kill)
    alarm.start()
    try:
        if "begin" not in process.stdout.readline():
            raise RuntimeError(f"The visit did not begin: {_stderr(process)}\n{server.said()}")
        yield UnderWay(server, process, seconds)
    finally:
        alarm.cancel()
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _stderr(process: subprocess.Popen[str]) -> str:
    process.terminate()
    assert process.stderr is not None
    return process.stderr.read()[-3000:]
