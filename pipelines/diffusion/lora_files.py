"""LoRAs on disk: reading one for a denoiser, and making those that a model lists part of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime.core.errors import ModelCorrupt, ModelError

from .disk import tried
from .folder import Parts


@dataclass(frozen=True, slots=True)
class LoraFile:
    """Hold what a LoRA's file says of the denoiser, in diffusers' names."""

    file: Path
    state: Mapping[str, Any]
    alphas: Mapping[str, float] | None
    prefix: str
    """What the denoiser's keys begin with."""
    left_out: str
    """Parts that it would change besides the denoiser; empty for none."""

    @property
    def name(self) -> str:
        return self.file.stem

    def load_into(self, denoiser: Any, adapter: str) -> None:
        """Put its layers into `denoiser` by peft. Raises ModelError when they do not fit."""
        try:
            denoiser.load_lora_adapter(
                dict(self.state),
                prefix=self.prefix,
                network_alphas=None if self.alphas is None else dict(self.alphas),
                adapter_name=adapter,
            )
        except (ValueError, KeyError, RuntimeError, TypeError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"The LoRA {self.name} does not fit this model: {first}",
                hint="A LoRA fits the kind of model that it was trained on, such as SD 1.5 or SDXL.",
            ) from error


def read_lora(denoiser: Any, file: Path) -> LoraFile:
    """Read a LoRA for `denoiser`; diffusers', kohya's and A1111's key names are understood.

    Raises ModelCorrupt for a file that cannot be read, ModelError for one that holds nothing for it.
    """
    from diffusers.loaders import SanaLoraLoaderMixin, StableDiffusionLoraLoaderMixin

    alphas: Mapping[str, float] | None = None
    if type(denoiser).__name__ == "SanaTransformer2DModel":
        prefix = "transformer"
        state = tried(file, lambda: SanaLoraLoaderMixin.lora_state_dict(str(file)))
    else:
        prefix, mixin = "unet", StableDiffusionLoraLoaderMixin
        state, alphas = tried(file, lambda: mixin.lora_state_dict(str(file), unet_config=denoiser.config))
    own = {key: value for key, value in state.items() if key.startswith(f"{prefix}.")}
    others = sorted({key.split(".")[0] for key in state} - {prefix})
    if not own:
        raise ModelError(
            f"The LoRA {file.stem} changes {', '.join(others) or 'nothing'}, and no layer of the {prefix}.",
            hint="A LoRA fits the kind of model that it was trained on, such as SD 1.5 or SDXL.",
        )
    return LoraFile(file, own, alphas, prefix, " and ".join(others).replace("_", " "))


def fuse_loras(parts: Parts, folder: Path) -> tuple[str, ...]:
    """Add the LoRAs that `vitascope.json` lists into the denoiser's weights and return their names.

    An entry is `{"file": "lora/lcm.safetensors", "scale": 1.0}`, the path inside the folder. The part for the
    text encoder, if any, is refused rather than left out.
    """
    names = []
    for entry in parts.extra.get("loras", ()):
        file = folder / entry["file"]
        if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
            raise ModelCorrupt(f"{folder.name} names the LoRA {entry['file']}, which is not in it.")
        lora = read_lora(parts.unet, file)
        if lora.left_out:
            raise ModelError(
                f"The LoRA {file.name} changes {lora.left_out}; only LoRAs of the UNet are supported.",
                hint="Name it in the setting `loras` instead: there the other part is left out.",
            )
        lora.load_into(parts.unet, file.stem.replace(".", "_"))
        parts.unet.fuse_lora(lora_scale=float(entry.get("scale", 1.0)))
        parts.unet.unload_lora()
        names.append(file.stem)
    return tuple(names)
