"""InternVL (Chen et al. 2024, arXiv:2404.16821), its "-hf" checkpoints: 256 tokens a frame."""

from __future__ import annotations

import torch

from .base import Features, Pixels, VideoModel


class InternVl(VideoModel):
    """Show frames as pictures between the marks that the model knows; as one tile each."""

    family = "internvl"
    placeholder = r"<IMG_CONTEXT>|<image>|<video>"
    before = "<img>"
    after = "</img>\n"

    @property
    def grid_hw(self) -> tuple[int, int]:
        config = self.model.config
        size, patch = config.vision_config.image_size, config.vision_config.patch_size
        rows, columns = (int(s // p * config.downsample_ratio) for s, p in zip(size, patch, strict=True))
        return rows, columns

    def inputs(self, pixels_HW3: Pixels) -> dict[str, torch.Tensor]:
        height, width = self.model.config.vision_config.image_size
        values = self.images(
            pixels_HW3, crop_to_patches=False, size={"height": height, "width": width}, return_tensors="pt"
        )["pixel_values"]
        return {"pixel_values": values[:1].to(self.device, self.dtype)}

    @torch.no_grad()
    def features(self, pixels_HW3: Pixels) -> Features:
        out = self.model.model.get_image_features(**self.inputs(pixels_HW3), return_dict=True)
        return Features(out.pooler_output[0])
