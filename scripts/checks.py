"""Run lint, format check, types, import contracts and tests, and say how long each took.

All of them run even when one fails, so that one look shows everything; the exit status is the worst. Tests
run side by side, a file to a core, but for those in ALONE, which run one by one afterwards. Each of the two
runs ends with pytest's own summary, and the last line adds them up.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
# Threads that spin while their core is busy make small tests minutes long (docs/engines.md).
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
ALONE = (
    "tests/app/cluster",
    "tests/app/test_ending.py",
    "tests/app/test_incoming.py",
    "tests/app/test_inout.py",
    "tests/app/test_lips.py",
    "tests/app/test_loopback.py",
    "tests/app/test_whip.py",
    "tests/benchmarks/test_workers.py",
    "tests/e2e",
    "tests/faults",
    "tests/realtime/sinks",
    "tests/realtime/sources",
    "tests/realtime/webrtc",
    "tests/realtime/websocket",
)
"""Tests that measure time or follow a live stream. What is not named here runs beside others."""
MOST_WORKERS = 4
"""Each holds one to two gigabytes."""


def runs_of_pytest(pytest: list[str], which: str) -> dict[str, list[str]]:
    """Return the two runs of pytest that together make every test of the marker expression `which` once."""
    workers = min(os.cpu_count() or 1, MOST_WORKERS)
    beside = [f"--ignore={path}" for path in ALONE]
    return {
        "tests": [*pytest, "-m", which, "-n", str(workers), "--dist", "loadfile", *beside],
        "tests that want to be alone": [*pytest, "-m", which, *ALONE],
    }


def added_up(reports: list[Path]) -> str:
    """Return one line in pytest's words for all runs of pytest that wrote a report; "" where none did."""
    counts: Counter[str] = Counter()
    seconds = 0.0
    for suite in (suite for path in reports for suite in ET.parse(path).iter("testsuite")):
        failed, errors, skipped = (int(suite.get(name, 0)) for name in ("failures", "errors", "skipped"))
        counts += Counter(failed=failed, passed=int(suite.get("tests", 0)) - failed - errors - skipped)
        counts += Counter(skipped=skipped, errors=errors)
        seconds += float(suite.get("time", 0))
    said = ", ".join(
        f"{counts[name]} {name}" for name in ("failed", "passed", "skipped", "errors") if counts[name]
    )
    return f"{f' {said} in {seconds:.2f}s ':=^100}" if said else ""


def environment(name: str) -> dict[str, str]:
    """Return the variables of a step. Workers share the cores, so each computes with one thread."""
    return {**os.environ, **ENVIRONMENT, **({"OMP_NUM_THREADS": "1"} if name == "tests" else {})}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="also the slow tests")
    parser.add_argument("--nightly", action="store_true", help="only the nightly tests")
    parser.add_argument("rest", nargs="*", help="passed on to pytest")
    options = parser.parse_args()
    python = sys.executable
    pytest = [python, "-m", "pytest", "--durations=8", *options.rest]
    steps = {
        "lint": [str(BIN / "ruff"), "check", "."],
        "format": [str(BIN / "ruff"), "format", "--check", "."],
        "types": [python, "-m", "mypy"],
        "contracts": [str(BIN / "lint-imports"), "--no-cache"],
        **runs_of_pytest(pytest, "not nightly" if options.all else "not slow and not nightly"),
    }
    if options.nightly:
        steps = {"nightly tests": [*pytest, "-m", "nightly"]}
    codes: list[int] = []
    with tempfile.TemporaryDirectory(prefix="vitascope-checks-") as folder:
        for name, command in steps.items():
            print(f"\n== {name}: {' '.join(command[1:] if command[0] == python else command)}", flush=True)
            report = [f"--junitxml={folder}/{name}.xml"] if "tests" in name else []
            started = time.monotonic()
            codes.append(subprocess.run([*command, *report], cwd=ROOT, env=environment(name)).returncode)
            verdict = f"FAILED ({codes[-1]})" if codes[-1] else "ok"
            print(f"{name}: {verdict} after {time.monotonic() - started:.0f} s", flush=True)
        total = added_up(sorted(Path(folder).glob("*.xml")))
    failed = [name for name, code in zip(steps, codes, strict=True) if code]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    print(total, flush=True)
    return max(codes)


if __name__ == "__main__":
    raise SystemExit(main())
