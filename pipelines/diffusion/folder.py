"""Read a diffusers folder of the Stable Diffusion 1.x or 2.x family, from disk only.

A folder holds `unet`, `vae`, `text_encoder`, `tokenizer` and `scheduler`; `model_index.json` is not needed.
Weights must be safetensors, stored in any precision; they are loaded as float32, which every CPU computes
in. What the app needs beyond diffusers stands in `vitascope.json`: noise levels, vocabulary, LoRAs to fuse.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime.core.errors import ModelCorrupt, ModelError

from .levels import Levels

PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
VAES = ("AutoencoderTiny", "AutoencoderKL")
FAMILY = "Use a model of the Stable Diffusion 1.x or 2.x family in diffusers layout, such as sd-turbo."
TRAILING_SCHEDULERS = ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")


@dataclass(frozen=True, slots=True)
class Parts:
    """Hold the parts of a model as diffusers and transformers have them."""

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    levels: Levels
    extra: Mapping[str, Any]
    """Content of `vitascope.json`; empty without one."""

    @property
    def channels(self) -> int:
        """Latent channels."""
        return int(self.vae.config.latent_channels)

    @property
    def factor(self) -> int:
        """Pixels a latent cell."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def multiple_px(self) -> int:
        """What a picture's side must be a multiple of, so that the UNet can halve it as often as it does."""
        return self.factor * int(2 ** (len(self.unet.config.block_out_channels) - 1))


def read(folder: Path) -> Parts:
    """Load all parts of the model in `folder`. Raises ModelError (another kind) or ModelCorrupt."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    _hush()
    missing = [part for part in PARTS if not (folder / part).is_dir()]
    if missing:
        raise ModelError(f"{folder.name} has no folder {', '.join(missing)}.", hint=FAMILY)
    if (folder / "text_encoder_2").is_dir():
        raise ModelError(f"{folder.name} is of the SDXL family, which is not supported.", hint=FAMILY)
    extra = _json(folder / "vitascope.json") if (folder / "vitascope.json").is_file() else {}
    parts = Parts(
        unet=_weights(UNet2DConditionModel, folder / "unet"),
        vae=_weights(_vae_class(folder / "vae"), folder / "vae"),
        text_encoder=_weights(CLIPTextModel, folder / "text_encoder", stem="model", dtype_name="dtype"),
        tokenizer=_loaded(CLIPTokenizer, folder / "tokenizer"),
        levels=read_levels(_json(folder / "scheduler" / "scheduler_config.json"), extra),
        extra=extra,
    )
    wanted = int(parts.unet.config.in_channels)
    if wanted != parts.channels:
        raise ModelError(
            f"The UNet of {folder.name} takes {wanted} channels, its autoencoder gives {parts.channels}.",
            hint="Inpainting and depth models are not supported. " + FAMILY,
        )
    return parts


def read_levels(scheduler: Mapping[str, Any], extra: Mapping[str, Any]) -> Levels:
    """Return the noise levels of a scheduler's config and of what `vitascope.json` adds."""
    from diffusers import LCMScheduler

    known = LCMScheduler.from_config(dict(scheduler))
    is_euler = scheduler.get("_class_name") in TRAILING_SCHEDULERS
    return Levels(
        alphas_cumprod=tuple(known.alphas_cumprod.tolist()),
        prediction=str(extra.get("prediction_type") or known.config.prediction_type),
        timestep_scaling=float(known.config.timestep_scaling),
        table={int(steps): tuple(levels) for steps, levels in extra.get("timesteps", {}).items()},
        is_trailing=is_euler and scheduler.get("timestep_spacing") == "trailing",
        translates=extra.get("kind") == "translator",
    )


def fuse_loras(parts: Parts, folder: Path) -> tuple[str, ...]:
    """Add the LoRAs that `vitascope.json` lists into the UNet's weights and return their names.

    An entry is `{"file": "lora/lcm.safetensors", "scale": 1.0}`, the path inside the folder. diffusers',
    kohya's and A1111's key names are understood; the part for the text encoder, if any, is refused rather
    than left out.
    """
    from diffusers.loaders import StableDiffusionLoraLoaderMixin as Mixin

    names = []
    for entry in parts.extra.get("loras", ()):
        file = folder / entry["file"]
        if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
            raise ModelCorrupt(f"{folder.name} names the LoRA {entry['file']}, which is not in it.")
        state, alphas = _tried(
            file, lambda file=file: Mixin.lora_state_dict(str(file), unet_config=parts.unet.config)
        )
        foreign = sorted({key.split(".")[0] for key in state if not key.startswith("unet.")})
        if foreign:
            raise ModelError(
                f"The LoRA {file.name} changes {', '.join(foreign)}; only LoRAs of the UNet are supported."
            )
        _tried(
            file,
            lambda state=state, alphas=alphas, name=file.stem: parts.unet.load_lora_adapter(
                state, prefix="unet", network_alphas=alphas, adapter_name=name.replace(".", "_")
            ),
        )
        parts.unet.fuse_lora(lora_scale=float(entry.get("scale", 1.0)))
        parts.unet.unload_lora()
        names.append(file.stem)
    return tuple(names)


def _hush() -> None:
    """Keep the model libraries from drawing their own progress bars and remarks into ours."""
    import diffusers
    import transformers

    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def _vae_class(folder: Path) -> Any:
    import diffusers

    name = _json(folder / "config.json").get("_class_name")
    if name not in VAES:
        raise ModelError(f"The autoencoder {name} is not supported.", hint=f"Supported: {', '.join(VAES)}.")
    return getattr(diffusers, name)


def _weights(
    kind: Any, folder: Path, *, stem: str = "diffusion_pytorch_model", dtype_name: str = "torch_dtype"
) -> Any:
    """Load a network as float32, from the half precision file when that is the only one."""
    import torch

    is_plain = any((folder / f"{stem}.safetensors{end}").is_file() for end in ("", ".index.json"))
    how: dict[str, Any] = {dtype_name: torch.float32, "use_safetensors": True}
    if not is_plain and (folder / f"{stem}.fp16.safetensors").is_file():
        how["variant"] = "fp16"
    return _loaded(kind, folder, **how).eval().requires_grad_(False)


def _loaded(kind: Any, folder: Path, **how: Any) -> Any:
    return _tried(folder, lambda: kind.from_pretrained(str(folder), local_files_only=True, **how))


def _tried(path: Path, load: Any) -> Any:
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


def _json(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelCorrupt(
            f"{file.parent.name}/{file.name} cannot be read: {error}.",
            hint="Check it with `python -m app models verify`.",
        ) from error
    return found
