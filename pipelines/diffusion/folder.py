"""Read a diffusers folder of a family that we know (`families`), from disk only.

A folder holds `unet` (or `transformer`), `vae`, `text_encoder`, `tokenizer` and `scheduler`, for SDXL a
second text encoder and tokenizer; `model_index.json` is not needed.
Weights must be safetensors, stored in any precision; they are loaded as float32, which every CPU computes
in. What the app needs beyond diffusers stands in `vitascope.json`: noise levels, vocabulary, LoRAs to fuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from realtime.core.errors import ModelError

from .angles import FIRST, SECOND, Angles
from .disk import hush, loaded, read_json, weights
from .levels import USUAL_STRENGTH, Levels
from .schedule import SAMPLERS

Kind = Literal["sd", "sdxl", "sana"]
PARTS = ("vae", "text_encoder", "tokenizer", "scheduler")
VAES = ("AutoencoderTiny", "AutoencoderKL", "AutoencoderDC")
FAMILY = "Use a Stable Diffusion 1.x, 2.x, SDXL or SANA-Sprint model in diffusers layout, such as sd-turbo."
EULER_SCHEDULERS = ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")
TRAILING_SCHEDULERS = (*EULER_SCHEDULERS, "DDIMScheduler")
SAMPLERS_OF = {"TCDScheduler": "tcd", "DDIMScheduler": "ddim"}
"""What a model was distilled for, by the scheduler that it ships with; for others it is "lcm"."""
LARGE_BYTES = 2 << 30
"""A text encoder above this stays in the precision that it is stored in: Gemma as float32 takes 10 GB."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Hold the parts of a model as diffusers and transformers have them."""

    unet: Any
    """The denoiser: a UNet, or SANA's transformer in its place."""
    vae: Any
    text_encoder: Any
    tokenizer: Any
    levels: Levels | Angles
    extra: Mapping[str, Any]
    """Content of `vitascope.json`; empty without one."""
    kind: Kind = "sd"
    text_encoder_2: Any = None
    tokenizer_2: Any = None
    index: Mapping[str, Any] = field(default_factory=dict)
    """Content of `model_index.json`; empty without one."""

    @property
    def channels(self) -> int:
        """Latent channels."""
        return int(self.vae.config.latent_channels)

    @property
    def factor(self) -> int:
        """Pixels a latent cell."""
        config = self.vae.config
        is_deep = type(self.vae).__name__ == "AutoencoderDC"
        blocks = config.encoder_block_out_channels if is_deep else config.block_out_channels
        return int(2 ** (len(blocks) - 1))

    @property
    def multiple_px(self) -> int:
        """What a picture's side must be a multiple of, so that the UNet can halve it as often as it does."""
        if self.kind == "sana":
            return self.factor * int(self.unet.config.patch_size)
        return self.factor * int(2 ** (len(self.unet.config.block_out_channels) - 1))


def read(folder: Path) -> Parts:
    """Load all parts of the model in `folder`. Raises ModelError (another kind) or ModelCorrupt."""
    hush()
    kind = kind_of(folder)
    extra, index = (
        read_json(folder / name) if (folder / name).is_file() else {}
        for name in ("vitascope.json", "model_index.json")
    )
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    parts = Parts(
        vae=weights(_vae_class(folder / "vae"), folder / "vae"),
        extra=extra,
        index=index,
        kind=kind,
        levels=read_angles(scheduler, extra) if kind == "sana" else read_levels(scheduler, extra),
        **(_sana if kind == "sana" else _stable_diffusion)(folder),
    )
    wanted = int(parts.unet.config.in_channels)
    if wanted != parts.channels:
        raise ModelError(
            f"The UNet of {folder.name} takes {wanted} channels, its autoencoder gives {parts.channels}.",
            hint="Inpainting and depth models are not supported. " + FAMILY,
        )
    return parts


def kind_of(folder: Path) -> Kind:
    """Return the family of the model in `folder`. Raises ModelError for one that we do not know."""
    denoiser = next((name for name in ("unet", "transformer") if (folder / name).is_dir()), "unet")
    missing = [part for part in (denoiser, *PARTS) if not (folder / part).is_dir()]
    if missing == ["text_encoder", "tokenizer"] and (folder / "text_encoder_2").is_dir():
        raise ModelError(
            f"{folder.name} is SDXL's refiner: it has the second text encoder only.",
            hint="The refiner finishes pictures in many small steps. Use an SDXL base or Turbo model.",
        )
    if missing:
        raise ModelError(f"{folder.name} has no folder {', '.join(missing)}.", hint=FAMILY)
    if denoiser == "unet":
        return "sdxl" if (folder / "text_encoder_2").is_dir() else "sd"
    name = read_json(folder / "transformer" / "config.json").get("_class_name")
    if name != "SanaTransformer2DModel":
        raise ModelError(f"{folder.name} is a {name}, which is not supported.", hint=FAMILY)
    return "sana"


