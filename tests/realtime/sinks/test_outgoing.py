"""Outgoing streams: received by real servers, whole in files, mended after a loss, and quick to end."""

from __future__ import annotations

import http.server
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from realtime.core.channel import Channel
from realtime.core.errors import ConfigError, ConnectionLost, VitascopeError
from realtime.core.frame import AudioChunk, Frame
from realtime.sinks.base import Outgoing, Picture, Target
from realtime.sinks.mux import SOUND_RATE_HZ, SoundLine
from realtime.sinks.targets import to_camera, to_file, to_hls_folder, to_server, to_web_server
from realtime.sources.address import Rules, read_address
from realtime.sources.mark import read_mark
from realtime.sources.pattern import pattern_picture
from tests.clips import numbers_of
from tests.house.paths import ROOT
from tests.streams import free_port, listening, need_ffmpeg, process, until, web_server
from tests.vocabulary import PATIENCE_S, make_stamp

HERE = Rules(allow_private=True)
Connect = Callable[[tuple[int, int]], Target]


def view(frame: Frame) -> Picture:
    return Picture(frame.pixels, frame.stamp.captured_ns)


def picture(seq: int, *, captured_ns: int | None = None) -> Frame:
    stamp = make_stamp(seq, captured_ns=captured_ns)
    return Frame(stamp, pattern_picture(seq, 160, 120, mark=True))


def tone(seq: int, *, captured_ns: int, count: int = 1600) -> AudioChunk:
    stamp = make_stamp(seq, "sound", captured_ns=captured_ns)
    time_s = (seq * count + np.arange(count)) / SOUND_RATE_HZ
    return AudioChunk(stamp, (0.5 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32), SOUND_RATE_HZ)


class Feeding:
    """Give pictures, and sound with them, at 30 a second, until the end."""

    def __init__(self, connect: Connect, name: str = "test", **more: Any) -> None:
        self.channel: Channel[Any] = Channel("pictures")
        self.sound: Channel[AudioChunk] = Channel("sound", 500)
        self.notices: list[str] = []
        self.out = Outgoing(
            name,
            self.channel,
            connect,
            view=view,
            sound=self.sound,
            on_notice=self.notices.append,
            **more,
        )
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._feed, daemon=True)

    def _feed(self) -> None:
        seq = 0
        while not self._done.wait(1 / 30) and not self.channel.closed:
            now_ns = time.monotonic_ns()
            try:
                self.channel.put(picture(seq, captured_ns=now_ns))
                self.sound.put(tone(seq, captured_ns=now_ns))
            except VitascopeError:
                return  # it ended between two looks
            seq += 1

    def stop(self) -> None:
        begun_s = time.monotonic()
        self._done.set()
        self.out.stop()
        assert self.out.done.is_set()
        assert time.monotonic() - begun_s < 10


@contextmanager
def feeding(connect: Connect, **more: Any) -> Iterator[Feeding]:
    one = Feeding(connect, **more)
    one.out.start()
    one._thread.start()
    try:
        yield one
    finally:
        one.stop()


def seen(path: Path) -> tuple[list[int | None], float]:
    """Return the numbers of the pictures in a file, and the level of its sound."""
    with av.open(str(path)) as container:
        levels = [float(np.abs(one.to_ndarray()).max()) for one in container.decode(audio=0)]
    return numbers_of(path), max(levels, default=0.0)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_file_has_every_picture_at_its_time_with_the_sound(tmp_path: Path, name: str) -> None:
    channel: Channel[Any] = Channel("pictures", 64)
    sound: Channel[AudioChunk] = Channel("sound", 500)
    out = Outgoing("file", channel, to_file(tmp_path / name), view=view, sound=sound)
    times_ms = [0, 33, 66, 140, 173, 400, 433]
    for seq, ms in enumerate(times_ms):
        channel.put(picture(seq, captured_ns=5_000_000_000 + ms * 1_000_000))
    for seq in range(13):
        sound.put(tone(seq, captured_ns=5_000_000_000 + round(seq * 1e9 / 30)))
    channel.close()
    out.start()
    assert out.done.wait(PATIENCE_S)
    assert out.error is None
    with av.open(str(tmp_path / name)) as container:
        found = [
            (read_mark(one.to_ndarray(format="rgb24")), round(1000 * (one.time or 0)))
            for one in container.decode(video=0)
        ]
    assert [number for number, _ in found] == list(range(7))
    assert [ms for _, ms in found] == pytest.approx(times_ms, abs=1)
    assert seen(tmp_path / name)[1] > 0.3
    assert out.stats().pictures == 7


