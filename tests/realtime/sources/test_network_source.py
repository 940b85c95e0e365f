"""Streams over loopback: RTSP, RTMP, HLS, HTTP are read; a loss is mended, a stall ends, `stop` is quick."""

from __future__ import annotations

import http.server
import itertools
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from realtime.core.clock import NS_PER_S
from realtime.core.errors import ConnectionLost, MediaError, SourceClosed, UnsupportedMedia, VitascopeError
from realtime.core.frame import AudioChunk, Frame
from realtime.sources.address import AddressRefused, Rules
from realtime.sources.line import rtmp_app
from realtime.sources.mark import read_mark
from realtime.sources.network import NetworkSource, Timeline
from realtime.sources.relay import leads_away
from tests.clips import make_clip
from tests.streams import Unsteady, free_port, need_ffmpeg, process, rtsp_server, until, web_server
from tests.vocabulary import PATIENCE_S

HERE = Rules(allow_private=True)


class Taken:
    """What a source gave."""

    def __init__(self, url: str, *, rules: Rules = HERE, **more: Any) -> None:
        self.frames: list[Frame] = []
        self.sound: list[AudioChunk] = []
        self.notices: list[str] = []
        self.source = NetworkSource(url, rules=rules, on_notice=self.notices.append, **more)
        self.source.start(self.frames.append, self.sound.append)

    def settled(self) -> VitascopeError | None:
        assert self.source.done.wait(PATIENCE_S)
        return self.source.error


