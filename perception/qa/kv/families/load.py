"""Bring a video model from this machine's disk: a folder, a hub repository that was fetched, a catalog id."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from pipelines.models import store
from pipelines.models.catalog import entries
from realtime.core.errors import EngineUnavailable, ModelCorrupt, ModelError, ModelMissing

from .base import VideoModel
from .internvl import InternVl
from .llava_onevision import LlavaOneVision
from .qwen import Qwen3Vl, Qwen25Vl
from .smolvlm import SmolVlm

FAMILIES: dict[str, type[VideoModel]] = {
    kind.family: kind for kind in (LlavaOneVision, SmolVlm, Qwen25Vl, Qwen3Vl, InternVl)
}
HUB = re.compile(r"[\w.-]+/[\w.-]+")
LICENCE = re.compile(r"^licen[sc]e(?:_name)?:[ \t]*([^\s#]+)", re.MULTILINE | re.IGNORECASE)
"""In the front matter of the hub's cards, or a line of ours."""
DType = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class Source:
    """Say where a model came from, for the card that each answer names."""

    name: str
    """As it was asked for."""
    folder: Path
    revision: str
    """Of the hub, or of the catalog; empty for a folder that does not tell."""
    licence: str
    """As the model's own card or the catalog says; "not stated" otherwise."""


def load(name: str, *, device: str = "auto", dtype: DType = "auto") -> tuple[VideoModel, Source]:
    """Load a model of a known family: "owner/name" or "hub:owner/name", a folder, or a catalog id.

    Reads nothing from the network. "auto" is the GPU in bfloat16 where there is one, else the CPU in the type
    that the weights say, float16 aside. Raises ModelMissing with the command that fetches it, ModelError for
    a family that is not known, ModelCorrupt for files that do not fit, EngineUnavailable without that device.
    """
    source = find(name)
    config = _json(source.folder / "config.json")
    kind = FAMILIES.get(str(config.get("model_type")))
    if kind is None:
        raise ModelError(
            f'{name} is of the family "{config.get("model_type", "unknown")}".',
            hint=f"Known families: {', '.join(FAMILIES)}.",
        )
    place, number = _place(device), dtype
    if number == "auto":
        stated = str(config.get("dtype") or config.get("torch_dtype") or "float32")
        number = "bfloat16" if place.type == "cuda" or stated == "bfloat16" else "float32"
    return _loaded(kind, source, place, getattr(torch, number)), source


def find(name: str) -> Source:
    """Return where a model lies. Raises ModelMissing with what to do, ModelError for a name nobody knows."""
    is_hub = HUB.fullmatch(name) is not None and not Path(name).expanduser().is_dir()
    folder = store.locate(f"hub:{name}" if is_hub else name)
    if not (folder / "config.json").is_file():
        raise ModelMissing(f"{folder} holds no config.json.", hint="Name the folder of a whole checkpoint.")
    entry = entries().get(name)
    if entry is not None:
        return Source(name, folder, "" if entry.is_embedded else entry.revision, entry.licence)
    revision = folder.name if folder.parent.name == "snapshots" else ""
    return Source(name, folder, revision[:12], _licence(folder))


def _loaded(kind: type[VideoModel], source: Source, place: torch.device, dtype: torch.dtype) -> VideoModel:
    from safetensors import SafetensorError
    from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

    folder = source.folder
    try:
        model, told = AutoModelForImageTextToText.from_pretrained(
            folder, local_files_only=True, dtype=dtype, attn_implementation="sdpa", output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        images = AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        hint = "Fetch it anew, or name another folder."
        raise ModelCorrupt(f"{folder} cannot be loaded: {str(error)[:300]}", hint=hint) from error
    wrong = sorted({*told["missing_keys"], *(str(key) for key in told["mismatched_keys"])})
    if wrong:
        message = f"{folder} lacks {len(wrong)} of the model's tensors, such as {wrong[0]}."
        raise ModelCorrupt(message, hint="Fetch it anew, or name another folder.")
    return kind(model.to(place), tokenizer, images, chat_template=_template(folder, tokenizer))


def _place(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise EngineUnavailable("There is no CUDA device here.", hint="Set the device to auto or cpu.")
    return torch.device(device)


def _template(folder: Path, tokenizer: Any) -> str | None:
    """Return the processor's chat template where the tokenizer has none of its own."""
    if getattr(tokenizer, "chat_template", None):
        return None
    written = folder / "chat_template.jinja"
    if written.is_file():
        return written.read_text(encoding="utf-8")
    found = folder / "chat_template.json"
    template = _json(found).get("chat_template") if found.is_file() else None
    return str(template) if template else None


def _licence(folder: Path) -> str:
    """Return what the model's card says, from its front matter."""
    for name in ("README.md", "model-card.md"):
        path = folder / name
        if path.is_file():
            said = LICENCE.search(path.read_text("utf-8", "replace"))
            if said:
                return said[1].strip("\"'.")
    return "not stated"


def _json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelCorrupt(f"{path} cannot be read: {error}.") from error
    if not isinstance(read, dict):
        raise ModelCorrupt(f"{path} holds no table.")
    return read
