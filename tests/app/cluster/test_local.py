"""Two worker processes of this machine: four sessions, a kill, a drain, and every call finds its session."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import httpx
import psutil
import pytest

from app.cluster.far import FarSessions
from app.cluster.line import SILENT_S
from app.port import Port
from app.visitors import Visitor, visiting
from realtime.core.errors import ConfigError, SessionError
from tests.app import stages
from tests.app.cluster.cluster import PATTERN, Guest, cluster
from tests.app.test_server import is_told
from tests.clips import make_clip


async def test_a_killed_worker_s_sessions_resume_elsewhere_with_their_settings() -> None:
    async with cluster() as one:
        await one.all_open(2)
        ids = [await one.made() for _ in range(4)]
        at = {i: one.desk.record(i).worker for i in ids}
        assert sorted(at.values()) == ["worker-0", "worker-0", "worker-1", "worker-1"]
        guests = {i: Guest(one.http, i) for i in ids}
        for guest in guests.values():
            await guest.come()

        victim = "worker-0"
        lost = [i for i in ids if at[i] == victim]
        answer = await one.http.patch(f"/api/sessions/{lost[0]}/settings", json={"strength": 0})
        assert answer.json()["settings"]["strength"] == 0
        # The other one's setting changes without the front: over the data channel.
        await guests[lost[1]].watcher.control_open()
        guests[lost[1]].watcher.control.send(  # type: ignore[union-attr]
            json.dumps({"type": "settings", "settings": {"strength": 0.5}})
        )
        told_of = lambda: one.desk.record(lost[1]).settings.get("strength") == 0.5  # noqa: E731
        assert await one.desk.keeper.until(told_of, 5)
        listening = asyncio.Event()
        told = asyncio.create_task(first_event(one.url, lost[0], listening))
        await listening.wait()

        pid = one.pid(victim)
        killed_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        assert (await told)["type"] == "move"
        print(f"told of the move after {time.monotonic() - killed_s:.2f} s")
        for i in lost:
            await guests[i].come_again()
            print(f"resumed {time.monotonic() - killed_s:.2f} s after the kill")
            assert time.monotonic() - killed_s < 5
            assert one.desk.record(i).worker == "worker-1"
        settings = [(await one.http.get(f"/api/sessions/{i}")).json()["settings"] for i in lost]
        assert [seen["strength"] for seen in settings] == [0, 0.5]
        assert {seen["size_px"] for seen in settings} == {96}
        await guests[lost[0]].watcher.until(lambda: guests[lost[0]].watcher.is_inverted() is False)
        kept = next(i for i in ids if i not in lost)
        before = len(guests[kept].watcher.received)
        await guests[kept].watcher.until(lambda: len(guests[kept].watcher.received) > before)

        await one.all_open(2)  # the dead one is back, as another process
        assert one.pid(victim) != pid
        pids = [one.pid(name) for name in ("worker-0", "worker-1")]
        assert 'vitascope_sessions{worker="worker-1",state="live"} 4' in (await one.http.get("/metrics")).text
        for guest in guests.values():
            await guest.leave()
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


@pytest.mark.slow
async def test_a_worker_that_hangs_is_killed_and_its_sessions_go_on_elsewhere() -> None:
    async with cluster(server__connect_timeout_s=120) as one:
        await one.all_open(2)
        session_id = await one.made()
        record = one.desk.record(session_id)
        old = record.worker
        pid = one.pid(old)
        os.kill(pid, signal.SIGSTOP)  # it lives, and says nothing any more
        assert await one.desk.keeper.until(lambda: record.worker not in ("", old), SILENT_S + 10)
        assert await one.desk.keeper.until(lambda: not psutil.pid_exists(pid), 20)
        guest = Guest(one.http, session_id)
        await guest.come()
        await guest.leave()


async def test_more_workers_come_when_places_are_scarce_and_go_when_they_are_idle() -> None:
    flags = {
        "server__workers": 1,
        "server__max_sessions": 1,
        "cluster__max_workers": 2,
        "cluster__idle_timeout_s": 1,
    }
    async with cluster(**flags) as one:
        await one.all_open(1)
        first = await one.made()
        await one.all_open(2)  # one place should stay free
        second = await one.made()
        assert one.desk.record(second).worker == "worker-1"
        is_told(await one.http.post("/api/sessions", json=PATTERN), 503, "places")
        await one.http.delete(f"/api/sessions/{first}")
        await one.http.delete(f"/api/sessions/{second}")
        assert await one.desk.keeper.until(lambda: len(one.desk.keeper.seats) == 1, 20)


async def test_an_uploaded_film_and_the_page_s_knobs_follow_their_session(tmp_path: Path) -> None:
    async with cluster() as one:
        await one.all_open(2)
        await one.http.get("/api/sessions/none")  # a cookie comes with the first answer
        clip = make_clip(tmp_path / "film.mp4", seconds=0.5)
        sent = await one.http.post("/api/files", files={"file": clip.open("rb")})
        assert sent.status_code == 201, sent.text
        film = {"source": {"kind": "file", "file": sent.json()["id"]}, "settings": {"size_px": 96}}
        guest = Guest(one.http, await one.made(film))
        await guest.come()

        far = FarSessions(one.desk)
        far.loop = asyncio.get_running_loop()
        port = Port(far)
        assert port.schema() is stages.InvertConfig
        owner = one.desk.record(guest.id).owner
        with visiting(Visitor(owner, "127.0.0.1", True)):
            await asyncio.to_thread(port.configure, guest.id, {"strength": 0.75})
            with pytest.raises(ConfigError, match="strength"):
                await asyncio.to_thread(port.configure, guest.id, {"strenght": 0.75})
            with pytest.raises(SessionError, match="no such session"):
                await asyncio.to_thread(port.configure, "none", {"strength": 0.75})
        with (
            visiting(Visitor("another", "10.0.0.7", False)),
            pytest.raises(SessionError, match="no such session"),
        ):
            await asyncio.to_thread(port.configure, guest.id, {"strength": 0.5})

        record = one.desk.record(guest.id)
        old = record.worker
        os.kill(one.pid(old), signal.SIGKILL)
        assert await one.desk.keeper.until(lambda: record.worker not in ("", old), 5)
        await guest.come_again()
        seen = (await one.http.get(f"/api/sessions/{guest.id}")).json()
        assert seen["settings"]["strength"] == 0.75
        assert seen["state"] == "live"
        assert len(one.desk.uploads) == 1
        await one.http.delete(f"/api/sessions/{guest.id}")
        assert len(one.desk.uploads) == 0
        await guest.leave()


async def first_event(url: str, session_id: str, listening: asyncio.Event) -> dict[str, str]:
    """Return what the front's event line says first; `listening` is set once it is open."""

    path = f"{url}/api/sessions/{session_id}/events"
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http, http.stream("GET", path) as answer:
        listening.set()
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                found: dict[str, str] = json.loads(line.removeprefix("data: "))
                return found
    raise AssertionError("the line ended")


