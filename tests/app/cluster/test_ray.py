"""The same workers in actors of a Ray cluster on this machine. Skipped where ray is not installed."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from tests.app.cluster.cluster import Guest, cluster

pytest.importorskip("ray")

pytestmark = pytest.mark.slow


async def test_sessions_of_a_killed_actor_resume_in_another_and_ray_starts_it_again() -> None:
    async with cluster(cluster__backend="ray") as one:
        await one.all_open(2, 120)
        ids = [await one.made() for _ in range(4)]
        guests = {i: Guest(one.http, i) for i in ids}
        for guest in guests.values():
            await guest.come()
        lost = [i for i in ids if one.desk.record(i).worker == "worker-0"]
        assert len(lost) == 2
        await one.http.patch(f"/api/sessions/{lost[0]}/settings", json={"strength": 0})
        pid = one.pid("worker-0")
        assert pid != os.getpid()
        killed_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        await asyncio.gather(*(guests[i].come_again() for i in lost))
        print(f"resumed {time.monotonic() - killed_s:.2f} s after the kill")
        assert time.monotonic() - killed_s < 5
        seen = (await one.http.get(f"/api/sessions/{lost[0]}")).json()
        assert seen["settings"]["strength"] == 0
        await one.all_open(2, 60)
        print(f"restarted {time.monotonic() - killed_s:.2f} s after the kill")
        assert one.pid("worker-0") != pid
        assert one.desk.keeper.lost == 1
        for guest in guests.values():
            await guest.leave()
