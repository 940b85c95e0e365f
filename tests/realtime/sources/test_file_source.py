"""Files as strangers bring them: every picture in order, or a sentence that says what is wrong."""

import itertools
import struct
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from realtime.core.errors import ConnectionLost, SourceClosed, UnsupportedMedia, VitascopeError
from realtime.core.frame import AudioChunk, Frame
from realtime.sources.container import is_url, probe, shown
from realtime.sources.file import FileSource
from realtime.sources.mark import read_mark
from tests.clips import make_clip


def play(where: str | Path, **options) -> tuple[list[Frame], list[AudioChunk], VitascopeError | None]:
    frames: list[Frame] = []
    sound: list[AudioChunk] = []
    source = FileSource(where, **{"paced": False, **options})
    source.start(frames.append, sound.append)
    assert source.done.wait(60)
    source.stop()
    return frames, sound, source.error


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 1.0, 30, (320, 240), flash_at=15)


def test_every_picture_in_order_with_its_time(clip: Path) -> None:
    frames, _, error = play(clip)
    assert error is None
    assert [f.stamp.seq for f in frames] == list(range(30)) == [read_mark(f.pixels) for f in frames]
    assert [round(f.stamp.time_s * 30) for f in frames] == list(range(30))
    assert (frames[0].width_px, frames[0].height_px) == (320, 240)


def test_size_cuts_the_centre_square(clip: Path) -> None:
    frames, _, _ = play(clip, size_px=128)
    assert {f.pixels.shape for f in frames} == {(128, 128, 3)}
    assert [read_mark(f.pixels) for f in frames] == list(range(30))


def test_reader_that_waits_holds_the_source_back(clip: Path) -> None:
    """Unpaced, the callback's waiting is the only pace: nothing is read ahead and lost."""
    room, seen = threading.Semaphore(3), []
    source = FileSource(clip, paced=False)

    def take(frame: Frame) -> None:
        assert room.acquire(timeout=20)
        seen.append(frame.stamp.seq)

    source.start(take)
    assert not source.done.wait(0.3)
    assert len(seen) == 3
    for _ in range(30):
        room.release()
    assert source.done.wait(20)
    assert seen == list(range(30))


def test_sound_is_48_khz_mono_and_in_step_with_the_pictures(clip: Path) -> None:
    frames, sound, _ = play(clip)
    assert {chunk.sample_rate for chunk in sound} == {48_000}
    assert [c.stamp.seq for c in sound] == list(range(len(sound)))
    for before, after in itertools.pairwise(sound):
        assert after.stamp.pts == before.stamp.pts + len(before.samples)
    line = np.concatenate([c.samples for c in sound])
    click_s = (np.argmax(np.abs(line) > 0.5 * np.abs(line).max()) + sound[0].stamp.pts) / 48_000
    flash = max(frames, key=lambda f: float(f.pixels[:100].mean()))
    assert flash.stamp.seq == 15
    assert abs(click_s - flash.stamp.time_s) < 0.02


def test_paced_keeps_the_files_own_time(clip: Path) -> None:
    begin = time.monotonic()
    frames, sound, error = play(clip, paced=True)
    assert error is None
    assert 0.9 < time.monotonic() - begin < 3
    assert [f.stamp.seq for f in frames] == sorted({f.stamp.seq for f in frames})
    first = frames[0].stamp
    drift_ms = [(f.stamp.captured_ns - first.captured_ns) / 1e6 - 1000 * f.stamp.time_s for f in frames]
    assert np.median(drift_ms) < 30
    assert min(drift_ms) > -5
    assert sum(len(c.samples) for c in sound) > 45_000
    origin_ms = first.captured_ns / 1e6 - 1000 * first.time_s
    off_ms = [c.stamp.captured_ns / 1e6 - 1000 * c.stamp.time_s - origin_ms for c in sound]
    assert np.abs(off_ms).max() < 30  # by the clock of the pictures, however early it was read
    assert np.ptp(off_ms[5:]) < 0.1


def test_paced_skips_pictures_when_the_reader_is_slow(clip: Path) -> None:
    seen: list[int] = []
    source, begin = FileSource(clip, paced=True), time.monotonic()

    def slow(frame: Frame) -> None:
        seen.append(frame.stamp.seq)
        time.sleep(0.1)

    source.start(slow)
    assert source.done.wait(20)
    assert time.monotonic() - begin < 2.2  # not 30 x 0.1 s
    assert len(seen) < 20
    assert seen == sorted(seen)


