"""English with Moonshine (Jeffries et al. 2024): small, made for short pieces of sound, and the default.

The tiny model comes along with the package. It knows no word times. A decoding costs 4 % of the sound's time
of one core, and half of that where it only has to agree with the one before, so an utterance that grows is
decoded again as often as there is time for it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perception.asr.transcript import Hypothesis
from realtime.core.errors import ConfigError, ModelMissing

from .base import RecognizerInfo
from .moonshine_net import FILES, INSTALL, RUNTIME, TINY, Growing, MoonshineNet, package_folder
from .redecoding import Redecoding

ID = "moonshine"
UPDATE_S = 0.32
"""Between two partial texts; new words come about as fast."""


def is_here() -> bool:
    """Tell whether the package with its model, and what runs it, are installed."""
    folder = package_folder()
    runs = importlib.util.find_spec(RUNTIME) is not None
    return runs and folder is not None and (folder / TINY).is_dir()


def load_moonshine(model: str, shared: Callable[[str, Callable[[], Any]], Any]) -> Redecoding:
    """Return the recogniser of one stream. `model`: "" for the packaged one, or a folder of Moonshine's.

    Raises ModelMissing where the package is not installed, ConfigError for a folder that is none of these.
    """
    package = package_folder()
    if package is None or not is_here():
        raise ModelMissing("Moonshine is not installed, or not the version with a model in it.", hint=INSTALL)
    folder = Path(model).expanduser() if model else package / TINY
    if not all((folder / name).is_file() for name in FILES):
        raise ConfigError(
            f'"{model}" holds no model that Moonshine can read here.',
            hint="Name a folder such as tiny-en or base-en, with encoder_model.ort in it.",
        )
    net: MoonshineNet = shared(f"hear {folder}", lambda: MoonshineNet(folder))
    growing = Growing(net)
    info = RecognizerInfo(ID, f"Moonshine {folder.name}", "MIT", is_append_only=False, update_s=UPDATE_S)
    return Redecoding(info, lambda samples: Hypothesis(growing.text(samples)))
