"""What a person may set about steering by voice."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from realtime.core.stage import Live


class SteerConfig(BaseModel):
    """Say when commands are heard, and how sure they must be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Annotated[Literal["off", "push_to_talk", "wake"], Live()] = Field(
        "push_to_talk",
        description='When commands count: "push_to_talk" while a button of the page is held, "wake" after '
        'the wake phrase, "off" never.',
    )
    talk: Annotated[bool, Live()] = Field(
        False,
        description="Whether the button is held: the page sets it.",
        json_schema_extra={"hidden": True},
    )
    wake: str = Field(
        "hey vitascope",
        min_length=4,
        max_length=60,
        description='What is said before a command in mode "wake"; longer phrases come up less by chance.',
    )
    floor: Annotated[float, Live()] = Field(
        0.5, ge=0.0, le=1.0, description="How sure a command must be to count; less than that does nothing."
    )
    end_ms: Annotated[float, Live()] = Field(
        350.0, ge=200, le=2000, description="Silence after which what was said is taken for all of it."
    )
    patience_s: Annotated[float, Live()] = Field(
        5.0, ge=1.0, le=30.0, description="How long after the wake phrase alone a command is waited for."
    )
    presets: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description='Settings by a name that can be said, "switch to carnival": a table for each.',
        json_schema_extra={"hidden": True},
    )
