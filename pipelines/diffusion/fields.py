"""Kinds of settings that the painter has: texts with a grammar of their own, and their groups on the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from realtime.core.errors import ConfigError
from realtime.core.stage import Live

MAX_PROMPT_CHARS = 2000
MAX_STEPS = 8
GRID = 50
"""Places that `t_index` counts: the noise levels that LCMs are distilled at."""
ADVANCED: dict[str, Any] = {"advanced": True}


def in_group(name: str) -> dict[str, Any]:
    """Return what keeps an advanced field in a fold of that name on the page."""
    return {**ADVANCED, "group": name}


BLENDING, GUIDING, NOISE = in_group("Blending"), in_group("Guidance"), in_group("Noise")
PACE, MODEL = in_group("Pace"), in_group("Model")
LORA, STEERING, CONSISTENCY = in_group("LoRA"), in_group("Steering"), in_group("Consistency")


def _not_too_long(prompt: Any) -> Any:
    if isinstance(prompt, str) and len(prompt) > MAX_PROMPT_CHARS:
        raise PydanticCustomError(
            "prompt_too_long",
            "The prompt has {chars} characters, at most {most} can be read",
            {"chars": len(prompt), "most": MAX_PROMPT_CHARS},
        )
    return prompt


def _checked(name: str, check: Callable[[str], object]) -> AfterValidator:
    """Return what refuses a text that `check` raises ConfigError for."""

    def checked(text: str) -> str:
        try:
            check(text)
        except ConfigError as error:
            raise PydanticCustomError(name, "{says}", {"says": f"{error.message} {error.hint}"}) from None
        return text

    return AfterValidator(checked)


def _parts(text: str) -> object:
    from .blend import parts_of

    return parts_of(text)


def _weights(text: str) -> object:
    from .loras import weights_of

    return weights_of(text)


def _nets(text: str) -> object:
    from .controls import controls_of

    return controls_of(text)


@lru_cache(64)
@lru_cache(64)
def indices(text: str) -> tuple[int, ...]:
    """Return the places that a `t_index` names: "0, 16, 32" is (0, 16, 32). Raises ValueError."""
    found = tuple(int(word) for word in re.split(r"[\s,;]+", text.strip("[]() \t")) if word)
    if len(found) > MAX_STEPS:
        raise ValueError(f"at most {MAX_STEPS} places")
    if any(not 0 <= place < GRID for place in found):
        raise ValueError(f"places from 0 (noisiest) to {GRID - 1}")
    if any(later <= earlier for earlier, later in pairwise(found)):
        raise ValueError("places that rise")
    return found


def _indices(text: str) -> str:
    try:
        indices(text)
    except ValueError as error:
        raise PydanticCustomError(
            "t_index",
            'Write whole numbers such as "0, 16, 32, 45" ({says})',
            {"says": str(error)},
        ) from None
    return text


Prompt = Annotated[
    str,
    BeforeValidator(_not_too_long),
    _checked("prompt_blend", _parts),
    Field(max_length=MAX_PROMPT_CHARS),
    Live(),
]
Indices = Annotated[str, AfterValidator(_indices), Live()]
Loras = Annotated[str, _checked("loras", _weights), Live()]
Controls = Annotated[str, _checked("control", _nets), Live()]
