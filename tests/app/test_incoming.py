"""Streams that a visitor names: read for those at this machine, refused to others, and told in a sentence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from realtime.link import Role
from tests.app.test_server import is_told, made, serving
from tests.clips import make_clip
from tests.streams import web_server
from tests.vocabulary import PATIENCE_S


def url_body(url: str | None) -> dict[str, dict[str, str]]:
    return {"source": {"kind": "url", **({"url": url} if url else {})}}


async def comes_about(holds: Callable[[], object]) -> None:
    """Wait until `holds()`, without holding up the loop."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def watched(http: httpx.AsyncClient, one: str) -> None:
    """Connect a link to session `one`, so that its source begins; wait for painted pictures."""
    studio = http.studio  # type: ignore[attr-defined]
    session = studio.manager.get(one)

    async def connect() -> None:
        ends = session.ends(Role.VIEW, "test")
        ends.on_state("connected")

    await studio.loop.do(connect())
    await comes_about(lambda: session.wiring.snapshot()["paint"].frames >= 5 or session.why)
    assert session.why == ""


async def test_a_visitor_at_this_machine_has_a_stream_painted(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.ts", 2.0, container="mpegts")
    with web_server(tmp_path) as url:
        async with serving() as http:
            await watched(http, await made(http, url_body(f"{url}/clip.ts")))
        async with serving(source__url=f"{url}/clip.ts", address="8.8.8.8") as http:
            await watched(http, await made(http, url_body(None)))  # whoever started the server chose it


@pytest.mark.parametrize(
    ("flags", "address", "url", "status", "said"),
    [
        ({}, "8.8.8.8", "rtsp://8.8.4.4/s", 403, "own machine"),
        ({"source__urls": "off"}, "127.0.0.1", "rtsp://8.8.4.4/s", 403, "no network streams"),
        ({"source__urls": "all"}, "8.8.8.8", "rtsp://192.168.0.4/s", 403, "own network"),
        ({"source__urls": "all"}, "8.8.8.8", "http://0x7f.1/s", 422, "plainly"),
        ({"source__urls": "all"}, "8.8.8.8", "file:///etc/passwd", 422, "address of a stream"),
        ({"source__url_schemes": ["rtsp"]}, "127.0.0.1", "http://8.8.4.4/s", 403, "Use one of rtsp"),
        ({}, "127.0.0.1", "http://169.254.169.254/s", 403, "no host"),
        ({}, "127.0.0.1", None, 422, "No address"),
    ],
)
async def test_an_address_that_may_not_be_is_a_sentence(
    flags: dict[str, object], address: str, url: str | None, status: int, said: str
) -> None:
    async with serving(address=address, **flags) as http:
        is_told(await http.post("/api/sessions", json=url_body(url)), status, said)
        assert len(http.studio.manager) == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("flags", "url"),
    [
        ({"source__urls": "all"}, "rtsp://8.8.4.4/s"),
        ({"source__urls": "all", "source__allow_private": True}, "rtsp://10.0.0.9/s"),
    ],
)
async def test_a_server_can_be_set_to_read_for_everyone(flags: dict[str, object], url: str) -> None:
    async with serving(address="8.8.8.8", **flags) as http:
        assert await made(http, url_body(url))


async def test_a_stream_that_cannot_be_reached_is_told_without_its_password() -> None:
    async with serving() as http:
        one = await made(http, url_body("rtsp://me:secret@127.0.0.1:1/s"))
        with pytest.raises(AssertionError):
            await watched(http, one)
        seen = (await http.get(f"/api/sessions/{one}")).json()
        assert seen["state"] == "failed"
        assert "127.0.0.1:1" in seen["why"]
        assert "secret" not in str(seen)
