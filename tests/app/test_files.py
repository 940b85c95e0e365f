"""Uploaded files: kept while they are wanted, deleted afterwards, and never more than fit."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app import files
from app.files import Uploads
from realtime.core.clock import ManualClock
from realtime.core.errors import ConfigError, UnsupportedMedia
from tests.clips import make_clip


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("film") / "film.mp4", seconds=0.2, sound=False).read_bytes()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def uploads(clock: ManualClock) -> Iterator[Uploads]:
    one = Uploads(max_bytes=1 << 20, keep_s=600, clock=clock)
    yield one
    one.close()


async def pieces(content: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def folder_of(uploads: Uploads) -> Path:
    assert uploads._folder is not None
    return uploads._folder


async def test_a_file_is_kept_as_it_is_and_goes_with_its_last_player(uploads: Uploads, film: bytes) -> None:
    one = await uploads.add(pieces(film))
    path = uploads.play(one)
    assert path.read_bytes() == film
    assert uploads.play(one) == path
    uploads.release(one)
    assert path.exists()
    uploads.release(one)
    assert not path.exists()
    uploads.release(one)  # twice does no harm
    with pytest.raises(ConfigError, match="Send it again"):
        uploads.play(one)


async def test_a_file_that_nobody_plays_is_deleted_after_a_while(
    uploads: Uploads, film: bytes, clock: ManualClock
) -> None:
    idle, played = await uploads.add(pieces(film)), await uploads.add(pieces(film))
    uploads.play(played)
    clock.advance(ms=600_000)
    uploads.sweep()
    assert len(uploads) == 2
    clock.advance(ms=1)
    uploads.sweep()
    assert len(uploads) == 1
    with pytest.raises(ConfigError):
        uploads.play(idle)
    uploads.release(played)
    assert not list(folder_of(uploads).iterdir())


@pytest.mark.parametrize(
    ("content", "error"), [(b"x" * 2_000_000, ConfigError), (b"words", UnsupportedMedia)]
)
async def test_what_cannot_be_used_is_not_kept(
    uploads: Uploads, content: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await uploads.add(pieces(content))
    assert len(uploads) == 0
    assert not list(folder_of(uploads).iterdir())


async def test_a_client_that_breaks_off_leaves_nothing(uploads: Uploads, film: bytes) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield film[:100]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await uploads.add(broken())
    assert not list(folder_of(uploads).iterdir())


async def test_there_is_a_limit_to_their_number(
    uploads: Uploads, film: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_FILES", 2)
    await uploads.add(pieces(film))
    await uploads.add(pieces(film))
    with pytest.raises(ConfigError, match="2 files wait already"):
        await uploads.add(pieces(film))
    folder = folder_of(uploads)
    uploads.close()
    assert not folder.exists()


async def test_a_film_with_more_pixels_than_are_taken_is_refused(film: bytes) -> None:
    uploads = Uploads(max_bytes=1_000_000, keep_s=60, max_px=64 * 48)
    with pytest.raises(UnsupportedMedia, match="too large"):
        await uploads.add(pieces(film))
    assert len(uploads) == 0
    uploads.close()


async def test_a_file_that_keeps_ffmpeg_busy_is_given_up(
    uploads: Uploads, film: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    probe = files._probe
    monkeypatch.setattr(files, "PROBE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(files, "_probe", lambda path, max_px: gate.wait(20))
    with pytest.raises(UnsupportedMedia, match=r"could not be read within 0\.1 s"):
        await uploads.add(pieces(film))
    assert not list(folder_of(uploads).iterdir())
    monkeypatch.setattr(files, "_probe", probe)
    monkeypatch.setattr(files, "PROBE_TIMEOUT_S", 20.0)
    assert await uploads.add(pieces(film))  # the other thread is free
    gate.set()
