"""SANA-Sprint: a linear transformer on latents 32 times smaller than the picture, with a language model as
text encoder.

Chen et al. 2025 (arXiv:2503.09641). The prompt stands behind an instruction to describe it in more words; of
what the language model makes of both, the first token and the last 299 are kept. Guidance was distilled into
the network and is one of its inputs.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.diffusion.embedding import Embedding
from pipelines.diffusion.folder import Parts
from pipelines.diffusion.text import Texts
from pipelines.diffusion.wording import Wording
from realtime.core.errors import ModelError

from .base import GUIDANCE, Backbone, check_extensions

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.engines.base import Network
    from pipelines.engines.networks import Extension

TOKENS = 300
SANA_GUIDANCE = 4.5
"""What the model is run with where `vitascope.json` names nothing else."""


class InstructedText:
    """Encode prompts with Gemma behind an instruction. May be called from any thread."""

    def __init__(self, parts: Parts, device: str = "cpu") -> None:
        self._tokenizer = parts.tokenizer
        self._tokenizer.padding_side = "right"
        self._encoder = parts.text_encoder
        self._wording = Wording.read(parts.extra)
        self._instruction = str(parts.extra.get("instruction", _instruction()))
        self._room = len(self._tokenizer.encode(self._instruction)) - 2 if self._instruction else 0
        """Tokens that the instruction takes of the whole, as the model was trained: two are counted twice."""
        self.device = device
        self.length = TOKENS

    def embed(self, prompt: str) -> Embedding:
        """Return the embedding of `prompt`, (1, 300, width), with its "mask" (1, 300): 1 where a token is."""
        import torch

        text = self._wording.known(prompt).lower().strip()
        whole = self._instruction + text
        length = TOKENS + self._room
        found = self._tokenizer(
            [whole], padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        cut = max(len(self._tokenizer.encode(whole)) - length, 0)
        encoder, place = self._encoder, self.device
        if next(encoder.parameters()).device.type != place:
            encoder.to(place)  # a language model is too slow elsewhere when the denoiser is on a GPU
        kept = [0, *range(length - TOKENS + 1, length)]
        with torch.inference_mode():
            mask_1T = found.attention_mask.to(place)
            context_1TD = encoder(found.input_ids.to(place), attention_mask=mask_1T)[0].float()
            return Embedding(text, context_1TD[:, kept], cut, {"mask": mask_1T[:, kept].float()})

    def nothing(self) -> Embedding | None:
        """Return None: an empty negative prompt is encoded like any other."""
        return None


class SanaBackbone:
    """Give SANA its modulation, its text and the text's mask."""

    def __init__(self, parts: Parts) -> None:
        self.device = "cpu"
        self.usual_t = 0.5
        self._transformer = parts.unet
        self._guidance = float(parts.extra.get("guidance_scale", SANA_GUIDANCE))

    def given(
        self, embedding: Embedding, t: float, side: int, extras: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        from pipelines.diffusion.nets.sana import modulation

        guidance = float(extras.get(GUIDANCE, self._guidance))
        row = embedding.time_rows.get((t, guidance))
        if row is None:
            row = modulation(self._transformer, t, guidance).to(self.device)
            embedding.time_rows[t, guidance] = row
        return {"emb": row, "context": embedding.context_1TD, "mask": embedding.more["mask"]}


class Sana:
    """Make a painter's parts of a SANA-Sprint model."""

    title = "SANA-Sprint"

    def __init__(self, parts: Parts) -> None:
        if not parts.unet.config.guidance_embeds:
            raise ModelError(
                "This SANA model does not take guidance as an input: it is not SANA-Sprint.",
                hint="Use SANA-Sprint, which paints in one to four steps.",
            )
        self._parts = parts
        self.text: Texts = InstructedText(parts)
        self.backbone: Backbone = SanaBackbone(parts)

    def network(self, digest: str, extensions: Sequence[Extension] = ()) -> Network:
        from pipelines.diffusion.nets.sana import sana_network

        check_extensions(extensions, "sana", self.title)
        return sana_network(self._parts.unet, digest, extensions)


def _instruction() -> str:
    """Return the instruction that the model was trained with, as diffusers' pipeline has it."""
    from diffusers import SanaSprintPipeline

    signature = inspect.signature(inspect.unwrap(SanaSprintPipeline.__call__))
    return "\n".join(signature.parameters["complex_human_instruction"].default)
