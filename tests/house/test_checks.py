"""How the checks divide the tests, and what they say of two runs together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.checks import ALONE, added_up, runs_of_pytest
from tests.house.paths import ROOT


@pytest.mark.parametrize("path", ALONE)
def test_what_runs_alone_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_each_test_is_in_one_of_the_two_runs() -> None:
    beside, alone = runs_of_pytest([], "not nightly").values()
    assert {word.removeprefix("--ignore=") for word in beside if word.startswith("--ignore=")} == set(ALONE)
    assert set(ALONE) <= set(alone)


def test_the_last_line_adds_up_what_pytest_counted(tmp_path: Path) -> None:
    body = "def test_a(): assert {}\ndef test_b(): pass\n"
    for name, right in (("one", True), ("two", False)):
        (tmp_path / f"test_{name}.py").write_text(body.format(right))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"test_{name}.py"]
        subprocess.run([*command, f"--junitxml={name}.xml"], cwd=tmp_path, capture_output=True)
    said = added_up([tmp_path / "one.xml", tmp_path / "two.xml"])
    assert " 1 failed, 3 passed in " in said
    assert added_up([]) == ""
