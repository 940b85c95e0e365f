"""Keep compiled engines on disk under a key that holds all that would make a kept one wrong.

A stale engine gives wrong pictures without an error, so the key covers weights, shapes, precision, threads,
the back end's exact version, the code that made the graph, and the processor. Beside each engine lies a JSON
with those fields and the sha256 of its bytes: a torn or exchanged file is left aside as if it were not there,
and a miss can say which field differed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

FORMAT = 1
LIMIT_BYTES = 2 << 30
"""What the kept engines may take together; the ones used longest ago go first."""

SOURCES = ("networks.py", "autoencoder.py")
"""The modules beside this one whose classes back ends trace."""

AGES = {"format", "weights", "versions", "graph", "processor"}
"""The fields that change under a person's feet; the others are what was asked for."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Name everything that a compiled engine depends on."""

    network: str
    weights: str
    """sha256 of weights and configs."""
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    """Name and shape of each input, in the network's order."""
    precision: str
    threads: int
    streams: int
    backend: str
    versions: str
    """Exact versions of the back end and of the libraries that made the graph."""
    graph: str
    """sha256 of the source that turns a model into networks."""
    processor: str

    def key(self) -> str:
        """Return 32 hexadecimal digits; two recipes share them only when all fields are equal."""
        text = json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def as_json(self) -> dict[str, object]:
        return {"format": FORMAT, **asdict(self)}


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names of the fields in which two recipes, as JSON, differ."""
    names = [field.name for field in fields(Recipe)]
    return tuple(name for name in ("format", *names) if _plain(one.get(name)) != _plain(other.get(name)))


def _plain(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Kept:
    """Describe one engine on the shelf."""

    key: str
    recipe: Mapping[str, object]
    """The fields of `Recipe`, as JSON has them."""
    bytes: int
    used_at_s: float
    """When it was last made or used, seconds since 1970."""


class Shelf:
    """Keep engines as `<key>.bin` with `<key>.json` beside, both written by a temporary file and a rename."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes

    def get(self, recipe: Recipe) -> bytes | None:
        """Return the engine of this recipe; None when there is none, or when it is not whole."""
        key = recipe.key()
        try:
            beside = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
            engine = (self.folder / f"{key}.bin").read_bytes()
        except (OSError, ValueError):
            return None
        if not isinstance(beside, dict) or beside.get("sha256") != hashlib.sha256(engine).hexdigest():
            return None
        if differences(beside, recipe.as_json()):
            return None
        self._touch(key)
        return engine

    def put(self, recipe: Recipe, engine: bytes) -> str:
        """Keep an engine. Return why it could not be kept; empty when it was."""
        key = recipe.key()
        beside = recipe.as_json() | {"sha256": hashlib.sha256(engine).hexdigest(), "bytes": len(engine)}
        if len(engine) > self.limit_bytes:
            return f"{len(engine) >> 20} MB is more than the cache holds ({self.limit_bytes >> 20} MB)."
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(f"{key}.bin", engine)
            self._write(f"{key}.json", json.dumps(beside, indent=1, sort_keys=True).encode())
            self._trim(keep=key)
        except OSError as error:
            return f"{self.folder} cannot be written: {error.strerror or error}."
        return ""

    def contents(self) -> list[Kept]:
        """Return what is kept here, the last used first. What has no readable JSON beside is left out."""
        found = []
        for path in self.folder.glob("*.json"):
            try:
                recipe = json.loads(path.read_text(encoding="utf-8"))
                status = path.with_suffix(".bin").stat()
            except (OSError, ValueError):
                continue
            if isinstance(recipe, dict):
                found.append(Kept(path.stem, recipe, status.st_size, status.st_mtime))
        return sorted(found, key=lambda kept: kept.used_at_s, reverse=True)

    def why_missing(self, recipe: Recipe) -> str:
        """Say what changed since an engine of the same network and options was kept; empty for a new one."""
        wanted = recipe.as_json()
        found: list[tuple[str, ...]] = []
        for path in self.folder.glob("*.json"):
            try:
                kept = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if isinstance(kept, dict) and not set(differences(kept, wanted)) - AGES:
                found.append(differences(kept, wanted))
        near = min(filter(None, found), key=len, default=())
        return f"changed since the last one: {', '.join(near)}" if near else ""

    def _write(self, name: str, content: bytes) -> None:
        handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(temporary).replace(self.folder / name)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _touch(self, key: str) -> None:
        """Mark as used now; a folder that may only be read serves as well."""
        try:
            os.utime(self.folder / f"{key}.bin")
        except OSError:
            return

    def _trim(self, keep: str) -> None:
        """Remove the engines used longest ago until the rest fits."""
        kept = sorted(self.folder.glob("*.bin"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        kept.sort(key=lambda path: path.stem != keep)
        total = 0
        for path in kept:
            total += path.stat().st_size
            if total > self.limit_bytes:
                path.with_suffix(".json").unlink(missing_ok=True)
                path.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Return this person's cache folder: $VITASCOPE_CACHE_DIR, or the place that the platform has for it."""
    if named := os.environ.get("VITASCOPE_CACHE_DIR"):
        return Path(named).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "vitascope" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "vitascope"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "vitascope"


def default_shelf() -> Shelf:
    """Return the shelf in this person's cache folder."""
    return Shelf(cache_folder() / "engines")


@cache
def graph_digest() -> str:
    """Return the sha256 of the source that turns a model into networks."""
    sources = (Path(__file__).with_name(name).read_bytes() for name in SOURCES)
    return hashlib.sha256(b" ".join(sources)).hexdigest()


@cache
def processor() -> str:
    """Return model and instruction sets of this processor, as far as the system tells."""
    told = [platform.machine(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    wanted = {"model name", "flags", "Features", "CPU part"}
    seen = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    told += [seen[name] for name in sorted(wanted & seen.keys())]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
