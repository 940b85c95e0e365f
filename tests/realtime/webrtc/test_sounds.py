"""Sound of one peer: exact times in, steady times out, and a flash and a click that stay together."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc import RTCSessionDescription
from aiortc.codecs.opus import OpusDecoder, OpusEncoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtcrtpsender import RTCRtpSender

from realtime.core.channel import Channel, Drop
from realtime.core.clock import NS_PER_S, ManualClock
from realtime.core.frame import SOUND_RATE_HZ, AudioChunk, Stamp
from realtime.link import Ends
from realtime.webrtc import tuning
from realtime.webrtc.peer import Peer
from realtime.webrtc.sounds import SoundIn, SoundTrack
from tests.realtime.webrtc.client import Client

RATE = SOUND_RATE_HZ


def chunk(pts: int, samples: np.ndarray | None = None) -> AudioChunk:
    made = np.zeros(960, np.float32) if samples is None else samples.astype(np.float32)
    return AudioChunk(Stamp("line", pts // 960, pts, Fraction(1, RATE), pts * NS_PER_S // RATE), made, RATE)


class Packets(MediaStreamTrack):
    """Give decoded packets of 20 ms at the numbers given, then end."""

    kind = "audio"

    def __init__(self, numbers: list[int], clock: ManualClock, rate_hz: int = RATE) -> None:
        super().__init__()
        self._numbers = iter(numbers)
        self._clock = clock
        self._rate_hz = rate_hz

    async def recv(self) -> av.AudioFrame:
        number = next(self._numbers, None)
        if number is None:
            raise MediaStreamError
        count = self._rate_hz // 50
        frame = av.AudioFrame.from_ndarray(np.full((1, 2 * count), number, np.int16), "s16", "stereo")
        frame.sample_rate, frame.pts = self._rate_hz, number * count
        frame.time_base = Fraction(1, self._rate_hz)
        self._clock.advance(ns=(number + 1) * NS_PER_S // 50 - self._clock.now_ns())
        return frame


async def taken(numbers: list[int], rate_hz: int = RATE) -> list[AudioChunk]:
    got: list[AudioChunk] = []
    clock, ended = ManualClock(), asyncio.Event()
    loop = asyncio.get_running_loop()
    sound = SoundIn(
        Packets(numbers, clock, rate_hz),
        source="mic",
        on_audio=got.append,
        on_error=lambda error: pytest.fail(str(error)),
        on_ended=lambda clean: loop.call_soon_threadsafe(ended.set),
        clock=clock,
    )
    async with asyncio.timeout(10):
        await ended.wait()
    await sound.stop()
    return got


async def test_times_are_exact_over_losses() -> None:
    numbers = [0, 1, 3, 4, 6, 7, 20, 21]
    got = await taken(numbers)
    assert [one.stamp.pts // 960 for one in got] == numbers
    assert [one.stamp.captured_ns for one in got] == [number * NS_PER_S // 50 for number in numbers]
    assert [round(float(one.samples[0]) * 32_768) for one in got] == numbers
    assert {(len(one.samples), one.sample_rate) for one in got} == {(960, RATE)}


async def test_another_rate_is_made_48_khz() -> None:
    got = await taken([*range(30), *range(40, 50)], 8000)
    gaps = [
        after.stamp.pts - before.stamp.pts - len(before.samples) for before, after in itertools.pairwise(got)
    ]
    assert [round(gap / 960) for gap in gaps if gap] == [10]
    assert {one.sample_rate for one in got} == {RATE}


async def test_the_track_sends_what_is_released_at_its_own_times() -> None:
    line: Channel[AudioChunk] = Channel("sound", 10, Drop.OLDEST)
    track = SoundTrack(line)
    line.put(chunk(0))
    waiting = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    assert len(line) == 0  # too old to be sent
    for number in (5, 6, 9):
        line.put(chunk(number * 960, np.full(960, 2.0 if number == 6 else -0.5)))
    frames = [await waiting, await track.recv(), await track.recv()]
    assert [frame.pts // 960 for frame in frames] == [0, 1, 4]
    assert [int(frame.to_ndarray()[0, 0]) for frame in frames] == [-16_384, 32_767, -16_384]
    assert {(frame.sample_rate, frame.layout.name) for frame in frames} == {(RATE, "mono")}
    line.close()
    with pytest.raises(MediaStreamError):
        await track.recv()
    assert track.readyState == "ended"


def test_the_encoder_keeps_times_over_pauses() -> None:
    """A pause moves RTP time on; else the browser would take what follows for late."""
    tuning.apply()
    encoder, decoder = OpusEncoder(), OpusDecoder()
    times = []
    for number in [*range(5), *range(20, 25)]:
        frame = av.AudioFrame.from_ndarray(np.full((1, 960), 1000, np.int16), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, number * 960, Fraction(1, RATE)
        payloads, at = encoder.encode(frame)
        times += [at + 960 * i for i in range(len(payloads))]
        for payload in payloads:
            decoder.decode(JitterFrame(payload, at))
    assert [at // 960 for at in times] == [*range(5), *range(20, 25)]


@pytest.mark.parametrize(("direction", "sends", "hears"), [
    ("sendrecv", True, True), ("recvonly", True, False), ("sendonly", False, True), ("", False, False),
])  # fmt: skip
async def test_sound_is_sent_only_to_who_offers_to_hear(direction: str, sends: bool, hears: bool) -> None:
    sound: Channel[AudioChunk] = Channel("sound", 10)
    peer = Peer(Ends(painted=Channel("painted"), sound=sound, on_audio=lambda one: None))
    client = Client(None, control=False)
    if direction:
        client.pc.addTransceiver("audio", direction=direction)
    answer = await client.connect(peer)
    parts = answer.split("m=")[1:]
    spoken = next((part for part in parts if part.startswith("audio")), "")
    got = next((line for line in spoken.splitlines() if line in ALL_DIRECTIONS), "")
    assert got == {(1, 1): "a=sendrecv", (1, 0): "a=sendonly", (0, 1): "a=recvonly", (0, 0): ""}[sends, hears]
    streams = {line.split()[0] for part in parts for line in part.splitlines() if line.startswith("a=msid:")}
    names = {line.split("cname:")[1] for line in answer.splitlines() if "cname:" in line}
    assert len(streams) == len(names) == 1  # one stream and one clock, so receivers keep them in step
    await client.close()
    await peer.close()


ALL_DIRECTIONS = {f"a={one}" for one in ("sendrecv", "sendonly", "recvonly", "inactive")}


async def test_sound_that_is_offered_later_is_answered_too() -> None:
    sound: Channel[AudioChunk] = Channel("sound", 10)
    peer = Peer(Ends(painted=Channel("painted"), sound=sound))
    client = Client(None)
    await client.connect(peer)
    await client.control_open()
    client.pc.addTransceiver("audio", direction="recvonly")
    answer = await peer.answer(await client.offer())
    await client.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    assert "m=audio" in answer
    assert "a=sendonly" in answer.split("m=audio")[1]
    await client.close()
    await peer.close()


def test_sender_reports_tie_sound_and_pictures_to_one_clock() -> None:
    """What `SoundTrack` leans on in aiortc: a report pairs RTP time with the time of sending."""
    source = inspect.getsource(RTCRtpSender._run_rtp)
    assert "self.__ntp_timestamp = clock.current_ntp_time()" in source
    assert "self.__rtp_timestamp = packet.timestamp" in source
