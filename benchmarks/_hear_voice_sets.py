"""What is said in the benchmark of voice steering: commands drawn from the grammar, and speech that is none.

The confidence was fitted on other voices (flite kal and awb, espeak-ng en-gb), other draws of the grammar and
other sentences. Runs before, with other draws and other voices of espeak-ng but these of flite, led to
a simpler grammar and to the second hearing; the confidence was not fitted to them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from perception.voice.grammar import Grammar

from ._hear_sets import ASTERISK, RATE_HZ, NotHere, decoded, synthesized

VOICES = ("flite:slt", "flite:rms", "espeak-ng:en-us+m3", "espeak-ng:en-us+f4")
SHARES = {
    "looks": 30, "colours": 12, "numbers": 24, "shifts": 10, "steps": 2, "switches": 8, "choices": 6,
    "presets": 2, "acts": 6,
}  # fmt: skip
"""How often each kind of sentence is said."""
LEAST_HZ = 40.0
OTHER_SPEECH = """
I left my keys on the kitchen counter this morning.
Do you know what time the shop closes on Sundays?
She has painted the fence green and it looks wonderful.
We turned left at the church and drove on for a mile.
My sister wants to learn how to play the violin.
The last bus had already gone, so we took a taxi home.
Let me think about it and I will tell you tomorrow.
He made a sandwich with cheese and a little mustard.
There were more than forty people in the waiting room.
Could you turn the music down, I am on the phone.
It takes about ten minutes to walk to the station.
What a lovely picture, did you take it yourself?
The baby is asleep, so please be quiet.
I would like a large coffee and two pieces of cake.
They say it will rain all weekend.
Stop worrying, everything will be fine.
You should set the alarm for six thirty.
The number is four seven one, double two, nine.
Hey, come over here and look at this.
Hello everybody, and welcome to the show.
I used the old recipe that my grandmother gave me.
Her new dress is bright yellow with white dots.
No, that was not what I meant at all.
Make sure that the door is locked before you leave.
The lights went off in the whole street last night.
""".strip().splitlines()


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Hold one command as it was spoken."""

    voice: str
    kind: str
    text: str
    wish: Any
    sound: np.ndarray
    """(n,) float32 at RATE_HZ, with noise, and silence before and after."""
    end_s: float
    """When the speech in it ends."""


def commands(grammar: Grammar, count: int, *, seed: int, noise_db: float, wake: str = "") -> Iterator[Said]:
    """Yield commands of all voices in turn, each in white or pink noise so far below the speech."""
    _check_voices()
    random = Random(seed)
    for at in range(count):
        voice = VOICES[at % len(VOICES)]
        kind = random.choices(list(SHARES), list(SHARES.values()))[0]
        words, (wish,) = grammar.groups[kind].sample(random)
        text = " ".join(words)
        spoken = speak(voice, f"{wake} {text}".strip())
        loud = np.flatnonzero(np.abs(spoken) > 0.02 * np.abs(spoken).max())
        before = np.zeros(RATE_HZ, np.float32)
        sound = np.concatenate([before, spoken[loud[0] : loud[-1] + 1], np.zeros(2 * RATE_HZ, np.float32)])
        end_s = 1.0 + (loud[-1] + 1 - loud[0]) / RATE_HZ
        yield Said(voice, kind, text, wish, noisy(sound, noise_db, seed + at, pink=bool(at // 4 % 2)), end_s)


def noisy(sound: np.ndarray, noise_db: float, seed: int, *, pink: bool) -> np.ndarray:
    """Return a sound with noise so many dB below the power of what is loud in it.

    Noise is white, or pink from 40 Hz on, and of the band that speech is heard in (below 8 kHz).
    """
    count = len(sound)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    hz = np.fft.rfftfreq(count, 1.0 / RATE_HZ)
    spectrum[(hz < LEAST_HZ) | (hz > 8000)] = 0.0
    if pink:
        spectrum /= np.sqrt(np.maximum(hz, LEAST_HZ))
    noise = np.fft.irfft(spectrum, count)
    power = float(np.mean(sound[np.abs(sound) > 0.01 * np.abs(sound).max()] ** 2))
    noise *= np.sqrt(power / 10 ** (noise_db / 10) / np.mean(noise**2))
    return (sound + noise).astype(np.float32)


def speak(voice: str, text: str) -> np.ndarray:
    """Let one of the voices speak; (n,) float32 at RATE_HZ."""
    program, _, name = voice.partition(":")
    return synthesized(f"{'flite' if program == 'flite' else 'espeak'}:{name}", text)


def other_speech(minutes: float) -> Iterator[tuple[str, np.ndarray]]:
    """Yield speech that is no command, human first, until there is enough, each with a second of silence."""
    wanted = round(minutes * 60 * RATE_HZ)
    for name, sound in _other():
        padded = np.concatenate([sound, np.zeros(RATE_HZ, np.float32)])[:wanted]
        wanted -= len(padded)
        yield name, padded
        if wanted <= 0:
            return


def _other() -> Iterator[tuple[str, np.ndarray]]:
    if not ASTERISK.is_dir():
        raise NotHere("apt-get install asterisk-core-sounds-en-g722")
    _check_voices()
    for path in sorted(ASTERISK.glob("*.g722")):
        sound = decoded(path)
        if len(sound) > RATE_HZ:
            yield f"human {path.stem}", sound
    for voice in VOICES * 9:
        for text in OTHER_SPEECH:
            yield f"{voice} {text}", speak(voice, text)


def _check_voices() -> None:
    missing = [name for name in ("flite", "espeak-ng") if shutil.which(name) is None]
    if missing:
        raise NotHere(f"apt-get install {' '.join(missing)}")
