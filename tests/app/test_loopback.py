"""A real WebRTC client against the real routes: pictures come painted, and a PATCH changes the next ones."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
from aiortc import RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from realtime.link import Role
from realtime.media import fit
from realtime.sources.mark import read_mark
from realtime.sources.pattern import pattern_picture
from tests.app.test_server import PATTERN, is_told, made, serving
from tests.realtime.webrtc.client import Client, NumberedCamera

SIDE = 96


class Watcher(Client):
    """Keep the newest picture too."""

    newest: npt.NDArray[np.uint8]

    async def _read(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame: Any = await track.recv()
            except MediaStreamError:
                return
            self.newest = frame.to_ndarray(format="rgb24")
            self.received.append((read_mark(self.newest), 0.0, (frame.width, frame.height)))
            self._news.set()

    async def join(self, http: httpx.AsyncClient, one: str) -> None:
        body = {"sdp": await self.offer(), "type": "offer"}
        answer = await http.post(f"/api/sessions/{one}/offer", json=body)
        assert answer.status_code == 200, answer.text
        await self.pc.setRemoteDescription(RTCSessionDescription(**answer.json()))

    def is_inverted(self) -> bool | None:
        """Compare the newest picture with the one that its number says it is; None without a number."""
        number = self.received[-1][0] if self.received else None
        if number is None:
            return None
        original = pattern_picture(number, SIDE, SIDE).astype(int)
        plain = np.abs(self.newest - original).mean()
        turned = np.abs(self.newest - (255 - original)).mean()
        return bool(turned < plain)


async def test_a_pattern_comes_painted_and_a_patch_changes_the_picture() -> None:
    async with serving(server__resume_timeout_s=0.5) as http:
        one = await made(http, {**PATTERN, "settings": {"size_px": SIDE}})
        watcher = Watcher()
        await watcher.join(http, one)
        await watcher.pictures(10)
        await watcher.until(lambda: watcher.is_inverted() is True)
        answer = await http.patch(f"/api/sessions/{one}/settings", json={"strength": 0})
        assert answer.status_code == 200
        await watcher.until(lambda: watcher.is_inverted() is False)
        is_told(await http.patch(f"/api/sessions/{one}/settings", json={"strength": 9}), 422)
        await watcher.pictures(5)
        assert watcher.is_inverted() is False

        await watcher.control_open()
        await watcher.until(lambda: any(m["type"] == "stats" and m["fps"] > 0 for m in watcher.messages))
        kinds = [message["type"] for message in watcher.messages]
        assert "ready" in kinds
        figures = next(m for m in watcher.messages if m["type"] == "stats" and m["fps"] > 0)
        assert 0 < figures["age_p50_ms"] <= figures["age_p95_ms"] < 2000
        assert figures["engine"] == "numpy"
        assert {"wait_ms", "work_ms", "dropped"} <= set(figures)

        numbers = [number for number, _, _ in watcher.received if number is not None]
        assert numbers == sorted(set(numbers))  # in order, nothing twice
        assert {size for _, _, size in watcher.received} == {(SIDE, SIDE)}
        session = http.studio.manager.get(one)  # type: ignore[attr-defined]
        await watcher.close()
        async with asyncio.timeout(20):
            await http.studio.loop.do(session.closed.wait())  # type: ignore[attr-defined]
        assert session.why == "The other side has gone."


async def test_a_client_that_lost_its_connection_finds_its_session_as_it_left_it() -> None:
    async with serving() as http:
        one = await made(http, {**PATTERN, "settings": {"size_px": SIDE}})
        first, viewer = Watcher(), Watcher()
        await first.join(http, one)
        await first.pictures(3)
        assert (await http.patch(f"/api/sessions/{one}/settings", json={"strength": 0})).status_code == 200
        await first.close()
        again = Watcher()
        await again.join(http, one)
        await again.pictures(5)
        await again.until(lambda: again.is_inverted() is False)
        await again.control_open()
        await again.until(lambda: any(message["type"] == "ready" for message in again.messages))
        session = http.studio.manager.get(one)  # type: ignore[attr-defined]
        sdp = await viewer.offer()
        answer = await http.studio.loop.do(session.answer(sdp, Role.VIEW, "whep"))  # type: ignore[attr-defined]
        await viewer.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await viewer.pictures(5)
        await again.pictures(5)  # both see
        assert [held.path for held in session.links] == ["webrtc", "whep"]
        await viewer.close()
        await again.close()
        await http.delete(f"/api/sessions/{one}")


async def test_the_client_s_own_pictures_come_back_painted() -> None:
    async with serving() as http:
        one = await made(http, {"source": {"kind": "webrtc"}, "settings": {"size_px": SIDE}})
        watcher = Watcher(NumberedCamera((192, 128)))
        await watcher.join(http, one)
        await watcher.until(lambda: len([n for n, _, _ in watcher.received if n is not None]) >= 10)
        number = next(n for n, _, _ in reversed(watcher.received) if n is not None)
        sent = fit(pattern_picture(number, 192, 128), SIDE, SIDE).astype(int)
        assert watcher.received[-1][2] == (SIDE, SIDE)
        assert np.abs(watcher.newest - (255 - sent)).mean() < np.abs(watcher.newest - sent).mean()
        metrics = (await http.get("/metrics")).text
        assert f'vitascope_stage_frames_total{{session="{one[:6]}",stage="paint",lane="paint"}}' in metrics
        await http.delete(f"/api/sessions/{one}")
        await watcher.close()


async def test_two_sessions_have_settings_of_their_own() -> None:
    async with serving() as http:
        watchers = [Watcher(), Watcher()]
        for watcher, strength in zip(watchers, (0, 1), strict=True):
            one = await made(http, {**PATTERN, "settings": {"size_px": SIDE, "strength": strength}})
            await watcher.join(http, one)
        for watcher, is_inverted in zip(watchers, (False, True), strict=True):
            await watcher.pictures(5)
            await watcher.until(lambda watcher=watcher, wanted=is_inverted: watcher.is_inverted() is wanted)
        for watcher in watchers:
            await watcher.close()


async def test_a_stage_that_fails_now_and_then_does_not_end_the_session() -> None:
    async with serving("Fails") as http:
        one = await made(http, {**PATTERN, "settings": {"size_px": SIDE}})
        watcher = Watcher()
        await watcher.join(http, one)
        await watcher.pictures(20)
        assert 3 not in [number for number, _, _ in watcher.received]
        assert (await http.get(f"/api/sessions/{one}")).json()["state"] == "live"
        await watcher.close()
