"""Several prompts in one: `oil painting:0.7 | pop art:0.3`, mixed after the text encoder.

The parts are encoded alone and their embeddings are mixed, linearly or on the sphere; a weight that is left
out is 1, and only the ratios of weights matter. A part with nothing in it, as while one types, is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from realtime.core.errors import ConfigError

from .embedding import Embedding, Words
from .noise import slerp

if TYPE_CHECKING:
    from torch import Tensor

Blend = Literal["linear", "spherical"]
BAR = "|"
MOST_PARTS = 8
_WEIGHT = re.compile(r"^(?P<text>.*?):\s*(?P<weight>[+-]?(\d+\.?\d*|\.\d+))\s*$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """Hold one prompt of a blend."""

    text: str
    weight: float
    """Its share; the shares of a blend add up to 1."""


def parts_of(prompt: str) -> tuple[Part, ...]:
    """Read a prompt; one without `|` is a single part, whatever it holds.

    Raises ConfigError for a negative weight, for weights that are all 0 or without bound, and for more than 8
    parts.
    """
    if BAR not in prompt:
        return (Part(prompt, 1.0),)
    pieces = prompt.split(BAR)
    if len(pieces) > MOST_PARTS:
        raise ConfigError(
            f"The prompt has {len(pieces)} parts.", hint=f"At most {MOST_PARTS} can be blended."
        )
    raw = [_part(piece) for piece in pieces if piece.strip()]
    if not raw:
        return (Part("", 1.0),)
    total = sum(part.weight for part in raw)
    if any(part.weight < 0 for part in raw) or not 0 < total < math.inf:
        raise ConfigError(
            "The weights of a blend must not be negative, not all 0, and not endless.",
            hint="Write it like this: oil painting:0.7 | pop art:0.3",
        )
    return tuple(Part(part.text, part.weight / total) for part in raw if part.weight > 0)


def _part(piece: str) -> Part:
    found = _WEIGHT.match(piece)
    if found is None:
        return Part(piece.strip(), 1.0)
    return Part(found["text"].strip(), float(found["weight"]))


def blended(prompt: str, how: Blend, look_up: Callable[[str], Embedding]) -> Embedding:
    """Return the embedding of a prompt that may be a blend; `look_up` encodes one part."""
    parts = parts_of(prompt)
    made = look_up(parts[0].text)
    done = parts[0].weight
    for part in parts[1:]:
        done += part.weight
        made = mixed(made, look_up(part.text), part.weight / done, how)
    return made


def mixed(one: Embedding, other: Embedding, share: float, how: Blend = "linear") -> Embedding:
    """Return the embedding at `share` (0..1) of the way from `one` to `other`."""
    if share <= 0.0 or one is other:
        return one
    if share >= 1.0:
        return other

    def between(a: Tensor, b: Tensor) -> Tensor:
        if how == "linear":
            return a + share * (b - a)
        return slerp(a.float(), b.float(), share).to(a.dtype)

    more = {
        name: value.maximum(other.more[name]) if name == "mask" else between(value, other.more[name])
        for name, value in one.more.items()
        if name in other.more
    }
    return Embedding(
        f"{share:.3f} of the way to {other.text}",
        between(one.context_1TD, other.context_1TD),
        max(one.cut_tokens, other.cut_tokens),
        more,
    )


def mixed_words(one: Words, other: Words, share: float, how: Blend = "linear") -> Words:
    """Return both sides of guidance at `share` of the way."""
    if one is other:
        return one
    return Words(mixed(one.prompt, other.prompt, share, how), mixed(one.negative, other.negative, share, how))
