"""The engines that watch with a video model: our small demo, and models of one's own."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base import EngineKind
from .config import AnswerConfig
from .kv.options import VideoModelOptions

if TYPE_CHECKING:
    from .kv.engine import VideoModelEngine

WATCHER = VideoModelOptions(
    frames=16,
    recent=4,
    window_tokens=32 * 9,
    every_s=0.25,
    change_levels=1.0,
    ram_mib=256.0,
    most_tokens=4,
)
"""What the watcher was trained for: nine tokens a frame, which sees 32 frames back; a word for an answer."""
SAYS = {
    "watcher": "A demo model, trained by this project: it knows drawn shapes in eight colours, nothing else."
}


def watcher_options(memory: str) -> VideoModelOptions:
    """Return how the watcher remembers."""
    return replace(WATCHER, strategy=memory)


def options_of(config: AnswerConfig, folder: Path | None = None) -> VideoModelOptions:
    """Return how a model of one's own remembers; `folder` is where it may keep what is kept."""
    return VideoModelOptions(
        strategy=config.memory,
        every_s=config.every_s,
        keep_s=config.keep_h * 3600,
        ram_mib=config.keep_mib,
        disk_gib=config.disk_gib if folder is not None else 0.0,
        folder=folder,
    )


def load_shared(model: str) -> tuple[Any, Any]:
    """Load a model. Raises ModelError for one that is not here."""
    from .kv.families.load import load

    return load(model)


def check_here(model: str) -> None:
    """Raise ModelError for a model that is not here, without loading it."""
    from .kv.families.load import find

    find(model)


def video_engine(
    model: str, name: str, options: VideoModelOptions, loaded: tuple[Any, Any] | None = None
) -> VideoModelEngine:
    """Return an engine that watches with a model, loaded already or not. Raises ModelError."""
    from .kv.engine import VideoModelEngine

    brain, source = loaded if loaded is not None else load_shared(model)
    kind: EngineKind = "demo model" if name == "watcher" else "video model"
    epoch_ns = time.time_ns() - time.monotonic_ns()
    says = SAYS.get(name, "")
    return VideoModelEngine(brain, source, options, name=name, kind=kind, says=says, epoch_ns=epoch_ns)
