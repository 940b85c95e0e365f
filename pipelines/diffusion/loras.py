"""LoRAs by name and weight, "ink:0.8, clay:0.5": weights change from one frame to the next.

Other files make another network, which is built beside the running one; other weights cost nothing. A name
is a file of the model's `lora` folder, of `lora_folder`, or a LoRA of the catalog; no name leaves these
places, so a client from another machine cannot read other files.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from realtime.core.errors import ConfigError, ModelMissing

from .config import PaintConfig
from .features import Additions, Draft, Nothing, Report

if TYPE_CHECKING:
    from .painter import Painter

MOST = 8
MOST_WEIGHT = 4.0
LORAS = "loras"
SUFFIX = ".safetensors"
_NAME = re.compile(r"[\w][\w .+()-]*(/[\w][\w .+()-]*)*")
HINT = 'Write names with weights, as "ink:0.8, clay:0.5"; 1 is the weight where none stands.'


@lru_cache(64)
def weights_of(text: str) -> Mapping[str, float]:
    """Read names and weights. Raises ConfigError for what is no name, a wild weight, or a name twice."""
    found: dict[str, float] = {}
    for piece in text.split(","):
        if not piece.strip():
            continue
        name, _, number = piece.strip().partition(":")
        name = name.strip().removesuffix(SUFFIX)
        try:
            weight = float(number) if number.strip() else 1.0
        except ValueError:
            raise ConfigError(f'"{number.strip()}" is no weight of the LoRA {name}.', hint=HINT) from None
        if not _NAME.fullmatch(name) or ".." in name:
            raise ConfigError(f'"{name}" is not the name of a LoRA.', hint=HINT)
        if not abs(weight) <= MOST_WEIGHT:
            raise ConfigError(
                f"The LoRA {name} has the weight {weight:g}.",
                hint=f"Weights go from -{MOST_WEIGHT:g} to {MOST_WEIGHT:g}.",
            )
        if name in found:
            raise ConfigError(f"The LoRA {name} stands there twice.", hint=HINT)
        found[name] = weight
    if len(found) > MOST:
        raise ConfigError(f"{len(found)} LoRAs are too many.", hint=f"At most {MOST} act together.")
    return MappingProxyType(found)


def find(name: str, folders: tuple[Path, ...]) -> Path:
    """Return the file of a LoRA: in one of `folders`, else by its id in the catalog.

    Raises ModelMissing with where it was looked for.
    """
    for folder in folders:
        for path in (folder / f"{name}{SUFFIX}", folder / name):
            inside = path.resolve()
            if not inside.is_relative_to(folder.resolve()):
                continue
            if inside.is_file() and inside.suffix == SUFFIX:
                return inside
            files = sorted(inside.glob(f"*{SUFFIX}")) if inside.is_dir() else []
            if len(files) == 1:
                return files[0]
    from pipelines.models.catalog import entries
    from pipelines.models.store import locate

    if name in entries() and entries()[name].is_part:
        files = sorted(locate(name).glob(f"*{SUFFIX}"))
        if len(files) == 1:
            return files[0]
    places = " and ".join(str(folder) for folder in folders)
    raise ModelMissing(
        f"There is no LoRA {name}.",
        hint=f"It was looked for in {places}, as {name}{SUFFIX}, and in the catalog.",
    )


class Loras(Nothing):
    """Paint with LoRAs, each as strong as its weight."""

    def key(self, config: PaintConfig) -> Hashable | None:
        names = tuple(sorted(weights_of(config.loras)))
        return (names, config.lora_folder) if names else None

    def additions(self, painter: Painter, config: PaintConfig, report: Report) -> Additions:
        from pipelines.models.store import locate

        from .nets.lora import LoraExtension, LoraWeights

        names = sorted(weights_of(config.loras))
        folders: tuple[Path, ...] = (locate(config.model) / "lora",)
        if config.lora_folder:
            folders += (Path(config.lora_folder).expanduser(),)
        files = [find(name, folders) for name in names]
        return Additions((LoraExtension(files, report),), (LoraWeights(names),))

    def draft(self, draft: Draft, config: PaintConfig) -> None:
        draft.extras[LORAS] = weights_of(config.loras)
