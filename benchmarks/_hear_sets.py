"""What is listened to: human recordings that packages carry, and voices made here; each with its true words.

LibriVox and Asterisk come from Debian (`apt-get install pocketsphinx-testdata asterisk-core-sounds-en-g722`),
"two cities" from the moonshine-voice wheel, synthetic voices from flite and espeak-ng. Of the Asterisk
prompts every third one of three words and more and less than 15 s is taken; they are CC-BY-SA-3.0 and stay
where they are. What is not installed is said and left out.
"""

from __future__ import annotations

import gzip
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

RATE_HZ = 48_000
"""Of all sound here, as it comes through the app's doors."""
LIBRIVOX = Path("/usr/share/pocketsphinx/test/data/librivox")
ASTERISK = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
ASTERISK_WORDS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
TWO_CITIES = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of "
    "foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of "
    "Light, it was the season of Darkness, it was the spring of hope, it was the winter of despair, we "
    "had everything before us, we had nothing before us, we were all going direct to Heaven, we were all "
    "going direct the other way. In short, the period was so far like the present period, that some of "
    "its noisiest authorities insisted on its being received, for good or for evil, in the superlative "
    "degree of comparison only."
)
"""Charles Dickens, 1859."""
SENTENCES = (
    "Make it a watercolor painting, warm and slightly dark.",
    "What happened a minute ago?",
    "Set the strength to zero point seven.",
    "Two people came in through the door.",
    "Please start the recording now and stop it in ten minutes.",
    "The red cup on the table was moved to the left.",
    "Turn the camera around and show me the garden.",
    "How many cars have passed since yesterday morning?",
)
VOICES = ("flite:slt", "flite:rms", "flite:awb", "espeak:en-us")


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """Hold a recording and what is said in it."""

    name: str
    sound: np.ndarray
    """(n,) float32 at RATE_HZ."""
    words: str


class NotHere(Exception):
    """Report what has to be installed for a set."""


def librivox() -> Iterator[Spoken]:
    if not LIBRIVOX.is_dir():
        raise NotHere("apt-get install pocketsphinx-testdata")
    said = re.findall(r"<s> (.*?) </s> \((.*?)\)", (LIBRIVOX / "transcription").read_text())
    for words, name in said:
        yield Spoken(name, decoded(LIBRIVOX / f"{name}.wav"), words)


def asterisk() -> Iterator[Spoken]:
    if not (ASTERISK.is_dir() and ASTERISK_WORDS.is_file()):
        raise NotHere("apt-get install asterisk-core-sounds-en-g722")
    with gzip.open(ASTERISK_WORDS, "rt") as file:
        lines = [line.partition(":") for line in file if not line.startswith(";")]
    wanted = [
        (name, words.strip()) for name, _, words in lines if "[" not in words and len(words.split()) >= 3
    ]
    found = [(name, words) for name, words in wanted if (ASTERISK / f"{name}.g722").is_file()]
    for name, words in found[::3]:
        sound = decoded(ASTERISK / f"{name}.g722")
        if len(sound) < 15 * RATE_HZ:
            yield Spoken(name, sound, words)


def two_cities() -> Iterator[Spoken]:
    spec = importlib.util.find_spec("moonshine_voice")
    if spec is None or spec.origin is None:
        raise NotHere("pip install moonshine-voice==0.1.0")
    yield Spoken("two_cities", decoded(Path(spec.origin).parent / "assets" / "two_cities.wav"), TWO_CITIES)


def synthetic() -> Iterator[Spoken]:
    missing = [name for name in ("flite", "espeak-ng") if shutil.which(name) is None]
    if missing:
        raise NotHere(f"apt-get install {' '.join(missing)}")
    for voice in VOICES:
        for number, words in enumerate(SENTENCES):
            yield Spoken(f"{voice} {number}", synthesized(voice, words), words)


def without_pause() -> Iterator[Spoken]:
    """Two minutes of speech in which nothing is silent for longer than 150 ms."""
    if shutil.which("flite") is None:
        raise NotHere("apt-get install flite")
    text = f"{TWO_CITIES} {' '.join(SENTENCES)} " * 3
    parts = re.split(r"(?<=[.,?]) ", text.strip())
    pieces, words, length = list[np.ndarray](), list[str](), 0
    for part in parts:
        sound = _closed_up(synthesized("flite:slt", part))
        pieces.append(sound)
        words.append(part)
        length += len(sound)
        if length > 120 * RATE_HZ:
            break
    yield Spoken("two minutes", np.concatenate(pieces), " ".join(words))


SETS: Mapping[str, Callable[[], Iterator[Spoken]]] = MappingProxyType(
    {"librivox": librivox, "asterisk": asterisk, "two_cities": two_cities, "synthetic": synthetic}
)


def decoded(path: Path) -> np.ndarray:
    """Return a file's sound, mono at RATE_HZ."""
    import av

    swr = av.AudioResampler("flt", "mono", RATE_HZ)
    with av.open(str(path)) as file:
        frames = [piece for frame in file.decode(audio=0) for piece in swr.resample(frame)]
    frames += swr.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def synthesized(voice: str, words: str) -> np.ndarray:
    """Let a program speak."""
    program, _, name = voice.partition(":")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spoken.wav"
        if program == "flite":
            command = ["flite", "-voice", name, "-t", words, "-o", str(path)]
        else:
            command = ["espeak-ng", "-v", name, "-w", str(path), words]
        subprocess.run(command, check=True, capture_output=True)
        return decoded(path)


def _closed_up(sound: np.ndarray, most_s: float = 0.15) -> np.ndarray:
    """Return a sound whose silent ends are cut off, and whose pauses are no longer than this."""
    step = RATE_HZ // 100
    loud = np.abs(sound[: len(sound) // step * step]).reshape(-1, step).max(1) > 0.01
    at = np.flatnonzero(loud)
    keep = np.zeros(len(loud), bool)
    for k in range(at[0], at[-1] + 1):
        before = k - at[np.searchsorted(at, k, "right") - 1]
        keep[k] = before <= most_s * 100
    return sound[: len(keep) * step].reshape(-1, step)[keep].ravel()
