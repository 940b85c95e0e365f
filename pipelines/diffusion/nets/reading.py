"""Read what a folder says of a further network, and name what its graph depends on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from realtime.core.errors import ModelCorrupt, ModelError

VERIFY = "Check it with `python -m app models verify`."


def read_config(folder: Path) -> dict[str, Any]:
    """Return `config.json` of a folder. Raises ModelError without one, ModelCorrupt for one that is torn."""
    file = folder / "config.json"
    if not file.is_file():
        raise ModelError(f"{folder} has no config.json.", hint="Name the folder of the network itself.")
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelCorrupt(f"{file} cannot be read: {error}.", hint=VERIFY) from error
    return found


def digest_of(*parts: str | Path) -> str:
    """Return the sha256 of texts and of files' contents: what a kept engine depends on."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            total.update(f"{part}\n".encode())
        else:
            with part.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
