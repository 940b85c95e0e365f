"""A client over a socket in memory: round trips, losses, silence, and what hostile bytes are told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime.core.channel import Channel
from realtime.core.clock import ManualClock
from realtime.core.errors import ConfigError
from realtime.core.frame import AudioChunk, Frame, Stamp
from realtime.link import Ends
from realtime.sources.mark import read_mark
from realtime.sources.pattern import pattern_picture
from realtime.websocket import intake as intake_module
from realtime.websocket import link as link_module
from realtime.websocket.link import SocketLink
from realtime.websocket.pictures import PictureDecoder, PictureEncoder
from realtime.websocket.sound import SoundDecoder, SoundEncoder
from realtime.websocket.wire import HEADER, POLICY, TOO_BIG, UNSUPPORTED, Codec, Kind, Packet, pack
from tests.realtime.websocket.pair import Client, pair
from tests.realtime.websocket.test_sizes import patched_sps

SIDE = 96


class Studio:
    """The session's side: paints by inverting, remembers states and messages."""

    def __init__(self, **ends: Any) -> None:
        self.painted: Channel[Frame] = Channel("painted")
        self.states: list[str] = []
        self.messages: list[dict[str, Any]] = []
        self.frames: list[Frame] = []
        self.refuses = False
        self.ends = Ends(
            name="test",
            painted=self.painted,
            on_frame=self.paint,
            on_message=self.hear,
            on_state=lambda state: self.tell(self.states.append, state),
            **ends,
        )
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def tell(self, take: Callable[[Any], object], item: Any) -> None:
        """Let `take` have `item`, from any thread, and wake who waits in `until`."""
        take(item)
        self._loop.call_soon_threadsafe(self._news.set)

    def keep(self, frame: Frame) -> None:
        self.tell(self.frames.append, frame)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def paint(self, frame: Frame) -> None:
        self.keep(frame)
        self.painted.put(Frame(frame.stamp, 255 - frame.pixels))

    def hear(self, message: dict[str, Any]) -> None:
        if self.refuses:
            raise ConfigError("That cannot be.", hint="Choose another.")
        self.messages.append(message)


@asynccontextmanager
async def linked(
    studio: Studio, takes: tuple[str, ...] = ("h264",), greet: bool = True
) -> AsyncIterator[tuple[Client, SocketLink]]:
    """Run a link of `studio` with a client at its other end."""
    server, end = pair()
    link = SocketLink(server, studio.ends)
    running = asyncio.create_task(link.run())
    client = Client(end, takes)
    if greet:
        await client.hello()
    try:
        yield client, link
    finally:
        await link.close()
        await running
        client.stop()


def stream(encoder: PictureEncoder, number: int, **order: Any) -> tuple[bytes, bool]:
    made = encoder.encode(
        pattern_picture(number, SIDE, SIDE), number * 33_333, bitrate_bps=1_000_000, **order
    )
    return made.data, made.is_key


def shown(packets: list[Packet]) -> list[int | None]:
    decoder = PictureDecoder()
    pictures = [decoder.decode(packet) for packet in packets]
    return [read_mark(one.to_ndarray(format="rgb24")) for one in pictures if one is not None]


@pytest.mark.parametrize("codec", ["h264", "jpeg"])
async def test_pictures_go_in_and_come_back_painted(codec: str) -> None:
    studio = Studio()
    async with linked(studio, (codec,)) as (client, link):
        encoder = PictureEncoder(link_module.CODECS[codec])
        for number in range(12):
            data, is_key = stream(encoder, number)
            await client.send(data, number, is_key=is_key, codec=encoder.codec)
            await client.until(lambda n=number: len(client.pictures) > n)
        assert client.acks == list(range(12)), "each picture is acknowledged once, in order"
        assert [read_mark(frame.pixels) for frame in studio.frames] == list(range(12))
        assert shown(client.pictures) == list(range(12))
        assert [packet.seq for packet in client.pictures] == list(range(12))
        if codec == "h264":
            assert [packet.is_key for packet in client.pictures] == [True] + 11 * [False]
        assert studio.states == ["connecting", "connected"]
        seen = link.stats()
        assert (seen.frames_in, seen.frames_out, seen.dropped_before_intake) == (12, 12, 0)
        assert 0 < seen.age_at_send_ms_p50 < 1000
    assert studio.states == ["connecting", "connected", "closed"]
    assert client.end.closed_with == 1000


