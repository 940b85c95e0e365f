"""Models on this machine: where one is, whether it is whole, and how it comes here.

Only `fetch` downloads, and only when a person asks for it. A model is built up in a hidden folder beside its
place and renamed once all of it is there and checked, so a folder that is found is whole.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from pipelines.engines.key import cache_folder
from realtime.core.errors import ModelCorrupt, ModelError, ModelMissing

from .catalog import Entry, entries
from .checksums import differing, files_of, sum_of, write_checksums
from .hub import HuggingFaceHub, Remote, cached
from .packages import REMOTES

__all__ = ["digest", "fetch", "locate", "models_folder", "verify", "write_checksums"]

Report = Callable[[str], None]
SPARE_BYTES = 200_000_000
"""What a download leaves free on the disk."""


def models_folder() -> Path:
    """Return the folder that fetched models lie in."""
    return cache_folder() / "models"


def locate(model: str) -> Path:
    """Return the folder of a model: a catalog id, "hub:owner/name", or a path.

    Raises ModelMissing with the command that fetches it, ModelCorrupt when files are missing or cut short,
    ModelError for a name that nobody knows. Reads no weights.
    """
    if model in entries():
        return _catalogued(entries()[model])
    if model.startswith("hub:"):
        return _from_hub(model.removeprefix("hub:"))
    path = Path(model).expanduser()
    if path.is_dir():
        return path.resolve()
    if {"/", os.sep} & set(model) or model.startswith(("~", ".")):
        hint = "Give the folder of a diffusers model, or see `python -m app models list`."
        raise ModelMissing(f"There is no folder {path}.", hint=hint)
    raise _unknown(model)


def fetch(model: str, report: Report, force: bool = False, *, remote: Remote | None = None) -> Path:
    """Bring a catalog model to this machine and return its folder; goes on where an earlier try stopped.

    `force` fetches again what is here already. Raises ModelError for an unknown id or too little room,
    ModelMissing when the source cannot be reached, ModelCorrupt when what came is not what was promised.
    """
    entry = entries().get(model)
    if entry is None:
        raise _unknown(model)
    if entry.folder is not None:
        report(f"{entry.title} comes with this program: nothing to fetch.")
        return _catalogued(entry)
    place = models_folder() / entry.id
    if place.is_dir() and not force and not differing(place, deep=False):
        report(f"{entry.title} is here already.")
        return place
    part = place.with_name(f".{entry.id}.part")
    _make_room(part, entry)
    if entry.download_bytes:
        report(f"Fetching {entry.repo}, {entry.download_bytes / 1e6:.0f} MB, of which the model is a part.")
    _download(entry, part, remote or REMOTES.get(entry.kind, HuggingFaceHub)(), report)
    shutil.rmtree(part / ".cache", ignore_errors=True)  # where huggingface_hub keeps half a file
    if entry.extra:
        (part / "vitascope.json").write_text(json.dumps(entry.extra, indent=1) + "\n", encoding="utf-8")
    write_checksums(part)
    _swap(part, place)
    report(f"{entry.title} is here. Its licence: {entry.licence} {entry.licence_url}".rstrip())
    return place


def verify(model: str) -> list[str]:
    """Read every file of a model and say what is not as promised, a sentence each; empty when it is whole.

    Raises ModelError for an unknown id, ModelMissing when it is not here.
    """
    entry = entries().get(model)
    folder = _place(entry) if entry is not None else locate(model)
    return differing(folder, deep=True)


def digest(folder: Path) -> str:
    """Return the sha256 of a model's weights and of the configs that say how they are joined."""
    total = hashlib.sha256()
    for path in files_of(folder):
        if path.suffix == ".safetensors" or path.name == "config.json":
            total.update(f"{path.relative_to(folder).as_posix()} {sum_of(path).sha256}\n".encode())
    return total.hexdigest()


def _catalogued(entry: Entry) -> Path:
    folder = _place(entry)
    problems = differing(folder, deep=False)
    if problems:
        hint = (
            "Get the checkout's files again." if entry.is_embedded else f"{_command(entry)} gets a whole one."
        )
        raise ModelCorrupt(f"{entry.title} is not whole. {problems[0]}", hint=hint)
    return folder


