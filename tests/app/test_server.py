"""The routes, asked in process: what they do, and the sentence and status for what cannot be."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.server import build_app
from realtime.core.channel import Channel, Drop
from tests.app import stages
from tests.clips import make_clip

HOME = "http://127.0.0.1:7860"
PATTERN = {"source": {"kind": "pattern"}}


@asynccontextmanager
async def serving(
    stage: str = "Invert", *, address: str = "127.0.0.1", **flags: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Run the app's lifespan and speak to it as a browser at `address` would."""
    table = stages.registry(stage)
    app = build_app(stages.settings(table, **flags), table, page=False)
    transport = httpx.ASGITransport(app, client=(address, 5000))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=HOME) as client,
    ):
        client.studio = app.state.studio  # type: ignore[attr-defined]
        yield client


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with serving() as client:
        yield client


async def made(http: httpx.AsyncClient, body: dict[str, Any] | None = None) -> str:
    answer = await http.post("/api/sessions", json=PATTERN if body is None else body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def is_told(answer: httpx.Response, status: int, *parts: str) -> None:
    """Check the status, and that message and hint are whole sentences that name all `parts`."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["message"].endswith((".", "?"))
    assert error["kind"]
    for part in parts:
        assert part in f"{error['message']} {error['hint']}"


async def test_a_session_is_made_looked_at_and_ended(http: httpx.AsyncClient) -> None:
    one = await made(http, {**PATTERN, "settings": {"prompt": "a fox", "size_px": 96}})
    seen = (await http.get(f"/api/sessions/{one}")).json()
    assert seen["state"] in ("opening", "live")
    assert seen["settings"]["prompt"] == "a fox"
    assert seen["settings"]["size_px"] == 96
    changed = await http.patch(f"/api/sessions/{one}/settings", json={"strength": 0.5})
    assert changed.json()["settings"]["strength"] == 0.5
    assert (await http.delete(f"/api/sessions/{one}")).status_code == 204
    is_told(await http.get(f"/api/sessions/{one}"), 404, "has ended")
    is_told(await http.delete(f"/api/sessions/{one}"), 404)


async def test_closing_is_idempotent_for_pages_that_go_away(http: httpx.AsyncClient) -> None:
    one = await made(http)
    session = http.studio.manager.get(one)  # type: ignore[attr-defined]
    for _ in range(3):
        assert (await http.post(f"/api/sessions/{one}/close")).status_code == 204
    await http.studio.loop.do(session.closed.wait())  # type: ignore[attr-defined]
    assert (await http.post(f"/api/sessions/{one}/close")).status_code == 204
    assert (await http.post("/api/sessions/none/close")).status_code == 204
    assert len(http.studio.manager) == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"strenght": 0.5}, ["strenght", 'Did you mean "strength"']),
        ({"prompt": "x" * 10_000}, ["prompt", "2000"]),
        ({"strength": 7}, ["strength = 7"]),
        ({"size_px": 128}, ["size_px applies after restart"]),
        ({"model": "fox"}, ["model", "none"]),
    ],
)
async def test_wrong_settings_are_a_sentence_and_change_nothing(
    http: httpx.AsyncClient, changes: dict[str, Any], parts: list[str]
) -> None:
    one = await made(http)
    before = (await http.get(f"/api/sessions/{one}")).json()["settings"]
    is_told(await http.patch(f"/api/sessions/{one}/settings", json=changes), 422, *parts)
    assert (await http.get(f"/api/sessions/{one}")).json()["settings"] == before
    if "size_px" not in changes:
        is_told(await http.post("/api/sessions", json={**PATTERN, "settings": changes}), 422, *parts)


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ({"source": {"kind": "patern"}}, ["patern"]),
        ({"source": {"kind": "pattern", "width_px": 1}}, ["width_px", "64"]),
        ({"source": {"kind": "pattern", "colour": 1}}, ["Unknown field", "colour"]),
        ({"sauce": {}}, ["Unknown field", "sauce"]),
        ({"source": {"kind": "file", "file": "none"}}, ["not here"]),
        ([], ["request"]),
    ],
)
async def test_a_wrong_body_is_a_sentence(http: httpx.AsyncClient, body: Any, parts: list[str]) -> None:
    is_told(await http.post("/api/sessions", json=body), 422, *parts)


async def test_what_is_not_json_or_no_route(http: httpx.AsyncClient) -> None:
    json = {"content-type": "application/json"}
    is_told(await http.post("/api/sessions", content=b"{", headers=json), 422, "not valid JSON")
    is_told(await http.get("/api/nothing"), 404, "no such route")
    is_told(await http.put("/api/sessions"), 405)


@pytest.mark.parametrize(
    "sdp", ["", "hello", "v=0\r\n", "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", "x" * 300_000]
)
async def test_a_wrong_offer_is_a_sentence_and_the_server_lives_on(http: httpx.AsyncClient, sdp: str) -> None:
    one = await made(http)
    is_told(await http.post(f"/api/sessions/{one}/offer", json={"sdp": sdp, "type": "offer"}), 422, "offer")
    is_told(await http.post(f"/api/sessions/{one}/offer", json={"sdp": 7}), 422, "Sdp")
    assert (await http.get(f"/api/sessions/{one}")).json()["state"] in ("opening", "live")
    assert (await http.get("/healthz")).json()["status"] == "ok"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("DELETE", "", None),
        ("PATCH", "/settings", {}),
        ("POST", "/offer", {"sdp": "v=0"}),
    ],
)
async def test_an_unknown_session_is_404(http: httpx.AsyncClient, method: str, path: str, body: Any) -> None:
    answer = await http.request(method, f"/api/sessions/none{path}", json=body)
    is_told(answer, 404, "no such session", "Start a new one")


async def test_when_all_places_are_taken_one_is_told_to_wait() -> None:
    async with serving(server__max_sessions=2, server__max_waiting=0) as http:
        first = await made(http)
        await made(http)
        full = await http.post("/api/sessions", json=PATTERN)
        is_told(full, 503, "All 2 places are taken")
        assert int(full.headers["retry-after"]) > 0
        await http.delete(f"/api/sessions/{first}")
        await made(http)


async def test_a_missing_model_fails_the_session_and_says_how_to_get_it() -> None:
    async with serving("NoModel") as http:
        one = await made(http)
        manager = http.studio.manager  # type: ignore[attr-defined]
        seen = await until(http, one, "error")
        assert "models fetch fox" in seen["why"]
        assert seen["events"][-1]["hint"] == "python -m app models fetch fox (2 GB, MIT)"
        is_told(await http.post(f"/api/sessions/{one}/offer", json={"sdp": "v=0"}), 409, "fox")
        assert len(manager) == 1  # it stays for a while, so that the page can read why


async def test_a_fault_while_opening_fails_that_session_only() -> None:
    async with serving("BrokenOpen") as http:
        seen = await until(http, await made(http), "error")
        assert seen["state"] == "failed"
        assert (await http.get("/healthz")).status_code == 200


async def until(http: httpx.AsyncClient, one: str, kind: str) -> dict[str, Any]:
    """Listen to the session's events, as a page would, until one of `kind` comes; return its snapshot."""
    heard: Channel[dict[str, Any]] = Channel("events", capacity=64, drop=Drop.NEVER)
    http.studio.manager.get(one).outbox.attach(heard.put)  # type: ignore[attr-defined]
    async with asyncio.timeout(10):
        while (await heard.aget())["type"] != kind:
            continue
    seen: dict[str, Any] = (await http.get(f"/api/sessions/{one}")).json()
    return seen


async def warmed(http: httpx.AsyncClient) -> dict[str, Any]:
    """Wait for the warming to end and return what /healthz says."""
    studio = http.studio  # type: ignore[attr-defined]
    await studio.loop.do(asyncio.wait_for(studio.manager._warming, 10))
    seen: dict[str, Any] = (await http.get("/healthz")).json()
    return seen


async def test_a_video_is_uploaded_and_played_from_its_beginning(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "film.mp4", seconds=0.5)
    answer = await http.post("/api/files", files={"file": clip.open("rb")})
    assert answer.status_code == 201
    one = await made(http, {"source": {"kind": "file", "file": answer.json()["id"]}})
    await http.delete(f"/api/sessions/{one}")
    again = await http.post("/api/sessions", json={"source": {"kind": "file", "file": answer.json()["id"]}})
    is_told(again, 422, "not here")  # it went with the session that played it


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "empty"),
        (b"This is no film.", "not a video"),
        (b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 900, "video"),
    ],
)
async def test_an_unreadable_upload_is_a_sentence_and_not_kept(
    http: httpx.AsyncClient, content: bytes, part: str
) -> None:
    is_told(await http.post("/api/files", files={"file": ("film.mp4", content)}), 422, part, "The file")
    uploads = http.studio.manager.uploads  # type: ignore[attr-defined]
    assert len(uploads) == 0
    assert not list(uploads._folder.iterdir())


