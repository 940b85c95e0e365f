"""Outputs and recordings by the routes: begun and ended while a session runs, bounded, private, whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from app.taps import Taps, Viewer
from app.visitors import Visitor, visiting
from perception.asr.transcript import Transcript, Turn
from realtime.core.errors import ConfigError
from realtime.core.frame import Frame, Result
from tests.app.test_incoming import comes_about, watched
from tests.app.test_server import is_told, made, serving
from tests.clips import numbers_of
from tests.streams import free_port, listening, need_ffmpeg, process
from tests.vocabulary import PATIENCE_S, make_chunk, make_frame

PATTERN = {"source": {"kind": "pattern", "width_px": 64, "height_px": 64}, "settings": {"size_px": 64}}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(output__folder=str(tmp_path)) as client:
        yield client


async def running(http: httpx.AsyncClient, **more: Any) -> str:
    one = await made(http, {**PATTERN, **more})
    await watched(http, one)
    return one


async def stat(http: httpx.AsyncClient, one: str) -> dict[str, Any]:
    listed = (await http.get(f"/api/sessions/{one}/outputs")).json()["outputs"]
    return listed[0] if listed else {}


async def has_sent(http: httpx.AsyncClient, one: str, count: int) -> None:
    for _ in range(2000):
        seen = await stat(http, one)
        assert not seen.get("error"), seen
        if seen.get("pictures", 0) >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{count} pictures were not sent: {seen}")


async def test_a_file_is_begun_and_ended_by_the_routes(http: httpx.AsyncClient, tmp_path: Path) -> None:
    one = await running(http)
    body = {"kind": "file", "name": "out.mp4", "picture": "both"}
    made_one = await http.post(f"/api/sessions/{one}/outputs", json=body)
    assert made_one.status_code == 201, made_one.text
    await has_sent(http, one, 20)
    is_told(await http.post(f"/api/sessions/{one}/outputs", json=body), 422, "there already")
    gone = await http.delete(f"/api/sessions/{one}/outputs/{made_one.json()['id']}")
    assert gone.status_code == 204
    assert await stat(http, one) == {}
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (128, 64)
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert (
        abs(255 - picture[:, :64] - picture[:, 64:]).mean() < 12
    )  # the right half is the left one, inverted
    is_told(await http.delete(f"/api/sessions/{one}/outputs/none"), 422, "no such output")


async def test_a_server_receives_the_session_until_its_end(http: httpx.AsyncClient, tmp_path: Path) -> None:
    port = free_port()
    url = f"rtmp://127.0.0.1:{port}/live/key"
    with process(need_ffmpeg(), "-listen", "1", "-i", url, "-c", "copy", str(tmp_path / "got.mkv")) as server:
        one = await running(http)
        await comes_about(lambda: listening(port))
        answer = await http.post(f"/api/sessions/{one}/outputs", json={"kind": "rtmp", "url": url})
        assert answer.status_code == 201, answer.text
        await has_sent(http, one, 60)
        seen = await stat(http, one)
        assert seen["name"].endswith("/live/...")
        assert (await http.delete(f"/api/sessions/{one}")).status_code == 204
        assert server.wait(PATIENCE_S) == 0
    assert len(numbers_of(tmp_path / "got.mkv")) >= 30


async def test_a_session_that_is_sent_on_needs_nobody_to_watch_it(tmp_path: Path) -> None:
    flags = {"server__connect_timeout_s": 0.3, "output__folder": str(tmp_path)}
    async with serving(**flags) as http:
        one = await made(http, PATTERN)
        answer = await http.post(f"/api/sessions/{one}/outputs", json={"kind": "file", "sound": False})
        await has_sent(http, one, 60)  # longer than the patience with those who do not connect
        session = http.studio.manager.get(one)  # type: ignore[attr-defined]
        await http.delete(f"/api/sessions/{one}/outputs/{answer.json()['id']}")
        await http.studio.loop.do(session.closed.wait())  # type: ignore[attr-defined]
    assert len(numbers_of(tmp_path / "painted.mp4")) >= 60


@pytest.mark.parametrize(
    ("body", "address", "status", "said"),
    [
        ({"kind": "rtmp", "url": "rtmp://8.8.8.8/a/b"}, "8.8.8.8", 403, "own machine"),
        ({"kind": "file"}, "8.8.8.8", 403, "own machine"),
        ({"kind": "hls"}, "8.8.8.8", 403, "own machine"),
        ({"kind": "camera"}, "8.8.8.8", 403, "own machine"),
        ({"kind": "rtmp"}, "127.0.0.1", 422, "address"),
        ({"kind": "rtmp", "url": "http://8.8.8.8/"}, "127.0.0.1", 403, "rtmp"),
        ({"kind": "rtsp", "url": "rtsp://169.254.169.254/x"}, "127.0.0.1", 403, "no host"),
        ({"kind": "hls", "url": "http://8.8.8.8/x"}, "127.0.0.1", 422, "list"),
        ({"kind": "file", "name": "../out.mp4"}, "127.0.0.1", 422, "name"),
        ({"kind": "file", "name": "/etc/out.mp4"}, "127.0.0.1", 422, "name"),
        ({"kind": "file", "name": "a/b.mp4"}, "127.0.0.1", 422, "name"),
        ({"kind": "file", "name": "..\\b.mp4"}, "127.0.0.1", 422, "name"),
        ({"kind": "file", "name": "out.exe"}, "127.0.0.1", 422, "name"),
        ({"kind": "hls", "name": ".."}, "127.0.0.1", 422, "name"),
        ({"kind": "ftp"}, "127.0.0.1", 422, "rtmp"),
    ],
)
async def test_what_may_not_be_sent_is_a_sentence(
    tmp_path: Path, body: dict[str, Any], address: str, status: int, said: str
) -> None:
    async with serving(output__folder=str(tmp_path), address=address) as http:
        one = await made(http, PATTERN)
        is_told(await http.post(f"/api/sessions/{one}/outputs", json=body), status, said)
        assert await stat(http, one) == {}


async def test_a_recording_can_be_had_while_it_runs_and_after_the_session(
    http: httpx.AsyncClient,
) -> None:
    one = await running(http)
    session = http.studio.manager.get(one)  # type: ignore[attr-defined]
    told: list[dict[str, Any]] = []
    session.outbox.attach(told.append)
    base = f"/api/sessions/{one}/recordings"
    name = (await http.post(base, json={})).json()["name"]
    assert {"type": "recording", "on": True, "name": name} in told
    is_told(await http.post(base, json={}), 422, "being recorded")
    await has_sent(http, one, 20)
    await http.patch(f"/api/sessions/{one}/settings", json={"strength": 0.5})
    session.report("Something to tell.")
    session.outbox.put(Transcript(Turn.UPDATE, 0, "over", "", 5.0, 6.0).told(0))
    session.outbox.put(Transcript(Turn.END, 0, "over there", "", 5.0, 6.0).told(0))
    await has_sent(http, one, 40)
    growing = await http.get(f"{base}/{name}")
    assert growing.status_code == 200  # while it runs, too
    assert (await http.delete(f"/api/sessions/{one}")).status_code == 204
    (listed,) = (await http.get(base)).json()["recordings"]
    assert listed["name"] == name
    assert listed["running"] is False
    film = await http.get(f"{base}/{name}")
    assert film.headers["content-type"] == "video/mp4"
    assert name in film.headers["content-disposition"]
    path = http.studio.manager.recordings.path(one, name)  # type: ignore[attr-defined]
    assert path.read_bytes() == film.content
    assert len(numbers_of(path)) >= 40
    lines = [json.loads(line) for line in (await http.get(f"{base}/{listed['events']}")).text.splitlines()]
    assert [line["kind"] for line in lines] == ["begin", "settings", "notice", "heard", "end"]
    assert lines[1]["strength"] == 0.5
    captions = await http.get(f"{base}/{listed['captions']}")
    assert captions.text.startswith("WEBVTT\n\n00:00:0")
    assert captions.text.endswith("over there\n\n")
    times = [line["time_s"] for line in lines]
    assert times == sorted(times)
    assert times[1] > 0


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "....//....//etc/passwd",
        "%2fetc%2fpasswd",
        "..%5c..%5cetc%5cpasswd",
        "film.mp4%00",
        "none.mp4",
    ],
)
async def test_only_names_that_were_given_out_are_downloaded(http: httpx.AsyncClient, name: str) -> None:
    one = await running(http)
    other = await running(http)
    mine = (await http.post(f"/api/sessions/{one}/recordings", json={"sound": False})).json()["name"]
    await comes_about(lambda: http.studio.manager.recordings.listed(one)[0]["bytes"])  # type: ignore[attr-defined]
    for path in (f"/api/sessions/{one}/recordings/{name}", f"/api/sessions/{other}/recordings/{mine}"):
        answer = await http.get(path)
        assert answer.status_code == 404
        assert b"root:" not in answer.content
    assert (await http.get(f"/api/sessions/{one}/recordings/{mine}")).status_code == 200


async def test_recording_is_bounded_and_deleted_after_its_time() -> None:
    async with serving(recording__max_minutes=0.01, recording__keep_s=0.5) as http:
        one = await running(http)
        recordings = http.studio.manager.recordings  # type: ignore[attr-defined]
        name = (await http.post(f"/api/sessions/{one}/recordings", json={})).json()["name"]
        await comes_about(lambda: not recordings.listed(one)[0]["running"])
        assert "all there may be" in recordings.listed(one)[0]["why"]
        path = recordings.path(one, name)
        assert numbers_of(path)
        await comes_about(lambda: not path.exists())
        assert recordings.listed(one) == []
        is_told(await http.get(f"/api/sessions/{one}/recordings/{name}"), 404, "no such recording")
        assert (await http.get(f"/api/sessions/{one}/recordings")).json() == {"recordings": []}
        is_told(await http.get("/api/sessions/none/recordings"), 404, "no such session")


async def test_recordings_are_not_for_everyone_and_go_with_the_server(tmp_path: Path) -> None:
    async with serving(address="8.8.8.8") as http:
        one = await running(http)
        is_told(await http.post(f"/api/sessions/{one}/recordings", json={}), 403, "recording.allow")
    for folder in (None, tmp_path):
        flags = {"recording__folder": str(folder)} if folder else {}
        async with serving(recording__allow="all", address="8.8.8.8", **flags) as http:
            one = await running(http)
            name = (await http.post(f"/api/sessions/{one}/recordings", json={})).json()["name"]
            await has_sent(http, one, 10)
            path = http.studio.manager.recordings.path(one, name)  # type: ignore[attr-defined]
        assert path.exists() is (folder is not None)
    assert numbers_of(path)  # finished in order as the server stopped


def test_listeners_come_and_go() -> None:
    taps, seen = Taps(), []
    end = taps.listen(frame=seen.append, audio=seen.append, event=lambda kind, what: seen.append(kind))
    taps.frame(make_frame(1))
    taps.audio(make_chunk(1))
    taps.event("settings", {})
    for kind in ("stats", "seen", "motion", "result"):
        taps.hear({"type": kind})
    end()
    end()
    taps.frame(make_frame(2))
    assert seen[2:] == ["settings", "seen", "motion", "result"]


def test_an_original_is_shown_with_its_own_painting() -> None:
    viewer = Viewer("original")
    frames = [make_frame(seq) for seq in range(3)]
    for frame in frames:
        viewer.note(frame)
    result = Result(frames[1].stamp, "paint", Frame(frames[1].stamp, 255 - frames[1].pixels), 1.0)
    assert (viewer.pixels(result) == frames[1].pixels).all()
    assert viewer.pixels(Result(make_frame(9).stamp, "paint", frames[0], 1.0)) is None
    assert viewer.pixels(Result(frames[1].stamp, "paint", None, 1.0)) is None


async def test_a_recording_belongs_to_whom_the_session_belonged_to(http: httpx.AsyncClient) -> None:
    one = await running(http)
    manager = http.studio.manager  # type: ignore[attr-defined]
    manager.get(one).owner = "alice"
    recordings = manager.recordings
    with visiting(Visitor("alice", "8.8.8.8", is_local=True)):
        name = recordings.start(manager.get(one), picture="painted", sound=False)
    await comes_about(lambda: recordings.listed(one)[0]["bytes"])
    with visiting(Visitor("bob", "8.8.4.4", is_local=False)):
        assert recordings.listed(one) == []
        with pytest.raises(ConfigError):
            recordings.path(one, name)
    with visiting(Visitor("alice", "8.8.8.8", is_local=False)):
        assert recordings.path(one, name).exists()
