"""The folders that were asked for are there, and their names mean ours, not a distribution's."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from tests.house.paths import ROOT

FOLDERS = ("app", "pipelines", "perception", "realtime", "ui")


@pytest.mark.parametrize("name", FOLDERS)
def test_an_import_name_resolves_inside_the_checkout(name: str) -> None:
    found = importlib.import_module(name).__file__
    assert found is not None
    assert found.startswith(str(ROOT / name))


def test_the_command_line_starts_without_a_heavy_library() -> None:
    heavy = (
        "torch",
        "diffusers",
        "transformers",
        "gradio",
        "openvino",
        "av",
        "aiortc",
        "fastapi",
        "cv2",
        "numpy.testing",
    )
    code = f"import sys, app.cli; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_stage_table_is_read_without_a_model_library() -> None:
    code = (
        "import sys\nfrom app.registry import Registry\nr = Registry()\n"
        "[r.config(name) for name in r]\n"
        "print(*[m for m in ('torch', 'diffusers', 'openvino') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_no_source_file_is_too_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in (*FOLDERS, "training", "benchmarks", "scripts", "examples")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".js", ".css") and "_work" not in path.parts
        and (lines := len(path.read_text().splitlines())) > 350
    }  # fmt: skip
    assert long == {}


def test_continuous_integration_runs_what_a_developer_runs() -> None:
    assert "make test" in (ROOT / ".ci/run").read_text()