async def test_an_upload_that_is_too_large_is_refused() -> None:
    async with serving(server__max_upload_mb=1) as http:
        is_told(await http.post("/api/files", files={"file": b"x" * (2 << 20)}), 413, "1 MB")
        is_told(await http.post("/api/files", files={"file": b"x" * (1 << 20 | 9)}), 422, "too large")


@pytest.mark.parametrize(
    ("address", "headers"), [("10.0.0.7", {}), ("127.0.0.1", {"x-forwarded-for": "10.0.0.7"})]
)
async def test_the_server_s_camera_is_for_its_own_machine_only(address: str, headers: dict[str, str]) -> None:
    async with serving(address=address) as http:
        answer = await http.post("/api/sessions", json={"source": {"kind": "camera"}}, headers=headers)
        is_told(answer, 403, "camera")


async def test_only_someone_at_the_server_chooses_another_model() -> None:
    other = {**PATTERN, "settings": {"folder": "/etc"}}
    async with serving("Chooses", address="10.0.0.7") as http:
        await made(http, {**PATTERN, "settings": {"folder": "own"}})
        is_told(await http.post("/api/sessions", json=other), 403, "folder")
    async with serving("Chooses") as http:
        await made(http, other)


async def test_only_someone_at_the_server_names_its_files_also_while_it_runs() -> None:
    mask = {"mask": "/etc/shadow.png"}
    async with serving("Chooses", address="10.0.0.7") as http:
        one = await made(http, PATTERN)
        is_told(await http.post("/api/sessions", json={**PATTERN, "settings": mask}), 403, "mask")
        await until(http, one, "ready")
        is_told(await http.patch(f"/api/sessions/{one}/settings", json=mask), 422, "own machine", "mask")
    async with serving("Chooses") as http:
        one = await made(http, PATTERN)
        await until(http, one, "ready")
        assert (await http.patch(f"/api/sessions/{one}/settings", json=mask)).status_code == 200


