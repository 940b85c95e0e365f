"""A streaming model of the user's own by sherpa-onnx: transducers and CTC models in its format of folders.

No weights come with it. https://k2-fsa.github.io/sherpa/onnx/pretrained_models/index.html lists folders for
many languages, each with its licence.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from perception.asr.transcript import Hypothesis, Word
from realtime.core.errors import ConfigError, ModelCorrupt, ModelMissing
from realtime.core.frame import SPEECH_RATE_HZ

from .base import RecognizerInfo, Samples

ID = "sherpa"
INSTALL = "python -m pip install sherpa-onnx==2.0.1"
UPDATE_S = 0.16
TAIL_S = 0.6
"""So much silence after the last word brings out what the network still holds back."""


def is_here() -> bool:
    """Tell whether the program is installed; a model has to be named."""
    return importlib.util.find_spec("sherpa_onnx") is not None


def load_sherpa(model: str, shared: Callable[[str, Callable[[], Any]], Any]) -> SherpaRecognizer:
    """Return the recogniser of one stream, of the model in a folder.

    Raises ModelMissing where the program is not installed, ConfigError for a folder that holds no such model,
    ModelCorrupt for one that cannot be read.
    """
    if not is_here():
        raise ModelMissing("sherpa-onnx is not installed.", hint=INSTALL)
    folder = Path(model).expanduser()
    if not model or not folder.is_dir():
        raise ConfigError(
            f'stages.hear.model = "{model}" is no folder.',
            hint="Engine sherpa needs one with a streaming model: tokens.txt and its .onnx files.",
        )
    kind, files = files_of(folder)
    net = shared(f"hear {folder}", lambda: _opened(kind, files, folder))
    return SherpaRecognizer(net, folder.name)


def files_of(folder: Path) -> tuple[str, dict[str, str]]:
    """Return which of sherpa's constructors reads a folder, and what it takes. Raises ConfigError."""
    found = {"tokens": _only(folder, "tokens.txt")}
    parts = {part: _only(folder, f"*{part}*.onnx") for part in ("encoder", "decoder", "joiner")}
    if found["tokens"] and all(parts.values()):
        return "from_transducer", {**found, **parts}
    if found["tokens"] and (model := _only(folder, "*model*.onnx")):
        is_nemo = "nemo" in folder.name.lower() or "nemo" in Path(model).name.lower()
        return "from_nemo_ctc" if is_nemo else "from_zipformer2_ctc", {**found, "model": model}
    raise ConfigError(
        f"{folder} holds no streaming model of sherpa-onnx.",
        hint="It needs tokens.txt, and encoder, decoder and joiner, or model, each an .onnx file.",
    )


def _only(folder: Path, pattern: str) -> str:
    """Return the file of a pattern, the int8 one of two; "" where there is none."""
    found = sorted(folder.glob(pattern), key=lambda path: ("int8" not in path.name, path.name))
    return str(found[0]) if found else ""


def _opened(kind: str, files: dict[str, str], folder: Path) -> Any:
    import sherpa_onnx

    try:
        return getattr(sherpa_onnx.OnlineRecognizer, kind)(**files, num_threads=1)
    except (RuntimeError, ValueError, AttributeError) as error:
        raise ModelCorrupt(f"sherpa-onnx cannot read {folder}: {error}.") from error


class SherpaRecognizer:
    """Recognise one stream; every utterance is a stream of sherpa's own."""

    def __init__(self, net: Any, name: str) -> None:
        self.info = RecognizerInfo(
            ID,
            f"sherpa-onnx {name}",
            "that of the model's own",
            is_append_only=True,  # greedy search
            update_s=UPDATE_S,
            has_word_times=True,
        )
        self._net = net
        self._stream = net.create_stream()

    def accept(self, samples: Samples) -> None:
        self._stream.accept_waveform(SPEECH_RATE_HZ, samples)
        while self._net.is_ready(self._stream):
            self._net.decode_stream(self._stream)

    def partial(self) -> Hypothesis:
        found = self._net.get_result_all(self._stream)
        return Hypothesis(found.text.strip(), words_of(found.tokens, found.timestamps))

    def finish(self) -> Hypothesis:
        self.accept(np.zeros(round(TAIL_S * SPEECH_RATE_HZ), np.float32))
        self._stream.input_finished()
        while self._net.is_ready(self._stream):
            self._net.decode_stream(self._stream)
        final = self.partial()
        self.reset()
        return final

    def reset(self) -> None:
        self._stream = self._net.create_stream()

    def close(self) -> None: ...


def words_of(tokens: list[str], times_s: list[float]) -> tuple[Word, ...]:
    """Join tokens to words: one begins with a space or its sign, and ends where the next one begins."""
    words: list[Word] = []
    for token, time_s in zip(tokens, times_s, strict=False):
        plain = token.replace("\u2581", " ")
        if words and not plain.startswith(" "):
            last = words[-1]
            words[-1] = Word(last.text + plain, last.begin_s, time_s)
        elif plain.strip():
            words.append(Word(plain.strip(), time_s, time_s))
    return tuple(words)
