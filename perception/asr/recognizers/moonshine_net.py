"""Moonshine's two networks on ONNX Runtime: what is said in a piece of sound, token by token.

The networks and their words come in the `moonshine-voice` package (MIT). Its own library is left alone: it
makes threads of its own that wait for work by spinning, which costs whoever paints beside it twice what the
words do. Here one thread does all, that of the caller, and Python's lock is free while a network works.

An utterance that grows is decoded again and again, and most of its words stay. So the tokens of the time
before are given to the decoder at once, as a guess: one run tells how many of them it would have said itself,
and only what comes after is worked out one by one (Stern et al. 2018, with the past as the one who guesses).
"""

from __future__ import annotations

import importlib.util
import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from realtime.core.errors import ModelError
from realtime.core.frame import SPEECH_RATE_HZ

from .base import Samples

PACKAGE = "moonshine_voice"
RUNTIME = "onnxruntime"
INSTALL = "python -m pip install moonshine-voice==0.1.0 onnxruntime==1.31.1"
TINY = "assets/tiny-en"
FILES = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")
BEGIN, END = 1, 2
MOST_TOKENS_PER_S = 6.5
"""Nobody says more in a second: a text without an end is cut there."""
_SPACE = "\u2581"


def package_folder() -> Path | None:
    """Return where the package lies; None where it is not installed. Imports nothing of it."""
    spec = importlib.util.find_spec(PACKAGE)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


class MoonshineNet:
    """Hold one model, shared by all streams; it has no state of any. From any thread, one call at a time."""

    def __init__(self, folder: Path) -> None:
        """Load the model of a folder. Raises ModelError."""
        try:
            self._words = _words((folder / FILES[2]).read_bytes())
            self._encoder, self._decoder = (_session(folder / name) for name in FILES[:2])
        except Exception as error:  # ONNX Runtime's own have no common parent
            raise ModelError(
                f"Moonshine's model in {folder} does not load: {error}.", hint=INSTALL
            ) from error
        self._kept = {one.name: one.shape for one in self._decoder.get_inputs() if "past" in one.name}
        self._given = [one.name for one in self._decoder.get_outputs()]
        self._later = [name for name in self._given if ".encoder." not in name]
        """Outputs that change from step to step."""
        self._lock = threading.Lock()

    def tokens(self, samples: Samples, guess: Sequence[int] = ()) -> list[int]:
        """Return the tokens of what is said in (n,) at 16 kHz, first asking how far `guess` is right."""
        sound = np.ascontiguousarray(samples, np.float32)[None]
        most = math.ceil(sound.shape[1] / SPEECH_RATE_HZ * MOST_TOKENS_PER_S)
        with self._lock:
            return self._tokens(sound, list(guess[:most]), most)

    def text(self, tokens: Sequence[int]) -> str:
        """Return what tokens spell."""
        spelt = b"".join(self._words[one] for one in tokens if one > END)
        return " ".join(spelt.decode("utf-8", "ignore").replace(_SPACE, " ").split())

    def _tokens(self, sound: Samples, guess: list[int], most: int) -> list[int]:
        mask = np.ones(sound.shape, np.int64)
        (frames,) = self._encoder.run(None, {"input_values": sound, "attention_mask": mask})
        given = {"encoder_attention_mask": mask, "encoder_hidden_states": frames}
        past = self._nothing(frames.shape[1])
        asked, names, found = [BEGIN, *guess], self._given, list[int]()
        while True:
            step = {**given, "input_ids": np.array([asked], np.int64), **past}
            step["use_cache_branch"] = np.array([bool(found)])
            logits, *states = self._decoder.run(names, step)
            best = logits[0].argmax(-1)
            right = next((at for at, one in enumerate(asked[1:]) if one != best[at]), len(asked) - 1)
            found += asked[1 : right + 1]
            if right == len(asked) - 1:
                found.append(int(best[right]))
                if found[-1] == END or len(found) >= most:
                    return [one for one in found[:most] if one != END]
                asked = found[-1:]
            else:  # int8 rounds by all that it is given: what is in dispute is asked again, alone
                asked = [asked[right]]
            for name, state in zip(names[1:], states, strict=True):
                kept = state[:, :, : len(found)] if ".decoder." in name else state
                past[name.replace("present", "past_key_values")] = kept
            if found:
                names = self._later

    def _nothing(self, frames: int) -> dict[str, Any]:
        """Return the decoder's memory before it said anything."""
        lengths = {name: frames if ".encoder." in name else 0 for name in self._kept}
        return {
            name: np.zeros((1, shape[1], lengths[name], shape[3]), np.float32)
            for name, shape in self._kept.items()
        }


class Growing:
    """Hear one stream's utterances as they grow, each time with the text of the time before as a guess."""

    def __init__(self, net: MoonshineNet) -> None:
        self._net = net
        self._tokens: list[int] = []
        self._length = 0

    def text(self, samples: Samples) -> str:
        """Return what is said in (n,); a longer sound than last time is taken for the same one, grown."""
        guess = self._tokens if len(samples) >= self._length else []
        self._tokens, self._length = self._net.tokens(samples, guess), len(samples)
        return self._net.text(self._tokens)


def _session(path: Path) -> Any:
    import onnxruntime

    own = onnxruntime.SessionOptions()
    own.intra_op_num_threads = own.inter_op_num_threads = 1
    own.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), own, providers=["CPUExecutionProvider"])


def _words(packed: bytes) -> list[bytes]:
    """Return the spellings of all tokens: each after its length, of which one beyond 127 takes two bytes."""
    found, at = list[bytes](), 0
    while at < len(packed):
        size, at = packed[at], at + 1
        if size > 127:
            size, at = size - 128 + 128 * packed[at], at + 1
        found.append(packed[at : at + size])
        at += size
    return found
