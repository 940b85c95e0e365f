"""A model's text side: wording, tokenizer and text encoder behind one call.

Here is the one of Stable Diffusion 1.x and 2.x; SDXL's and SANA's stand in `families`.
"""

from __future__ import annotations

from typing import Any, Protocol

from .embedding import Embedding
from .wording import Wording


class Texts(Protocol):
    """What the painter needs of a model's text side. May be called from any thread."""

    device: str
    """Where embeddings lie: with the denoiser."""
    length: int
    """Tokens of a prompt that the model reads."""

    def embed(self, prompt: str) -> Embedding:
        """Return the embedding of `prompt`. What is too long is cut off and counted."""

    def nothing(self) -> Embedding | None:
        """Return what stands for an empty negative prompt; None where that is encoded like any other."""


def token_ids(tokenizer: Any, text: str, length: int) -> tuple[list[int], int]:
    """Return `length` token ids, padded, the mark of the end after the words; and how many were cut off."""
    whole = tokenizer(text, padding="max_length", max_length=length).input_ids
    cut = max(len(whole) - length, 0)
    return ([*whole[: length - 1], whole[-1]] if cut else whole), cut


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
        ids, cut = token_ids(self._tokenizer, text, self.length)
        with torch.inference_mode():
            context_1TD = self._encoder(torch.tensor([ids]))[0].float()
        return Embedding(text, context_1TD.to(self.device), cut)

    def nothing(self) -> Embedding | None:
        """Return None: an empty negative prompt is encoded like any other."""
        return None