async def test_other_sites_and_other_names_are_refused(http: httpx.AsyncClient) -> None:
    is_told(await http.get("/healthz", headers={"host": "evil.example"}), 403, "evil.example")
    is_told(await http.post("/api/sessions", json=PATTERN, headers={"origin": "http://evil.example"}), 403)
    assert (await http.get("/healthz", headers={"host": "localhost:7860"})).status_code == 200


async def test_the_looks_of_a_model_that_takes_any_words(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/looks")
    assert answer.json() == {"is_open": True, "looks": [], "moods": {}, "strengths": {}}
    async with serving("Chooses") as other:
        is_told(await other.get("/api/looks"), 503, 'no model "own"')


async def test_health_tells_that_the_painter_is_warm() -> None:
    async with serving(server__warm=True) as http:
        seen = await warmed(http)
        assert seen["painter"] == {
            "phase": "ready",
            "says": "",
            "engine": {"name": "numpy", "why": "it is only a subtraction"},
        }
        assert seen["sessions"] == 0


async def test_warming_that_fails_is_told_and_the_server_lives_on() -> None:
    for stage, part in (("NoModel", "models fetch fox"), ("BrokenOpen", "fault")):
        async with serving(stage, server__warm=True) as http:
            seen = await warmed(http)
            assert seen["painter"]["phase"] == "failed"
            assert part in seen["painter"]["says"]


async def test_metrics_are_what_prometheus_reads(http: httpx.AsyncClient) -> None:
    one = await made(http)
    await until(http, one, "ready")
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    line = re.compile(r'[a-z_0-9]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? -?[0-9.e+]+')
    figures = [text for text in answer.text.splitlines() if not text.startswith("# ")]
    assert figures
    for text in figures:
        assert line.fullmatch(text), text
    assert 'vitascope_sessions{state="live"} 1' in figures
    assert "vitascope_sessions_created_total 1" in figures
    assert f'vitascope_session_age_p95_ms{{session="{one[:6]}"}} 0' in answer.text
    assert one not in answer.text  # a session's id is a secret
