"""From a folder on disk to a `Painter`: read the parts, choose what runs them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realtime.core.clock import Clock
from realtime.core.errors import ConfigError

from . import folder as folders
from .families import family_of
from .painter import Engines, Latents, Painter

if TYPE_CHECKING:
    from pipelines.engines.networks import Extension


def load_painter(
    folder: Path,
    *,
    engine: str = "auto",
    precision: str = "auto",
    size_px: int = 256,
    report: Callable[[str], None] = lambda sentence: None,
    clock: Clock | None = None,
) -> Painter:
    """Load the model in `folder` for pictures of `size_px`; takes seconds, `report` hears what is going on.

    Raises ModelError or ModelCorrupt for the folder, ConfigError for a size that the model cannot have,
    EngineError when no engine (or not the one named) can run it.
    """
    import torch

    from pipelines.engines.choose import choose
    from pipelines.engines.networks import decoder_network, encoder_network

    report(f"Reading {folder.name}.")
    parts = folders.read(folder)
    if size_px % parts.multiple_px:
        raise ConfigError(
            f"size_px = {size_px} does not fit {folder.name}.",
            hint=f"Its pictures' side must be a multiple of {parts.multiple_px}.",
        )
    for name in folders.fuse_loras(parts, folder):
        report(f"The LoRA {name} is part of the model now.")
    family = family_of(parts)
    text, backbone = family.text, family.backbone
    side = size_px // parts.factor
    draw = torch.Generator().manual_seed(0)
    latent_1CHW = torch.randn((1, parts.channels, side, side), generator=draw)
    examples = {
        "encoder": {"picture": torch.rand((1, 3, size_px, size_px), generator=draw) * 2 - 1},
        "decoder": {"latent": latent_1CHW / float(parts.vae.config.scaling_factor)},
        "unet": {
            "latent": latent_1CHW,
            **backbone.given(text.embed(""), backbone.usual_t, side, {}),
        },
    }
    digest = _digest(folder, parts)

    def engine_of(network: Any) -> Any:
        return choose(
            network,
            wanted=engine,
            precision=precision,
            example=examples.get(network.name, examples["unet"]),
            report=report,
        )

    engines = Engines(
        encoder=engine_of(encoder_network(parts.vae, digest)),
        unet=engine_of(family.network(digest)),
        decoder=engine_of(decoder_network(parts.vae, digest)),
    )
    text.device = backbone.device = engines.unet.info.device
    latents = Latents(
        parts.channels,
        parts.factor,
        float(parts.vae.config.scaling_factor),
        float(getattr(parts.vae.config, "shift_factor", None) or 0.0),
    )

    def extend(extensions: Sequence[Extension]) -> Any:
        """Build the UNet anew with what features add to it."""
        recipes = " ".join([digest, *(f"{one.name} {one.recipe}" for one in extensions)])
        network = family.network(hashlib.sha256(recipes.encode()).hexdigest(), extensions)
        inputs = dict(examples["unet"])
        for extension in extensions:
            given = extension.example(1, side)
            inputs |= {spec.name: tensor for spec, tensor in zip(extension.inputs, given, strict=True)}
        return choose(network, wanted=engine, precision=precision, example=inputs, report=report)

    return Painter(
        size_px=size_px,
        multiple_px=parts.multiple_px,
        latents=latents,
        engines=engines,
        levels=parts.levels,
        text=text,
        backbone=backbone,
        extend=extend,
        clock=clock,
        unet=None if parts.kind == "sana" else parts.unet,
    )


def _digest(folder: Path, parts: folders.Parts) -> str:
    """Return what identifies the networks: the folder's files and the LoRAs fused into them."""
    from pipelines.models.store import digest

    fused = json.dumps(parts.extra.get("loras", []), sort_keys=True)
    return hashlib.sha256(f"{digest(folder)} {fused}".encode()).hexdigest()
