"""Stable Diffusion 1.x and 2.x, SD-Turbo, LCMs, the embedded painter: a UNet with one CLIP text encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.diffusion.embedding import Embedding
from pipelines.diffusion.folder import Parts
from pipelines.diffusion.text import Texts, TextSide
from pipelines.diffusion.wording import Wording

from .base import GUIDANCE, Backbone, check_extensions

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.engines.base import Network
    from pipelines.engines.networks import Extension

LCM_GUIDANCE = 8.5
"""What LCMs that take guidance as an input are run with, where `vitascope.json` names nothing else."""
USUAL_T = 259.0


class UNetBackbone:
    """Give a UNet its time embedding and its text."""

    def __init__(
        self,
        parts: Parts,
        further: Callable[[Embedding, int], Mapping[str, Tensor]] = lambda embedding, side: {},
    ) -> None:
        """`further` returns what else a time embedding is made from, for a latent `side` cells wide, as
        `networks.time_embedding` takes it; a control net with a time embedding of its own wants it too."""
        self.device = "cpu"
        self.usual_t = USUAL_T
        self._unet = parts.unet
        self.further = further
        self._is_guided = parts.unet.config.time_cond_proj_dim is not None
        self._guidance = float(parts.extra.get("guidance_scale", LCM_GUIDANCE))

    def given(
        self, embedding: Embedding, t: float, side: int, extras: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        guidance = float(extras.get(GUIDANCE, self._guidance)) if self._is_guided else None
        key = (t, side, guidance)
        row = embedding.time_rows.get(key)
        if row is None:
            row = embedding.time_rows[key] = self._time(embedding, t, side, guidance)
        return {"emb": row, "context": embedding.context_1TD}

    def _time(self, embedding: Embedding, t: float, side: int, guidance: float | None) -> Tensor:
        """Return what the blocks are told about timestep, prompt, size and guidance, (1, E)."""
        import torch

        from pipelines.engines.networks import time_embedding

        return time_embedding(
            self._unet,
            torch.tensor([t]),
            embedding.context_1TD.to("cpu"),
            guidance_B=None if guidance is None else torch.tensor([guidance]),
            **self.further(embedding, side),
        ).to(self.device)


class Sd:
    """Make a painter's parts of Stable Diffusion 1.x or 2.x."""

    title = "Stable Diffusion"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.backbone: Backbone = UNetBackbone(parts)
        self.text: Texts = TextSide(parts.tokenizer, parts.text_encoder, Wording.read(parts.extra))

    def network(self, digest: str, extensions: Sequence[Extension] = ()) -> Network:
        from pipelines.engines.networks import unet_network

        check_extensions(extensions, "unet", self.title)
        return unet_network(self._parts.unet, digest, extensions)
