"""Words stand at the foot of the picture while they are said and a while after, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perception.asr.transcript import Transcript, Turn
from perception.overlay.captions import CaptionsConfig, CaptionsStage, lines_of
from realtime.core.clock import NS_PER_S
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.stage import StageContext


def said(turn: Turn, text: str, tail: str = "", before: str = "") -> Transcript:
    return Transcript(turn, 1, text, tail, 0.0, 1.0, captured_ns=10 * NS_PER_S, before=before)


def written(newest: Transcript | None, at_s: float = 10.1, **settings: Any) -> np.ndarray:
    """Return which rows of a grey picture were written on."""
    stage = CaptionsStage()
    stage.configure(CaptionsConfig(**settings))
    stage.open(StageContext(watched={"hear": lambda: newest}))
    grey = np.full((240, 320, 3), 120, np.uint8)
    stamp = Stamp("camera", 0, 0, VIDEO_CLOCK, round(at_s * NS_PER_S))
    ((given,),) = (stage.process(Frame(stamp, grey)),)
    assert given.stamp == stamp
    return np.flatnonzero((given.value.pixels != 120).any(axis=(1, 2)))


def test_words_are_written_at_the_foot_and_not_elsewhere() -> None:
    rows = written(said(Turn.UPDATE, "it was", "the best"))
    assert len(rows)
    assert rows.min() > 200
    assert rows.max() < 239
    assert len(written(said(Turn.UPDATE, "it was the best of times " * 4))) > 1.5 * len(rows)


@pytest.mark.parametrize(
    ("newest", "at_s", "settings"),
    [
        (None, 10.1, {}),
        (said(Turn.END, "over"), 14.5, {}),
        (said(Turn.END, "over"), 10.1, {"show": False}),
        (said(Turn.UPDATE, "going on"), 10.1, {"partials": False}),
        (said(Turn.START, ""), 10.1, {}),
    ],
)
def test_nothing_is_written_when_there_is_nothing_to_read(
    newest: Transcript | None, at_s: float, settings: dict[str, Any]
) -> None:
    assert len(written(newest, at_s, **settings)) == 0


def test_what_was_said_before_stays_until_there_is_something_new() -> None:
    assert len(written(said(Turn.START, "", before="over there")))
    assert len(written(said(Turn.UPDATE, "new", before="over there"), partials=False))


def test_lines_keep_all_words_in_their_order() -> None:
    words = tuple((word, True) for word in ["a", "longer", "sentence", "that", "has", "to", "be", "broken"])
    lines = lines_of(words, 16, 120)
    assert len(lines) > 1
    assert tuple(word for line in lines for word in line) == words
