"""What the fixture hears, streamed: new sentences, from voices that it knows and from voices that it does not.

python -m training.asr.evaluate --write    # figures.json and the card in models/fastconformer-words
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from perception.asr.recognizers.fastconformer import load_fastconformer
from pipelines.models.checksums import write_checksums

from training.asr.card import card
from training.asr.data import trimmed
from training.asr.export import MODEL
from training.asr.voices import HELD_OUT, RATE_HZ, Speaker, speaker
from training.asr.words import sentence

SEED = 2_000_000
LOOKAHEADS = (13, 6, 0)
NOISE_DB = -40.0
PACKET = 320


def said(count: int, voice: Callable[[np.random.Generator], Speaker], seed: int) -> list[tuple[str, np.ndarray]]:
    """Return sentences and their sound, in faint noise, with silence around."""
    found = []
    for number in range(count):
        draw = np.random.default_rng([SEED, seed, number])
        text = sentence(draw)
        sound = np.pad(trimmed(voice(draw).say(text)), (RATE_HZ // 4, RATE_HZ // 2))
        level = np.std(sound) * 10 ** (NOISE_DB / 20)
        found.append((text, (sound + level * draw.normal(size=len(sound))).astype(np.float32)))
    return found


def held(name: str) -> Callable[[np.random.Generator], Speaker]:
    """Return what gives a held-out voice at its own pace."""
    return lambda draw: Speaker(name)


def errors(wanted: Sequence[str], found: Sequence[str]) -> int:
    """Return how many words have to be put in, taken out or changed (Levenshtein)."""
    row = list(range(len(found) + 1))
    for i, one in enumerate(wanted, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(found, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


def scored(folder: Path, utterances: Sequence[tuple[str, np.ndarray]], lookahead: int, shared: Any) -> dict[str, float]:
    """Return word and letter error rates in percent, heard in packets of 20 ms, and which share is all right."""
    recognizer = load_fastconformer(str(folder), shared, lookahead=lookahead, engine="torch", precision="fp32")
    wrong = words = letters_wrong = letters = whole = 0
    for text, sound in utterances:
        recognizer.reset()
        for at in range(0, len(sound), PACKET):
            recognizer.accept(sound[at : at + PACKET])
        found = recognizer.finish().text
        wrong += errors(text.split(), found.split())
        words += len(text.split())
        letters_wrong += errors(text, found)
        letters += len(text)
        whole += text == found
    shares = {"wer": wrong / words, "cer": letters_wrong / letters, "whole": whole / len(utterances)}
    return {name: round(100 * share, 1) for name, share in shares.items()}


def figures_of(folder: Path, count: int) -> dict[str, Any]:
    """Return all figures of the card."""
    held_engines: dict[str, Any] = {}

    def shared(name: str, make: Callable[[], Any]) -> Any:
        if name not in held_engines:
            held_engines[name] = make()
        return held_engines[name]

    voices = {"voices that it knows": speaker} | {name: held(name) for name in HELD_OUT}
    found = {}
    for seed, (name, voice) in enumerate(voices.items()):
        utterances = said(count, voice, seed)
        found[name] = {str(one): scored(folder, utterances, one, shared) for one in LOOKAHEADS}
        print(name, found[name], flush=True)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return {"utterances": count, "noise_db": NOISE_DB, "voices": found, "training": config["training"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=MODEL)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures = figures_of(args.folder, args.count)
    if args.write:
        (args.folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (args.folder / "README.md").write_text(card(figures), encoding="utf-8")
        write_checksums(args.folder)


if __name__ == "__main__":
    main()
