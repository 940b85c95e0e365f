"""Sound leaves with the pictures of the same moment, whatever they take, and never grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from realtime.core.clock import NS_PER_MS, NS_PER_S
from realtime.core.frame import SOUND_RATE_HZ, AudioChunk, Stamp
from realtime.sound import CHUNK, SoundLine

RATE = SOUND_RATE_HZ
Voice = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]]


def hum(at: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return 0.3 * np.sin(2 * np.pi * 220 * at / RATE)


def speech(at: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """A hum with a pause of 100 ms in each half second."""
    return hum(at) * (at % (RATE // 2) > RATE // 10)


def silence(at: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.zeros(len(at))


def piece(seq: int, voice: Voice = hum, *, place: int | None = None, source: str = "mic") -> AudioChunk:
    """Sound number `seq` of a source whose sample 0 was captured at time 0, 20 ms each."""
    at = seq * CHUNK if place is None else place
    samples = voice(np.arange(at, at + CHUNK)).astype(np.float32)
    return AudioChunk(Stamp(source, seq, at, Fraction(1, RATE), at * NS_PER_S // RATE), samples, RATE)


class World:
    """A microphone, a painter and a clock of their own: `released` holds (time, chunk), all times in ms."""

    def __init__(self, line: SoundLine, voice: Voice = hum, seed: int = 1) -> None:
        self.line = line
        self.voice = voice
        self.random = np.random.default_rng(seed)
        self.now_ms = 0.0
        self.seq = 0
        self.age_ms: float | None = 60.0
        self.paint_jitter_ms = 0.0
        self.net_jitter_ms = 0.0
        self.lost: Callable[[int], bool] = lambda seq: False
        self.stalls: Callable[[int], float] = lambda seq: 0.0
        self.released: list[tuple[float, AudioChunk]] = []
        self.sent: list[tuple[float, float]] = []
        """Of each picture: when it was captured, how old it left."""
        self._pictures = 0
        self._coming: list[tuple[float, AudioChunk]] = []

    def run(self, seconds: float) -> World:
        """Go on, a millisecond a step."""
        for _ in range(round(1000 * seconds)):
            self.now_ms += 1
            self._sound()
            if self.age_ms is not None and self.now_ms >= 33 * self._pictures:
                self._pictures += 1
                age_ms = max(1.0, self.age_ms + self.paint_jitter_ms * self.random.uniform(-1, 1))
                self.sent.append((self.now_ms - age_ms, age_ms))
                self.line.painted(age_ms)
            while (chunk := self.line.take(self._ns)) is not None:
                self.released.append((self.now_ms, chunk))
        return self

    def _sound(self) -> None:
        while 20 * (self.seq + 1) <= self.now_ms:
            if not self.lost(self.seq):
                late_ms = self.net_jitter_ms * self.random.uniform() + self.stalls(self.seq)
                self._coming.append((self.now_ms + late_ms, piece(self.seq, self.voice)))
            self.seq += 1
        while self._coming and self._coming[0][0] <= self.now_ms:
            self.line.put(self._coming.pop(0)[1], self._ns)

    @property
    def _ns(self) -> int:
        return round(self.now_ms * NS_PER_MS)

    def errors_ms(self, since_ms: float, until_ms: float = float("inf")) -> npt.NDArray[np.float64]:
        """Sound's release minus the picture's, of the same moment of capture; positive: sound is late."""
        at, ages = np.array(self.sent).T
        captured, delays = np.array(
            [
                (c.stamp.captured_ns / NS_PER_MS, now - c.stamp.captured_ns / NS_PER_MS)
                for now, c in self.released
            ]
        ).T
        chosen = (captured >= since_ms) & (captured <= min(until_ms, at.max()))
        return delays[chosen] - np.interp(captured[chosen], at, ages)

    def heard(self, since_ms: float = 0.0) -> npt.NDArray[np.float32]:
        return np.concatenate([c.samples for now, c in self.released if now >= since_ms])


def p95(errors_ms: npt.NDArray[np.float64]) -> float:
    return float(np.quantile(np.abs(errors_ms), 0.95))


@pytest.mark.parametrize("voice", [hum, speech, silence])
@pytest.mark.parametrize("age_ms", [60.0, 150.0, 400.0])
def test_sound_leaves_with_the_picture_of_its_moment(voice: Voice, age_ms: float) -> None:
    world = World(SoundLine(), voice)
    world.age_ms, world.paint_jitter_ms, world.net_jitter_ms = age_ms, 25.0, 15.0
    assert p95(world.run(20).errors_ms(3000)) <= 40


@pytest.mark.parametrize("voice", [hum, speech, silence])
@pytest.mark.parametrize(("before_ms", "after_ms"), [(60.0, 300.0), (300.0, 60.0), (100.0, 900.0)])
def test_it_follows_a_step_within_three_seconds(voice: Voice, before_ms: float, after_ms: float) -> None:
    world = World(SoundLine(), voice)
    world.age_ms, world.paint_jitter_ms, world.net_jitter_ms = before_ms, 20.0, 10.0
    world.run(10)
    world.age_ms = after_ms
    world.run(12)
    assert p95(world.errors_ms(5000, 9500)) <= 40
    assert p95(world.errors_ms(13_000)) <= 40
    assert abs(np.median(world.errors_ms(16_000))) <= 20


def test_a_quick_painter_does_not_starve_the_sound() -> None:
    """Sound is 20 ms long and comes irregularly: it cannot leave after 5 ms, and need not be late by much."""
    world = World(SoundLine())
    world.age_ms, world.net_jitter_ms = 5.0, 10.0
    world.run(20)
    late_ms = world.errors_ms(3000)
    assert p95(late_ms) <= 55
    at = np.array([now for now, _ in world.released if now > 6000])
    assert np.diff(at).max() <= 30  # no gaps


def test_one_long_wait_for_sound_is_made_up_for() -> None:
    """A packet that is 150 ms late, once, must not keep the rest late for seconds."""
    world = World(SoundLine(), speech)
    world.run(5)
    world.stalls = lambda seq: 150.0 if seq == 250 else 0.0
    world.run(8)
    assert p95(world.errors_ms(6500)) <= 40


def test_what_is_left_out_or_repeated_is_not_heard() -> None:
    """A join in a hum is no louder in what is not the hum than a thousandth of it."""
    world = World(SoundLine())
    world.run(5)
    world.age_ms = 300.0
    world.run(5)
    world.age_ms = 60.0
    line = world.run(5).heard(1000)
    assert np.abs(np.diff(line)).max() < 1.3 * np.abs(np.diff(hum(np.arange(RATE)))).max()
    power = np.abs(np.fft.rfft(line * np.hanning(len(line)))) ** 2
    hz = np.fft.rfftfreq(len(line), 1 / RATE)
    assert power[(hz > 440)].sum() < 1e-3 * power.sum()


def test_an_even_delay_leaves_every_sample_as_it_is() -> None:
    world = World(SoundLine(), speech)
    line = world.run(10).heard(2000)
    first = next(c for now, c in world.released if now >= 2000)
    place = round(first.stamp.captured_ns * RATE / NS_PER_S)
    assert np.abs(line - speech(np.arange(place, place + len(line)))).max() < 1e-6
    numbers = [c.stamp.seq for _, c in world.released]
    assert numbers == list(range(len(numbers)))
    assert set(np.diff([c.stamp.pts for _, c in world.released])) == {CHUNK}


def test_lost_packets_are_silence_and_the_rest_stays_in_step() -> None:
    world = World(SoundLine())
    world.lost = lambda seq: seq % 25 == 0
    world.run(10)
    assert p95(world.errors_ms(3000)) <= 40
    line = world.heard(2000)
    is_silent = np.abs(line.reshape(-1, CHUNK)).max(axis=1) < 0.29
    assert 0.02 < is_silent.mean() < 0.1
    assert len(line) / RATE == pytest.approx(8, abs=0.1)


def test_sound_goes_on_without_pictures() -> None:
    world = World(SoundLine())
    world.age_ms = 200.0
    world.run(5)
    world.age_ms = None
    world.run(10)
    at = [now for now, _ in world.released if now > 4000]
    assert np.diff(at).max() <= 21
    assert world.line.delay_ms == pytest.approx(200, abs=20)
    never = World(SoundLine())
    never.age_ms = None
    assert len(never.run(3).released) > 140


def test_sound_waits_no_longer_than_it_may_and_tells() -> None:
    world = World(SoundLine(max_delay_ms=250))
    world.age_ms = 100.0
    world.run(3)
    assert world.line.ahead_ms == 0
    world.age_ms = 700.0
    world.run(8)
    assert world.line.ahead_ms == pytest.approx(450)
    assert world.line.delay_ms == pytest.approx(250, abs=20)


def test_a_microphone_that_pauses_begins_anew() -> None:
    world = World(SoundLine(), speech)
    world.lost = lambda seq: 200 <= seq < 400
    world.run(12)
    assert p95(world.errors_ms(8500)) <= 40
    pts = [c.stamp.pts for _, c in world.released]
    steps = np.diff(pts)
    assert min(steps) >= CHUNK
    assert sum(steps > CHUNK) <= 2
    assert (pts[-1] - pts[0]) / RATE == pytest.approx(
        (world.released[-1][0] - world.released[0][0]) / 1000, abs=0.03
    )


def test_another_source_takes_over() -> None:
    line = SoundLine()
    for seq in range(10):
        line.put(piece(seq), seq * 20 * NS_PER_MS)
    line.put(piece(3, source="other", place=99), 200 * NS_PER_MS)
    assert line.held == CHUNK
    taken = list(drained(line, 2000 * NS_PER_MS))
    assert [chunk.stamp.source for chunk in taken] == ["other"]
    assert taken[0].stamp.pts >= 0


def drained(line: SoundLine, now_ns: int) -> Iterator[AudioChunk]:
    while (chunk := line.take(now_ns)) is not None:
        yield chunk


def test_nothing_grows_when_nobody_takes_or_the_clocks_differ() -> None:
    line = SoundLine()
    for seq in range(1000):
        line.put(piece(seq), seq * 20 * NS_PER_MS)
        assert line.held <= 1.5 * RATE + 2 * CHUNK
    assert line.dropped > 0
    assert line.due_ns is not None
    line.clear()
    assert line.held == 0
    assert line.due_ns is None


def test_an_hour_holds_no_more_than_a_minute() -> None:
    """A microphone whose clock is 200 ppm fast, a painter that wavers: 180 000 chunks."""
    line, random = SoundLine(), np.random.default_rng(3)
    fixed = piece(0)
    held: list[int] = []
    errors_ms: list[float] = []
    released = 0
    for seq in range(180_000):
        now_ns = round((seq + 1) * 20 * NS_PER_MS / 1.0002)
        captured_ns = now_ns - 20 * NS_PER_MS
        line.put(
            AudioChunk(Stamp("mic", seq, seq * CHUNK, Fraction(1, RATE), captured_ns), fixed.samples, RATE),
            now_ns,
        )
        if seq % 2:
            line.painted(150 + 50 * np.sin(seq / 3000) + random.uniform(-20, 20))
        for _ in drained(line, now_ns):
            released += 1
        held.append(line.held)
        if seq > 500:
            errors_ms.append((line.delay_ms or 0) - (line.age_ms or 0))
    assert max(held[1000:]) <= max(held[1000:3000]) + 4 * CHUNK
    assert p95(np.array(errors_ms)) <= 40
    assert released == pytest.approx(180_000 / 1.0002, rel=1e-3)
    assert line.dropped == 0
