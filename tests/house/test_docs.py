"""What the documents say is there: commands, files, settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.cli import COMMANDS
from app.registry import Registry
from app.settings import leaves, settings_type
from tests.house.paths import ROOT

DOCS = sorted(
    path
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "training").rglob("*.md")]
    if "_work" not in path.parts
)


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_command_comes_within_sixty_words() -> None:
    before, command, _ = readme().partition("make run")
    assert command
    assert len(re.sub(r"[#`*\[\]()!]|https?://\S+|\S+\.(?:png|gif|jpg)", " ", before).split()) <= 60


def test_every_make_target_named_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {t for doc in DOCS for t in re.findall(r"`make ([a-z-]+)", doc.read_text(encoding="utf-8"))}
    assert "run" in named
    assert named <= targets


def test_every_command_named_in_the_documents_exists() -> None:
    named = {
        c for doc in DOCS for c in re.findall(r"python -m app ([a-z]+)", doc.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= set(COMMANDS)


def test_every_benchmark_named_in_the_documents_exists() -> None:
    from benchmarks.__main__ import names

    named = {
        c
        for doc in DOCS
        for c in re.findall(r"python -m benchmarks ([a-z_]+)", doc.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= set(names())


@pytest.mark.parametrize("doc", DOCS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_to_files_resolve(doc: Path) -> None:
    text = re.sub(r"```.*?```", "", doc.read_text(encoding="utf-8"), flags=re.S)
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    missing = [link for link in links if link and "://" not in link and not (doc.parent / link).exists()]
    assert missing == []


def test_every_setting_is_in_the_settings_table() -> None:
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    missing = [
        ".".join(path) for path, _ in leaves(settings_type(Registry())) if f"`{'.'.join(path)}`" not in text
    ]
    assert missing == [], "write the table again: python scripts/settings_table.py"


def test_the_settings_table_is_up_to_date() -> None:
    from scripts.settings_table import table

    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == table()


def test_the_feature_table_names_tests_that_exist() -> None:
    rows = [
        line.split("|")
        for line in (ROOT / "docs/streamdiffusion.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    named = {
        row[1].strip(): row[-2].strip().strip("`")
        for row in rows[2:]
        if "**Y**" in row[-3] or "P:" in row[-3]
    }
    assert len(named) > 20
    assert {feature: path for feature, path in named.items() if not (path and (ROOT / path).exists())} == {}
