"""Clean speech that is taught with: commands, words and sentences of synthetic voices, and people in other languages.

None of it is a voice or a sentence of the benchmark of voice steering: that speaks by flite's `slt` and `rms` and
espeak-ng's `en-us+m3` and `en-us+f4`, and its other speech is `en_US_f_Allison`.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
from app.layers import read_settings
from app.registry import Registry
from app.voice_book import book_of, vocabulary_of
from benchmarks._hear_sets import decoded
from benchmarks._hear_voice_sets import SHARES
from perception.voice.grammar import Grammar, grammar_of
from perception.voice.phones import table

RATE_HZ = 16_000
FLITE = ("awb",) * 6 + ("kal16",) * 3 + ("kal",)
ESPEAK = (
    "en-gb", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-us-nyc", "en-029", "en-us+m1", "en-us+m2", "en-us+m4",
    "en-gb+m5", "en-us+m7", "en-us+f1", "en-us+f2", "en-gb+f3", "en-us+f5", "en-gb-x-gbclan+f2",
)  # fmt: skip
PEOPLE = ("fr_CA_f_June", "it_IT_m_Carlo", "ru_RU_f_IvrvoiceRU")
"""Of Debian's asterisk-core-sounds-fr-g722, -it-g722 and -ru-g722."""
SOUNDS = Path("/usr/share/asterisk/sounds")
MOST_OF_PEOPLE = 350
SENTENCES = tuple(
    """
The boat left the harbour before the sun came up.
She wrote a long letter to her uncle in Wales.
We should buy bread, milk and a dozen eggs.
The old man told us a story about the sea.
My brother works in a factory near the river.
Can you tell me where the museum is?
It was raining so hard that we stayed inside.
They played football until it was too dark to see.
The doctor said that I should rest for a week.
Please close the window, it is getting cold.
He found a small box under the stairs.
The children ran across the field, laughing.
Nobody knew why the clock had stopped.
I will call you when the train arrives.
The soup needs more salt and a bit of pepper.
There is a good film on tonight, do you want to come?
Our neighbours have three cats and a parrot.
The road goes over the hill and down to the village.
She speaks four languages and plays the piano.
Keep the receipt in case you want to return it.
""".strip().splitlines()
)


def grammar() -> Grammar:
    """Return the grammar of the preset "spoken"."""
    registry = Registry()
    settings = read_settings(registry, flags=[("preset", "spoken")]).settings
    return grammar_of(book_of(settings, registry, vocabulary_of(settings, registry)))


def said(seed: int) -> Iterator[np.ndarray]:
    """Yield what synthetic voices say, without end; (n,) float32 at RATE_HZ, the loudest sample 1."""
    random, commands = Random(seed), grammar()
    words = [word for word in table() if len(word) > 1]
    while True:
        voice = random.choice((*FLITE, *ESPEAK))
        draw = random.random()
        if draw < 0.6:
            kind = random.choices(list(SHARES), list(SHARES.values()))[0]
            text = " ".join(commands.groups[kind].sample(random)[0])
            text = f"hey vitascope {text}" if random.random() < 0.4 else text
        elif draw < 0.85:
            text = " ".join(random.choice(words) for _ in range(random.randint(2, 7)))
        else:
            text = random.choice(SENTENCES)
        sound = _spoken(voice, text, random)
        if random.random() < 0.5:  # another throat
            speed = random.uniform(0.88, 1.14)
            sound = np.interp(np.arange(int(len(sound) / speed)) * speed, np.arange(len(sound)), sound)
        loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
        sound = sound[loud[0] : loud[-1] + 1]
        yield (sound / np.abs(sound).max()).astype(np.float32)


def people(seed: int = 7) -> Iterator[np.ndarray]:
    """Yield what is installed of people who speak French, Italian and Russian."""
    paths = [path for name in PEOPLE for path in sorted((SOUNDS / name).glob("*.g722"))]
    Random(seed).shuffle(paths)
    for path in islice(paths, MOST_OF_PEOPLE):
        sound = decoded(path)
        sound = sound[: len(sound) // 3 * 3].reshape(-1, 3).mean(axis=1)
        if len(sound) > 9000:
            yield (sound / np.abs(sound).max()).astype(np.float32)


def _spoken(voice: str, text: str, random: Random) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "said.wav")
        if voice in FLITE:
            pace, pitch_hz = random.uniform(0.85, 1.2), random.choice((90, 105, 120, 150, 180))
            own = ["--setf", f"duration_stretch={pace:.2f}", "--setf", f"int_f0_target_mean={pitch_hz}"]
            command = ["flite", "-voice", voice, *own, "-t", text, "-o", path]
        else:
            own = ["-s", str(random.randint(140, 190)), "-p", str(random.randint(30, 70))]
            command = ["espeak-ng", "-v", voice, *own, "-w", path, text]
        subprocess.run(command, check=True, capture_output=True)
        sound = decoded(Path(path))
    return np.asarray(sound[: len(sound) // 3 * 3].reshape(-1, 3).mean(axis=1))