@contextmanager
def taking(url: str, **more: Any) -> Iterator[Taken]:
    taken = Taken(url, **more)
    try:
        yield taken
    finally:
        begun_s = time.monotonic()
        taken.source.stop()
        assert taken.source.done.is_set()
        assert time.monotonic() - begun_s < 5


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a clip of 2 s as clip.ts, clip.mp4 and the list clip.m3u8."""
    folder = tmp_path_factory.mktemp("clip")
    make_clip(folder / "clip.mp4", 2.0, size=(160, 120))
    for name, form, options in (
        ("clip.ts", "mpegts", {}),
        ("fast.mp4", "mp4", {"movflags": "faststart"}),
        ("clip.m3u8", "hls", {"hls_time": "1", "hls_list_size": "0"}),
    ):
        with (
            av.open(str(folder / "clip.mp4")) as source,
            av.open(str(folder / name), "w", format=form, options=options) as target,
        ):
            streams = {one.index: target.add_stream_from_template(one) for one in source.streams}
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream_index]
                    target.mux(packet)
    return folder


def test_rtsp_is_read_with_its_sound() -> None:
    with rtsp_server(free_port()) as url, taking(url, size_px=64) as taken:
        until(lambda: len(taken.frames) >= 20 and len(taken.sound) >= 20, "pictures and sound by RTSP")
        assert [one.stamp.seq for one in taken.frames[:20]] == list(range(20))
        assert taken.frames[0].pixels.shape == (64, 64, 3)
        assert taken.frames[5].pixels.std() > 20  # a picture, not a grey plane
        span_s = taken.frames[19].stamp.time_s - taken.frames[0].stamp.time_s
        assert 0.4 < span_s < 1.5
        assert {chunk.sample_rate for chunk in taken.sound} == {48_000}
        assert abs(taken.sound[10].samples).max() > 0.1
        pts = [chunk.stamp.pts for chunk in taken.sound]
        assert pts == sorted(pts)


def test_an_rtsp_password_is_used_and_its_lack_is_told_without_it() -> None:
    with rtsp_server(free_port(), password=True) as url:
        with taking(url.replace("//", "//user:pa%40ss@")) as taken:
            until(lambda: taken.frames, "pictures with a password")
        with taking(url.replace("//", "//user:wrong@")) as refused:
            error = refused.settled()
        assert error is not None
        assert "401" in str(error)
        assert "wrong" not in str(error)


def test_a_lost_rtsp_server_is_found_again() -> None:
    port = free_port()
    waiting = threading.Event()
    goes_on = threading.Event()

    def wait(seconds: float) -> bool:
        waiting.set()
        return not goes_on.wait(PATIENCE_S)

    with rtsp_server(port) as url:
        taken = Taken(url, wait=wait)
        until(lambda: taken.frames, "the first picture")
    assert waiting.wait(PATIENCE_S)
    count = len(taken.frames)
    assert "Trying again in 0.5 s." in taken.notices[0]
    with rtsp_server(port):
        goes_on.set()
        until(lambda: len(taken.frames) > count + 5, "pictures after the loss")
        assert taken.source.connections >= 2
    taken.source.stop()
    pts = [one.stamp.pts for one in taken.frames]
    assert all(a < b for a, b in itertools.pairwise(pts))
    gap_s = taken.frames[count].stamp.time_s - taken.frames[count - 1].stamp.time_s
    by_clock_s = (
        taken.frames[count].stamp.captured_ns - taken.frames[count - 1].stamp.captured_ns
    ) / NS_PER_S
    assert gap_s == pytest.approx(by_clock_s, abs=1.0)
    assert taken.source.error is None


def test_rtmp_is_read(clip: Path) -> None:
    url = f"rtmp://127.0.0.1:{free_port()}/live/key"
    words = ["-re", "-i", str(clip / "clip.mp4"), "-c", "copy", "-f", "flv", "-listen", "1", url]
    with process(need_ffmpeg(), *words):
        deadline = time.monotonic() + PATIENCE_S
        while True:  # it takes a moment until it listens
            with taking(url) as taken:
                until(lambda: len(taken.frames) >= 30 or taken.source.done.is_set(), "pictures by RTMP")
            if taken.frames:
                break
            assert time.monotonic() < deadline
        assert [read_mark(one.pixels) for one in taken.frames[:30]] == list(range(30))
        assert taken.sound


def test_mpegts_by_http_is_read_at_once_and_in_order(clip: Path) -> None:
    with web_server(clip) as url:
        with taking(f"{url}/clip.ts", give_up_s=0.0, wait=lambda s: True) as taken:
            taken.settled()
        assert [read_mark(one.pixels) for one in taken.frames] == list(range(60))
        assert sum(len(chunk.samples) for chunk in taken.sound) == pytest.approx(2 * 48_000, abs=4800)


@pytest.mark.parametrize("name", ["clip.m3u8", "fast.mp4"])
def test_what_comes_ahead_of_its_time_is_played_at_its_pace(clip: Path, name: str) -> None:
    with web_server(clip) as url:
        begun_s = time.monotonic()
        with taking(f"{url}/{name}") as taken:
            assert taken.settled() is None
        assert 1.8 < time.monotonic() - begun_s < 10
        assert taken.frames[-1].stamp.seq == 59
        assert taken.sound
        assert taken.source.connections == 1


def test_a_live_list_begins_at_its_newest_piece(clip: Path, tmp_path: Path) -> None:
    asked = []

    class Noting(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

    (tmp_path / "newest.ts").write_bytes((clip / "clip.ts").read_bytes())
    pieces = "".join(f"#EXTINF:2,\n{name}.ts\n" for name in ("a", "b", "newest"))
    (tmp_path / "live.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{pieces}")
    with web_server(tmp_path, Noting) as url, taking(f"{url}/live.m3u8") as taken:
        until(lambda: taken.frames, "a picture of the live list")
    assert read_mark(taken.frames[0].pixels) == 0
    assert "/a.ts" not in asked
    assert "/b.ts" not in asked


def test_a_broken_stream_is_taken_up_again(clip: Path) -> None:
    server = Unsteady((clip / "clip.ts").read_bytes())
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) >= 4

    with taking(server.url, wait=wait) as taken:
        taken.settled()
    server.close()
    assert server.served == 4
    assert pauses == [0.5] * 4  # each try worked for a while
    assert len(taken.frames) > 60
    assert [one.stamp.seq for one in taken.frames] == list(range(len(taken.frames)))
    assert len(taken.notices) == 4


def test_pauses_grow_while_it_stays_away_and_there_is_an_end_to_patience(clip: Path) -> None:
    server = Unsteady((clip / "clip.ts").read_bytes())
    pauses: list[float] = []
    offset_ns = 0

    class Later:
        def now_ns(self) -> int:
            return time.monotonic_ns() + offset_ns

    def wait(seconds: float) -> bool:
        nonlocal offset_ns
        server.open.clear()
        pauses.append(seconds)
        offset_ns += int(seconds * NS_PER_S)
        return False

    with taking(server.url, wait=wait, clock=Later(), give_up_s=30) as taken:
        error = taken.settled()
    server.close()
    assert isinstance(error, ConnectionLost)
    assert pauses[:5] == [0.5, 1, 2, 4, 8]
    assert 25 < sum(pauses) < 50


def test_a_peer_that_falls_silent_ends_the_read(clip: Path) -> None:
    server = Unsteady((clip / "clip.ts").read_bytes(), silent=True)
    with taking(server.url, read_timeout_s=0.3, wait=lambda s: True) as taken:
        taken.settled()
        assert taken.frames
        assert any("0.3 s" in one for one in taken.notices)
    server.close()


def test_stop_does_not_wait_for_a_silent_peer(clip: Path) -> None:
    server = Unsteady((clip / "clip.ts").read_bytes(), silent=True)
    with taking(server.url, read_timeout_s=60) as taken:
        until(lambda: taken.frames, "the first picture")
    assert taken.source.error is None
    server.close()
    door = Unsteady(b"", silent=True)
    with taking(door.url.replace("http", "rtsp"), read_timeout_s=60, open_timeout_s=60) as taken:
        until(lambda: door.served, "a connection that says nothing")
    door.close()


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("none.ts", ConnectionLost, "404"),
        ("page.html", UnsupportedMedia, "no stream"),
        ("clip.mp4", UnsupportedMedia, "picture"),
        ("outside.m3u8", MediaError, ""),
    ],
)
def test_what_is_no_stream_is_told_at_once(clip: Path, path: str, kind: type, said: str) -> None:
    (clip / "page.html").write_text("<html>hello</html>" * 100)
    (clip / "outside.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
    with web_server(clip) as url, taking(f"{url}/{path}") as taken:
        error = taken.settled()
    assert isinstance(error, kind | AddressRefused), error
    assert said in str(error)
    assert not taken.frames


def _leading_to(target: str) -> type[http.server.SimpleHTTPRequestHandler]:
    class Leads(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/away"):
                self.send_response(302)
                self.send_header("Location", target or self.path)
                self.end_headers()
            else:
                super().do_GET()

    return Leads


def test_redirects_are_followed_and_checked(clip: Path) -> None:
    with web_server(clip, _leading_to("/fast.mp4")) as url, taking(f"{url}/away") as taken:
        until(lambda: taken.frames, "pictures behind a redirect")
    for target, kind in (
        ("http://169.254.169.254/latest/", AddressRefused),
        ("file:///etc/passwd", Exception),
        ("rtsp://127.0.0.1/x", UnsupportedMedia),
        ("", ConnectionLost),
    ):
        with web_server(clip, _leading_to(target)) as url, taking(f"{url}/away") as taken:
            assert isinstance(taken.settled(), kind)


def test_a_server_that_wants_a_password_is_told(clip: Path) -> None:
    class Locked(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") == "Basic bWU6c2VjcmV0":
                super().do_GET()
            else:
                self.send_error(401)

    with web_server(clip, Locked) as url:
        with taking(f"{url}/fast.mp4") as taken:
            error = taken.settled()
        assert isinstance(error, SourceClosed)
        assert "password" in str(error)
        with taking(f"{url}/fast.mp4".replace("//", "//me:secret@")) as taken:
            until(lambda: taken.frames, "pictures with a password")


def test_a_stranger_cannot_name_this_machine() -> None:
    with pytest.raises(AddressRefused):
        NetworkSource("rtsp://127.0.0.1/cam", rules=Rules())
    with taking("rtsp://localhost:8554/cam", rules=Rules()) as taken:
        assert isinstance(taken.settled(), AddressRefused)


def test_srt_is_read_or_its_lack_is_told() -> None:
    with taking("srt://127.0.0.1:9", open_timeout_s=1.0) as taken:
        error = taken.settled()
    assert isinstance(error, UnsupportedMedia | ConnectionLost)
    assert "srt" in str(error)


@pytest.mark.parametrize(
    ("sent", "is_bad"),
    [
        (b"RTSP/1.0 200 OK\r\n", False),
        (b"RTSP/1.0 401 Unauthorized\r\n", False),
        (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n", False),
        (b"RTSP/1.0 302 Moved\r\n", True),
        (b"x$\0RTSP/1.0 200 OK\r\n\r\nRTSP/1.0  302 Moved\r\n", True),
        (b"RTSP/9 302 Moved here\r\n", True),
        (b"RTSP/1.0 4294967598 \r\n", True),
        (b"RTSP/1.0 3", False),  # more will come
    ],
)
def test_rtsp_answers_that_lead_away_are_seen(sent: bytes, is_bad: bool) -> None:
    assert leads_away(sent) is is_bad


def test_an_rtsp_server_cannot_send_its_visitor_elsewhere() -> None:
    import socket

    away = socket.create_server(("127.0.0.1", 0))
    away.settimeout(1.0)
    door = socket.create_server(("127.0.0.1", 0))

    def lead() -> None:
        connection, _ = door.accept()
        with connection:
            connection.recv(4096)
            to = f"rtsp://127.0.0.1:{away.getsockname()[1]}/x"
            connection.sendall(f"RTSP/1.0 302 Moved\r\nCSeq: 1\r\nLocation: {to}\r\n\r\n".encode())
            connection.recv(4096)

    threading.Thread(target=lead, daemon=True).start()
    with taking(f"rtsp://127.0.0.1:{door.getsockname()[1]}/x") as taken:
        error = taken.settled()
    assert error is not None
    assert "elsewhere" in str(error)
    with pytest.raises(TimeoutError):
        away.accept()
    door.close()
    away.close()


def test_rtmp_paths_are_divided_as_ffmpeg_does() -> None:
    assert [rtmp_app(path) for path in ("/live/key", "/live", "/a/b/c", "/a/b/c/d", "/a/mp4:b/c")] == [
        "live",
        "live",
        "a/b",
        "a/b",
        "a",
    ]


def test_times_go_on_over_jumps_and_losses() -> None:
    line, s = Timeline(), NS_PER_S
    assert line.place(Fraction(100), 5 * s) == (0, True)
    assert line.place(Fraction(101), 6 * s) == (1, False)
    assert line.place(Fraction(103), 6 * s) == (3, False)  # a few seconds that came at once
    assert line.place(Fraction(2), 8 * s) == (3, True)  # the stream's own clock begins anew
    line.restart()
    assert line.place(Fraction(50), 60 * s) == (55, True)


def test_the_system_has_what_these_tests_need() -> None:
    assert subprocess.run([need_ffmpeg(), "-version"], capture_output=True, check=False).returncode == 0