def _stable_diffusion(folder: Path) -> dict[str, Any]:
    """Read the parts of a Stable Diffusion model that are its family's own; two text encoders for SDXL."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    made = {
        "unet": weights(UNet2DConditionModel, folder / "unet"),
        "text_encoder": weights(CLIPTextModel, folder / "text_encoder", stem="model", dtype_name="dtype"),
        "tokenizer": loaded(CLIPTokenizer, folder / "tokenizer"),
    }
    if (folder / "text_encoder_2").is_dir():
        second, how = folder / "text_encoder_2", {"stem": "model", "dtype_name": "dtype"}
        made["text_encoder_2"] = weights(CLIPTextModelWithProjection, second, **how)
        made["tokenizer_2"] = loaded(CLIPTokenizer, folder / "tokenizer_2")
    return made


def _sana(folder: Path) -> dict[str, Any]:
    """Read the parts of a SANA model that are its family's own."""
    import torch
    from diffusers import SanaTransformer2DModel
    from transformers import AutoTokenizer, Gemma2Model

    place = folder / "text_encoder"
    size = sum(file.stat().st_size for file in place.glob("*.safetensors"))
    dtype = torch.bfloat16 if size > LARGE_BYTES else torch.float32
    return {
        "unet": weights(SanaTransformer2DModel, folder / "transformer"),
        "text_encoder": weights(Gemma2Model, place, stem="model", dtype_name="dtype", dtype=dtype),
        "tokenizer": loaded(AutoTokenizer, folder / "tokenizer"),
    }


def read_angles(scheduler: Mapping[str, Any], extra: Mapping[str, Any]) -> Angles:
    """Return the noise levels of SANA-Sprint. Raises ModelError for a SANA model that takes many steps."""
    name = scheduler.get("_class_name")
    if name != "SCMScheduler":
        raise ModelError(
            f"This SANA model has the scheduler {name}: it paints in twenty steps, too slow to be live.",
            hint="Use SANA-Sprint, which paints in one to four.",
        )
    return Angles(
        first=float(extra.get("first_angle", FIRST)),
        second=float(extra.get("second_angle", SECOND)),
        table={int(steps): tuple(angles) for steps, angles in extra.get("timesteps", {}).items()},
        sampler=_sampler(extra, "lcm"),
        eta=float(extra.get("eta", 0.3)),
    )


def read_levels(scheduler: Mapping[str, Any], extra: Mapping[str, Any]) -> Levels:
    """Return the noise levels of a scheduler's config and of what `vitascope.json` adds."""
    from diffusers import LCMScheduler

    known = LCMScheduler.from_config(dict(scheduler))
    name = scheduler.get("_class_name")
    is_trailing = name in TRAILING_SCHEDULERS and scheduler.get("timestep_spacing") == "trailing"
    return Levels(
        alphas_cumprod=tuple(known.alphas_cumprod.tolist()),
        prediction=str(extra.get("prediction_type") or known.config.prediction_type),
        timestep_scaling=float(known.config.timestep_scaling),
        table={int(steps): tuple(levels) for steps, levels in extra.get("timesteps", {}).items()},
        listed_at=float(extra.get("listed_at", USUAL_STRENGTH)),
        is_trailing=extra.get("spacing", "trailing" if is_trailing else "") == "trailing",
        translates=extra.get("kind") == "translator",
        sampler=_sampler(extra, SAMPLERS_OF.get(str(name), "lcm")),
        eta=float(extra.get("eta", 0.3)),
        end_alpha=float(known.final_alpha_cumprod),
        starts_as_noise=not (is_trailing and name in EULER_SCHEDULERS),
    )


def _sampler(extra: Mapping[str, Any], usual: str) -> str:
    """Return the sampler that `vitascope.json` names, or the usual one."""
    named = str(extra.get("sampler") or usual)
    if named not in SAMPLERS:
        raise ModelError(
            f'vitascope.json names the sampler "{named}".', hint=f"Known: {', '.join(SAMPLERS)}."
        )
    return named


def _vae_class(folder: Path) -> Any:
    import diffusers

    name = read_json(folder / "config.json").get("_class_name")
    if name not in VAES:
        raise ModelError(f"The autoencoder {name} is not supported.", hint=f"Supported: {', '.join(VAES)}.")
    return getattr(diffusers, name)
