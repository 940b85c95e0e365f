"""Make the engine that the settings name: obeyed, or refused with what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from realtime.core.errors import ConfigError, SessionError
from realtime.core.stage import StageContext

from .apart import ApartEngine
from .base import Moment, QAEngine
from .config import AnswerConfig
from .events.keeping import Limits
from .events.memory import EventMemory
from .kept import release, take
from .kv.options import VideoModelOptions

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
        self._folder_lock, self.folder = lock, path
        try:
            super().__init__(path, **how)
        except Exception:
            release(lock)
            raise

    def close(self) -> None:
        super().close()
        release(self._folder_lock)


def _watcher(config: AnswerConfig, ctx: StageContext, events: EventMemory) -> QAEngine[Any]:
    from .models import watcher_options

    return _video("watcher", "watcher", config, ctx, watcher_options(config.memory))


def _model(config: AnswerConfig, ctx: StageContext, events: EventMemory) -> QAEngine[Any]:
    from .models import options_of

    if not config.model:
        raise ConfigError(
            "No video model is named.",
            hint='Set answer.model to a checkpoint\'s folder, or to "owner/name" of one that was fetched.',
        )
    folder = events.folder / "frames" if isinstance(events, _Kept) and config.disk_gib else None
    return _video(config.model, "model", config, ctx, options_of(config, folder))


def _video(
    model: str, name: str, config: AnswerConfig, ctx: StageContext, options: VideoModelOptions
) -> QAEngine[Any]:
    from .models import check_here, load_shared, video_engine

    ctx.report(f"Loading {model}.")
    if config.apart and ctx.session != WARMING:
        return ApartEngine(video_engine, model, name, options)
    if config.apart:  # a process for nobody is worth nothing: only see whether it could be had
        check_here(model)
        return EventMemory()
    loaded = ctx.shared(f"video-model:{model}", lambda: load_shared(model))
    return video_engine(model, name, options, loaded)


def _server(config: AnswerConfig, ctx: StageContext, events: EventMemory) -> QAEngine[Any]:
    from .server import ServerEngine
    from .server_config import ServerConfig

    if not config.url:
        raise ConfigError("No server is named.", hint="Set answer.url, like http://127.0.0.1:8000/v1.")
    wished = ServerConfig(url=config.url, model=config.model, every_s=config.every_s)
    return ServerEngine(wished, moments=lambda question: _moments(events, question))


def _moments(events: EventMemory, question: str) -> tuple[Moment, ...]:
    """Return the moments that the events know for a question."""
    *_, final = events.ask(question, events.snapshot())
    return final.moments


Maker = Callable[[AnswerConfig, StageContext, EventMemory], QAEngine[Any]]
MAKERS: Mapping[str, Maker] = MappingProxyType({"watcher": _watcher, "model": _model, "server": _server})