async def test_a_stamp_is_of_the_arrival_and_carries_the_senders_time() -> None:
    studio = Studio(size_px=64)
    async with linked(studio) as (client, link):
        data, is_key = stream(PictureEncoder(Codec.H264), 7)
        await client.send(data, 7, is_key=is_key)
        await studio.until(lambda: studio.frames)
        stamp = studio.frames[0].stamp
        assert stamp.time_s == pytest.approx(7 / 30, abs=1e-4)
        assert studio.frames[0].pixels.shape == (64, 64, 3)
        await client.until(lambda: {"type": "size", "size_px": 64} in client.events)
        link.resize(32)
        await client.until(lambda: {"type": "size", "size_px": 32} in client.events)
        data, is_key = stream(PictureEncoder(Codec.H264), 8)
        await client.send(data, 8, is_key=is_key)
        await studio.until(lambda: len(studio.frames) == 2)
        assert studio.frames[1].pixels.shape == (32, 32, 3)


async def test_all_are_decoded_but_only_the_newest_is_converted() -> None:
    studio = Studio()
    first = asyncio.Event()
    loop = asyncio.get_running_loop()
    hold = threading.Event()

    def slow(frame: Frame) -> None:
        studio.keep(frame)
        loop.call_soon_threadsafe(first.set)
        assert hold.wait(10)

    studio.ends = replace(studio.ends, on_frame=slow)
    async with linked(studio) as (client, link):
        encoder = PictureEncoder(Codec.H264)
        data, is_key = stream(encoder, 0)
        await client.send(data, 0, is_key=is_key)
        await first.wait()
        for number in range(1, 10):
            data, is_key = stream(encoder, number)
            await client.send(data, number, is_key=is_key)
        await client.end.send(json.dumps({"type": "ping", "sent_ms": 0}))
        await client.until(lambda: any(event["type"] == "pong" for event in client.events))
        hold.set()
        await studio.until(lambda: len(studio.frames) == 2)
        assert [read_mark(frame.pixels) for frame in studio.frames] == [0, 9]
        assert link.stats().dropped_before_intake == 8


async def test_no_more_are_under_way_than_the_window_and_the_newest_goes_next() -> None:
    studio = Studio()
    async with linked(studio) as (client, _):
        client.acknowledges = False
        for number in range(40):
            stamp = Stamp("s", number, number, Fraction(1, 30), studio.ends.clock.now_ns())
            studio.painted.put(Frame(stamp, pattern_picture(number, SIDE, SIDE)))
            await asyncio.sleep(0.01)
        assert len(client.pictures) == link_module.Pace().window(0)
        assert studio.painted.stats().dropped == 40 - len(client.pictures) - 1
        await client.end.send(pack(Packet(Kind.ACK, seq=client.pictures[-1].seq)))
        before = len(client.pictures)
        await client.until(lambda: len(client.pictures) > before)
        assert shown(client.pictures)[-1] == 39
        assert not client.pictures[-1].is_key, "what was dropped before encoding costs no key picture"


async def test_a_damaged_picture_brings_a_wish_for_a_key_and_then_all_is_well() -> None:
    studio = Studio()
    async with linked(studio) as (client, _):
        encoder = PictureEncoder(Codec.H264)
        await client.send(*stream(encoder, 0)[:1], 0, is_key=True)
        await studio.until(lambda: studio.frames)
        await client.send(b"\x00\x00\x01\x41" + bytes(range(1, 200)), 1, is_key=False)
        await client.send(*stream(encoder, 2)[:1], 2, is_key=False)
        await client.until(lambda: client.acks == [0, 1, 2])
        await client.until(lambda: client.keys_wanted == 1)
        await client.send(*stream(encoder, 3, wants_key=True)[:1], 3, is_key=True)
        await studio.until(lambda: read_mark(studio.frames[-1].pixels) == 3)
        await client.until(lambda: client.acks == [0, 1, 2, 3])
        assert client.closed is None


