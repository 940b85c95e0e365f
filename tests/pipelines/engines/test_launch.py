"""The second start: once, with what was typed, and never where it is of no use."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pipelines.engines import launch

NAMES = {**launch.IN_PROCESS, **launch.AT_EXEC}
SCRIPT = """
import json, os, sys
from pipelines.engines.launch import relaunch_once, environment_report
first = "VITASCOPE_RELAUNCHED" not in os.environ
before = os.getpid()
relaunch_once()
relaunch_once()
print(json.dumps({"argv": sys.argv[1:], "pid": before, "utf8": sys.flags.utf8_mode, "first": first,
                  "seen": {v.name: v.value for v in environment_report()}}))
"""


def started(**variables: str) -> tuple[dict, int]:
    clean = {k: v for k, v in os.environ.items() if k not in NAMES and k != launch.GUARD}
    process = subprocess.Popen(
        [sys.executable, "-X", "utf8", "-c", SCRIPT, "paint", "two words", "--flag=1"],
        env={**clean, "PYTHONPATH": ".", **variables},
        stdout=subprocess.PIPE,
        text=True,
    )
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return json.loads(out), process.pid


@pytest.mark.skipif(not launch.has_glibc(), reason="only glibc reads the variables at exec")
def test_it_starts_again_once_with_all_that_was_typed():
    seen, pid = started()
    assert seen["argv"] == ["paint", "two words", "--flag=1"]
    assert seen["seen"] == NAMES
    assert not seen["first"]
    assert seen["utf8"] == 1
    assert seen["pid"] == pid, "the same process, so that signals and parents find it"


def test_what_a_person_has_set_is_left():
    seen, _ = started(OMP_WAIT_POLICY="ACTIVE", MALLOC_MMAP_THRESHOLD_="1000000")
    assert seen["seen"]["OMP_WAIT_POLICY"] == "ACTIVE"
    assert seen["seen"]["MALLOC_MMAP_THRESHOLD_"] == "1000000"


def test_with_all_set_there_is_no_second_start():
    seen, _ = started(**NAMES)
    assert seen["first"]


def test_under_pytest_it_does_nothing():
    environment: dict[str, str] = {}
    assert not launch.relaunch_once(
        environment=environment, execute=lambda *args: pytest.fail("started again")
    )
    assert environment == {}


@pytest.fixture
def as_program(monkeypatch):
    """Take the names away by which it knows that it must not."""
    for name in ("pytest", "torch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "gettrace", lambda: None)


def test_without_glibc_it_sets_what_works_here(as_program, monkeypatch):
    monkeypatch.setattr(launch, "has_glibc", lambda: False)
    environment: dict[str, str] = {}
    calls: list[object] = []
    assert not launch.relaunch_once(environment=environment, execute=lambda *args: calls.append(args))
    assert environment == launch.IN_PROCESS
    assert calls == []
    report = {v.name: v.matters for v in launch.environment_report(environment)}
    assert report == {name: name in launch.IN_PROCESS for name in NAMES}


def test_the_guard_ends_a_loop_and_a_forbidden_exec_is_survived(as_program, monkeypatch):
    monkeypatch.setattr(launch, "has_glibc", lambda: True)
    calls: list[tuple] = []
    assert launch.relaunch_once(["-m", "app"], environment={}, execute=lambda *args: calls.append(args))
    ((program, command, environment),) = calls
    assert (program, command) == (sys.executable, [sys.executable, "-m", "app"])
    assert environment[launch.GUARD] == "1"
    assert not launch.relaunch_once(environment={launch.GUARD: "1"}, execute=lambda *args: calls.append(args))
    assert len(calls) == 1

    def forbidden(*args):
        raise PermissionError("exec is forbidden here")

    assert not launch.relaunch_once(environment={}, execute=forbidden)


def test_help_does_not_start_again(tmp_path):
    clean = {k: v for k, v in os.environ.items() if k not in NAMES}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "app", "--help"],
        env=clean,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "python -m app [COMMAND]" in done.stdout
    assert "pipelines.engines.launch" not in done.stderr