def test_loop_goes_on_with_rising_numbers_and_times(clip: Path) -> None:
    frames: list[Frame] = []
    sound: list[AudioChunk] = []
    enough = threading.Event()
    source = FileSource(clip, paced=False, loop=True)

    def take(frame: Frame) -> None:
        frames.append(frame)
        if len(frames) == 70:
            enough.set()

    source.start(take, sound.append)
    assert enough.wait(30)
    source.stop()
    assert source.error is None
    assert [f.stamp.seq for f in frames] == list(range(len(frames)))
    assert read_mark(frames[31].pixels) == 1
    steps = np.diff([f.stamp.time_s for f in frames])
    assert np.allclose(steps, 1 / 30, atol=2e-3)
    assert all(b.stamp.pts > a.stamp.pts for a, b in itertools.pairwise(sound))


def test_variable_rate_keeps_each_time(tmp_path: Path) -> None:
    times = [0.0, 0.033, 0.2, 0.21, 0.5, 0.9]
    frames, _, _ = play(make_clip(tmp_path / "vfr.mp4", size=(64, 64), times_s=times, sound=False))
    assert [f.stamp.time_s for f in frames] == pytest.approx(times, abs=1e-3)


def test_b_pictures_come_in_order_of_display(tmp_path: Path) -> None:
    frames, _, _ = play(make_clip(tmp_path / "b.mp4", 1, 30, (160, 120), bframes=3))
    assert [read_mark(f.pixels) for f in frames] == list(range(30))


def test_without_time_stamps_the_rate_makes_them(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "raw.h264", 1, 25, (160, 120), sound=False, container="h264")
    frames, _, error = play(clip)
    assert error is None
    assert [read_mark(f.pixels) for f in frames] == list(range(25))
    assert np.allclose(np.diff([f.stamp.time_s for f in frames]), 0.04, atol=1e-3)


def test_size_change_in_the_middle(tmp_path: Path) -> None:
    parts = [
        make_clip(tmp_path / f"{size[0]}.h264", 0.4, 25, size, sound=False, container="h264").read_bytes()
        for size in ((160, 120), (320, 240), (96, 96))
    ]
    both = tmp_path / "both.h264"
    both.write_bytes(b"".join(parts))
    frames, _, error = play(both)
    assert error is None
    sizes = [(f.width_px, f.height_px) for f in frames]
    assert sizes == [(160, 120)] * 10 + [(320, 240)] * 10 + [(96, 96)] * 10
    assert [read_mark(f.pixels) for f in frames] == [*range(10)] * 3
    square, _, error = play(both, size_px=64)
    assert error is None
    assert {f.pixels.shape for f in square} == {(64, 64, 3)}


@pytest.mark.parametrize("size", [(161, 121), (97, 64), (64, 99)])
@pytest.mark.parametrize("size_px", [None, 64])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int], size_px: int | None) -> None:
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for seq in range(3):
            pixels = np.full((size[1], size[0], 3), (200, 40 * seq, 20), np.uint8)
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            picture.pts, picture.time_base = seq, Fraction(1, 25)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    frames, _, error = play(path, size_px=size_px)
    assert error is None
    want = (size[1], size[0], 3) if size_px is None else (size_px, size_px, 3)
    assert [f.pixels.shape for f in frames] == [want] * 3
    for seq, frame in enumerate(frames):
        assert np.abs(frame.pixels.reshape(-1, 3).mean(axis=0) - (200, 40 * seq, 20)).max() < 6


