"""The painter's settings: what the page, the flags, TOML and HTTP bodies are made from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from realtime.core.stage import Live

from .fields import (
    BLENDING,
    CONSISTENCY,
    GUIDING,
    LORA,
    MODEL,
    NOISE,
    PACE,
    STEERING,
    Controls,
    Indices,
    Loras,
    Prompt,
)


class PaintConfig(BaseModel):
    """Say how frames are painted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Prompt = Field(
        default="pencil sketch",
        description="What the picture becomes, in words; several blend: oil painting:0.7 | pop art:0.3.",
    )
    strength: Annotated[float, Live()] = Field(
        default=0.5, ge=0.0, le=1.0, description="How far from the camera picture; 0.5 is the model's usual."
    )
    steps: Annotated[int, Live()] = Field(
        default=1, ge=1, le=4, description="More steps are finer, and each adds one picture of delay."
    )
    seed: Annotated[int, Live()] = Field(
        default=2, ge=0, le=2**32 - 1, description="The same seed paints the same picture again."
    )
    size_px: Annotated[int, Live()] = Field(
        default=256,
        ge=192,
        le=1024,
        multiple_of=64,
        description="Side of the square that is painted; a new one acts once its engines are ready.",
    )
    transition_s: Annotated[float, Live()] = Field(
        default=0.0,
        ge=0.0,
        le=60.0,
        description="Seconds that a change of prompt or seed takes; 0 is at once.",
        title="Transition (s)",
        json_schema_extra=BLENDING,
    )
    blend: Annotated[Literal["linear", "spherical"], Live()] = Field(
        default="linear",
        description="How blended prompts are mixed: along a straight line, or on the sphere.",
        json_schema_extra=BLENDING,
    )
    negative_prompt: Prompt = Field(
        default="",
        description='What the picture should not be; acts with guidance "full" and "onetime".',
        json_schema_extra=GUIDING,
    )
    guidance: Annotated[Literal["none", "full", "self", "onetime"], Live()] = Field(
        default="none",
        description='"full" runs the negative prompt at each step, "onetime" once a picture, "self" never.',
        json_schema_extra=GUIDING,
    )
    guidance_scale: Annotated[float, Live()] = Field(
        default=1.5,
        ge=0.0,
        le=10.0,
        description="How hard guidance pushes towards the prompt; 1 is as without.",
        json_schema_extra=GUIDING,
    )
    delta: Annotated[float, Live()] = Field(
        default=1.0,
        ge=0.0,
        le=2.0,
        description='Guidance "self" and "onetime": less is softer, with less contrast.',
        json_schema_extra=GUIDING,
    )
    seed_to: Annotated[int, Live()] = Field(
        default=3,
        ge=0,
        le=2**32 - 1,
        description="The other seed of a seed blend.",
        title="Other seed",
        json_schema_extra=NOISE,
    )
    seed_blend: Annotated[float, Live()] = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Where between the two seeds the noise lies; 0 is the first alone.",
        json_schema_extra=NOISE,
    )
    t_index: Indices = Field(
        default="",
        max_length=80,
        description='Exact noise levels, 0 (noisiest) to 49, as "0, 16, 32"; empty: by steps and strength.',
        title="Noise levels (t_index)",
        json_schema_extra=NOISE,
    )
    sampler: Annotated[Literal["auto", "lcm", "tcd", "ddim", "ancestral"], Live()] = Field(
        default="auto",
        description='How a step follows the one before; "auto" is what the model was made for.',
        json_schema_extra=NOISE,
    )
    add_noise: Annotated[bool, Live()] = Field(
        default=True,
        description="Give the later steps fresh noise; without, the picture is smoother.",
        json_schema_extra=NOISE,
    )
    start_from: Annotated[Literal["picture", "noise"], Live()] = Field(
        default="picture",
        description='"noise" paints from the words alone, one picture for each that comes in.',
        json_schema_extra=NOISE,
    )
    vary: Annotated[bool, Live()] = Field(
        default=False,
        description="Draw other noise for each picture, in place of the seed's same one.",
        title="Vary the noise",
        json_schema_extra=NOISE,
    )
    skip_still: Annotated[bool, Live()] = Field(
        default=False,
        description="Show the last picture again while nothing moves, which saves the work.",
        json_schema_extra=PACE,
    )
    still_levels: Annotated[float, Live()] = Field(
        default=3.0,
        ge=0.0,
        le=64.0,
        description="From which change of a small patch, in levels of 255 beyond noise, something moved.",
        json_schema_extra=PACE,
    )
    still_motion: Annotated[bool, Live()] = Field(
        default=True,
        description="Let seen motion judge, not pixels alone, where a stage that sees it is watched.",
        json_schema_extra=PACE,
    )
    max_skips: Annotated[int, Live()] = Field(
        default=10,
        ge=0,
        le=1000,
        description="At most so many pictures are skipped in a row.",
        json_schema_extra=PACE,
    )
    max_age_ms: Annotated[float, Live()] = Field(
        default=0.0,
        ge=0.0,
        le=10_000.0,
        description="Lower steps and rate before pictures get older than this; 0 leaves them alone.",
        json_schema_extra=PACE,
    )
    loras: Loras = Field(
        default="",
        max_length=400,
        description='LoRAs with their weights, as "ink:0.8, clay:0.5"; weights change at once.',
        json_schema_extra=LORA,
    )
    lora_folder: str = Field(
        default="",
        max_length=400,
        description="Folder with LoRAs, beside the model's own folder `lora`.",
        json_schema_extra=LORA,
    )
    embedded_guidance: Annotated[float, Live()] = Field(
        default=0.0,
        ge=0.0,
        le=20.0,
        description="Guidance of models that take it as an input (SANA-Sprint, LCM); 0 is their usual.",
        json_schema_extra=GUIDING,
    )
    coherence: Annotated[float, Live()] = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="How far the painting stays on things as they move, rather than be drawn anew; 0 is off.",
    )
    memory: Annotated[float, Live()] = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="How much a picture takes its looks from earlier ones; for models with self-attention.",
        json_schema_extra=CONSISTENCY,
    )
    memory_interval: Annotated[int, Live()] = Field(
        default=4,
        ge=1,
        le=60,
        description="One picture in so many goes into the memory.",
        json_schema_extra=CONSISTENCY,
    )
    cross_frame: Annotated[float, Live()] = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="How much pictures in flight see each other; with two or more steps and self-attention.",
        json_schema_extra=CONSISTENCY,
    )
    feedback: Annotated[float, Live()] = Field(
        default=0.0,
        ge=0.0,
        le=0.95,
        description="Share of the painted picture before, where the camera shows the same; calms flicker.",
        json_schema_extra=CONSISTENCY,
    )
    flow_strength: Annotated[float, Live()] = Field(
        default=1.0,
        ge=0.0,
        le=1.0,
        description="How far feedback follows motion, for pictures that come with a flow map.",
        json_schema_extra=CONSISTENCY,
    )
    warp_noise: Annotated[bool, Live()] = Field(
        default=False,
        description="Let the noise go with the motion, for pictures that come with a flow map.",
        json_schema_extra=CONSISTENCY,
    )
    reuse_interval: Annotated[int, Live()] = Field(
        default=1,
        ge=1,
        le=8,
        description="One picture (or step) in so many is painted whole, the others in part; 1 is all.",
        json_schema_extra=CONSISTENCY,
    )
    reuse_across: Annotated[Literal["frames", "steps"], Live()] = Field(
        default="frames",
        description="Where the inner part of a picture comes from: an earlier picture, or its step before.",
        json_schema_extra=CONSISTENCY,
    )
    reuse_depth: Annotated[int, Live()] = Field(
        default=1,
        ge=1,
        le=3,
        description="How many outer levels of the network are run in every picture.",
        json_schema_extra=CONSISTENCY,
    )
    reuse_alike: Annotated[float, Live()] = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="Share that must be as in the last whole picture, else a picture is painted whole.",
        json_schema_extra=CONSISTENCY,
    )
    control: Controls = Field(
        default="",
        max_length=2000,
        description='Control nets: "map:scale@from-to model", several with |; "edges:0.8 my/canny-net".',
        json_schema_extra=STEERING,
    )
    image_prompt: Annotated[str, Live()] = Field(
        default="",
        max_length=400,
        description="A picture file whose content and style the painting takes up; empty for none.",
        json_schema_extra=STEERING,
    )
    image_prompt_scale: Annotated[float, Live()] = Field(
        default=0.6,
        ge=0.0,
        le=2.0,
        description="How strongly the image prompt acts; 0 is as without.",
        json_schema_extra=STEERING,
    )
    image_prompt_model: Annotated[str, Live()] = Field(
        default="",
        max_length=400,
        description="An IP-Adapter that fits the model: its .safetensors file; image_encoder/ lies beside.",
        json_schema_extra=STEERING,
    )
    mask: Annotated[str, Live()] = Field(
        default="",
        max_length=400,
        description='Where to paint: a map that a stage before made, such as "mask", or a picture file.',
        json_schema_extra=STEERING,
    )
    mask_paints: Annotated[Literal["inside", "outside"], Live()] = Field(
        default="inside",
        description="Whether the white of the mask is painted, or the black.",
        json_schema_extra=STEERING,
    )
    mask_feather_px: Annotated[int, Live()] = Field(
        default=16,
        ge=0,
        le=256,
        description="How far, in pixels of the painted picture, the mask's edge is drawn out to both sides.",
        json_schema_extra=STEERING,
    )
    mask_outside_strength: Annotated[float, Live()] = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Share of the strength where the mask does not paint; 0 keeps the picture there.",
        json_schema_extra=STEERING,
    )
    model: str = Field(
        default="painter",
        min_length=1,
        max_length=400,
        description="Catalog id, hub:owner/name, or folder.",
        json_schema_extra=MODEL,
    )
    engine: Literal["auto", "openvino", "torch", "torch-compile", "onnx", "tensorrt"] = Field(
        default="auto",
        description='What runs the networks; "auto" takes the fastest that works here.',
        json_schema_extra=MODEL,
    )
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = Field(
        default="auto",
        description='Number format of the networks; "auto" is bf16 where the processor computes in it.',
        json_schema_extra=MODEL,
    )