async def test_the_client_gets_a_key_picture_when_it_asks() -> None:
    studio = Studio()
    async with linked(studio) as (client, _):

        async def painted(number: int) -> Packet:
            stamp = Stamp("s", number, number, Fraction(1, 30), studio.ends.clock.now_ns())
            studio.painted.put(Frame(stamp, pattern_picture(number, SIDE, SIDE)))
            await client.until(lambda: len(client.pictures) == number + 1)
            return client.pictures[-1]

        assert (await painted(0)).is_key
        assert not (await painted(1)).is_key
        await client.end.send(pack(Packet(Kind.WANT_KEY)))
        assert (await painted(2)).is_key
        assert not (await painted(3)).is_key


async def test_sound_goes_both_ways() -> None:
    heard: list[AudioChunk] = []
    sound: Channel[AudioChunk] = Channel("sound", capacity=50)
    studio = Studio(on_audio=lambda chunk: studio.tell(heard.append, chunk), sound=sound)
    tone = np.sin(np.arange(48_000) * 2 * np.pi * 440 / 48_000).astype(np.float32) / 2
    async with linked(studio) as (client, link):
        for seq, (data, at) in enumerate(SoundEncoder().encode(tone)):
            pts_us = at * 1_000_000 // 48_000
            await client.end.send(pack(Packet(Kind.SOUND, Codec.OPUS, seq, pts_us, data, True)))
        for at in range(0, 48_000, 1600):
            sound.put(AudioChunk(Stamp("s", at, at, Fraction(1, 48_000), 0), tone[at : at + 1600], 48_000))
        await client.until(lambda: len(client.sound) == 50)
        await studio.until(lambda: len(heard) == 50)
        assert link.stats().sound_packets_in == 50
    decoder = SoundDecoder()
    back = np.concatenate([decoder.decode(bytes(packet.payload)) for packet in client.sound])
    there = np.concatenate([chunk.samples for chunk in heard])
    assert [chunk.stamp.pts for chunk in heard] == list(range(0, 48_000, 960))
    for got in (back, there):
        assert got.dtype == np.float32
        spectrum = np.abs(np.fft.rfft(got[9600:33_600] * np.hanning(24_000)))
        assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=4)


async def test_events_come_from_any_thread_and_messages_reach_the_session() -> None:
    studio = Studio()
    async with linked(studio) as (client, link):
        await asyncio.to_thread(link.send, {"type": "notice", "message": "hello"})
        await client.end.send(json.dumps({"type": "ping", "sent_ms": 5}))
        await client.until(lambda: {"notice", "path", "pong"} <= {event["type"] for event in client.events})
        assert {"type": "pong", "sent_ms": 5} in client.events
        assert studio.messages == [{"type": "ping", "sent_ms": 5}]
        studio.refuses = True
        await client.end.send(json.dumps({"type": "settings", "settings": {}}))
        await client.until(lambda: any(event["type"] == "error" for event in client.events))
        assert client.closed is None, "a wrong setting is told, and is no reason to go"


async def test_the_end_of_the_session_is_the_end_of_the_link() -> None:
    studio = Studio()
    async with linked(studio) as (client, _):
        await client.until(lambda: client.events)
        studio.painted.close()
        await client.until(lambda: client.closed is not None)
        assert client.closed == 1000
    assert studio.states[-1] == "closed"


@pytest.mark.parametrize("steps", range(1, 12))
async def test_it_ends_wherever_its_server_is_cancelled(steps: int) -> None:
    server, end = pair()
    link = SocketLink(server, Studio(on_audio=lambda chunk: None).ends)
    running = asyncio.create_task(link.run())
    client = Client(end)
    await client.hello()
    await end.close(1000, "")
    for _ in range(steps):
        await asyncio.sleep(0)
    running.cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(running, return_exceptions=True)
        await link.close()
    assert link.state == "closed"
    client.stop()


async def test_a_client_that_goes_is_a_loss_unless_it_says_goodbye() -> None:
    for code, expected in ((1006, "failed"), (1001, "closed"), (1000, "closed")):
        studio = Studio()
        async with linked(studio) as (client, _):
            await client.until(lambda client=client: client.events)
            await client.end.close(code, "")
            await studio.until(lambda studio=studio: studio.states[-1] == "closed")
        assert ("failed" in studio.states) == (expected == "failed"), code