@pytest.mark.parametrize(
    ("matrix", "lit"),
    [
        ((0, 1, -1, 0), "right"),  # a phone held upright: a quarter turn clockwise
        ((-1, 0, 0, -1), "bottom"),
        ((0, -1, 1, 0), "left"),
        ((1, 0, 0, 1), "top"),
    ],
)
def test_rotated_phone_video_comes_upright(tmp_path: Path, matrix: tuple[int, ...], lit: str) -> None:
    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        pixels = np.zeros((96, 160, 3), np.uint8)
        pixels[:48] = 255
        for seq in range(5):
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts, picture.time_base = seq, Fraction(1, 25)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 4 + 4 + 4 + 4 + 4 + 8 + 2 + 2 + 2 + 2  # ISO/IEC 14496-12, 8.3.2
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)

    for size_px in (None, 64):
        frames, _, error = play(path, size_px=size_px)
        assert error is None
        picture = frames[0].pixels.astype(int).mean(axis=2)
        if size_px is None:
            turned = lit in ("left", "right")
            assert picture.shape == ((160, 96) if turned else (96, 160))
        height, width = picture.shape
        halves = {
            "top": picture[: height // 2],
            "bottom": picture[height // 2 :],
            "left": picture[:, : width // 2],
            "right": picture[:, width // 2 :],
        }
        assert max(halves, key=lambda name: float(halves[name].mean())) == lit
    assert (probe(path).width_px, probe(path).height_px) == frame_size(path)


def frame_size(path: Path) -> tuple[int, int]:
    frame = play(path)[0][0]
    return frame.width_px, frame.height_px


# What cannot be read ------------------------------------------------------------------------------------


def bad_files(folder: Path) -> dict[str, tuple[Path, type[VitascopeError], str]]:
    whole = make_clip(folder / "whole.mp4", 1, 30, (160, 120))
    text, empty, noise, cut, playlist, sound = (
        folder / name for name in ("notes.txt", "empty.mp4", "noise.mp4", "cut.mp4", "list.m3u8", "sound.wav")
    )
    text.write_text("Dear diary, this is not a video.\n" * 200)
    empty.write_bytes(b"")
    noise.write_bytes(np.random.default_rng(0).bytes(50_000))
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])  # the index comes last: it is lost
    playlist.write_text(f"#EXTM3U\n#EXTINF:1,\nfile:{whole}\n")
    with av.open(str(sound), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
    fake = folder / "notes.mp4"
    fake.write_text(text.read_text())
    return {
        "missing": (folder / "nothing.mp4", SourceClosed, "There is no file"),
        "folder": (folder, UnsupportedMedia, "is a folder, not a video"),
        "text": (text, UnsupportedMedia, "notes.txt is not a video that can be read"),
        "text named mp4": (fake, UnsupportedMedia, "notes.mp4 is not a video that can be read"),
        "empty": (empty, UnsupportedMedia, "is empty"),
        "noise": (noise, UnsupportedMedia, "noise.mp4 is not a video that can be read"),
        "cut without index": (cut, UnsupportedMedia, "cut.mp4 is not a video that can be read"),
        "playlist": (playlist, UnsupportedMedia, "list.m3u8 is not a video that can be read"),
        "sound only": (sound, UnsupportedMedia, "has no pictures"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "missing",
        "folder",
        "text",
        "text named mp4",
        "empty",
        "noise",
        "cut without index",
        "playlist",
        "sound only",
    ],
)
def test_unreadable_is_a_sentence_with_a_hint(tmp_path: Path, case: str) -> None:
    path, kind, sentence = bad_files(tmp_path)[case]
    frames, _, error = play(path)
    assert frames == []
    assert type(error) is kind
    assert sentence in error.message
    assert error.hint
    assert error.permanent
    with pytest.raises(kind, match=sentence):
        probe(path)


def test_cut_with_index_gives_what_there_is_and_says_so(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    make_clip(tmp_path / "plain.mp4", 2, 30, (160, 120), sound=False)
    with (
        av.open(str(tmp_path / "plain.mp4")) as source,
        av.open(str(whole), "w", options={"movflags": "faststart"}) as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    frames, _, error = play(cut)
    assert 5 < len(frames) < 55
    assert [read_mark(f.pixels) for f in frames][:5] == list(range(5))
    assert isinstance(error, SourceClosed)
    assert "cut short" in error.message
    assert "of 60 pictures" in error.message


def test_damage_in_the_middle_is_stepped_over(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "ok.ts", 2, 30, (160, 120), container="mpegts")
    data = bytearray(clip.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    clip.write_bytes(data)
    frames, _, error = play(clip)
    assert error is None
    assert len(frames) > 30


def test_stop_ends_a_paced_file_at_once(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "long.mp4", 5, 10, (64, 64), sound=False)
    first, source = threading.Event(), FileSource(clip)
    source.start(lambda frame: first.set())
    assert first.wait(10)
    begin = time.monotonic()
    source.stop()
    assert time.monotonic() - begin < 1
    assert source.done.is_set()
    assert source.error is None


def test_a_stream_that_is_not_there() -> None:
    _, _, error = play("http://user:secret@127.0.0.1:9/live.ts")
    assert isinstance(error, ConnectionLost)
    assert not error.permanent
    assert "secret" not in str(error)
    _, _, error = play("gopher://example.org/video")
    assert isinstance(error, UnsupportedMedia)
    assert "gopher:// are not supported" in error.message


def test_names_for_people() -> None:
    assert shown("rtsp://user:pass@10.0.0.1/stream") == "rtsp://10.0.0.1/stream"
    assert shown("/home/someone/film.mp4") == "film.mp4"
    assert is_url("rtsp://x/y")
    assert not is_url("C:/film.mp4")


def test_probe_tells_what_a_progress_bar_needs(clip: Path) -> None:
    info = probe(clip)
    assert (info.width_px, info.height_px, info.rate_hz, info.pictures) == (320, 240, 30.0, 30)
    assert info.duration_s == pytest.approx(1.0, abs=0.05)
    assert info.has_sound
