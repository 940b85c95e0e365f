"""What a model's text side makes of a prompt. Immutable: frames in flight keep theirs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """Hold an encoded prompt."""

    text: str
    """What was encoded, after free wording became known words."""
    context_1TD: Tensor
    """Output of the text encoder, (1, tokens, width)."""
    cut_tokens: int = 0
    """Tokens at the end that the model has no room for."""
    more: Mapping[str, Tensor] = field(default_factory=dict)
    """What else a model's text side gives, batch first: "pooled" (1, P), "mask" (1, tokens)."""
    time_rows: dict[Hashable, Tensor] = field(default_factory=dict)
    """Time and pooled text embedding (1, E) by timestep and what else it depends on, filled when needed."""


@dataclass(frozen=True, slots=True)
class Words:
    """Hold the two sides of guidance. They change together."""

    prompt: Embedding
    negative: Embedding
