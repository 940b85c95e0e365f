"""Synthetic speakers: flite and espeak-ng of Debian, each utterance with a pace and a pitch of its own."""

from __future__ import annotations

import io
import subprocess
import wave
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

RATE_HZ = 16_000
FLITE = ("kal16", "awb", "rms")
HELD_OUT = ("slt", "en-us+f5")
"""Voices that training never hears: a recorded one of flite, a formant one of espeak-ng."""
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-us-nyc")
_FORMANTS = """m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 klatt klatt2 klatt3 klatt4 Andy Annie Alex Linda
Steph Steph2 Michael Mike Lee Rob Robert Max Gene David Ed Belinda Adam Edward John Henrique Denis Zac Hugo Marco
Pablo"""
VARIANTS = tuple(_FORMANTS.split())


@dataclass(frozen=True, slots=True)
class Speaker:
    """Name a voice and how it speaks."""

    voice: str
    pace: float = 1.0
    """1 is the voice's own, 1.2 a fifth faster."""
    pitch: float = 1.0

    def say(self, text: str) -> npt.NDArray[np.float32]:
        """Return the sound (n,) at 16 kHz. Raises CalledProcessError, FileNotFoundError without the programs."""
        if "-" in self.voice:
            command = ["espeak-ng", "-v", self.voice, "-s", str(round(165 * self.pace)), "-p", str(round(50 * self.pitch)),
                       "--stdout", text]  # fmt: skip
            return _read(subprocess.run(command, check=True, capture_output=True).stdout)
        mean = {"slt": 170, "kal16": 105, "awb": 120, "rms": 100}[self.voice] * self.pitch
        command = ["flite", "-voice", self.voice, "--setf", f"duration_stretch={1 / self.pace:.3f}",
                   "--setf", f"int_f0_target_mean={mean:.0f}", "-t", text, "-o", "/dev/stdout"]  # fmt: skip
        return _read(subprocess.run(command, check=True, capture_output=True).stdout)


def speaker(draw: np.random.Generator) -> Speaker:
    """Return one that training hears: flite's three voices as often as all of espeak-ng's."""
    pace, pitch = float(draw.uniform(0.85, 1.25)), float(draw.uniform(0.8, 1.3))
    if draw.random() < 0.55:
        return Speaker(str(draw.choice(FLITE)), pace, pitch)
    return Speaker(f"{draw.choice(ACCENTS)}+{draw.choice(VARIANTS)}", pace, pitch)


def _read(content: bytes) -> npt.NDArray[np.float32]:
    """Return the samples of a RIFF file, whatever length its head claims (a pipe has none)."""
    with wave.open(io.BytesIO(content)) as file:
        rate, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
    if (width, channels) != (2, 1):
        raise ValueError(f"A voice gave {channels} channels of {8 * width} bits, not one of 16.")
    body = content[content.index(b"data") + 8 :]
    sound = np.frombuffer(body[: len(body) // 2 * 2], "<i2").astype(np.float32) / 32768
    if rate != RATE_HZ:
        shared = np.gcd(rate, RATE_HZ)
        sound = resample_poly(sound, RATE_HZ // shared, rate // shared).astype(np.float32)
    return sound
