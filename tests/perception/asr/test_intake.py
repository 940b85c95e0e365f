"""Windows of 16 kHz do not depend on how the sound was split, and tell truly when they were."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.asr.intake import WINDOW, Intake, Window
from realtime.core.clock import NS_PER_S
from realtime.core.frame import AudioChunk, Stamp


def chunk(samples: np.ndarray, at: int = 0, rate: int = 48_000, source: str = "mic") -> AudioChunk:
    captured_ns = at * NS_PER_S // rate
    return AudioChunk(Stamp(source, 0, at, Fraction(1, rate), captured_ns), samples.astype(np.float32), rate)


def taken(intake: Intake, samples: np.ndarray, cuts: Sequence[int] = (), rate: int = 48_000) -> list[Window]:
    edges = [0, *sorted(cuts), len(samples)]
    chunks = [chunk(samples[a:b], a, rate) for a, b in pairwise(edges)]
    return [window for one in chunks for window in intake.take(one)]


NOISE = np.random.default_rng(0).uniform(-0.3, 0.3, 48_000)


@given(st.lists(st.integers(0, len(NOISE)), max_size=30), st.sampled_from([8_000, 16_000, 44_100, 48_000]))
@settings(max_examples=25, deadline=None)
def test_the_split_changes_nothing(cuts: list[int], rate: int) -> None:
    whole, split = taken(Intake(), NOISE, rate=rate), taken(Intake(), NOISE, cuts, rate)
    assert len(whole) == len(split) >= 48_000 * 16_000 // rate // WINDOW - 1
    for one, other in zip(whole, split, strict=True):
        assert np.array_equal(one.samples, other.samples)
        assert one.begin_s == other.begin_s


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_a_tone_stays_the_same_tone_at_the_same_time(rate: int) -> None:
    times_s = np.arange(2 * rate) / rate
    tone = np.where(times_s > 1.0, np.sin(2 * np.pi * 1000 * times_s), 0.0)
    windows = taken(Intake(), tone, range(0, 2 * rate, rate // 50), rate)
    heard = np.concatenate([one.samples for one in windows])
    begin_s = windows[0].begin_s + int(np.argmax(np.abs(heard) > 0.1)) / 16_000
    assert begin_s == pytest.approx(1.0, abs=0.001)
    spectrum = np.abs(np.fft.rfft(heard[-8192:] * np.hanning(8192)))
    assert np.argmax(spectrum) * 16_000 / 8192 == pytest.approx(1000, abs=3)
    assert np.abs(heard[-8192:]).max() == pytest.approx(1.0, abs=0.02)


def test_what_lies_above_8_khz_is_not_folded_down() -> None:
    hiss = np.sin(2 * np.pi * 11_000 * np.arange(48_000) / 48_000)
    heard = np.concatenate([one.samples for one in taken(Intake(), hiss)][2:])
    assert np.abs(heard).max() < 0.001


def test_a_short_gap_becomes_silence_and_a_long_one_a_new_beginning() -> None:
    ones = np.full(48_000, 0.5)
    intake = Intake(max_gap_s=0.5)
    first = [*intake.take(chunk(ones, 0)), *intake.take(chunk(ones, 48_000 + 9_600))]  # 0.2 s are lost
    assert intake.filled_s == pytest.approx(0.2)
    heard = np.concatenate([one.samples for one in first])
    assert np.allclose(heard[16_000 + 200 : 16_000 + 3_000], 0.0, atol=1e-3)
    assert [one.is_first for one in first] == [True] + [False] * (len(first) - 1)
    later = list(intake.take(chunk(ones, 10 * 48_000)))
    assert later[0].is_first
    assert later[0].begin_s == pytest.approx(10.0)


def test_sound_told_twice_is_heard_once_and_another_source_begins_anew() -> None:
    intake = Intake()
    once = [*intake.take(chunk(NOISE, 0)), *intake.take(chunk(NOISE[24_000:], 24_000))]
    assert np.array_equal([w.samples for w in once], [w.samples for w in taken(Intake(), NOISE)])
    assert next(intake.take(chunk(NOISE, 48_000, source="file"))).is_first


def test_too_loud_and_broken_samples_do_no_harm() -> None:
    broken = np.full(48_000, 7.0)
    broken[1000:1100] = np.nan
    heard = np.concatenate([one.samples for one in taken(Intake(), broken, rate=16_000)])
    assert heard.max() == 1.0
    assert np.isfinite(heard).all()


def test_windows_say_when_they_were_captured() -> None:
    windows = taken(Intake(), NOISE, range(0, 48_000, 960))
    for one in windows:  # a chunk of 20 ms and the filter's own delay
        assert 0.0 <= one.captured_ns / NS_PER_S - one.end_s < 0.0225
