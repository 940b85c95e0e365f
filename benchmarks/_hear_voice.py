"""Does a command that is said change the right setting, soon, and does other speech change nothing?

Commands are drawn from the grammar of the preset "spoken" and said by voices that nothing was tuned on, in
noise 10 dB below them; half are said while the button is held, half after the wake phrase. One counts if
the setting that is meant gets the value that is meant within a second of the last sound. Other speech is
what an exchange says to its callers (Asterisk's prompts), then synthetic sentences. Delays are those of a
machine that nobody else uses.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from typing import Any

import numpy as np

from app.layers import read_settings
from app.registry import Registry
from app.voice_book import book_of, vocabulary_of
from perception.asr.vad import load_vad
from perception.voice.command import Command
from perception.voice.config import SteerConfig
from perception.voice.ear import Ear
from perception.voice.phones import PhoneNet
from perception.voice.stage import SteerStage
from realtime.core.clock import NS_PER_S
from realtime.core.stage import StageContext

from . import _hear_voice_sets as sets
from ._hear_run import WorkClock, chunks
from ._hear_sets import RATE_HZ
from ._measure import median, quantile

SOON_S = 1.0
MODES = ("push_to_talk", "wake")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--commands", type=int, default=200, help="half of them in each mode")
    parser.add_argument("--noise-db", type=float, default=10.0, help="how far below the speech noise is")
    parser.add_argument("--other-minutes", type=float, default=10.0, help="of other speech, in each mode")
    parser.add_argument("--command-seed", type=int, default=4712)
    parser.add_argument("--quick", action="store_true", help="40 commands and 2 minutes of other speech")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do both parts."""
    if options.quick:
        options.commands, options.other_minutes = 40, 2.0
    listener = Listener()
    return {**of_commands(listener, options), **of_other_speech(listener, options)}


class Listener:
    """Keep one stage with the grammar of the preset "spoken"."""

    def __init__(self) -> None:
        registry = Registry()
        settings = read_settings(registry, flags=[("preset", "spoken")]).settings
        self.wake = str(getattr(settings.stage("steer"), "wake", ""))
        self._ear = Ear(book_of(settings, registry, vocabulary_of(settings, registry)), self.wake, PhoneNet())
        self.grammar = self._ear.grammar
        self._stage = SteerStage(self._ear, load_vad())
        self._stage.open(StageContext("bench"))

    def hear(self, sound: np.ndarray, mode: str) -> list[tuple[float, Command]]:
        """Return what is told of a sound (n,) at RATE_HZ, and when, on a clock that counts processor time."""
        self._stage.reset()
        self._stage.configure(SteerConfig(mode="off"))
        self._stage.configure(SteerConfig(mode=mode, talk=mode == "push_to_talk"))
        clock, told = WorkClock(), list[tuple[float, Command]]()
        for chunk in chunks(sound):
            clock.take(chunk.stamp.captured_ns + len(chunk.samples) * NS_PER_S // RATE_HZ)
            for one in self._stage.process(chunk):
                told.append((clock.now_ns() / NS_PER_S, one.value))
        return told


def of_commands(listener: Listener, options: argparse.Namespace) -> dict[str, Any]:
    """Judge commands in both modes."""
    right: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    delays: list[float] = []
    late = wrong = 0
    begun_s, seconds = time.process_time(), 0.0
    for turn, mode in enumerate(MODES):
        wake = listener.wake if mode == "wake" else ""
        said = sets.commands(
            listener.grammar,
            options.commands // 2,
            seed=options.command_seed + 1000 * turn,
            noise_db=options.noise_db,
            wake=wake,
        )
        for one in said:
            seconds += len(one.sound) / RATE_HZ
            found = [(at_s, told) for at_s, told in listener.hear(one.sound, mode) if told.wish is not None]
            is_right = len(found) == 1 and found[0][1].wish == one.wish
            delay_s = found[0][0] - one.end_s if found else 0.0
            if is_right:
                delays.append(delay_s)
            late += is_right and delay_s > SOON_S
            wrong += bool(found) and not is_right
            if not is_right:
                heard = ", ".join(f"{told.text} ({told.confidence:.2f})" for _, told in found) or "nothing"
                print(f"  {mode} {one.voice} {one.text!r}: {heard}", flush=True)
            for key in (mode, one.voice, one.kind, "all"):
                counts[key] += 1
                right[key] += is_right and delay_s <= SOON_S
    shares = {key: round(right[key] / counts[key], 4) for key in counts}
    print(f"{'':24} {'commands':>8} {'right':>6}")
    for key in counts:
        print(f"{key:24} {counts[key]:8} {100 * shares[key]:5.1f} %", flush=True)
    print(f"wrong {wrong}, late {late}; delay {median(delays):.2f} s, p95 {quantile(delays, 0.95):.2f} s")
    return {
        "command_accuracy": shares["all"],
        "command_accuracy_by": {key: share for key, share in shares.items() if key != "all"},
        "commands": counts["all"],
        "commands_wrong": wrong,
        "commands_late": int(late),
        "command_delay_s": round(median(delays), 3),
        "command_delay_p95_s": round(quantile(delays, 0.95), 3),
        "command_cpu_rtf": round((time.process_time() - begun_s) / max(seconds, 1e-9), 3),
        "command_noise_db": options.noise_db,
    }


def of_other_speech(listener: Listener, options: argparse.Namespace) -> dict[str, Any]:
    """Count what other speech changes, in both modes."""
    found: dict[str, int] = {}
    awake = 0
    seconds = human = 0.0
    for mode in MODES:
        found[mode], seconds, human = 0, 0.0, 0.0
        for name, sound in sets.other_speech(options.other_minutes):
            seconds += len(sound) / RATE_HZ
            human += len(sound) / RATE_HZ * name.startswith("human")
            for _, told in listener.hear(sound, mode):
                awake += told.outcome == "listening"
                if told.wish is not None:
                    found[mode] += 1
                    print(f"  {mode}, {name!r}: {told.text} ({told.confidence:.2f})", flush=True)
        print(
            f"{mode}: {found[mode]} triggers in {seconds / 60:.1f} min ({human / 60:.1f} human)", flush=True
        )
    return {
        "false_triggers_10min": found["wake"],
        "false_triggers_10min_held": found["push_to_talk"],
        "false_wakes_10min": awake,
        "other_speech_min": round(seconds / 60, 1),
        "other_speech_human_min": round(human / 60, 1),
    }
