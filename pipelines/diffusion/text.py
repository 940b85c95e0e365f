"""A model's text side: wording, tokenizer and text encoder behind one call."""

from __future__ import annotations

from typing import Any

from .embedding import Embedding
from .wording import Wording


class TextSide:
    """Encode prompts with a CLIP text model. May be called from any thread."""

    def __init__(self, tokenizer: Any, encoder: Any, wording: Wording, device: str = "cpu") -> None:
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._wording = wording
        self.device = device
        """Where embeddings lie: with the UNet."""
        self.length = min(int(tokenizer.model_max_length), int(encoder.config.max_position_embeddings))
        """Tokens that the model reads, marks of begin and end included."""

    def embed(self, prompt: str) -> Embedding:
        """Return the embedding of `prompt`, (1, length, width). What is too long is cut off and counted."""
        import torch

        text = self._wording.known(prompt)
        whole = self._tokenizer(text, padding="max_length", max_length=self.length).input_ids
        cut = max(len(whole) - self.length, 0)
        ids = [*whole[: self.length - 1], whole[-1]] if cut else whole
        with torch.inference_mode():
            context_1TD = self._encoder(torch.tensor([ids]))[0].float()
        return Embedding(text, context_1TD.to(self.device), cut)
