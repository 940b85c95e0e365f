"""Write the sentences that the tests hear, said by voices that training knew: those that come out right.

python -m training.asr.samples    # to tests/perception/asr/recognizers/said
"""

from __future__ import annotations

import argparse
import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import torch
from perception.asr.recognizers.fastconformer import load_fastconformer

from training.asr.evaluate import PACKET, SEED
from training.asr.export import MODEL
from training.asr.voices import FLITE, RATE_HZ, Speaker
from training.asr.words import sentence

PLACE = Path(__file__).resolve().parents[2] / "tests" / "perception" / "asr" / "recognizers" / "said"
LOOKAHEADS = (13, 6, 1, 0)
WORDS = (3, 6)
"""How many of them a sentence has, at least and at most."""


def right(recognizers: list[Any], text: str, sound: np.ndarray) -> bool:
    """Tell whether it is heard right with every look-ahead."""
    for recognizer in recognizers:
        recognizer.reset()
        for at in range(0, len(sound), PACKET):
            recognizer.accept(sound[at : at + PACKET])
        if recognizer.finish().text != text:
            return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=MODEL)
    parser.add_argument("--count", type=int, default=2)
    parser.add_argument("--tries", type=int, default=200)
    args = parser.parse_args()
    torch.set_num_threads(1)
    held: dict[str, Any] = {}

    def shared(name: str, make: Any) -> Any:
        if name not in held:
            held[name] = make()
        return held[name]

    each = [load_fastconformer(str(args.folder), shared, lookahead=one, engine="torch", precision="fp32") for one in LOOKAHEADS]
    PLACE.mkdir(parents=True, exist_ok=True)
    found: dict[str, str] = {}
    for number in range(args.tries):
        draw = np.random.default_rng([SEED, 99, number])
        text, voice = sentence(draw), FLITE[number % len(FLITE)]
        if not WORDS[0] <= len(text.split()) <= WORDS[1]:
            continue
        sound = Speaker(voice).say(text)
        sound = np.pad(0.5 * sound / np.abs(sound).max(), (RATE_HZ // 5, RATE_HZ // 2)).astype(np.float32)
        pcm = np.round(sound * 32767).astype("<i2")
        if not right(each, text, pcm.astype(np.float32) / 32768):
            continue
        name = f"{voice}-{len(found)}.wav"
        with wave.open(str(PLACE / name), "wb") as file:
            file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
            file.writeframes(pcm.tobytes())
        found[name] = text
        print(f"{name}: {text} (try {number + 1})", flush=True)
        if len(found) == args.count:
            break
    (PLACE / "said.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
