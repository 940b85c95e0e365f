"""The stage that remembers, so that questions can be asked: pictures go to the engine, nothing comes out.

Answers go to whoever asked, through the stage's desk; what other stages tell reaches the desk by the session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from realtime.core.frame import Frame
from realtime.core.stage import Emitted, StageContext, StageSpec

from .base import QAEngine
from .config import AnswerConfig
from .desk import Desk

Make = Callable[[AnswerConfig, StageContext], tuple[QAEngine[Any], QAEngine[Any] | None]]
"""Make an engine, and what remembers events beside it, where it does not itself."""


class AnswerStage:
    """Hold the memory of a stream, and the desk that questions are asked at."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="answer",
        takes=Frame,
        gives=type(None),
        config=AnswerConfig,
        lane="answer",
        files=("model", "url", "keep"),
        keeps_samples=False,
        says="Remembers what was seen and heard, and answers questions about it.",
    )
    desk: Desk | None = None
    """Where questions are asked; None until the stage is open."""

    def __init__(self, make: Make | None = None) -> None:
        """Take what makes the engine, or else the house's own."""
        self._make = make
        self._config = AnswerConfig()

    def engine_info(self) -> Any:
        """Return what the page says of the engine."""
        return _Badge(self.desk) if self.desk is not None else None

    def open(self, ctx: StageContext) -> None:
        """Make the engine.

        Raises ModelError for a model that is not here, ConfigError for a server without an address.
        """
        if self.desk is not None:
            return
        from .choose import make_engines

        engine, events = (self._make or make_engines)(self._config, ctx)
        self.desk = Desk(engine, ctx.clock, events=events)

    def configure(self, config: AnswerConfig) -> None:
        self._config = config

    def process(self, item: Frame | None) -> Sequence[Emitted]:
        """Let the engine see a picture; how many it looks at is its own business."""
        if item is not None and self.desk is not None:
            self.desk.push(item)
        return ()

    def reset(self) -> None:
        """Do nothing: what was seen stays remembered when a stream begins anew."""

    def close(self) -> None:
        desk, self.desk = self.desk, None
        if desk is not None:
            desk.close()


class _Badge:
    """What `Wiring.engine` reads."""

    def __init__(self, desk: Desk) -> None:
        card = desk.engine.card
        self.name, self.why = card.name, card.says
