"""One worker process by itself: who may call it, that it ends with its front, how a new front finds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.cluster.keeper import Keeper
from app.cluster.local import LocalBackend, gpus, least_used
from app.cluster.pool import Address
from app.cluster.scale import Bounds
from app.cluster.token import HEADER, session_in, token_of
from app.cluster.worker import Setup
from realtime.core.errors import SessionError
from tests.app import stages
from tests.app.cluster.cluster import PATTERN, cluster


@dataclass
class Borrowed:
    """A back end whose one worker is there already, and stays."""

    address: Address

    async def begin(self, name: str, lost: Address | None) -> Address:
        return self.address

    async def end(self, name: str, grace_s: float) -> None: ...

    async def close(self) -> None: ...


@pytest.fixture
async def local() -> AsyncIterator[LocalBackend]:
    table = stages.registry()
    backend = LocalBackend(Setup.of(stages.settings(table), table.table))
    yield backend
    await backend.close()


async def test_a_worker_obeys_its_front_only_outlives_it_only_when_told_and_is_found_again(
    local: LocalBackend,
) -> None:
    address = await local.begin("one", None)
    async with httpx.AsyncClient(base_url=address.url, trust_env=False) as http:
        assert (await http.get("/healthz")).status_code == 401
        of_another = {HEADER: token_of(address.secret, "another")}
        assert (await http.get("/api/sessions/mine", headers=of_another)).status_code == 401
        mine = {HEADER: token_of(address.secret, "mine")}
        assert (await http.get("/api/sessions/mine", headers=mine)).status_code == 404

    flags = {"server__workers": 1, "server__connect_timeout_s": 60}
    async with cluster(Borrowed(address), **flags) as first:
        await first.all_open(1)
        session_id = await first.made({**PATTERN, "settings": {"size_px": 96, "strength": 0.25}})
    async with cluster(Borrowed(address), **flags) as second:  # the first front has gone, its worker has not
        await second.all_open(1)
        assert await second.desk.keeper.until(lambda: session_id in second.desk.records, 5)
        seen = (await second.http.get(f"/api/sessions/{session_id}")).json()
        assert seen["settings"]["strength"] == 0.25
        record = second.desk.record(session_id)
        assert record.source["kind"] == "pattern"
        assert record.settings == {"size_px": 96, "strength": 0.25}
        assert (await second.http.delete(f"/api/sessions/{session_id}")).status_code == 204

    process = local._processes["one"]
    assert process.stdin is not None
    process.stdin.close()  # as the system does when the front dies, however it dies
    async with asyncio.timeout(15):
        assert await process.wait() == 0


async def test_a_worker_that_does_not_start_is_told_with_its_status() -> None:
    table = stages.registry()
    setup = Setup.of(stages.settings(table), {"paint": "no.such:Stage"})
    backend = LocalBackend(setup)
    with pytest.raises(SessionError, match="ended at once, with status 1"):
        await backend.begin("one", None)


async def test_a_worker_that_cannot_be_started_is_tried_again_and_its_trouble_is_told() -> None:
    class Broken(Borrowed):
        tries = 0

        async def begin(self, name: str, lost: Address | None) -> Address:
            self.tries += 1
            if self.tries == 2:
                again.set()
            raise SessionError("There is no room.")

    again = asyncio.Event()
    broken = Broken(Address("", "", 0))
    keeper = Keeper(
        broken,
        Bounds(1, 1, 0, 60),
        placed=lambda name: 0,
        on_news=lambda name, event: None,
        on_lost=lambda name: None,
        on_idle=lambda name: None,
    )
    await keeper.start()
    async with asyncio.timeout(5):
        await again.wait()
    assert keeper.seats["worker-0"].trouble == "There is no room."
    assert [one.is_open for one in keeper.views()] == [False]
    await keeper.stop()
    assert keeper.seats == {}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/api/sessions/abc/settings", "abc"),
        ("/api/sessions/abc", "abc"),
        ("/worker/sessions/abc/move", "abc"),
        ("/api/sessions", ""),
        ("/worker/sessions", ""),
        ("/x/api/sessions/abc", ""),
    ],
)
def test_the_session_that_a_path_is_about(path: str, wanted: str) -> None:
    assert session_in(path) == wanted


def test_gpus_are_those_that_this_process_may_use_and_are_shared_out(tmp_path: Path) -> None:
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / name).mkdir()
    assert gpus({}, tmp_path) == ["0", "1"]
    assert gpus({"CUDA_VISIBLE_DEVICES": "3, 5"}, tmp_path) == ["3", "5"]
    assert gpus({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == []
    assert gpus({}, tmp_path / "none") == []
    assert least_used(["0", "1"], ["0"]) == "1"
    assert least_used(["0", "1"], ["0", "1"]) == "0"
    assert least_used([], ["x"]) == ""