async def test_a_silent_client_is_gone_after_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "BEAT_S", 0.01)
    clock = ManualClock(10**9)
    studio = Studio(clock=clock)
    async with linked(studio) as (client, _):
        for _ in range(8):
            count = len(client.events)
            clock.advance(ms=900)
            await client.until(lambda count=count: len(client.events) > count + 2)
        assert client.closed is None, "it answers pings"
        client.answers = False
        clock.advance(ms=5100)
        await client.until(lambda: client.closed is not None)
    assert studio.states[-2:] == ["failed", "closed"]


def sps_bomb() -> bytes:
    data = b"\x00\x00\x01" + patched_sps(1000, 1000) + b"\x00\x00\x01\x65\x88"
    return pack(Packet(Kind.PICTURE, Codec.H264, 0, 0, data, True, 64, 64))


HOSTILE: list[tuple[Callable[[], str | bytes], int]] = [
    (lambda: b"short", UNSUPPORTED),
    (lambda: b"\x09" * HEADER.size, UNSUPPORTED),
    (lambda: bytes(2_000_000), TOO_BIG),
    (sps_bomb, POLICY),
    (lambda: pack(Packet(Kind.PICTURE, Codec.JPEG, 0, 0, b"no jpeg", True, 64, 64)), UNSUPPORTED),
    (lambda: pack(Packet(Kind.PICTURE, Codec.H264, 0, 0, b"x", True, 9000, 9000)), POLICY),
    (lambda: "no json", UNSUPPORTED),
    (lambda: "[" * 10_000, UNSUPPORTED),
    (lambda: "[1, 2]", UNSUPPORTED),
    (lambda: json.dumps({"type": "x" * 20_000}), TOO_BIG),
    (lambda: json.dumps({"type": "hello", "takes": ["h264"]}), UNSUPPORTED),
]


@pytest.mark.parametrize(("message", "code"), HOSTILE)
async def test_what_cannot_be_is_told_and_closed(message: Callable[[], str | bytes], code: int) -> None:
    studio = Studio()
    async with linked(studio) as (client, link):
        await client.until(lambda: client.events)
        await client.end.send(message())
        await client.until(lambda: client.closed is not None)
        assert client.closed == code
        told = [event for event in client.events if event["type"] == "error"]
        assert len(told) == 1
        assert told[0]["message"].endswith((".", "!"))
        assert link.stats().messages_refused == 1


async def test_a_hello_that_names_no_known_codec_is_refused() -> None:
    for takes in ((), ("av1",)):
        async with linked(Studio(), takes) as (client, _):
            await client.until(lambda client=client: client.closed is not None)
            assert client.closed == UNSUPPORTED


async def test_a_stream_of_rubbish_is_ended() -> None:
    async with linked(Studio()) as (client, _):
        for seq in range(intake_module.MOST_ERRORS + 2):
            rubbish = b"\x00\x00\x01" + patched_sps(4, 4) + b"\x00\x00\x01\x65" + bytes([seq]) * 50
            await client.send(rubbish, seq, is_key=True)
        await client.until(lambda: client.closed is not None)
        assert client.closed == UNSUPPORTED


async def test_a_flood_of_small_messages_is_ended() -> None:
    clock = ManualClock()
    async with linked(Studio(clock=clock)) as (client, _):
        await client.until(lambda: client.events)
        for _ in range(2):
            for seq in range(link_module.MOST_PER_S - 10):
                await client.end.send(pack(Packet(Kind.ACK, seq=seq)))
            clock.advance(ms=1001)
        assert client.closed is None
        for seq in range(link_module.MOST_PER_S + 1):
            if client.closed is None:
                await client.end.other.incoming.put(pack(Packet(Kind.ACK, seq=seq)))
        await client.until(lambda: client.closed is not None)
        assert client.closed == POLICY


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=60), st.text(max_size=40)), min_size=1, max_size=6))
def test_no_message_is_a_fault_in_the_program(
    caplog: pytest.LogCaptureFixture, messages: list[str | bytes]
) -> None:
    async def story() -> None:
        studio = Studio()
        async with linked(studio) as (client, _):
            await client.until(lambda: client.events)
            for message in messages:
                await client.end.other.incoming.put(message)
            await client.until(lambda: client.closed is not None)
            assert client.closed in (UNSUPPORTED, POLICY, TOO_BIG)

    caplog.clear()
    asyncio.run(story())
    assert not caplog.records
