"""Read networks, tokenizers and configurations from disk, and say in a sentence what is wrong with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from realtime.core.errors import ModelCorrupt, ModelError

HALF = (".fp16.safetensors", ".safetensors.index.fp16.json")


def hush() -> None:
    """Keep the model libraries from drawing their own progress bars and remarks into ours."""
    import diffusers
    import transformers

    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def weights(
    kind: Any,
    folder: Path,
    *,
    stem: str = "diffusion_pytorch_model",
    dtype_name: str = "torch_dtype",
    dtype: Any = None,
) -> Any:
    """Load a network as float32 (or `dtype`), from the half precision file when that is the only one."""
    import torch

    is_plain = any((folder / f"{stem}.safetensors{end}").is_file() for end in ("", ".index.json"))
    how: dict[str, Any] = {dtype_name: dtype or torch.float32, "use_safetensors": True}
    half = any((folder / f"{stem}{end}").is_file() for end in HALF)
    if not is_plain and half:
        how["variant"] = "fp16"
    return loaded(kind, folder, **how).eval().requires_grad_(False)


def read_network(kind: Any, folder: Path) -> Any:
    """Load a network that stands alone in a folder, as float32. Raises ModelError or ModelCorrupt."""
    hush()
    name = read_json(folder / "config.json").get("_class_name")
    if name != kind.__name__:
        raise ModelError(f"{folder.name} is a {name}, where a {kind.__name__} is wanted.")
    return weights(kind, folder)


def loaded(kind: Any, folder: Path, **how: Any) -> Any:
    return tried(folder, lambda: kind.from_pretrained(str(folder), local_files_only=True, **how))


def tried(path: Path, load: Any) -> Any:
    """Run `load`; a file that is missing, cut short or of another shape becomes ModelCorrupt."""
    from safetensors import SafetensorError

    try:
        return load()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelCorrupt(
            f"{path.parent.name}/{path.name} cannot be loaded: {reason[0]}",
            hint="Check it with `python -m app models verify`.",
        ) from error


def read_json(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelCorrupt(
            f"{file.parent.name}/{file.name} cannot be read: {error}.",
            hint="Check it with `python -m app models verify`.",
        ) from error
    return found
