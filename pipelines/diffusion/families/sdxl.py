"""SDXL, SDXL-Turbo and what comes from them: a UNet that reads two text encoders and six size numbers.

Podell et al. 2023 (arXiv:2307.01952). Tokens get the next to last layer of both encoders side by side; the
second one's pooled text and the numbers (height and width of the original picture, top and left of its crop,
height and width wanted) enter through the time embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.diffusion.embedding import Embedding
from pipelines.diffusion.folder import Parts
from pipelines.diffusion.text import Texts, token_ids
from pipelines.diffusion.wording import Wording
from realtime.core.errors import ModelError

from .base import Backbone, check_extensions
from .sd import UNetBackbone

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.engines.base import Network
    from pipelines.engines.networks import Extension


class TwoTexts:
    """Encode prompts with SDXL's two text models. May be called from any thread."""

    def __init__(self, parts: Parts, device: str = "cpu") -> None:
        self._sides = (
            (parts.tokenizer, parts.text_encoder),
            (parts.tokenizer_2, parts.text_encoder_2),
        )
        self._wording = Wording.read(parts.extra)
        self._is_empty_zero = bool(parts.index.get("force_zeros_for_empty_prompt", True))
        self._zeros: Embedding | None = None
        self.device = device
        self.length = min(
            min(int(tokenizer.model_max_length), int(encoder.config.max_position_embeddings))
            for tokenizer, encoder in self._sides
        )

    def embed(self, prompt: str) -> Embedding:
        """Return the embedding of `prompt`, with "pooled" (1, P) of the second text model."""
        import torch

        text = self._wording.known(prompt)
        contexts, cuts = [], []
        pooled_1P: Any = None
        with torch.inference_mode():
            for tokenizer, encoder in self._sides:
                ids, cut = token_ids(tokenizer, text, self.length)
                found = encoder(torch.tensor([ids]), output_hidden_states=True)
                contexts.append(found.hidden_states[-2].float())
                cuts.append(cut)
                pooled_1P = found[0].float()
            context_1TD = torch.cat(contexts, dim=-1)
        return Embedding(text, context_1TD.to(self.device), max(cuts), {"pooled": pooled_1P.to(self.device)})

    def nothing(self) -> Embedding | None:
        """Return zeros where the model was trained with them in place of an empty negative prompt."""
        if self._is_empty_zero and self._zeros is None:
            empty = self.embed("")
            more = {name: value.new_zeros(value.shape) for name, value in empty.more.items()}
            self._zeros = Embedding("", empty.context_1TD.new_zeros(empty.context_1TD.shape), 0, more)
        return self._zeros


class Sdxl:
    """Make a painter's parts of an SDXL model."""

    title = "SDXL"

    def __init__(self, parts: Parts) -> None:
        if parts.unet.config.addition_embed_type != "text_time":
            raise ModelError("This model has two text encoders, but its UNet does not take pooled text.")
        self._parts = parts
        self.text: Texts = TwoTexts(parts)
        self.backbone: Backbone = UNetBackbone(parts, self._further)

    def network(self, digest: str, extensions: Sequence[Extension] = ()) -> Network:
        from pipelines.engines.networks import unet_network

        check_extensions(extensions, "unet", self.title)
        return unet_network(self._parts.unet, digest, extensions)

    def _further(self, embedding: Embedding, side: int) -> Mapping[str, Tensor]:
        """Return pooled text and size numbers; `vitascope.json` may fix the numbers as `size_ids`."""
        import torch

        size_px = side * self._parts.factor
        ids = self._parts.extra.get("size_ids") or (size_px, size_px, 0, 0, size_px, size_px)
        numbers = torch.tensor([ids], dtype=torch.float32)
        return {"pooled_BP": embedding.more["pooled"].to("cpu"), "size_ids_B6": numbers}
