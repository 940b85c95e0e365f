"""The catalog is whole, and a wrong one is told with the place of the fault."""

from __future__ import annotations

import pytest

from pipelines.models.catalog import CATALOG, PACKAGES, entries, read
from realtime.core.errors import ConfigError

ENTRY = """
[one]
title = "One"
source = "hub:someone/one"
licence = "MIT"
needs = "Nothing."
says = "A model."
files = [{ path = "config.json", bytes = 10 }]
"""


def test_every_entry_says_what_a_person_needs_to_know():
    for entry in entries().values():
        assert entry.title
        assert entry.licence
        assert entry.says.endswith(".")
        assert entry.needs.endswith(".")
        assert entry.bytes > (500_000 if entry.kind in ("embedded", "hub") else 200_000)
        home = "https://huggingface.co/" if entry.kind == "hub" else "https://github.com/"
        assert entry.is_embedded or entry.licence_url.startswith(home)


def test_the_default_model_comes_along():
    painter = entries()["painter"]
    assert painter.is_embedded
    assert painter.folder is not None
    assert (painter.folder / "unet" / "config.json").is_file()
    assert painter.licence == "Apache-2.0"


def test_what_is_fetched_has_all_that_the_loader_reads():
    for entry in entries().values():
        if entry.is_embedded or entry.is_part or entry.does != "paint":
            continue
        paths = [file.path for file in entry.files]
        folders = {path.split("/")[0] for path in paths} | {part.into for part in entry.include}
        assert {"vae", "text_encoder", "tokenizer", "scheduler"} <= folders
        assert folders & {"unet", "transformer"}
        assert ("text_encoder_2" in folders) == ("tokenizer_2" in folders) == entry.id.startswith("sdxl")
        assert all(path.endswith((".json", ".txt", ".safetensors")) for path in paths), "no pickles"
        for lora in entry.extra.get("loras", ()):
            assert lora["file"].split("/")[0] in folders
        assert entry.bytes > 2e9


def test_a_package_has_its_version_and_the_digests_of_its_files():
    packed = [entry for entry in entries().values() if entry.kind in PACKAGES]
    assert {entry.kind for entry in packed} == set(PACKAGES)
    for entry in packed:
        assert entry.does == "see"
        assert entry.download_bytes > entry.bytes
        assert all(file.sha256 for file in entry.files)


def test_detectors_of_the_hub_have_what_their_loader_reads_and_a_permissive_licence():
    found = [entry for entry in entries().values() if entry.does == "see" and entry.kind == "hub"]
    assert len(found) >= 3
    for entry in found:
        paths = {file.path for file in entry.files}
        assert paths == {"config.json", "preprocessor_config.json", "model.safetensors"}
        assert entry.licence == "Apache-2.0"


def test_recognisers_of_the_hub_are_one_nemo_file():
    found = [entry for entry in entries().values() if entry.does == "hear" and entry.kind == "hub"]
    assert len(found) >= 3
    for entry in found:
        assert [file.path.rpartition(".")[2] for file in entry.files] == ["nemo"]


def test_sizes_of_what_is_included_count():
    taesd, turbo = entries()["taesd"], entries()["sd-turbo"]
    assert turbo.bytes == sum(file.bytes for file in turbo.files) + taesd.bytes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('"MIT"', "3"), "at one.licence"),
        (('licence = "MIT"\n', ""), "at one.licence: Field required"),
        (("needs", "wants"), "at one.needs"),
        (("hub:someone/one", "http://x"), "at one.source"),
        (("hub:someone/one", "npm:one"), "at one.source"),
        (("hub:someone/one", "wheel:one>=2"), "at one.source"),
        (("hub:someone/one", "npm:@a/one@1.2.3"), "has its sha256"),
        (("hub:someone/one", "wheel:one==1.2"), "has its sha256"),
        (('path = "config.json"', 'path = "../config.json"'), "plain path"),
        (('path = "config.json"', 'path = "/etc/passwd"'), "plain path"),
        (("bytes = 10", "bytes = -1"), "bytes"),
        (("bytes = 10", 'bytes = 10, sha256 = "abc"'), "sha256"),
        (('files = [{ path = "config.json", bytes = 10 }]', ""), "lists its files"),
        (("[one]", "[one"), "cannot be read"),
        (("[one]", "title = 3\n[one]"), "cannot be read"),
        (("[one]", '[one]\ninclude = [{ id = "two", into = "vae" }]'), 'includes "two"'),
    ],
)
def test_a_wrong_catalog_is_refused_with_its_place(change, words):
    assert list(read(ENTRY)) == ["one"]
    with pytest.raises(ConfigError, match=r"catalog|includes") as caught:
        read(ENTRY.replace(*change))
    assert words in caught.value.message
    assert CATALOG.name in caught.value.hint