def test_what_was_recorded_before_a_kill_can_be_played(tmp_path: Path) -> None:
    code = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from tests.realtime.sinks.test_outgoing import Feeding, to_file
one = Feeding(to_file(Path({str(tmp_path / "a.mp4")!r})))
one.out.start(); one._thread.start()
import time
while one.out.stats().pictures < 120: time.sleep(0.01)
print("there", flush=True); time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"there\n"
        killed.send_signal(signal.SIGKILL)
    numbers, level = seen(tmp_path / "a.mp4")
    assert len(numbers) >= 120 - 32  # a second is lost at most
    assert level > 0.3


@pytest.mark.parametrize("kind", ["rtmp", "rtsp"])
def test_a_server_receives_pictures_and_sound(tmp_path: Path, kind: str) -> None:
    port = free_port()
    url = f"{kind}://127.0.0.1:{port}/live/key"
    listen = ["-listen", "1"] if kind == "rtmp" else ["-rtsp_flags", "listen"]
    target = tmp_path / "got.mkv"
    with process(need_ffmpeg(), *listen, "-i", url, "-c", "copy", str(target)) as server:
        until(lambda: listening(port), "a server that listens")
        with feeding(to_server(read_address(url, HERE), HERE, rate_hz=30), rate_hz=30) as one:
            until(lambda: one.out.stats().pictures >= 90 or one.out.error, "90 pictures on their way")
        assert one.out.error is None
        assert server.wait(PATIENCE_S) == 0
    numbers, level = seen(target)
    assert len(numbers) > 60
    known = [number for number in numbers if number is not None]
    assert known == sorted(known)
    assert level > 0.3


def test_a_constant_rate_repeats_the_newest_picture(tmp_path: Path) -> None:
    channel: Channel[Any] = Channel("pictures")
    out = Outgoing("file", channel, to_file(tmp_path / "a.mp4", sound=False), view=view, rate_hz=50)
    channel.put(picture(7))
    out.start()
    until(lambda: out.stats().repeated >= 10, "repeated pictures")
    out.stop()
    assert set(numbers_of(tmp_path / "a.mp4")) == {7}
    assert out.stats().pictures == len(numbers_of(tmp_path / "a.mp4"))


def test_hls_is_a_list_with_its_newest_pieces(tmp_path: Path) -> None:
    with feeding(to_hls_folder(tmp_path / "hls", rate_hz=30), rate_hz=30) as one:
        until(lambda: (tmp_path / "hls" / "live.m3u8").exists(), "a list")
        until(lambda: one.out.stats().pictures > 70, "a few seconds")
    listed = (tmp_path / "hls" / "live.m3u8").read_text()
    assert "#EXTINF" in listed
    assert numbers_of(tmp_path / "hls" / "live.m3u8")


def test_hls_is_put_to_a_web_server(tmp_path: Path) -> None:
    class Takes(http.server.SimpleHTTPRequestHandler):
        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            (tmp_path / self.path.strip("/")).write_bytes(content)
            self.send_response(201)
            self.end_headers()

    with web_server(tmp_path, Takes) as url:
        connect = to_web_server(read_address(f"{url}/live.m3u8", HERE), HERE, rate_hz=30)
        with feeding(connect, rate_hz=30) as one:
            until(lambda: (tmp_path / "live.m3u8").exists() or one.out.done.is_set(), "a list")
    assert one.out.error is None
    assert numbers_of(tmp_path / "live.m3u8")
    with pytest.raises(ConfigError, match="list"):
        to_web_server(read_address(f"{url}/x", HERE), HERE, rate_hz=30)


def test_a_lost_server_is_found_again() -> None:
    door = Flaky()
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) >= 3

    def connect(size: tuple[int, int]) -> Target:
        return door

    with feeding(connect, rate_hz=200, retries=True, wait=wait) as one:
        assert one.out.done.wait(PATIENCE_S)
    assert pauses == [0.5] * 3
    assert one.out.stats().connections == 3
    assert all("Trying again" in notice for notice in one.notices)
    assert door.given_up == 3


