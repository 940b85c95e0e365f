"""The client of the reference: the environment that it gives, and what it makes of answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks._reference import WORKER, Reference, ReferenceError, variables
from tests.tiny import make_folder

SCRIPT = """
import json, os, sys
for line in sys.stdin:
    request = json.loads(line)
    if request["what"] == "fault":
        if request["number"] == 1:
            sys.exit(3)
        print(json.dumps({"error": "ValueError: no such fault"}), flush=True)
    else:
        policy = os.environ["OMP_WAIT_POLICY"]
        spent = {"seconds": 0.25, "cpu_seconds": 0.5}
        print(json.dumps({"request": request, "policy": policy, **spent}), flush=True)
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    script = tmp_path / "worker.py"
    script.write_text(SCRIPT)
    return [sys.executable, str(script)]


def test_the_worker_has_what_makes_torch_fast_and_what_a_person_set() -> None:
    made = variables({"OMP_WAIT_POLICY": "ACTIVE", "PYTHONPATH": "/ours", "HOME": "/home/me"})
    assert made["OMP_WAIT_POLICY"] == "ACTIVE"
    assert made["MALLOC_MMAP_THRESHOLD_"] == "2147483647"
    assert made["HOME"] == "/home/me"
    assert "PYTHONPATH" not in made


def test_a_stream_is_prepared_and_run_as_asked(command: list[str], tmp_path: Path) -> None:
    with Reference(tmp_path, 128, command) as reference:
        assert reference.versions["request"]["size_px"] == 128
        assert reference.versions["policy"]
        assert reference.run("a", tmp_path / "pictures.npy", 6) == (0.25, 0.5)


def test_what_the_worker_cannot_do_is_raised_in_its_words(command: list[str], tmp_path: Path) -> None:
    with Reference(tmp_path, 128, command) as reference, pytest.raises(ReferenceError, match="no such fault"):
        reference.fault(99)


def test_a_worker_that_ends_is_told_from_one_that_answers(command: list[str], tmp_path: Path) -> None:
    with Reference(tmp_path, 128, command) as reference:
        with pytest.raises(ReferenceError, match=r"ended with 3 during 'fault'"):
            reference.fault(1)
        with pytest.raises(ReferenceError, match="ended with 3"):
            reference.fault(2)


@pytest.mark.nightly
def test_a_model_that_the_worker_cannot_load_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReferenceError, match="'load'"):
        Reference(tmp_path / "nothing", 64, [sys.executable, "-P", str(WORKER)])


@pytest.mark.nightly
def test_the_real_worker_loads_a_folder_and_goes_on_after_an_error(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", "sd")
    with Reference(folder, 64, [sys.executable, "-P", str(WORKER)]) as reference:
        assert reference.versions["threads"] >= 1
        assert json.dumps(reference.versions)
        for _ in range(2):
            with pytest.raises(ReferenceError, match="'run': KeyError"):
                reference.run("never prepared", tmp_path / "pictures.npy", 1)
