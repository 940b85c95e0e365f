"""SmolVLM2 (Marafioti et al. 2025, arXiv:2504.05299): small, 64 tokens a frame that is not split."""

from __future__ import annotations

import torch

from .base import Features, Pixels, VideoModel


class SmolVlm(VideoModel):
    """Show frames as whole pictures, each between the marks that the model knows."""

    family = "smolvlm"
    placeholder = r"<image>"
    before = "<fake_token_around_image><global-img>"
    after = "<fake_token_around_image>"
    fallback = "<|im_start|>User:{picture}{question}<end_of_utterance>\nAssistant:"

    @property
    def grid_hw(self) -> tuple[int, int]:
        vision = self.model.config.vision_config
        side = vision.image_size // vision.patch_size // self.model.config.scale_factor
        return side, side

    def inputs(self, pixels_HW3: Pixels) -> dict[str, torch.Tensor]:
        side = self.model.config.vision_config.image_size
        values = self.images(
            pixels_HW3,
            do_image_splitting=False,
            size={"longest_edge": side},
            max_image_size={"longest_edge": side},
            return_tensors="pt",
        )
        frame = values["pixel_values"].to(self.device, self.dtype)
        frame = frame + torch.finfo(frame.dtype).tiny  # a picture of zeros is taken for padding and dropped
        return {"pixel_values": frame, "pixel_attention_mask": values["pixel_attention_mask"].to(self.device)}

    @torch.no_grad()
    def features(self, pixels_HW3: Pixels) -> Features:
        out = self.model.model.get_image_features(**self.inputs(pixels_HW3), return_dict=True)
        return Features(out.pooler_output[0])
