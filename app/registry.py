"""The table of stages: one line a stage, read by eye. A new stage is a file and a line here.

Looking a stage up imports its module, never a model library: those are imported when the stage opens.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from realtime.core.errors import ConfigError
from realtime.core.stage import Stage, StageSpec

STAGES: Mapping[str, str] = {
    "paint": "pipelines.diffusion.stage:PaintStage",
    "edges": "pipelines.maps.edges:EdgesStage",
    "depth": "pipelines.maps.depth:DepthStage",
    "pose": "pipelines.maps.pose:PoseStage",
    "mask": "pipelines.maps.mask:MaskStage",
    "detect": "perception.detect:DetectStage",
    "overlay": "perception.overlay.stage:OverlayStage",
    "flow": "perception.flow.stage:FlowStage",
    "flow-maps": "perception.flow.maps:FlowMapsStage",
    "flow-view": "perception.flow.view:FlowViewStage",
    "fill": "perception.fill.stage:FillStage",
    "cover": "perception.cover.stage:CoverStage",
    "hear": "perception.asr.stage:HearStage",
    "captions": "perception.overlay.captions:CaptionsStage",
    "steer": "perception.voice.stage:SteerStage",
    "answer": "perception.qa.stage:AnswerStage",
    "mirror": "pipelines.mirror:MirrorStage",
}


class Registry:
    """Look stages up by name. Tests give a table of their own."""

    def __init__(self, table: Mapping[str, str] = STAGES) -> None:
        self._table = dict(table)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __contains__(self, name: object) -> bool:
        return name in self._table

    @property
    def table(self) -> dict[str, str]:
        """Names and where their classes are, for another process."""
        return dict(self._table)

    def stage(self, name: str) -> type[Stage[Any]]:
        """Return the class of stage `name`. Raises ConfigError with the nearest known name."""
        if name not in self._table:
            raise ConfigError(f'There is no stage "{name}".', hint=nearest(name, self._table))
        module, _, attribute = self._table[name].partition(":")
        found: type[Stage[Any]] = getattr(importlib.import_module(module), attribute)
        return found

    def spec(self, name: str) -> StageSpec:
        """Return the static description of stage `name`."""
        spec: StageSpec = self.stage(name).spec  # type: ignore[attr-defined]
        return spec

    def config(self, name: str) -> type[BaseModel]:
        """Return the model of stage `name`'s settings."""
        return self.spec(name).config


def nearest(name: str, known: Iterator[str] | Mapping[str, Any] | list[str]) -> str:
    """Return a hint: the nearest known name if one is near, else all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f'Did you mean "{close[0]}"?'
    return f"Known: {', '.join(names)}." if names else "None is known."
