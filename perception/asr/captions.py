"""Captions of what was said: cues short enough to be read, as SubRip (.srt) and WebVTT files.

A cue has two lines of 42 letters at most, as television keeps it, and stays long enough to be read. Where a
recogniser knows no times of words, a part of an utterance has its share of the time by its letters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap

LINE_CHARS = 42
LINES = 2
LEAST_S = 0.8
"""A shorter cue is only a flash."""
_ENDS = ".!?\u2026,;:"

Timed = tuple[str, float, float]
"""A word, and the seconds between which it was said."""


@dataclass(frozen=True, slots=True)
class Cue:
    """Hold what is shown between two moments, in seconds."""

    begin_s: float
    end_s: float
    text: str
    """One or two lines."""


def cues_of(text: str, begin_s: float, end_s: float, words: Sequence[Timed] = ()) -> list[Cue]:
    """Cut the final words of one utterance into cues."""
    spoken = text.split()
    timed = list(words) if [one[0] for one in words] == spoken else _shared_out(spoken, begin_s, end_s)
    cues: list[Cue] = []
    for part in _parts(timed):
        said = " ".join(word for word, _, _ in part)
        cues.append(Cue(part[0][1], max(part[-1][2], part[0][1] + LEAST_S), "\n".join(_lines(said))))
    return [
        Cue(one.begin_s, min(one.end_s, after.begin_s) if after else one.end_s, one.text)
        for one, after in zip(cues, [*cues[1:], None], strict=True)
    ]


def srt(cues: Iterable[Cue]) -> str:
    """Write SubRip: a number, times with a comma, the lines."""
    return "".join(
        f"{number}\n{_clock(cue.begin_s, ',')} --> {_clock(cue.end_s, ',')}\n{cue.text}\n\n"
        for number, cue in enumerate(cues, 1)
    )


def vtt(cues: Iterable[Cue]) -> str:
    """Write WebVTT (W3C): what would be markup there is escaped."""
    escaped = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    return "WEBVTT\n\n" + "".join(
        f"{_clock(cue.begin_s)} --> {_clock(cue.end_s)}\n{cue.text.translate(escaped)}\n\n" for cue in cues
    )


def _shared_out(words: Sequence[str], begin_s: float, end_s: float) -> list[Timed]:
    """Give each word a share of the time by its letters."""
    whole = sum(len(word) + 1 for word in words) or 1
    found, at = list[Timed](), 0
    for word in words:
        after = at + len(word) + 1
        length_s = end_s - begin_s
        found.append((word, begin_s + length_s * at / whole, begin_s + length_s * after / whole))
        at = after
    return found


def _parts(words: Sequence[Timed]) -> list[list[Timed]]:
    """Cut words into parts of two lines at most, behind a stop rather than anywhere."""
    parts: list[list[Timed]] = []
    rest = list(words)
    while rest:
        most = next(
            (n for n in range(len(rest), 1, -1) if len(_lines(" ".join(w for w, _, _ in rest[:n]))) <= LINES),
            1,
        )
        if most < len(rest):
            stops = [n for n in range(most, most // 2, -1) if rest[n - 1][0][-1] in _ENDS]
            most = stops[0] if stops else most
        parts.append(rest[:most])
        rest = rest[most:]
    return parts


def _lines(text: str) -> list[str]:
    return wrap(text, LINE_CHARS, break_on_hyphens=False)


def _clock(time_s: float, point: str = ".") -> str:
    """Return hours, minutes, seconds and milliseconds."""
    time_ms = max(0, round(1000 * time_s))
    seconds, ms = divmod(time_ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{ms:03}"
