"""From a folder on disk to a `Painter`: read the parts, choose what runs them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realtime.core.clock import Clock
from realtime.core.errors import ConfigError

from . import folder as folders
from .families import family_of
from .families.base import Family
from .lora_files import fuse_loras
from .painter import Engines, Latents, Painter

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.engines.base import Network
    from pipelines.engines.networks import Extension

Extend = Callable[[Sequence["Extension"]], Any]
Report = Callable[[str], None]


def _silent(sentence: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Material:
    """Hold a model as read, with its three networks, before anything is chosen to run them."""

    parts: folders.Parts
    family: Family
    size_px: int
    latents: Latents
    digest: str
    networks: Mapping[str, Network]
    """"encoder", "unet" and "decoder", the first and the last with pictures to calibrate with."""
    examples: Mapping[str, Mapping[str, Tensor]]
    """Inputs of one row for each network, of about the size that it sees in earnest."""

    def precision(self, name: str, wanted: str) -> str:
        """Return the precision that a network gets where a person wants this one.

        int8 is for the autoencoder: with the UNet in int8 too the embedded painter's pictures were 35.7 dB
        from fp32 in place of 38.4, for a fifth of its time.
        """
        return "auto" if (name, wanted) == ("unet", "int8") else wanted

    def extended(self, extensions: Sequence[Extension]) -> tuple[Network, Mapping[str, Tensor]]:
        """Return the denoiser with what features add to it, and inputs of one row."""
        recipes = " ".join([self.digest, *(f"{one.name} {one.recipe}" for one in extensions)])
        network = self.family.network(hashlib.sha256(recipes.encode()).hexdigest(), extensions)
        inputs = dict(self.examples["unet"])
        side = self.size_px // self.latents.factor
        for extension in extensions:
            given = extension.example(1, side)
            inputs |= {spec.name: tensor for spec, tensor in zip(extension.inputs, given, strict=True)}
        return network, inputs

    def painter(self, engines: Engines, extend: Extend, clock: Clock | None = None) -> Painter:
        """Return the painter that these engines make; `extend` builds a denoiser with extensions."""
        text, backbone = self.family.text, self.family.backbone
        text.device = backbone.device = engines.unet.info.device
        return Painter(
            size_px=self.size_px,
            multiple_px=self.parts.multiple_px,
            latents=self.latents,
            engines=engines,
            levels=self.parts.levels,
            text=text,
            backbone=backbone,
            extend=extend,
            clock=clock,
            unet=None if self.parts.kind == "sana" else self.parts.unet,
        )


def load_painter(
    folder: Path,
    *,
    engine: str = "auto",
    precision: str = "auto",
    size_px: int = 256,
    report: Report = _silent,
    clock: Clock | None = None,
    behind: bool = False,
) -> Painter:
    """Load the model in `folder` for pictures of `size_px`; takes seconds, `report` hears what is going on.

    With `behind`, engines that are slow to build are built while others paint, and taken when they are ready:
    for live pictures, not for work that has to come out the same twice.

    Raises ModelError or ModelCorrupt for the folder, ConfigError for a size that the model cannot have,
    EngineError when no engine (or not the one named) can run it.
    """
    from pipelines.engines.background import choose_and_improve
    from pipelines.engines.choose import choose

    material = read_material(folder, size_px=size_px, report=report)
    if precision == "int8":
        report("Encoder and decoder are rounded to int8; the UNet is not, since there it shows.")

    def engine_of(name: str, network: Network, example: Mapping[str, Tensor]) -> Any:
        return (choose_and_improve if behind else choose)(
            network,
            wanted=engine,
            precision=material.precision(name, precision),
            example=example,
            report=report,
        )

    def own(name: str) -> Any:
        return engine_of(name, material.networks[name], material.examples[name])

    return material.painter(
        Engines(encoder=own("encoder"), unet=own("unet"), decoder=own("decoder")),
        lambda extensions: engine_of("unet", *material.extended(extensions)),
        clock,
    )


def read_material(folder: Path, *, size_px: int, report: Report = _silent) -> Material:
    """Read the model in `folder` for pictures of `size_px`. Raises as `load_painter` does, engines aside."""
    import torch

    from pipelines.engines.autoencoder import decoder_network, encoder_network

    report(f"Reading {folder.name}.")
    parts = folders.read(folder)
    if size_px % parts.multiple_px:
        raise ConfigError(
            f"size_px = {size_px} does not fit {folder.name}.",
            hint=f"Its pictures' side must be a multiple of {parts.multiple_px}.",
        )
    for name in fuse_loras(parts, folder):
        report(f"The LoRA {name} is part of the model now.")
    family = family_of(parts)
    side = size_px // parts.factor
    draw = torch.Generator().manual_seed(0)
    latent_1CHW = torch.randn((1, parts.channels, side, side), generator=draw)
    pixels_1HW3 = torch.randint(0, 256, (1, size_px, size_px, 3), generator=draw, dtype=torch.uint8)
    given = family.backbone.given(family.text.embed(""), family.backbone.usual_t, side, {})
    examples = {
        "encoder": {"pixels": pixels_1HW3},
        "decoder": {"latent": latent_1CHW},
        "unet": {"latent": latent_1CHW, **given},
    }
    digest = _digest(folder, parts)
    latents = Latents(
        parts.channels,
        parts.factor,
        float(parts.vae.config.scaling_factor),
        float(getattr(parts.vae.config, "shift_factor", None) or 0.0),
    )
    encoder = encoder_network(parts.vae, digest, latents.scale, latents.shift)
    decoder = decoder_network(parts.vae, digest, latents.scale, latents.shift)
    plain = {"encoder": encoder, "unet": family.network(digest), "decoder": decoder}
    bare = Material(parts, family, size_px, latents, digest, plain, examples)
    samples = cache(lambda: _samples(bare, folder))
    calibrated = {
        "encoder": replace(encoder, calibration=lambda: samples()["encoder"], shown=decoder.module),
        "decoder": replace(decoder, calibration=lambda: samples()["decoder"]),
    }
    return replace(bare, networks=plain | calibrated)


def _samples(material: Material, folder: Path) -> Mapping[str, list[Any]]:
    """Return what each network gets to see while pictures are painted in plain torch."""
    from pipelines.engines import torch_engine

    from .calibration import PROMPTS, sample_pictures, samples_of

    def plain(network: Network) -> Any:
        return torch_engine.build(network, precision="fp32", device="cpu")

    engines = {name: plain(network) for name, network in material.networks.items()}
    bare = material.painter(
        Engines(engines["encoder"], engines["unet"], engines["decoder"]),
        lambda extensions: plain(material.extended(extensions)[0]),
    )
    looks = [str(look["prompt"]) for look in material.parts.extra.get("looks", ())] or list(PROMPTS)
    return samples_of(bare, sample_pictures(folder, material.size_px), looks)


def _digest(folder: Path, parts: folders.Parts) -> str:
    """Return what identifies the networks: the folder's files and the LoRAs fused into them."""
    from pipelines.models.store import digest

    fused = json.dumps(parts.extra.get("loras", []), sort_keys=True)
    return hashlib.sha256(f"{digest(folder)} {fused}".encode()).hexdigest()
