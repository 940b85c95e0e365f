"""Qwen2.5-VL (arXiv:2502.13923) and Qwen3-VL: three axes of positions, and frames of any size.

All frames of a stream have one size here, so that each has equally many tokens. The models take frames in
pairs in time; the image processor doubles each frame, which makes the pair of a still.
"""

from __future__ import annotations

from typing import Any

import torch

from .base import Features, Pixels, VideoModel


class Qwen25Vl(VideoModel):
    """Show frames as pictures between marks; positions are time, row and column."""

    family = "qwen2_5_vl"
    placeholder = r"<\|vision_start\|>(?:<\|image_pad\|>|<\|video_pad\|>)<\|vision_end\|>"
    before = "<|vision_start|>"
    after = "<|vision_end|>"
    frame_px = 224
    """Width and height that frames are brought to."""

    def _ready(self) -> None:
        # What a stock forward would keep here belongs to one conversation. Positions of ours need no shift,
        # so it is set to none for good; `generate` sets the same again.
        self.model.model.rope_deltas = torch.zeros(1, 1, dtype=torch.int64, device=self.device)

    @property
    def grid_hw(self) -> tuple[int, int]:
        side = self.frame_px // self.unit_px
        return side, side

    @property
    def unit_px(self) -> int:
        """Pixels that one token is wide."""
        vision = self.model.config.vision_config
        return int(vision.patch_size * vision.spatial_merge_size)

    def inputs(self, pixels_HW3: Pixels) -> dict[str, torch.Tensor]:
        import PIL.Image

        side = self.grid_hw[0] * self.unit_px
        picture = PIL.Image.fromarray(pixels_HW3).resize((side, side), PIL.Image.Resampling.BICUBIC)
        size = {"shortest_edge": side * side, "longest_edge": side * side}
        values = self.images(picture, size=size, return_tensors="pt")
        return {
            "pixel_values": values["pixel_values"].to(self.device, self.dtype),
            "image_grid_thw": values["image_grid_thw"].to(self.device),
        }

    @torch.no_grad()
    def features(self, pixels_HW3: Pixels) -> Features:
        return self._features(
            self.model.model.get_image_features(**self.inputs(pixels_HW3), return_dict=True)
        )

    def _features(self, out: Any) -> Features:
        return Features(out.pooler_output[0])


class Qwen3Vl(Qwen25Vl):
    """Show frames as pictures; the first layers get more of them besides (DeepStack, arXiv:2406.04334)."""

    family = "qwen3_vl"
    frame_px = 256

    def _features(self, out: Any) -> Features:
        deep = [layer[0] for layer in out.deepstack_features]
        return Features(out.pooler_output[0], torch.stack(deep) if deep else None)
