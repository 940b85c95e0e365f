"""The written file: each frame once, in order, with its sound, the same each time, nothing half-done."""

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from realtime.core.errors import ChannelClosed, ConfigError, MediaError, UnsupportedMedia
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.sinks.file import FileSink
from realtime.sources.file import FileSource
from realtime.sources.mark import read_mark
from realtime.sources.pattern import pattern_picture
from tests.clips import click_time_s, flash_time_s, make_clip, numbers_of, pictures_of


def frame(seq: int, size: tuple[int, int] = (160, 120), time_s: float | None = None) -> Frame:
    pts = seq * 3000 if time_s is None else round(time_s / VIDEO_CLOCK)
    return Frame(Stamp("test", seq, pts, VIDEO_CLOCK, 0), pattern_picture(seq, *size))


def through(source: Path, target: Path, **options) -> FileSink:
    """Send a file through source and sink, as `paint` does without a painter."""
    sink = FileSink(target, audio_from=source, **{"size": (160, 120), **options})
    reader = FileSource(source, paced=False, audio=False)
    reader.start(sink.put)
    assert reader.done.wait(60)
    reader.stop()
    assert reader.error is None
    sink.close()
    return sink


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_each_frame_once_and_in_order(tmp_path: Path) -> None:
    with FileSink(tmp_path / "out.mp4", size=(160, 120)) as sink:
        for seq in range(50):
            sink.put(frame(seq))
        assert names(tmp_path) != {"out.mp4"}
    assert sink.count == 50
    assert names(tmp_path) == {"out.mp4"}
    assert numbers_of(sink.path) == list(range(50))
    with av.open(str(sink.path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].frames == 50


def test_the_index_comes_first_so_that_browsers_can_begin(tmp_path: Path) -> None:
    with FileSink(tmp_path / "out.mp4", size=(64, 64)) as sink:
        sink.put(frame(0, (64, 64)))
    data = sink.path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_variable_rate_keeps_each_time(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.3, 0.31, 0.9, 2.5]
    with FileSink(tmp_path / "out.mp4", size=(64, 64), rate=25) as sink:
        for seq, time_s in enumerate(times):
            sink.put(
                frame(seq, (64, 64), 100 + time_s)
            )  # a stream that begins at 100 s begins at 0 in the file
    assert [time_s for time_s, _ in pictures_of(sink.path)] == pytest.approx(times, abs=1e-4)


def test_times_that_do_not_advance_lose_no_frame(tmp_path: Path) -> None:
    with FileSink(tmp_path / "out.mp4", size=(64, 64)) as sink:
        for seq, time_s in enumerate([0.0, 0.0, 0.5, 0.4, 0.6]):
            sink.put(frame(seq, (64, 64), time_s))
    assert numbers_of(sink.path) == list(range(5))


CLIPS = {
    "aac in mp4": ("in.mp4", {}, True),
    "b-pictures": ("in.mp4", {"bframes": 2}, True),
    "mpeg-ts": ("in.ts", {"container": "mpegts"}, True),
    "opus in mkv": ("in.mkv", {"sound_codec": "libopus"}, False),
    "pcm in mov": ("in.mov", {"sound_codec": "pcm_s16le"}, False),
    "mp3 in mp4": ("in.mp4", {"sound_codec": "libmp3lame"}, True),
}


@pytest.mark.parametrize("kind", CLIPS)
def test_sound_stays_within_20_ms_of_its_picture(tmp_path: Path, kind: str) -> None:
    name, options, copied = CLIPS[kind]
    source = make_clip(tmp_path / name, 2, 30, (160, 120), flash_at=33, **options)
    target = tmp_path / "out.mp4"
    through(source, target)
    assert numbers_of(target) == list(range(60))
    assert abs(click_time_s(target) - flash_time_s(target)) < 0.02
    assert abs(flash_time_s(target) - 1.1) < 0.025
    if copied:
        assert sound_packets(target) == sound_packets(source)
    with av.open(str(target)) as out:
        sound = out.streams.audio[0]
        assert sound.duration * sound.time_base == pytest.approx(2.0, abs=0.06)


def sound_packets(path: Path) -> list[bytes]:
    """Return the coded sound, without the headers that a transport stream puts before each packet."""
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    return [packet[7:] if packet[:1] == b"\xff" and path.suffix == ".ts" else packet for packet in packets]


def test_sound_of_a_variable_rate_file_stays_in_step(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.6, 0.7, 1.234, 1.3, 1.9]
    source = make_clip(tmp_path / "vfr.mp4", size=(160, 120), times_s=times, flash_at=5)
    through(source, tmp_path / "out.mp4")
    assert flash_time_s(tmp_path / "out.mp4") == pytest.approx(1.234, abs=2e-3)
    assert click_time_s(tmp_path / "out.mp4") == pytest.approx(1.234, abs=0.02)


def test_a_file_without_sound_gives_a_file_without_sound(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 0.5, 30, (160, 120), sound=False)
    through(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not container.streams.audio


def test_the_same_frames_give_the_same_file(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 1, 30, (160, 120))
    digests, pixels = set(), set()
    for name in ("one", "two"):
        target = through(source, tmp_path / f"{name}.mp4").path
        digests.add(hashlib.sha256(target.read_bytes()).hexdigest())
        pixels.add(hashlib.sha256(b"".join(p.tobytes() for _, p in pictures_of(target))).hexdigest())
    assert len(pixels) == 1
    assert len(digests) == 1


def test_pictures_are_close_to_what_was_put_in(tmp_path: Path) -> None:
    with FileSink(tmp_path / "out.mp4", size=(160, 120)) as sink:
        for seq in range(5):
            sink.put(frame(seq))
    for seq, (_, pixels) in enumerate(pictures_of(sink.path)):
        assert np.abs(pixels.astype(int) - pattern_picture(seq, 160, 120)).mean() < 6


@pytest.mark.parametrize("size", [(161, 121), (64, 99), (2, 2)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = np.full((size[1], size[0], 3), 99, np.uint8)
    with FileSink(tmp_path / "out.mp4", size=size) as sink:
        sink.put(Frame(Stamp("test", 0, 0, VIDEO_CLOCK, 0), pixels))
    (_, got), *rest = pictures_of(sink.path)
    assert rest == []
    assert got.shape == (size[1] + size[1] % 2, size[0] + size[0] % 2, 3)


def test_a_size_change_in_the_middle_is_fitted_in_whole(tmp_path: Path) -> None:
    with FileSink(tmp_path / "out.mp4", size=(128, 128)) as sink:
        for seq, size in enumerate([(128, 128), (256, 256), (320, 240), (96, 96)]):
            sink.put(frame(seq, size))
    pictures = [pixels for _, pixels in pictures_of(sink.path)]
    assert {p.shape for p in pictures} == {(128, 128, 3)}
    assert [read_mark(p) for p in (pictures[0], pictures[1], pictures[3])] == [0, 1, 3]
    assert pictures[2][:14].mean() < 8  # 320 x 240 between bars


def test_abort_leaves_nothing(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "out.mp4", size=(64, 64))
    sink.put(frame(0, (64, 64)))
    sink.abort()
    sink.abort()
    assert names(tmp_path) == set()
    with pytest.raises(ChannelClosed):
        sink.put(frame(1, (64, 64)))
    with pytest.raises(ChannelClosed):
        sink.close()


def test_an_error_inside_with_leaves_nothing_and_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"the old one")

    def painting_that_fails() -> None:
        with FileSink(target, size=(64, 64)) as sink:
            sink.put(frame(0, (64, 64)))
            raise KeyError

    with pytest.raises(KeyError):
        painting_that_fails()
    assert names(tmp_path) == {"out.mp4"}
    assert target.read_bytes() == b"the old one"


def test_close_twice_and_the_input_may_be_the_output(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "same.mp4", 0.5, 30, (160, 120), flash_at=5)
    sink = through(path, path)
    assert sink.close() == path
    assert numbers_of(path) == list(range(15))


def test_no_frames_no_file(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "out.mp4", size=(64, 64))
    with pytest.raises(UnsupportedMedia, match="no pictures"):
        sink.close()
    assert names(tmp_path) == set()


def test_wrong_targets_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.mp4"):
        FileSink(tmp_path / "out.gif", size=(64, 64))
    with pytest.raises(ConfigError, match="There is no folder"):
        FileSink(tmp_path / "nowhere" / "out.mp4", size=(64, 64))
    with pytest.raises(ConfigError, match="0 x 64"):
        FileSink(tmp_path / "out.mp4", size=(0, 64))
    with pytest.raises(MediaError, match="There is no file"):
        FileSink(tmp_path / "out.mp4", size=(64, 64), audio_from=tmp_path / "none.mp4")
    assert names(tmp_path) == set()


def test_rate_may_be_fractional(tmp_path: Path) -> None:
    with FileSink(tmp_path / "out.mp4", size=(64, 64), rate=Fraction(30_000, 1001)) as sink:
        for seq in range(3):
            sink.put(frame(seq, (64, 64), seq * 1001 / 30_000))
    assert len(pictures_of(sink.path)) == 3
