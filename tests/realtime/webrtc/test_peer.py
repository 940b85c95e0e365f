"""Two peers in one process: pictures go in, painted ones come back, and what goes wrong stays contained."""

import asyncio
import concurrent.futures
import gc
import itertools
import statistics
import threading
import time
from collections.abc import Callable

import numpy as np
import psutil
import pytest

from realtime.core.channel import Channel
from realtime.core.errors import ConfigError, SessionError, UnsupportedMedia
from realtime.core.frame import AudioChunk, Frame
from realtime.core.planar import PlanarFrame
from realtime.link import Ends
from realtime.sources.mark import read_mark
from realtime.webrtc.offer import MAX_SDP_BYTES, check_offer, preferred_codecs
from realtime.webrtc.peer import Peer
from tests.realtime.webrtc.client import Client, NumberedCamera


def echo(codec: str = "h264", connect_timeout_s: float = 30.0, **ends) -> tuple[Peer, list[int | None]]:
    """A peer that sends back what comes in, and the numbers that it saw."""
    out: Channel[Frame] = Channel("painted")
    seen: list[int | None] = []

    def take(frame: Frame) -> None:
        seen.append(read_mark(frame.pixels))
        out.put(frame)

    return Peer(
        Ends(painted=out, on_frame=take, **{"size_px": 128, **ends}),
        codec=codec,
        connect_timeout_s=connect_timeout_s,
    ), seen


@pytest.mark.parametrize("codec", ["h264", "vp8", "offer"])
async def test_pictures_go_in_and_come_back(codec: str) -> None:
    states: list[str] = []
    peer, seen = echo(codec=codec, on_state=states.append)
    client = Client(NumberedCamera())
    answer = await client.connect(peer)
    await client.pictures(45)
    stats = peer.stats()
    await client.close()
    await peer.close()

    first = answer.split("m=video", 1)[1].split("a=rtpmap:", 1)[1].split("\r\n", 1)[0]
    assert {"h264": "H264", "vp8": "VP8", "offer": "VP8"}[codec] in first
    numbers = [number for number, _, _ in client.received]
    assert numbers.count(None) <= 2
    known = [n for n in numbers if n is not None]
    assert known == sorted(set(known))  # in order, nothing repeated
    assert set(known) <= set(seen)
    assert {size for _, _, size in client.received} == {(128, 128)}
    assert states[0] == "connecting"
    assert "connected" in states
    assert states[-1] == "closed"
    assert stats.frames_in >= stats.frames_out >= 45
    assert 0 < stats.age_at_send_ms_p50 <= stats.age_at_send_ms_p95 < 500


async def test_a_picture_that_only_passes_through_is_never_converted() -> None:
    out: Channel[Frame] = Channel("painted")
    frames: list[Frame] = []

    def take(frame: Frame) -> None:
        frames.append(frame)
        out.put(frame)

    peer = Peer(Ends(painted=out, on_frame=take))
    client = Client(NumberedCamera())
    await client.connect(peer)
    await client.pictures(10)
    await client.close()
    await peer.close()
    assert client.received[-1][0] is not None
    assert all(isinstance(frame, PlanarFrame) for frame in frames)
    assert not any(frame.planes.is_converted for frame in frames)  # type: ignore[attr-defined]


async def test_a_slow_painter_keeps_latency_flat_and_memory_bounded() -> None:
    """30 pictures a second into a stage of 60 ms: a queue anywhere would grow by 13 pictures a second."""
    inbox: Channel[Frame] = Channel("paint.in")
    out: Channel[Frame] = Channel("painted")
    stop = threading.Event()

    def paint() -> None:
        while not stop.wait(0.06):
            frame = inbox.poll()
            if frame is not None:
                out.put(frame)

    painter = threading.Thread(target=paint)
    painter.start()
    peer = Peer(Ends(painted=out, on_frame=inbox.put, size_px=128))
    client = Client(NumberedCamera())
    await client.connect(peer)
    await client.pictures(90, timeout_s=40)
    waiting = [receiver.track._queue.qsize() for receiver in peer._pc.getReceivers() if receiver.track]
    decoding = [receiver._RTCRtpReceiver__decoder_queue.qsize() for receiver in peer._pc.getReceivers()]
    stats = peer.stats()
    await client.close()
    await peer.close()
    stop.set()
    painter.join()

    ages = [age for number, age, _ in client.received if number is not None]
    early, late = statistics.median(ages[10:35]), statistics.median(ages[-25:])
    assert late < early + 60
    assert late < 300
    assert max(waiting) <= 3
    assert max(decoding) <= 3
    assert inbox.stats().depth <= 1
    assert inbox.stats().dropped + stats.dropped_before_intake > 50


