"""Read a further network from a folder on disk, and name the source that its graph depends on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

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


def read_network(kind: Any, folder: Path, *, stem: str, dtype_name: str) -> Any:
    """Load a network of class `kind` as float32 from safetensors, half precision when that is all there is.

    `stem` is the weights' file name; `dtype_name` what the library calls the precision. Raises ModelCorrupt.
    """
    from safetensors import SafetensorError

    how: dict[str, Any] = {dtype_name: torch.float32, "use_safetensors": True}
    is_plain = any((folder / f"{stem}.safetensors{end}").is_file() for end in ("", ".index.json"))
    if not is_plain and (folder / f"{stem}.fp16.safetensors").is_file():
        how["variant"] = "fp16"
    try:
        made = kind.from_pretrained(str(folder), local_files_only=True, **how)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelCorrupt(f"{folder.name} cannot be loaded: {reason[0]}", hint=VERIFY) from error
    return made.eval().requires_grad_(False)


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
