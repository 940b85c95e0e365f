"""Let a stock language model attend to keys that lie un-rotated, at positions that we choose.

A registered attention function sees, beside its tensors, what the caller gave the model's forward by keyword.
A pass of ours gives `stream=` a `StreamCache` and position 0 for each token, at which a rotary embedding does
nothing: so queries and keys come here un-rotated, and are turned here by the model's own `rotary_emb`. A
forward without `stream=`, such as `generate()` on a plain cache makes, goes on to the stock function. So
which of the two is meant is a matter of each call, not of the model: passes of both kinds run at once on one
model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from realtime.core.errors import EngineError

NAME = "vitascope_stream"
"""What the function is registered as."""
NO_MASK = torch.zeros(1, 1, 1, 1)
"""A mask of four axes is passed on as it is: this one keeps the model from making one that nobody reads."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Hold cosines and sines of N positions, (N, D) each, in float32: D of all of a head's dimensions."""

    cos_ND: torch.Tensor
    sin_ND: torch.Tensor

    def __call__(self, vectors_HND: torch.Tensor) -> torch.Tensor:
        """Rotate vectors of one or more heads, (..., N, D), and return them in their own type."""
        left, right = vectors_HND.chunk(2, dim=-1)
        turned = vectors_HND * self.cos_ND + torch.cat((-right, left), dim=-1) * self.sin_ND
        return turned.to(vectors_HND.dtype)

    def __getitem__(self, part: slice) -> Turn:
        return Turn(self.cos_ND[part], self.sin_ND[part])


class Rotary:
    """Ask a model's own rotary embedding what positions mean.

    Raises EngineError for an embedding that scales (YaRN): keys that were cached at position 0 would be
    scaled twice.
    """

    def __init__(self, text: torch.nn.Module) -> None:
        self._embed: Any = text.rotary_emb
        scaling = float(getattr(self._embed, "attention_scaling", 1.0))
        if scaling != 1.0:
            raise EngineError(
                f"This model's rotary embedding scales keys by {scaling:.3f}; they cannot lie un-rotated.",
                hint="Take a model with plain rope, or remove rope_scaling from its config.json.",
                permanent=True,
            )
        self.axes = 3 if hasattr(self._embed, "mrope_section") else 1
        self.most_positions = int(getattr(self._embed, "original_max_seq_len", 1 << 62))

    def turn(self, positions_AN: torch.Tensor) -> Turn:
        """Return the rotation of N positions of one axis, or three. Raises EngineError beyond the model's."""
        if positions_AN.numel() and int(positions_AN.max()) >= self.most_positions:
            raise EngineError(
                f"A context reaches position {int(positions_AN.max())}; "
                f"this model knows {self.most_positions}.",
                hint="Remember fewer frames at once: lower window_tokens, or how many come back.",
                permanent=True,
            )
        like = torch.empty(0, dtype=torch.float32, device=positions_AN.device)
        cos, sin = self._embed(like, positions_AN if self.axes == 1 else positions_AN[:, None])
        return Turn(cos[0], sin[0])


def register() -> None:
    """Make the function known to transformers under `NAME`. Twice does no harm."""
    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def causal_mask(past: int, new: int, device: torch.device) -> torch.Tensor | None:
    """Return which of past and new tokens each new one sees, (1, 1, new, past + new); None: all of them."""
    if new == 1:
        return None
    seen = torch.ones(new, past + new, dtype=torch.bool, device=device).tril_(past)
    return seen[None, None]


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    stream: Any = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    if stream is not None:
        query, key, value, attention_mask = stream.joined(module.layer_idx, query, key, value)
        kwargs["is_causal"] = False
    out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    return out, None