async def test_a_track_that_nobody_paints_does_not_leak() -> None:
    peer = Peer(Ends(size_px=64))  # no on_frame, nothing to send back
    client = Client(NumberedCamera())
    answer = await client.connect(peer)
    await client.camera.until_sent(75)
    assert peer.stats().frames_in > 45
    assert peer._pc.getReceivers()[0].track._queue.qsize() <= 2
    assert "a=recvonly" in answer
    await client.close()
    await peer.close()


async def test_close_does_not_hang_when_no_picture_ever_comes() -> None:
    peer = Peer(Ends(painted=Channel("painted")))
    client = Client(None)
    await client.connect(peer)
    await client.control_open()
    begin = time.monotonic()
    await peer.close()
    await peer.close()
    assert time.monotonic() - begin < 1.0
    assert peer.state == "closed"
    await client.close()


async def test_the_channel_s_end_ends_the_track_and_nothing_else() -> None:
    out: Channel[Frame] = Channel("painted")
    peer = Peer(Ends(painted=out, on_message=lambda message: peer.send({"pong": message["ping"]})))
    client = Client(None)
    await client.connect(peer)
    await client.control_open()
    out.close()
    client.control.send('{"ping": 1}')
    await client.until(lambda: {"pong": 1} in client.messages)
    await client.close()
    await peer.close()


async def test_ten_connections_leave_nothing_behind() -> None:
    process = psutil.Process()

    async def once() -> None:
        peer, _ = echo()
        client = Client(NumberedCamera(), sound=True)
        await client.connect(peer)
        await client.pictures(3)
        await client.close()
        await peer.close()

    def threads() -> set[str]:
        return {t.name for t in threading.enumerate() if not t.name.startswith("encode")}

    await once()  # what is made once a process is made now
    before = threads(), process.num_fds()
    tasks = asyncio.all_tasks()
    for _ in range(10):
        await once()
    left = asyncio.all_tasks() - tasks
    if left:
        _, left = await asyncio.wait(left, timeout=5)
    assert not left
    gc.collect()
    assert threads() == before[0]
    assert process.num_fds() <= before[1] + 1


async def test_the_other_side_going_away_closes_this_one() -> None:
    closed = asyncio.Event()
    peer, _ = echo(on_state=lambda state: closed.set() if state == "closed" else None)
    client = Client(NumberedCamera())
    await client.connect(peer)
    await client.pictures(3)
    await client.close()
    async with asyncio.timeout(10):
        await closed.wait()
    assert not [t for t in threading.enumerate() if t.name.startswith(("intake-", "sound-"))]
    with pytest.raises(SessionError):
        await peer.answer("v=0\r\na=fingerprint:sha-256 00\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n")


async def test_an_answer_that_nobody_takes_up_ends_by_itself() -> None:
    states: list[str] = []
    done = asyncio.Event()

    def follow(state: str) -> None:
        states.append(state)
        if state == "closed":
            done.set()

    peer, _ = echo(connect_timeout_s=0.2, on_state=follow)
    client = Client(NumberedCamera())
    await peer.answer(await client.offer())
    async with asyncio.timeout(10):
        await done.wait()
    assert states[-2:] == ["failed", "closed"]
    await client.close()


