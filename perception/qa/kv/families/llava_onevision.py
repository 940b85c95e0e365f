"""LLaVA-OneVision (Li et al. 2024, arXiv:2408.03326): SigLIP and Qwen2, frames pooled to half the grid."""

from __future__ import annotations

import math

import torch

from .base import Features, Pixels, VideoModel


class LlavaOneVision(VideoModel):
    """Show frames as a video: pooled, one after the other, with one newline after the last."""

    family = "llava_onevision"
    placeholder = r"<video>|<image>"
    fallback = "<|im_start|>user {picture}\n{question}<|im_end|><|im_start|>assistant\n"

    @property
    def grid_hw(self) -> tuple[int, int]:
        vision = self.model.config.vision_config
        side = math.ceil(vision.image_size // vision.patch_size / 2)
        return side, side

    def inputs(self, pixels_HW3: Pixels) -> dict[str, torch.Tensor]:
        side = self.model.config.vision_config.image_size
        values = self.images(
            pixels_HW3,
            do_pad=False,
            return_tensors="pt",
            size={"height": side, "width": side},
            image_grid_pinpoints=[[side, side]],
        )["pixel_values"]
        whole = values.flatten(0, -4)[:1]  # tiles of it follow
        return {"pixel_values_videos": whole[None].to(self.device, self.dtype)}

    @torch.no_grad()
    def features(self, pixels_HW3: Pixels) -> Features:
        out = self.model.model.get_video_features(**self.inputs(pixels_HW3), return_dict=True).pooler_output
        return Features(out[0, :-1])

    def tail(self) -> torch.Tensor:
        return self.model.model.image_newline.detach()[None]