class Flaky:
    """Take 50 pictures, then break."""

    def __init__(self) -> None:
        self.count = self.given_up = 0

    def picture(self, pixels: Any, time_s: float) -> None:
        self.count += 1
        if self.count % 50 == 0:
            raise OSError("broken pipe")

    def sound(self, samples: Any, rate_hz: int, time_s: float) -> None: ...
    def close(self) -> None: ...
    def give_up(self) -> None:
        self.given_up += 1


def test_nobody_there_is_told_and_nothing_hangs() -> None:
    port = free_port()
    address = read_address(f"rtmp://127.0.0.1:{port}/live/secret-key", HERE)
    with feeding(to_server(address, HERE, rate_hz=30), name=str(address), rate_hz=30, retries=True) as one:
        assert one.out.done.wait(PATIENCE_S)
    assert isinstance(one.out.error, ConnectionLost)
    assert "cannot be reached" in str(one.out.error)
    assert "secret-key" not in str(one.out.error)
    assert one.out.stats().state == "failed"


def test_a_silent_server_does_not_hold_up_anything() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as door:
        address = read_address(f"rtmp://127.0.0.1:{door.getsockname()[1]}/live/k", HERE)
        with feeding(to_server(address, HERE, rate_hz=30, silence_s=0.5), rate_hz=30) as one:
            assert one.out.done.wait(PATIENCE_S)
        assert "silent" in str(one.out.error)


def test_a_fault_in_a_camera_is_told() -> None:
    class Device:
        def __init__(self) -> None:
            self.sent: list[Any] = []
            self.closed = False

        def send(self, pixels: Any) -> None:
            self.sent.append(pixels)

        def close(self) -> None:
            self.closed = True

    device = Device()
    with feeding(to_camera(rate_hz=30, opener=lambda width, height, rate_hz: device), rate_hz=30):
        until(lambda: len(device.sent) > 3, "pictures in the camera")
    assert device.closed
    assert device.sent[0].shape == (120, 160, 3)

    def missing(width: int, height: int, rate_hz: float) -> Any:
        raise RuntimeError("'v4l2loopback' backend: No such device\nmore")

    with feeding(to_camera(rate_hz=30, opener=missing), rate_hz=30) as one:
        assert one.out.done.wait(PATIENCE_S)
    assert "modprobe v4l2loopback" in str(one.out.error)
    assert "more" not in str(one.out.error)


def test_no_pictures_are_no_fault(tmp_path: Path) -> None:
    out = Outgoing("file", Channel("pictures"), to_file(tmp_path / "a.mp4"), view=view)
    out.start()
    out.stop()
    assert out.error is None
    assert not (tmp_path / "a.mp4").exists()


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with feeding(to_file(tmp_path / "none" / "a.mp4")) as one:
        assert one.out.done.wait(PATIENCE_S)
    assert "could not be written" in str(one.out.error)
    with pytest.raises(ConfigError):
        to_file(tmp_path / "a.avi")


def test_sound_has_no_holes_and_none_twice() -> None:
    line = SoundLine()
    ones = np.ones(4800, np.float32)
    line.take(ones, 48_000, 0.0)
    line.take(ones, 48_000, 0.12)  # 20 ms of jitter is no hole
    assert line.end_s == pytest.approx(0.2)
    line.take(ones, 48_000, 0.5)  # a hole
    assert line.end_s == pytest.approx(0.6)
    line.fill_until(1.0)
    line.take(ones, 48_000, 0.5)  # too late: silence was written already
    assert line.end_s == pytest.approx(1.0)
    line.take(np.ones(1600, np.float32), 16_000, 1.0)
    assert line.end_s == pytest.approx(1.1, abs=0.002)
    blocks = []
    while (block := line.block()) is not None:
        blocks.append(block)
    assert [begin for begin, _ in blocks] == [1024 * i for i in range(len(blocks))]
    whole = np.concatenate([samples for _, samples in blocks])
    assert whole[:9600].min() == 1
    assert whole[9700:23_900].max() == 0
    assert whole[24_000:28_700].min() == 1
