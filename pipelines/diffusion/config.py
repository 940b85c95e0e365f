"""The painter's settings: what the page, the flags, TOML and HTTP bodies are made from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from realtime.core.stage import Live

MAX_PROMPT_CHARS = 2000
ADVANCED: dict[str, Any] = {"advanced": True}


def _not_too_long(prompt: Any) -> Any:
    if isinstance(prompt, str) and len(prompt) > MAX_PROMPT_CHARS:
        raise PydanticCustomError(
            "prompt_too_long",
            "The prompt has {chars} characters, at most {most} can be read",
            {"chars": len(prompt), "most": MAX_PROMPT_CHARS},
        )
    return prompt


Prompt = Annotated[str, BeforeValidator(_not_too_long), Field(max_length=MAX_PROMPT_CHARS), Live()]


class PaintConfig(BaseModel):
    """Say how frames are painted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Prompt = Field(default="pencil sketch", description="What the picture becomes, in words.")
    strength: Annotated[float, Live()] = Field(
        default=0.5, ge=0.0, le=1.0, description="How far from the camera picture; 0.5 is the model's usual."
    )
    steps: Annotated[int, Live()] = Field(
        default=1, ge=1, le=4, description="More steps are finer, and each adds one picture of delay."
    )
    seed: Annotated[int, Live()] = Field(
        default=2, ge=0, le=2**32 - 1, description="The same seed paints the same picture again."
    )
    size_px: int = Field(
        default=256, ge=192, le=1024, multiple_of=64, description="Side of the square that is painted."
    )
    negative_prompt: Prompt = Field(
        default="",
        description='What the picture should not be; acts with guidance "full".',
        json_schema_extra=ADVANCED,
    )
    guidance: Annotated[Literal["none", "full"], Live()] = Field(
        default="none",
        description='"full" also runs the negative prompt, which costs twice the work.',
        json_schema_extra=ADVANCED,
    )
    guidance_scale: Annotated[float, Live()] = Field(
        default=1.5,
        ge=1.0,
        le=10.0,
        description='How hard guidance "full" pushes away from the negative prompt.',
        json_schema_extra=ADVANCED,
    )
    model: str = Field(
        default="painter",
        min_length=1,
        max_length=400,
        description="Catalog id, hub:owner/name, or folder.",
        json_schema_extra=ADVANCED,
    )
    engine: Literal["auto", "openvino", "onnx", "torch", "tensorrt"] = Field(
        default="auto",
        description='What runs the networks; "auto" takes the fastest that works here.',
        json_schema_extra=ADVANCED,
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="Number format; bf16 is faster where the processor knows it, fp16 is for GPUs.",
        json_schema_extra=ADVANCED,
    )
