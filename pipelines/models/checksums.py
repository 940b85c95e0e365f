"""The digests of a model's files, kept beside them in `checksums.toml`: is the folder what it was when made?

Text files are taken with plain line ends, since a checkout on Windows may have changed them.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

NAME = "checksums.toml"
WEIGHTS = {".safetensors", ".bin", ".tflite"}
TEXTS = {".json", ".txt"}


@dataclass(frozen=True, slots=True)
class Sum:
    """Hold size and digest of one file."""

    bytes: int
    sha256: str


def write_checksums(folder: Path) -> Path:
    """Write `checksums.toml` for what lies in a model folder now, and return its path."""
    lines = ["# Written by the program that made this folder; `python -m app models verify` compares.", ""]
    for path in files_of(folder):
        seen = sum_of(path)
        name = path.relative_to(folder).as_posix()
        lines.append(f'{json.dumps(name)} = {{ bytes = {seen.bytes}, sha256 = "{seen.sha256}" }}')
    target, fresh = folder / NAME, folder / f".{NAME}.new"
    fresh.write_text("\n".join([*lines, ""]), encoding="utf-8", newline="\n")
    os.replace(fresh, target)
    return target


def read_checksums(folder: Path) -> dict[str, Sum] | None:
    """Return the digests by path inside the folder; None when there are none that can be read."""
    try:
        found = tomllib.loads((folder / NAME).read_text(encoding="utf-8"))
        return {name: Sum(int(entry["bytes"]), str(entry["sha256"])) for name, entry in found.items()}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def differing(folder: Path, *, deep: bool) -> list[str]:
    """Say what is not as promised, a sentence each.

    `deep` reads every byte; else it is looked at whether the files are there, and at the size of weights.
    """
    promised = read_checksums(folder)
    if promised is None and not deep:
        return []
    if promised is None:
        return [f"It has no readable {NAME}, so nothing can be compared."]
    problems = []
    for name, wanted in promised.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{name} is missing.")
        elif path.suffix in WEIGHTS and path.stat().st_size != wanted.bytes:
            problems.append(f"{name} has {path.stat().st_size} bytes, {wanted.bytes} were promised.")
        elif deep and sum_of(path) != wanted:
            problems.append(f"{name} differs from what was promised (sha256).")
    if deep:
        own = {path.relative_to(folder).as_posix() for path in files_of(folder)}
        problems += [f"{name} is not in {NAME}." for name in sorted(own - promised.keys())]
    return problems


def sum_of(path: Path) -> Sum:
    """Return size and digest of a file."""
    if path.suffix in TEXTS:
        text = path.read_bytes().replace(b"\r\n", b"\n")
        return Sum(len(text), hashlib.sha256(text).hexdigest())
    with path.open("rb") as file:
        return Sum(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def files_of(folder: Path) -> list[Path]:
    """Return the files that make the model: weights, configs, vocabularies; no pictures, nothing hidden."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in WEIGHTS | TEXTS and path.is_file() and not _is_hidden(path.relative_to(folder))
    )


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
