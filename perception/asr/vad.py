"""Whether somebody speaks, window by window: Silero's detector, or loudness alone where that is missing.

The network lies in the `silero-vad` package (MIT); of it, only the file is used. It runs on OpenVINO, which
is here anyway, and costs about 0.15 ms of one core a window.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .intake import WINDOW, Samples

PACKAGE = "silero-vad"
FILE = "data/silero_vad_openvino_16k.onnx"
INSTALL = "python -m pip install silero-vad==6.2.3"
CONTEXT = 64
"""Samples of the window before that the network sees again."""
_QUIET_DB = -55.0
"""Below this loudness nobody speaks."""
_MARGIN_DB = 12.0
"""How far speech stands above what is heard all the time."""


class Vad(Protocol):
    """Tell how likely it is that somebody speaks, of one stream; windows come in order."""

    name: str

    def probability(self, samples: Samples) -> float:
        """Take the next window (WINDOW,) and return 0 to 1."""

    def reset(self) -> None:
        """Forget the stream."""


class SileroVad:
    """Ask the network; its memory of the stream is here, the network is shared."""

    name = "silero"

    def __init__(self, net: Any) -> None:
        """Take a compiled network: (1, CONTEXT + WINDOW) and (2, 1, 128) give (1, 1) and (2, 1, 128)."""
        import openvino

        self._request = net.create_infer_request()
        # The network reads these in place, which spares a third of a call.
        self._heard: Samples = np.zeros((1, CONTEXT + WINDOW), np.float32)
        self._state: Samples = np.zeros((2, 1, 128), np.float32)
        for name, array in (("input", self._heard), ("state", self._state)):
            self._request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
        self._outputs = [self._request.get_tensor(name) for name in ("output", "stateN")]

    def probability(self, samples: Samples) -> float:
        self._heard[0, CONTEXT:] = samples
        self._request.infer()
        found, state = self._outputs
        self._state[:] = state.data
        self._heard[0, :CONTEXT] = samples[-CONTEXT:]
        return float(found.data[0, 0])

    def reset(self) -> None:
        self._state[:] = 0.0
        self._heard[:] = 0.0


class LoudnessVad:
    """Take what is louder than usual for speech: music and slamming doors count too."""

    name = "loudness"

    def __init__(self) -> None:
        self._floor_db = 0.0

    def probability(self, samples: Samples) -> float:
        level_db = loudness_db(samples)
        # The floor falls at once and rises 3 dB a second: a pause between two words is enough to find it.
        self._floor_db = min(level_db, self._floor_db + 3.0 * WINDOW / 16_000)
        excess_db = level_db - max(self._floor_db + _MARGIN_DB, _QUIET_DB)
        return float(1.0 / (1.0 + np.exp(-excess_db)))

    def reset(self) -> None:
        self._floor_db = 0.0


def loudness_db(samples: Samples) -> float:
    """Return the level of some samples against full scale, -100 at least."""
    power = float(samples @ samples) / max(1, len(samples))
    return 10.0 * float(np.log10(max(power, 1e-10)))


def silero_file() -> Path | None:
    """Return where the network lies; None where the package is not installed. Imports nothing of it."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / FILE
    return path if path.is_file() else None


def load_vad(
    shared: Callable[[str, Callable[[], Any]], Any] = lambda key, make: make(),
    report: Callable[[str], None] = lambda sentence: None,
) -> Vad:
    """Return the detector of one stream: Silero's, or the plain one, of which `report` is told then."""
    path = silero_file()
    if path is None:
        report(f"Speech is told from silence by its loudness alone: {PACKAGE} is not installed ({INSTALL}).")
        return LoudnessVad()
    return SileroVad(shared(f"hear {path}", lambda: _compiled(path)))


def _compiled(path: Path) -> Any:
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    own = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    return core.compile_model(model, "CPU", own)