def _place(entry: Entry) -> Path:
    """Return the folder of an entry, which is there. Raises ModelMissing."""
    folder = entry.folder or models_folder() / entry.id
    if folder.is_dir():
        return folder
    if entry.is_embedded:
        raise ModelMissing(f"{entry.title} should lie in {folder}.", hint="Get the checkout's files again.")
    volume = max(entry.bytes, entry.download_bytes)
    size = f"{volume / 1e9:.1f} GB" if volume >= 1e9 else f"{volume / 1e6:.0f} MB"
    hint = f"`{_command(entry)}` downloads it: {size}, licence {entry.licence}."
    raise ModelMissing(f"{entry.title} is not on this machine.", hint=hint)


def _command(entry: Entry) -> str:
    return f"python -m app models fetch {entry.id}"


def _from_hub(repo: str) -> Path:
    found = cached(repo) if repo.count("/") == 1 else None
    if found is not None:
        return found
    same = [entry for entry in entries().values() if entry.repo == repo]
    if same and (models_folder() / same[0].id).is_dir():
        return _catalogued(same[0])
    command = _command(same[0]) if same else f"hf download {repo}"
    raise ModelMissing(f"{repo} is not on this machine.", hint=f"`{command}` downloads it; mind its licence.")


def _unknown(model: str) -> ModelError:
    known = [entry.id for entry in entries().values() if not entry.is_part and entry.does == "paint"]
    near = difflib.get_close_matches(model, entries(), n=1, cutoff=0.5)
    hint = (
        f'Did you mean "{near[0]}"?'
        if near
        else f"Known: {', '.join(known)}; or a folder, or hub:owner/name."
    )
    return ModelError(f'There is no model "{model}".', hint=hint)


def _make_room(part: Path, entry: Entry) -> None:
    try:
        part.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "Name another folder with VITASCOPE_CACHE_DIR."
        raise ModelError(f"{part.parent} cannot be written: {error.strerror}.", hint=hint) from error
    have = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
    missing, free = entry.bytes - have + SPARE_BYTES, shutil.disk_usage(part).free
    if missing > free:
        message = (
            f"{entry.title} needs {missing / 1e9:.1f} GB more, {part.parent} has {free / 1e9:.1f} GB free."
        )
        raise ModelError(message, hint="Name another folder with VITASCOPE_CACHE_DIR.")


def _sources(entry: Entry) -> Iterator[tuple[Entry, str]]:
    """Yield the entries whose files make this one, each with the folder inside it that they go to."""
    yield entry, ""
    for part in entry.include:
        yield entries()[part.id], part.into


def _download(entry: Entry, part: Path, remote: Remote, report: Report) -> None:
    """Bring all files of an entry below `part`, each checked against what the server promised."""
    sources = list(_sources(entry))
    total, number = sum(len(source.files) for source, _ in sources), 0
    for source, into in sources:
        listing = remote.listing(source.repo, source.revision)
        absent = [file.path for file in source.files if file.path not in listing.files]
        if absent:
            message = f"{source.repo} has no {', '.join(absent)} at {source.revision}."
            raise ModelMissing(message, hint="The catalog entry is out of date.")
        for file in source.files:
            number += 1
            promised = listing.files[file.path]
            size = promised.bytes if promised.bytes is not None else file.bytes
            target, digests = part / into / file.path, {promised.sha256 or "", file.sha256} - {""}
            # A file whose digest nobody promised is fetched again: its size alone proves little.
            if digests and target.is_file() and not _fault(target, promised.bytes, digests):
                report(f"{number} of {total}: {file.path} is here.")
                continue
            report(f"{number} of {total}: {file.path}, {size / 1e6:.1f} MB.")
            remote.download(source.repo, listing.commit, file.path, part / into)
            if fault := _fault(target, promised.bytes, digests):
                target.unlink(missing_ok=True)
                message = f"{file.path} of {source.repo} {fault}."
                raise ModelCorrupt(message, hint="Run the command again.", permanent=False)


def _fault(path: Path, size: int | None, digests: set[str]) -> str:
    """Say what is wrong with a file that came; empty when it is as promised."""
    if not path.is_file():
        return "did not come"
    if size is not None and path.stat().st_size != size:
        return f"has {path.stat().st_size} bytes, {size} were promised"
    if digests and digests != {sum_of(path).sha256}:
        return "has another sha256 than was promised"
    return ""


def _swap(part: Path, place: Path) -> None:
    """Put the finished folder in its place; what stood there goes only once the new one is there."""
    old = place.with_name(f".{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    part.rename(place)
    shutil.rmtree(old, ignore_errors=True)
