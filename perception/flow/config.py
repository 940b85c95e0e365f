"""The settings of the stages that see motion and draw it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from realtime.core.stage import Live


class FlowConfig(BaseModel):
    """Say what finds the motion, and how finely."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["dis-ultrafast", "dis-fast", "dis-medium", "streamflow"] = Field(
        "dis-fast",
        description="What finds the motion: dense inverse search, from the fastest to the best, or a network "
        "that sees several pictures at once.",
    )
    weights: str = Field(
        "streamflow",
        max_length=400,
        description='What the network knows: "streamflow" (ours), a folder like it, or the file of a '
        "published StreamFlow checkpoint.",
    )
    rounds: int = Field(3, ge=1, le=32, description="How often the network refines the motion that it finds.")
    engine: str = Field("auto", description="What runs the network: openvino, onnx, torch, tensorrt or auto.")
    longest_px: Annotated[int, Live()] = Field(
        640, ge=64, le=1920, description="Longer side of the picture that is worked on, at most."
    )
    half: Annotated[bool, Live()] = Field(
        False, description="Work on half of those sides: four times cheaper, and enough to carry a picture."
    )
    least_speed: Annotated[float, Live()] = Field(
        0.05, ge=0.005, le=2.0, description="What moves more heights of the picture a second than that moves."
    )
    least_share: Annotated[float, Live()] = Field(
        0.04, ge=0.002, le=1.0, description="Something moves where this share of the detail seen moves."
    )


class FlowMapsConfig(BaseModel):
    """Say how the motion of what is painted is found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["dis-ultrafast", "dis-fast", "dis-medium"] = Field(
        "dis-fast", description="What finds the motion: dense inverse search, from the fastest to the best."
    )
    side_px: Annotated[int, Live()] = Field(
        192, ge=64, le=1080, description="Side of the painted square that motion is looked for in, at most."
    )


class FlowViewConfig(BaseModel):
    """Say what of the motion is drawn, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wheel: Annotated[float, Live()] = Field(
        0.6,
        ge=0.0,
        le=1.0,
        description="How strongly motion is coloured: hue is where to, strength how fast. 0: not at all.",
    )
    arrows: Annotated[bool, Live()] = Field(True, description="Draw arrows that show where things go.")
    arrows_down: Annotated[int, Live()] = Field(
        14, ge=4, le=40, description="Number of arrows from the top to the bottom of the picture."
    )
    arrow_ms: Annotated[float, Live()] = Field(
        150.0, ge=10.0, le=1000.0, description="An arrow's tip is where its foot would be after that time."
    )
    fastest: Annotated[float, Live()] = Field(
        0.6, ge=0.02, le=10.0, description="Heights of the picture a second that have the full colour."
    )
    against_camera: Annotated[bool, Live()] = Field(
        False, description="Draw only what moves otherwise than the camera."
    )
    unsure: Annotated[bool, Live()] = Field(
        False, description="Draw the motion also where it is not sure, such as behind a thing that moves."
    )
    stale_ms: Annotated[float, Live()] = Field(
        200.0,
        ge=20.0,
        le=5000.0,
        description="Motion of a picture taken longer before or after is not drawn.",
    )