async def test_calls_go_to_the_session_s_worker_and_a_drained_one_hands_its_sessions_on() -> None:
    async with cluster(server__max_sessions=2, cluster__drain_timeout_s=20) as one:
        await one.all_open(2)
        first, second = await one.made(), await one.made()
        assert one.desk.record(first).worker != one.desk.record(second).worker
        wrong = await one.http.patch(f"/api/sessions/{first}/settings", json={"strenght": 1})
        is_told(wrong, 422, "strength")
        is_told(await one.http.post(f"/api/sessions/{first}/offer", json={"sdp": "hello"}), 422, "offer")
        is_told(await one.http.get("/api/sessions/none"), 404, "no such session")
        is_told(await one.http.post("/api/sessions", json={**PATTERN, "settings": {"a": 1}}), 422, "a")
        third, fourth = await one.made(), await one.made()
        is_told(await one.http.post("/api/sessions", json=PATTERN), 503, "places")
        assert (await one.http.delete(f"/api/sessions/{third}")).status_code == 204
        is_told(await one.http.get(f"/api/sessions/{third}"), 404, "has ended")
        assert (await one.http.post(f"/api/sessions/{fourth}/close")).status_code == 204
        health = (await one.http.get("/healthz")).json()
        assert {seen["state"] for seen in health["workers"]} == {"open"}

        guest = Guest(one.http, first)
        await guest.come()
        await guest.watcher.control_open()
        old = one.desk.record(first).worker
        pid = one.pid(old)
        answer = await one.http.post(f"/api/workers/{old}/drain")
        assert answer.status_code == 202
        await guest.watcher.until(lambda: any(m["type"] == "move" for m in guest.watcher.messages), 30)
        assert one.desk.record(first).worker != old
        await guest.come_again()
        assert await one.desk.keeper.until(lambda: not psutil.pid_exists(pid), 30)
        await one.all_open(2)  # one was started in its place before it was emptied
        await guest.leave()
