"""Embed pictures and text by a SigLIP or CLIP model of transformers, from a folder of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from realtime.core.errors import ModelMissing


class ModelEmbedder:
    """Hold a two-tower model. Satisfies `Embedder`."""

    def __init__(
        self, model: Any, images: Any, tokenizer: Any, *, padding: str | bool = "max_length"
    ) -> None:
        """Take the model, a PIL image processor and a tokenizer. SigLIP was trained on padded text."""
        self._model, self._images, self._tokenizer, self._padding = model.eval(), images, tokenizer, padding

    @classmethod
    def load(cls, folder: Path) -> ModelEmbedder:
        """Load a folder as `save_pretrained` writes it. Raises ModelMissing when it is not one."""
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        try:
            model = AutoModel.from_pretrained(folder, local_files_only=True)
            images = AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            hint = "`hf download google/siglip2-base-patch16-224 --local-dir FOLDER` brings one."
            raise ModelMissing(f"{folder} holds no model that embeds: {error}", hint=hint) from error
        return cls(
            model, images, tokenizer, padding="max_length" if "siglip" in model.config.model_type else True
        )

    @torch.no_grad()
    def picture(self, pixels_HW3: npt.NDArray[np.uint8]) -> torch.Tensor:
        values = self._images(pixels_HW3, return_tensors="pt")["pixel_values"].to(self._model.device)
        return self._one(self._model.get_image_features(pixel_values=values))

    @torch.no_grad()
    def words(self, text: str) -> torch.Tensor:
        ids = self._tokenizer(text, padding=self._padding, truncation=True, return_tensors="pt")
        return self._one(self._model.get_text_features(**ids.to(self._model.device)))

    @staticmethod
    def _one(out: Any) -> torch.Tensor:
        vector = (out if isinstance(out, torch.Tensor) else out.pooler_output)[0].float().cpu()
        return vector / vector.norm().clamp_min(1e-9)
