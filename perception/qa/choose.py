"""Make the engine that the settings name: obeyed, or refused with what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from realtime.core.errors import SessionError
from realtime.core.stage import StageContext

from .base import QAEngine
from .config import AnswerConfig
from .events.keeping import Limits
from .events.memory import EventMemory
from .kept import release, take

WARMING = "warm"
"""Name of the session that only loads what later ones share: it keeps nothing."""


Engines = tuple[QAEngine[Any], QAEngine[Any] | None]


def make_engines(config: AnswerConfig, ctx: StageContext) -> Engines:
    """Return the engine, and the memory of events that stands beside it, unless it is that itself.

    A named memory that another session has open is told of; this session then remembers in RAM only. Raises
    ModelError for a model that is not here, ConfigError for what the settings lack.
    """
    events = _events(config, ctx)
    if config.engine == "events":
        return events, None
    return MAKERS[config.engine](config, ctx, events), events


def _events(config: AnswerConfig, ctx: StageContext) -> EventMemory:
    limits = Limits(size_mib=config.keep_mib, age_s=config.keep_h * 3600)
    if config.keep and ctx.session != WARMING:
        try:
            path, lock = take(config.keep)
        except SessionError as error:
            ctx.report(f"{error.message} This one is remembered until it ends. {error.hint}")
        else:
            return _Kept(lock, path, limits=limits, report=ctx.report)
    return EventMemory(limits=limits, report=ctx.report)


class _Kept(EventMemory):
    """Let the folder go once it is closed."""

    def __init__(self, lock: object, path: Path, **how: Any) -> None:
        self._folder_lock = lock
        try:
            super().__init__(path, **how)
        except Exception:
            release(lock)
            raise

    def close(self) -> None:
        super().close()
        release(self._folder_lock)


MAKERS: Mapping[str, Callable[[AnswerConfig, StageContext, EventMemory], QAEngine[Any]]] = MappingProxyType(
    {}
)
