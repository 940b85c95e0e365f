"""Run lint, format check, types, import contracts and tests, and say how long each took.

All of them run even when one fails, so that one look shows everything; the exit status is the worst.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
# Threads that spin while their core is busy make small tests minutes long (docs/engines.md).
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}


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
        "tests": [*pytest, "-m", "not nightly" if options.all else "not slow and not nightly"],
    }
    if options.nightly:
        steps = {"tests": [*pytest, "-m", "nightly"]}
    codes: list[int] = []
    for name, command in steps.items():
        print(f"\n== {name}: {' '.join(command[1:] if command[0] == python else command)}", flush=True)
        started = time.monotonic()
        codes.append(subprocess.run(command, cwd=ROOT, env={**os.environ, **ENVIRONMENT}).returncode)
        if name != "tests" or codes[-1]:  # pytest's own summary closes a good run
            verdict = f"FAILED ({codes[-1]})" if codes[-1] else "ok"
            print(f"{name}: {verdict} after {time.monotonic() - started:.0f} s", flush=True)
    failed = [name for name, code in zip(steps, codes, strict=True) if code]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return max(codes)


if __name__ == "__main__":
    raise SystemExit(main())
