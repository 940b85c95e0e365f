"""Keys that differ when anything does, and a shelf on which a torn file is as good as none."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.engines import key as keys
from pipelines.engines.key import Recipe, Shelf

words = st.text(max_size=12)
sizes = st.integers(1, 4096)
recipes = st.builds(
    Recipe,
    network=words,
    weights=words,
    shapes=st.lists(st.tuples(words, st.lists(sizes, max_size=4).map(tuple)), max_size=3).map(tuple),
    precision=words,
    threads=sizes,
    streams=sizes,
    backend=words,
    versions=words,
    graph=words,
    processor=words,
)
RECIPE = Recipe("unet", "w", (("x", (1, 4)),), "fp32", 2, 1, "openvino", "openvino 1", "g", "p")


@given(recipes, recipes)
def test_two_recipes_share_a_key_only_when_equal(one, other):
    assert (one.key() == other.key()) == (one == other)


@given(recipes, recipes)
def test_changing_any_field_changes_the_key(one, other):
    for field in dataclasses.fields(Recipe):
        value = getattr(other, field.name)
        changed = dataclasses.replace(one, **{field.name: value})
        assert (changed.key() == one.key()) == (value == getattr(one, field.name))
        expected = () if value == getattr(one, field.name) else (field.name,)
        assert keys.differences(one.as_json(), json.loads(json.dumps(changed.as_json()))) == expected


def test_another_process_has_the_same_key():
    script = (
        f"from pipelines.engines.key import Recipe\nprint(Recipe(*{dataclasses.astuple(RECIPE)!r}).key())\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "17", "PYTHONPATH": "."}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == RECIPE.key(), done.stderr


def test_what_is_put_is_got(tmp_path):
    shelf = Shelf(tmp_path / "new" / "folder")
    assert shelf.get(RECIPE) is None
    assert shelf.put(RECIPE, b"engine") == ""
    assert shelf.get(RECIPE) == b"engine"
    assert shelf.get(dataclasses.replace(RECIPE, threads=1)) is None
    assert sorted(p.suffix for p in shelf.folder.iterdir()) == [".bin", ".json"], "nothing temporary is left"


@pytest.mark.parametrize(
    "fault", ["cut", "flipped", "no json", "torn json", "json of another", "json is a list"]
)
def test_what_is_not_whole_is_left_aside(tmp_path, fault):
    shelf = Shelf(tmp_path)
    shelf.put(RECIPE, b"engine" * 100)
    engine, beside = tmp_path / f"{RECIPE.key()}.bin", tmp_path / f"{RECIPE.key()}.json"
    if fault == "cut":
        engine.write_bytes(engine.read_bytes()[:-1])
    elif fault == "flipped":
        engine.write_bytes(b"x" + engine.read_bytes()[1:])
    elif fault == "no json":
        beside.unlink()
    elif fault == "torn json":
        beside.write_text(beside.read_text()[:-20])
    elif fault == "json of another":
        beside.write_text(json.dumps(json.loads(beside.read_text()) | {"versions": "openvino 0"}))
    else:
        beside.write_text("[]")
    assert shelf.get(RECIPE) is None
    assert shelf.put(RECIPE, b"again") == ""
    assert shelf.get(RECIPE) == b"again"


def test_a_miss_says_what_changed(tmp_path):
    shelf = Shelf(tmp_path)
    assert shelf.why_missing(RECIPE) == ""
    shelf.put(RECIPE, b"engine")
    newer = dataclasses.replace(RECIPE, versions="openvino 2")
    assert shelf.why_missing(newer) == "changed since the last one: versions"
    assert shelf.why_missing(dataclasses.replace(newer, precision="bf16")) == "", "another wish is no change"


def test_the_contents_are_told_the_last_used_first(tmp_path):
    shelf = Shelf(tmp_path)
    assert Shelf(tmp_path / "none").contents() == []
    for age, threads in enumerate((5, 6)):
        recipe = dataclasses.replace(RECIPE, threads=threads)
        shelf.put(recipe, bytes(10 * threads))
        os.utime(tmp_path / f"{recipe.key()}.bin", (1000 + age, 1000 + age))
    (tmp_path / "torn.json").write_text("{")
    (tmp_path / "alone.json").write_text("{}")
    found = shelf.contents()
    assert [(one.bytes, one.used_at_s, one.recipe["threads"]) for one in found] == [
        (60, 1001, 6),
        (50, 1000, 5),
    ]
    assert found[1].key == dataclasses.replace(RECIPE, threads=5).key()


def test_the_engine_used_longest_ago_makes_room(tmp_path):
    shelf = Shelf(tmp_path, limit_bytes=250)
    several = [dataclasses.replace(RECIPE, threads=i) for i in range(3)]
    for age, recipe in enumerate(several[:2]):
        shelf.put(recipe, bytes(100))
        os.utime(tmp_path / f"{recipe.key()}.bin", (1000 + age, 1000 + age))
    assert shelf.get(several[0]) is not None  # used just now
    shelf.put(several[2], bytes(100))
    assert [shelf.get(recipe) is not None for recipe in several] == [True, False, True]
    assert "more than the cache holds" in shelf.put(RECIPE, bytes(300))


def test_the_folder_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("VITASCOPE_CACHE_DIR", str(tmp_path))
    assert keys.default_shelf().folder == tmp_path / "engines"
    monkeypatch.delenv("VITASCOPE_CACHE_DIR")
    assert "vitascope" in keys.cache_folder().parts


@pytest.mark.parametrize(
    ("system", "variable", "parts"),
    [
        ("linux", "XDG_CACHE_HOME", ("named", "vitascope")),
        ("win32", "LOCALAPPDATA", ("named", "vitascope", "cache")),
        ("darwin", "", ("Library", "Caches", "vitascope")),
    ],
)
def test_each_platform_has_its_place(monkeypatch, system, variable, parts):
    monkeypatch.delenv("VITASCOPE_CACHE_DIR", raising=False)
    monkeypatch.setattr(sys, "platform", system)
    if variable:
        monkeypatch.setenv(variable, "named")
    assert keys.cache_folder().parts[-len(parts) :] == parts


def test_the_graph_digest_follows_the_source():
    assert set(keys.SOURCES) == {"networks.py", "autoencoder.py"}
    sources = [Path(keys.__file__).with_name(name).read_bytes() for name in keys.SOURCES]
    assert keys.hashlib.sha256(b" ".join(sources)).hexdigest() == keys.graph_digest()
