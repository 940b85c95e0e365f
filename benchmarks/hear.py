"""Is what is said written down, soon, and nothing else? Word errors, delays, silence, and what others pay.

*Word error rate*: all errors over all words of a set, both sides brought to one form first (see NORMALISER).
*cpu_rtf*: processor seconds, of all threads, for a second of sound. *first partial*: from the first sound of
a voice to the first word on the way to the page; *final*: from the last sound to the final words, which waits
for the silence that ends an utterance (0.8 s). Times are those of a machine of which nobody else has a part.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks import _hear_live as live
from benchmarks._hear_run import ENGINES, NORMALISER, Heard, Listener, error_rate, first_word, plain
from benchmarks._hear_sets import RATE_HZ, SETS, NotHere, Spoken, without_pause
from benchmarks._measure import median, quantile
from perception.asr.recognizers import choose
from realtime.core.errors import VitascopeError

OTHERS = ("_hear_former", "_hear_voice")
"""Benchmarks of parts of hearing, each with `add_arguments` and `run` like those with a name of their own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), help="default: all")
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), help="default: all that are here")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), help="default: all that are here")
    parser.add_argument("--every", type=int, default=1, help="take every nth recording of a set only")
    parser.add_argument("--share", type=float, default=0.4, help="of the time, for partial texts")
    parser.add_argument("--quick", action="store_true", help="a look at all parts, on less of everything")
    parser.add_argument("--minutes", type=float, default=10.0, help="of silence, noise, hum and music")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of turns with and without hearing")
    parser.add_argument("--finals", default="same", help="beside the painter; auto: Whisper where it is here")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a turn")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do every part; each returns some of the figures."""
    if options.quick:
        options.every, options.rounds = max(options.every, 6), min(options.rounds, 3)
        options.minutes, options.seconds = min(options.minutes, 2.0), min(options.seconds, 5.0)
    figures: dict[str, Any] = {}
    for name in options.parts or PARTS:
        began_s = time.perf_counter()
        figures.update(PARTS[name](options))
        print(f"-- {name}: {time.perf_counter() - began_s:.0f} s", flush=True)
    return figures


