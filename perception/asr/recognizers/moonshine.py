"""English with Moonshine (Jeffries et al. 2024): small, made for short pieces of sound, and the default.

The tiny model comes along with the package. It knows no word times. A decoding costs a tenth of the sound's
length of one core, so an utterance that grows is decoded again as often as there is time for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from perception.asr.transcript import Hypothesis
from realtime.core.errors import ConfigError, ModelMissing

from .base import RecognizerInfo
from .moonshine_library import INSTALL, TINY, MoonshineLibrary, package_folder
from .redecoding import Redecoding

ID = "moonshine"
UPDATE_S = 0.32
"""Between two partial texts; new words come about as fast."""
SIZES = {"tiny": 0, "base": 1}


def is_here() -> bool:
    """Tell whether the package with its model is installed."""
    folder = package_folder()
    return folder is not None and (folder / TINY).is_dir()


def load_moonshine(model: str, shared: Callable[[str, Callable[[], Any]], Any]) -> Redecoding:
    """Return the recogniser of one stream. `model`: "" for the packaged one, or a folder of Moonshine's.

    Raises ModelMissing where the package is not installed, ConfigError for a folder that is none of these.
    """
    package = package_folder()
    if package is None or not is_here():
        raise ModelMissing("Moonshine is not installed, or not the version with a model in it.", hint=INSTALL)
    folder = Path(model).expanduser() if model else package / TINY
    name = folder.name
    size = next((number for start, number in SIZES.items() if name.startswith(start)), None)
    if size is None or not (folder / "encoder_model.ort").is_file():
        raise ConfigError(
            f'"{model}" holds no model that Moonshine can read here.',
            hint="Name a folder such as tiny-en or base-en, with encoder_model.ort in it.",
        )
    library: MoonshineLibrary = shared(f"hear {folder}", lambda: MoonshineLibrary(package, folder, size))
    info = RecognizerInfo(ID, f"Moonshine {name}", "MIT", is_append_only=False, update_s=UPDATE_S)
    return Redecoding(info, lambda samples: Hypothesis(library.text(samples)))