async def test_sound_comes_as_48_khz_mono_without_gaps() -> None:
    chunks: list[AudioChunk] = []
    loop, enough = asyncio.get_running_loop(), asyncio.Event()

    def hear(chunk: AudioChunk) -> None:
        chunks.append(chunk)
        if chunk.stamp.seq == 60:
            loop.call_soon_threadsafe(enough.set)

    peer, _ = echo(on_audio=hear)
    client = Client(NumberedCamera(), sound=True)
    await client.connect(peer)
    async with asyncio.timeout(20):
        await enough.wait()
    stats = peer.stats()
    await client.close()
    await peer.close()
    for before, after in itertools.pairwise(chunks):
        assert after.stamp.pts == before.stamp.pts + len(before.samples)
        assert after.stamp.seq == before.stamp.seq + 1
    line = np.concatenate([c.samples for c in chunks])[12_000:36_000]
    spectrum = np.abs(np.fft.rfft(line))
    assert abs(np.argmax(spectrum) * 48_000 / len(line) - 440) < 5
    assert stats.sound_packets_lost == 0


async def test_size_change_in_the_middle_both_ways() -> None:
    out: Channel[Frame] = Channel("painted")
    peer = Peer(Ends(painted=out, on_frame=out.put))  # each picture keeps its size
    camera = NumberedCamera((160, 120))
    client = Client(camera)
    await client.connect(peer)
    await client.pictures(10)
    camera.size = (322, 242)
    await client.until(lambda: client.received[-1][2] == (322, 242))
    peer.resize(64)
    await client.until(lambda: client.received[-1][2] == (64, 64))
    await client.pictures(5)
    assert client.received[-1][0] is not None
    await client.close()
    await peer.close()


async def test_a_busy_default_executor_holds_no_picture_up() -> None:
    """Conversion and encoding run on threads of their own, whatever else runs in the default ones."""
    loop = asyncio.get_running_loop()
    executor = concurrent.futures.ThreadPoolExecutor(1)
    loop.set_default_executor(executor)
    release = threading.Event()
    blocked = loop.run_in_executor(None, release.wait)
    peer, _ = echo()
    client = Client(NumberedCamera())
    try:
        await client.connect(peer)
        await client.pictures(10)
    finally:
        release.set()
    await blocked
    await client.close()
    await peer.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_fault_in_the_application_is_told_and_nothing_hangs() -> None:
    def faulty(frame: Frame) -> None:
        raise KeyError("a fault")

    peer = Peer(Ends(on_frame=faulty, size_px=64))
    client = Client(NumberedCamera())
    await client.connect(peer)
    await client.until(lambda: bool(client.messages))
    assert client.messages[0]["type"] == "error"
    assert "could not take your picture" in client.messages[0]["message"]
    await client.close()
    await peer.close()


async def test_a_second_offer_renegotiates() -> None:
    peer, _ = echo()
    client = Client(NumberedCamera())
    await client.connect(peer)
    await client.pictures(3)
    await client.connect(peer)
    await client.pictures(10)
    await client.close()
    await peer.close()


# The control channel ------------------------------------------------------------------------------------


async def test_control_messages_are_json_objects_and_others_get_a_sentence() -> None:
    taken: list[dict] = []

    def take(message: dict) -> None:
        taken.append(message)
        if message.get("strength") == 7:
            raise ConfigError("strength = 7 cannot be used.", hint="Use 0 to 1.")

    peer, _ = echo(on_message=take)
    peer.send({"type": "ready"})  # before anything is open: it waits
    client = Client(NumberedCamera())
    await client.connect(peer)
    await client.control_open()
    for text in (
        '{"prompt": "a fox"}',
        "[1, 2]",
        "{",
        "[" * 10_000,
        "x" * 20_000,
        b"\x00\x01",
        '{"strength": 7}',
    ):
        client.control.send(text)
    client.control.send('{"last": true}')
    await client.until(lambda: len([m for m in client.messages if m["type"] == "error"]) == 6)
    assert taken == [{"prompt": "a fox"}, {"strength": 7}, {"last": True}]
    sentences = [m["message"] for m in client.messages if m["type"] == "error"]
    assert sentences[0] == "A message was a JSON list."
    assert "too long" in " ".join(sentences)
    assert "binary" in " ".join(sentences)
    assert sentences[-1] == "strength = 7 cannot be used."
    assert all(m["hint"] and m["kind"] == "ConfigError" for m in client.messages if m["type"] == "error")
    assert peer.stats().messages_refused == 6
    await client.pictures(5)  # and the pictures never stopped
    await client.close()
    await peer.close()


