"""From sound to phones: a small CTC network, and how words sound to it. Both come with the package `hama`.

The network (Apache-2.0, 4.7 MB) gives each 20 ms of sound the log probabilities of phones, whatever the words
are. It was taught with spellings of its own ("one" as "o n e"), so a word may have several. What it says in
noise was taught here: models/phones-in-noise says how.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from perception.asr.intake import Samples
from realtime.core.errors import ModelError

from .network import Floats, Phones

PACKAGE = "hama"
INSTALL = "python -m pip install hama==1.7.0"
LEARNT = Path(__file__).resolve().parents[2] / "models" / "phones-in-noise" / "model.safetensors"
TABLE = Path(__file__).with_name("sounds.txt")
"""How the words of our own grammars sound; made by scripts/voice_sounds.py."""
FRAME_S = 0.02
FLOOR = -6.0
"""No phone is less likely than this (nats): one that was swallowed must not cost a whole sentence."""

BLANK_COST = 2.0
"""Nats that a frame without a phone costs: in noise the network takes too much for nothing."""


def is_here() -> bool:
    """Tell whether the package is installed. Imports nothing of it."""
    return importlib.util.find_spec(PACKAGE) is not None


class PhoneNet:
    """Hold the network and the sounds of words; no state of a stream. Raises ModelError without hama.

    `learnt`: what it was taught on top of what the package holds; None for nothing.
    """

    def __init__(self, learnt: Path | None = LEARNT) -> None:
        if not is_here():
            raise ModelError(f"Commands cannot be heard: {PACKAGE} is not installed.", hint=f"{INSTALL}.")
        from hama.vocab import Vocabulary

        from perception.nets.phones.weights import network

        assets = resources.files("hama.assets")
        self._model: Any = network(assets.joinpath("asr_waveform.hama").read_bytes(), learnt)
        self._tokens: list[str] = [*Vocabulary.load(None).decoder, "<wb>", "<blank>"]
        self._ids = {token: at for at, token in enumerate(self._tokens)}
        self._longest = max(map(len, self._tokens))
        self._pause = self._ids["<wb>"]
        self.blank = self._ids["<blank>"]
        self._said: dict[str, tuple[Phones, ...]] = {}
        self._speller: Any = None

    def scores(self, samples: Samples) -> Floats:
        """Return (frames, phones) log probabilities of 16 kHz sound, none below `FLOOR`.

        The end of a word counts as blank.
        """
        import torch

        waveform = torch.from_numpy(np.clip(samples, -1.0, 1.0).astype(np.float32))[None]
        with torch.inference_mode():
            scores: Floats = self._model(waveform)[0].numpy()
        scores[:, self.blank] = np.logaddexp(scores[:, self.blank], scores[:, self._pause])
        scores[:, self._pause] = FLOOR
        scores[:, self.blank] -= np.float32(BLANK_COST)
        return np.maximum(scores, np.float32(FLOOR))

    def sounds(self, word: str) -> tuple[Phones, ...]:
        """Return the ways to say a word: from the table, or sounded out (0.1 s) where it is not there."""
        if word not in self._said:
            spelt = table().get(word) or (self._sounded_out(word),)
            self._said[word] = tuple(dict.fromkeys(self.cut(one) for one in spelt))
        return self._said[word]

    def cut(self, text: str) -> Phones:
        """Return a spelling in the network's phones; what it has no phone for is left out."""
        found: list[int] = []
        at = 0
        while at < len(text):
            size = next((n for n in range(self._longest, 0, -1) if text[at : at + n] in self._ids), 0)
            if size and text[at : at + size] != " ":
                found.append(self._ids[text[at : at + size]])
            at += size or 1
        return tuple(found)

    def _sounded_out(self, word: str) -> str:
        if self._speller is None:
            from hama.inference import G2PModel

            self._speller = G2PModel()
        return str(self._speller.predict(word).ipa)


@cache
def table() -> dict[str, tuple[str, ...]]:
    """Return how words sound, as the file says."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {word: tuple(ways) for word, *ways in rows}
