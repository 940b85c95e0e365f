"""The test picture: the same each time, numbered, at its rate, and well-behaved at its ends."""

import threading
import time

import numpy as np
import pytest

from realtime.core.errors import ChannelClosed, ConfigError, SourceClosed
from realtime.core.frame import Frame
from realtime.sources.mark import read_mark
from realtime.sources.pattern import PatternSource, pattern_picture


def run(source: PatternSource) -> list[Frame]:
    frames: list[Frame] = []
    source.start(frames.append)
    assert source.done.wait(30)
    source.stop()
    return frames


def test_pictures_are_numbered_and_move() -> None:
    frames = run(PatternSource(160, 120, 30, count=20, paced=False))
    assert [f.stamp.seq for f in frames] == list(range(20)) == [read_mark(f.pixels) for f in frames]
    assert [f.stamp.pts for f in frames] == [3000 * i for i in range(20)]
    assert frames[0].stamp.source == "pattern"
    assert np.abs(frames[0].pixels[:60].astype(int) - frames[9].pixels[:60]).mean() > 3


def test_the_same_number_gives_the_same_pixels() -> None:
    assert np.array_equal(pattern_picture(7, 161, 121), pattern_picture(7, 161, 121))


def test_paced_keeps_the_rate_and_stamps_at_the_door() -> None:
    begin = time.monotonic()
    frames = run(PatternSource(64, 64, 100, count=21))
    assert time.monotonic() - begin >= 0.2
    gaps = np.diff([f.stamp.captured_ns for f in frames])
    assert 9e6 < np.median(gaps) < 20e6


def test_a_slow_reader_gets_each_picture_late_but_not_in_a_bunch() -> None:
    source, times = PatternSource(64, 64, 50, count=6), []

    def slow(frame: Frame) -> None:
        times.append(time.monotonic())
        if frame.stamp.seq == 1:
            time.sleep(0.1)

    source.start(slow)
    assert source.done.wait(10)
    gaps = np.diff(times)
    assert gaps[1] >= 0.1  # the third comes as soon as the reader is back,
    assert min(gaps[3:]) > 0.012  # and those behind it an interval apart, not all at once


def test_stop_ends_it_and_tells_once() -> None:
    source, ends, first = PatternSource(64, 64, 30), [], threading.Event()
    source.start(lambda frame: first.set(), None, ends.append)
    assert first.wait(5)
    source.stop()
    source.stop()
    assert ends == [None]
    assert source.done.is_set()
    assert source.error is None


def test_a_listener_that_has_gone_is_an_ordinary_end() -> None:
    def gone(frame: Frame) -> None:
        raise ChannelClosed("closed")

    source, ends = PatternSource(64, 64, 30), []
    source.start(gone, None, ends.append)
    assert source.done.wait(5)
    assert ends == [None]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_in_the_callback_is_told_not_hidden() -> None:
    def faulty(frame: Frame) -> None:
        raise KeyError("a fault")

    source, ends = PatternSource(64, 64, 30), []
    source.start(faulty, None, ends.append)
    assert source.done.wait(5)
    source.stop()
    assert isinstance(source.error, SourceClosed)
    assert ends == [source.error]


@pytest.mark.parametrize("wrong", [{"width_px": 0}, {"height_px": 20}, {"rate_hz": 0}, {"width_px": 9000}])
def test_impossible_wishes_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        PatternSource(**wrong)


def test_a_source_runs_once() -> None:
    source = PatternSource(64, 64, 30, count=1)
    run(source)
    with pytest.raises(RuntimeError, match="make a new one"):
        source.start(lambda frame: None)