async def test_events_may_be_sent_from_any_thread() -> None:
    peer, _ = echo()
    client = Client(NumberedCamera())
    await client.connect(peer)
    await client.control_open()
    threading.Thread(target=peer.send, args=({"type": "stats", "fps": 12.5},)).start()
    await client.until(lambda: {"type": "stats", "fps": 12.5} in client.messages)
    await client.close()
    await peer.close()
    peer.send({"type": "late"})  # after the end: no harm


# Offers that cannot be used -----------------------------------------------------------------------------


def without(prefix: str) -> Callable[[str], str]:
    return lambda sdp: "".join(line for line in sdp.splitlines(True) if not line.startswith(prefix))


BAD_OFFERS: dict[str, Callable[[str], object]] = {
    "empty": lambda sdp: "",
    "words": lambda sdp: "hello",
    "not text": lambda sdp: sdp.encode(),
    "nothing": lambda sdp: None,
    "no media": lambda sdp: sdp.split("m=", 1)[0],
    "sound only": lambda sdp: sdp.replace("m=video", "m=audio"),
    "too long": lambda sdp: sdp + "a=x-padding:" + "x" * MAX_SDP_BYTES,
    "many sections": lambda sdp: sdp + "m=video 9 UDP/TLS/RTP/SAVPF 97\r\n" * 9,
    "cut short": lambda sdp: sdp[: sdp.index("m=video") + 40],
    "no fingerprint": without("a=fingerprint"),
    "no ice": without("a=ice-"),
    "no codec in common": lambda sdp: sdp.replace("VP8", "VP7").replace("H264", "H261"),
    "garbage in the middle": lambda sdp: sdp.replace("a=rtpmap:", "a=rtpmap:x"),
    "no port": lambda sdp: sdp.replace("m=video ", "m=video x"),
}


@pytest.mark.parametrize("kind", BAD_OFFERS)
async def test_a_bad_offer_is_a_sentence_and_the_next_one_works(kind: str) -> None:
    client = Client(NumberedCamera(), control=False)
    peer, _ = echo()
    bad = BAD_OFFERS[kind](await client.offer())
    with pytest.raises(UnsupportedMedia) as caught:
        await peer.answer(bad)
    assert "offer" in caught.value.message.lower()
    assert caught.value.hint
    await peer.close()
    again, _ = echo()
    await client.connect(again)
    await client.pictures(2)
    await client.close()
    await again.close()


def test_check_offer_takes_a_bare_offer() -> None:
    check_offer("v=0\r\na=fingerprint:sha-256 00\r\nm=video 9 UDP/TLS/RTP/SAVPF 97\r\n")


# Which codec --------------------------------------------------------------------------------------------


def test_preference_orders_but_removes_nothing() -> None:
    assert preferred_codecs("h264")[0].mimeType == "video/H264"
    assert preferred_codecs("vp8")[0].mimeType == "video/VP8"
    assert {c.mimeType for c in preferred_codecs("h264")} >= {"video/H264", "video/VP8"}
    assert preferred_codecs("offer") == []


async def test_a_browser_without_h264_gets_vp8() -> None:
    """Firefox without its OpenH264 plug-in offers no H.264 at all."""
    peer, _ = echo(codec="h264")
    client = Client(NumberedCamera())
    client.pc.getTransceivers()[0].setCodecPreferences(
        [c for c in preferred_codecs("vp8") if c.mimeType != "video/H264"]
    )
    answer = await client.connect(peer)
    assert "H264" not in answer
    await client.pictures(5)
    await client.close()
    await peer.close()