def engines(options: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Return what is here of what is asked for."""
    here = {}
    for name in options.engines or ENGINES:
        missing = [part for part in name.split("+") if not choose.is_here(part)]
        if missing:
            print(
                f"{name}: not here ({'; '.join(choose.MAKERS[one].install for one in missing)})", flush=True
            )
        else:
            here[name] = ENGINES[name]
    return here


def of_words(options: argparse.Namespace) -> dict[str, Any]:
    """Judge each engine on each set."""
    keys = ("wer", "cpu_rtf", "first_partial_s", "first_stands_s", "final_s", "final_p95_s")
    table: dict[str, dict[str, Any]] = {key: {} for key in keys}
    found = dict[str, list[Spoken]]()
    for name in options.sets or SETS:
        try:
            found[name] = list(SETS[name]())[:: options.every]
        except NotHere as cure:
            print(f"{name}: not here ({cure})", flush=True)
    print(f"\n{'engine':18} {'set':11} {'s':>5} {'words':>6} {'WER %':>6} {'cpu-RTF':>8}", end="")
    print(f"{'1st partial':>12} {'stands':>7} {'final':>6} {'p95':>6}", flush=True)
    for engine, settings in engines(options).items():
        listener = Listener(share=options.share, **settings)
        for key in keys:
            table[key][engine] = {}
        for name, spoken in found.items():
            heard = [listener.hear(one.sound) for one in spoken]
            row = judged(spoken, heard)
            for key in keys:
                table[key][engine][name] = row[key]
            words = sum(len(plain(one.words).split()) for one in spoken)
            seconds = sum(one.seconds for one in heard)
            print(f"{engine:18} {name:11} {seconds:5.0f} {words:6} {100 * row['wer']:6.1f}", end="")
            print(f" {row['cpu_rtf']:8.2f} {row['first_partial_s']:11.2f}", end="")
            late = f" {row['first_stands_s']:7.2f} {row['final_s']:6.2f} {row['final_p95_s']:6.2f}"
            print(late, flush=True)
        listener.close()
    print(f"both sides brought to one form by: {NORMALISER}")
    return {**table, "normaliser": NORMALISER}


def judged(spoken: list[Spoken], heard: list[Heard]) -> dict[str, float]:
    """Return the figures of one engine on one set."""
    first = [delay for one in heard for delay in one.first_partial_s()]
    stands = [delay for one in heard for delay in one.first_partial_s(stands=True)]
    final = [delay for one in heard for delay in one.final_s()]
    found = {
        "wer": error_rate([one.words for one in spoken], [one.text for one in heard]),
        "cpu_rtf": sum(one.cpu_s for one in heard) / sum(one.seconds for one in heard),
        "first_partial_s": median(first),
        "first_stands_s": median(stands),
        "final_s": median(final),
        "final_p95_s": quantile(final, 0.95),
    }
    return {name: round(value, 4) for name, value in found.items()}


def of_silence(options: argparse.Namespace) -> dict[str, Any]:
    """Count the words that come of no speech, told of in any way."""
    found: dict[str, int] = {}
    for engine, settings in list(engines(options).items())[-1:]:
        listener = Listener(**settings)
        for name, sound in nothing_said(options.minutes * 60 / 4).items():
            found[name] = listener.hear(sound).words_ever
        listener.close()
        print(f"\n{engine}, words out of {options.minutes:g} minutes without any: {found}", flush=True)
    return {"words_from_silence": sum(found.values()), "words_from": found}


def nothing_said(seconds: float) -> dict[str, np.ndarray]:
    """Return four kinds of sound without speech."""
    random, count = np.random.default_rng(0), round(seconds * RATE_HZ)
    times_s = np.arange(count) / RATE_HZ
    hum = 0.1 * np.sin(2 * np.pi * 50 * times_s) + 0.03 * np.sin(2 * np.pi * 150 * times_s)
    for at in random.integers(0, count - 200, round(seconds * 2)):  # clicks of keys
        hum[at : at + 200] += 0.4 * random.normal(0, 1, 200) * np.exp(-np.arange(200) / 40)
    return {
        name: sound.astype(np.float32)
        for name, sound in {
            "silence": np.zeros(count),
            "noise": random.normal(0, 0.01, count),
            "hum": hum,
            "music": tune(times_s, random),
        }.items()
    }


def tune(times_s: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return music: a melody with overtones over chords, two notes a second, and a beat."""
    scale = 220.0 * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12]) / 12)
    note = (2 * times_s).astype(int)
    melody_hz = scale[random.integers(0, 8, note[-1] + 1)][note]
    phase = 2 * np.pi * np.cumsum(melody_hz) / RATE_HZ
    fade = np.exp(-3 * (2 * times_s - note))
    sound = sum(np.sin(k * phase) / k for k in range(1, 7)) * fade * 0.15
    root_hz = scale[random.integers(0, 5, note[-1] // 8 + 1)][note // 8] / 2
    chord = 2 * np.pi * np.cumsum(root_hz) / RATE_HZ
    sound += 0.05 * (np.sin(chord) + np.sin(1.25 * chord) + np.sin(1.5 * chord))
    beat = (2 * times_s) % 1.0
    return np.asarray(sound + 0.2 * np.sin(2 * np.pi * 60 * beat) * np.exp(-30 * beat))


def of_starts(options: argparse.Namespace) -> dict[str, Any]:
    """Count first words that are kept after 3 s of silence, of those that are understood without it."""
    spoken = [one for name in ("librivox", "asterisk") for one in _here(name)[:: options.every]]
    if not spoken:
        return {"first_words_kept": None}
    name, settings = next(iter(engines(options).items()))
    listener = Listener(**settings)
    alone = [plain(listener.hear(one.sound, 0.0).text).startswith(first_word(one)) for one in spoken]
    after = [plain(listener.hear(one.sound, 3.0).text).startswith(first_word(one)) for one in spoken]
    listener.close()
    kept = sum(a and b for a, b in zip(alone, after, strict=True))
    print(f"\n{name}: of {sum(alone)} first words that are understood, {kept} are after 3 s of silence too")
    return {"first_words_kept": round(kept / max(1, sum(alone)), 3), "first_words": sum(alone)}


def of_long(options: argparse.Namespace) -> dict[str, Any]:
    """Judge two minutes of speech without a pause."""
    try:
        (spoken,) = without_pause()
    except NotHere as cure:
        print(f"two minutes without a pause: not here ({cure})", flush=True)
        return {"long_wer": None}
    found: dict[str, Any] = {"long_wer": {}, "long_worst_lag_s": {}, "long_utterances": {}}
    for engine, settings in engines(options).items():
        listener = Listener(**settings)
        heard = listener.hear(spoken.sound)
        listener.close()
        found["long_wer"][engine] = round(error_rate([spoken.words], [heard.text]), 4)
        found["long_worst_lag_s"][engine] = round(heard.worst_lag_s, 2)
        found["long_utterances"][engine] = sum(one.is_final for _, one in heard.said)
        said = f"WER {100 * found['long_wer'][engine]:.1f} %, {found['long_utterances'][engine]} utterances"
        print(f"\n{engine}: {heard.seconds:.0f} s without a pause, {said}, ", end="")
        print(f"at most {heard.worst_lag_s:.1f} s late", flush=True)
    return found


def of_stalls(options: argparse.Namespace) -> dict[str, Any]:
    """Measure how punctual the event loop is beside recognition."""
    stalls = live.loop_stalls(options.seconds)
    print(f"\nlateness of the loop's timer, p99 in ms: {stalls}", flush=True)
    return {"loop_stall_p99_ms": stalls["moonshine"], "loop_stalls_p99_ms": stalls}


def of_paint(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what hearing costs the painter."""
    found = live.paint_loss(options.rounds, options.seconds, options.finals)
    print(f"\nthe painter with and without hearing: {found}", flush=True)
    return found


def of_others(options: argparse.Namespace) -> dict[str, Any]:
    """Do what other parts of hearing measure, as far as they are here."""
    figures: dict[str, Any] = {}
    for name in OTHERS:
        try:
            module = importlib.import_module(f"benchmarks.{name}")
        except ModuleNotFoundError as error:
            print(f"{name}: not here ({error})", flush=True)
            continue
        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        can_be_quick = "--quick" in parser.format_help()
        try:
            figures |= module.run(parser.parse_args(["--quick"] * (options.quick and can_be_quick)))
        except (NotHere, VitascopeError) as error:
            print(f"{name}: {error}", flush=True)
    return figures


def _here(name: str) -> list[Spoken]:
    try:
        return list(SETS[name]())
    except NotHere as cure:
        print(f"{name}: not here ({cure})", flush=True)
        return []


PARTS: Mapping[str, Callable[[argparse.Namespace], Mapping[str, Any]]] = {
    "words": of_words,
    "silence": of_silence,
    "starts": of_starts,
    "long": of_long,
    "stalls": of_stalls,
    "paint": of_paint,
    "others": of_others,
}
"""What is measured, in turn; each prints its table and returns its figures."""
