"""Models found, fetched from a folder that stands in for the hub, checked, and told about when absent."""

from __future__ import annotations

import hashlib
import os
import shutil
import tomllib
from pathlib import Path

import pytest

from pipelines.models import catalog, checksums, hub, store
from pipelines.models.hub import Listing, RemoteFile
from realtime.core.errors import ModelCorrupt, ModelError, ModelMissing

ENTRIES = """
[small]
title = "Small"
source = "hub:someone/small"
licence = "MIT"
licence_url = "https://example.org"
needs = "Nothing."
says = "A model."
files = [
    { path = "unet/config.json", bytes = 2 },
    { path = "unet/diffusion_pytorch_model.safetensors", bytes = 3000 },
]
include = [{ id = "ae", into = "vae" }]
extra = { loras = [] }

[ae]
title = "Autoencoder"
source = "hub:someone/ae"
licence = "MIT"
needs = "Nothing."
says = "A part."
is_part = true
files = [{ path = "config.json", bytes = 2 }, { path = "w.safetensors", bytes = 500 }]

[kept]
title = "Kept"
source = "embedded:nowhere"
licence = "MIT"
needs = "Nothing."
says = "It comes along."
"""


class FolderHub:
    """Serve repositories from folders below one folder, as the hub does, and count what is asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        self.stop_before = ""

    def listing(self, repo: str, revision: str) -> Listing:
        home = self.root / repo
        files = {}
        for path in sorted(p for p in home.rglob("*") if p.is_file()):
            is_large = path.suffix == ".safetensors"
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if is_large else None
            files[path.relative_to(home).as_posix()] = RemoteFile(path.stat().st_size, digest)
        return Listing("c0ffee", files)

    def download(self, repo: str, commit: str, file: str, folder: Path) -> Path:
        assert commit == "c0ffee", "all files come from the one commit that was listed"
        if file == self.stop_before:
            raise ModelMissing("The line is cut.", permanent=False)
        self.asked.append(file)
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / ".cache").mkdir(exist_ok=True)
        shutil.copyfile(self.root / repo / file, target)
        return target


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """Make a small hub, a catalog of it, and an empty place for models."""
    monkeypatch.setenv("VITASCOPE_CACHE_DIR", str(tmp_path / "cache"))
    known = catalog.read(ENTRIES)
    monkeypatch.setattr(store, "entries", lambda: known)
    monkeypatch.setattr(catalog, "entries", lambda: known)
    home = tmp_path / "hub"
    for repo, file, content in (
        ("someone/small", "unet/config.json", b"{}"),
        ("someone/small", "unet/diffusion_pytorch_model.safetensors", os.urandom(3000)),
        ("someone/small", "unet/not_wanted.bin", bytes(99)),
        ("someone/ae", "config.json", b"{}"),
        ("someone/ae", "w.safetensors", os.urandom(500)),
    ):
        (home / repo / file).parent.mkdir(parents=True, exist_ok=True)
        (home / repo / file).write_bytes(content)
    return FolderHub(home)


def fetched(remote: FolderHub, **options) -> tuple[Path, list[str]]:
    told: list[str] = []
    return store.fetch("small", told.append, remote=remote, **options), told


def test_a_fetched_model_is_whole_and_found(remote):
    with pytest.raises(ModelMissing, match="Small is not on this machine") as caught:
        store.locate("small")
    assert "python -m app models fetch small" in caught.value.hint
    assert "MIT" in caught.value.hint
    folder, told = fetched(remote)
    assert store.locate("small") == folder
    assert store.verify("small") == []
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert names == [
        "checksums.toml",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/w.safetensors",
        "vitascope.json",
    ]
    assert told[1].startswith("2 of 4: unet/diffusion_pytorch_model.safetensors")
    assert "licence: MIT" in told[-1]
    assert [p.name for p in folder.parent.iterdir()] == ["small"], "nothing half done is left"


def test_what_is_here_is_not_fetched_again_unless_forced(remote):
    fetched(remote)
    count = len(remote.asked)
    _, told = fetched(remote)
    assert told == ["Small is here already."]
    assert len(remote.asked) == count
    folder, _ = fetched(remote, force=True)
    assert len(remote.asked) == 2 * count
    assert [p.name for p in folder.parent.iterdir()] == ["small"]


def test_a_cut_download_goes_on_where_it_stopped(remote):
    remote.stop_before = "w.safetensors"
    with pytest.raises(ModelMissing, match="line is cut"):
        fetched(remote)
    with pytest.raises(ModelMissing, match="not on this machine"):
        store.locate("small")
    remote.stop_before = ""
    remote.asked.clear()
    fetched(remote)
    assert "unet/diffusion_pytorch_model.safetensors" not in remote.asked
    assert "w.safetensors" in remote.asked
    assert store.verify("small") == []


@pytest.mark.parametrize("fault", ["cut", "flipped"])
def test_what_comes_wrong_is_thrown_away(remote, fault):
    promised = remote.listing
    listings = {repo: promised(repo, "main") for repo in ("someone/small", "someone/ae")}
    remote.listing = lambda repo, revision: listings[repo]
    bad = remote.root / "someone/ae/w.safetensors"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:-7] if fault == "cut" else bytes([whole[0] ^ 1]) + whole[1:])
    words = "493 bytes, 500 were promised" if fault == "cut" else "another sha256"
    with pytest.raises(ModelCorrupt, match=words) as caught:
        fetched(remote)
    assert not caught.value.permanent
    with pytest.raises(ModelMissing):
        store.locate("small")
    bad.write_bytes(whole)
    fetched(remote)
    assert store.verify("small") == []


def test_a_file_that_the_hub_lost_is_named(remote):
    (remote.root / "someone/ae/w.safetensors").unlink()
    with pytest.raises(ModelMissing, match=r"someone/ae has no w\.safetensors at main"):
        fetched(remote)


def test_damage_after_the_fact_is_seen(remote):
    folder, _ = fetched(remote)
    weights = folder / "vae" / "w.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    assert store.locate("small") == folder, "a look at sizes does not see it"
    assert store.verify("small") == ["vae/w.safetensors differs from what was promised (sha256)."]
    weights.write_bytes(whole[:-1])
    with pytest.raises(ModelCorrupt, match=r"vae/w\.safetensors has 499 bytes, 500 were promised") as caught:
        store.locate("small")
    assert "models fetch small" in caught.value.hint
    weights.unlink()
    with pytest.raises(ModelCorrupt, match="is missing"):
        store.locate("small")
    fetched(remote)
    assert store.verify("small") == []


def test_a_full_disk_is_told_before_the_download(remote, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 1000))
    with pytest.raises(ModelError, match="GB free") as caught:
        fetched(remote)
    assert "VITASCOPE_CACHE_DIR" in caught.value.hint
    assert remote.asked == []


def test_an_embedded_model_is_not_fetched(remote, monkeypatch, tmp_path):
    monkeypatch.setattr(catalog, "ROOT", tmp_path)
    with pytest.raises(ModelMissing, match="Kept should lie in"):
        store.locate("kept")
    (tmp_path / "nowhere").mkdir()
    told: list[str] = []
    assert store.fetch("kept", told.append, remote=remote) == tmp_path / "nowhere"
    assert told == ["Kept comes with this program: nothing to fetch."]
    assert remote.asked == []


def test_an_unknown_name_gets_the_nearest(remote):
    for call in (store.locate, lambda name: store.fetch(name, print), store.verify):
        with pytest.raises(ModelError, match="no model") as caught:
            call("smal")
        assert caught.value.hint == 'Did you mean "small"?'
    with pytest.raises(ModelError) as caught:
        store.locate("zzzz")
    assert "Known: small, kept;" in caught.value.hint


def test_a_folder_can_be_named(tmp_path):
    assert store.locate(str(tmp_path)) == tmp_path.resolve()
    with pytest.raises(ModelMissing, match="There is no folder"):
        store.locate(str(tmp_path / "absent"))


def test_a_hub_name_is_looked_for_in_the_hubs_own_cache(remote, monkeypatch, tmp_path):
    monkeypatch.setattr(store, "cached", lambda repo: tmp_path if repo == "some/body" else None)
    assert store.locate("hub:some/body") == tmp_path
    with pytest.raises(ModelMissing, match="some/other") as caught:
        store.locate("hub:some/other")
    assert "hf download some/other" in caught.value.hint
    with pytest.raises(ModelMissing) as caught:
        store.locate("hub:someone/small")
    assert "python -m app models fetch small" in caught.value.hint


def test_offline_is_said_plainly(remote, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelMissing, match="HF_HUB_OFFLINE is set") as caught:
        store.fetch("small", lambda sentence: None)
    assert "Unset it" in caught.value.hint
    with pytest.raises(ModelMissing, match="HF_HUB_OFFLINE"):
        hub.HuggingFaceHub().download("someone/small", "main", "config.json", tmp_path)


def test_a_digest_follows_weights_and_configs_and_nothing_else(tmp_path):
    (tmp_path / "unet").mkdir()
    weights, config = tmp_path / "unet" / "w.safetensors", tmp_path / "unet" / "config.json"
    weights.write_bytes(b"weights")
    config.write_text("{}")
    first = store.digest(tmp_path)
    (tmp_path / "README.md").write_text("a card")
    (tmp_path / "vitascope.json").write_text("{}")
    (tmp_path / ".hidden.safetensors").write_bytes(b"x")
    config.write_bytes(b"{}")
    assert store.digest(tmp_path) == first
    weights.write_bytes(b"Weights")
    second = store.digest(tmp_path)
    config.write_text('{"a": 1}')
    assert len({first, second, store.digest(tmp_path)}) == 3


def test_checksums_say_what_lies_there(tmp_path):
    (tmp_path / "a.json").write_bytes(b'{\n "x": 1\n}\n')
    (tmp_path / "b.safetensors").write_bytes(b"\r\n")
    (tmp_path / "sheet.jpg").write_bytes(b"picture")
    found = tomllib.loads(store.write_checksums(tmp_path).read_text())
    assert found["b.safetensors"] == {"bytes": 2, "sha256": hashlib.sha256(b"\r\n").hexdigest()}
    assert sorted(found) == ["a.json", "b.safetensors"]
    (tmp_path / "a.json").write_bytes(b'{\r\n "x": 1\r\n}\r\n')
    assert checksums.differing(tmp_path, deep=True) == [], "line ends of a text file may change in a checkout"
    (tmp_path / "c.json").write_text("{}")
    (tmp_path / "b.safetensors").write_bytes(b"\n\n")
    assert checksums.differing(tmp_path, deep=True) == [
        "b.safetensors differs from what was promised (sha256).",
        "c.json is not in checksums.toml.",
    ]


def test_without_checksums_a_folder_is_found_and_not_called_whole(tmp_path):
    assert checksums.differing(tmp_path, deep=False) == []
    (problem,) = checksums.differing(tmp_path, deep=True)
    assert "no readable checksums.toml" in problem
    (tmp_path / "checksums.toml").write_text('x = { bytes = "many" }')
    assert checksums.read_checksums(tmp_path) is None


def test_the_painter_that_ships_is_whole():
    assert store.verify("painter") == []
    assert store.locate("painter").name == "painter"
