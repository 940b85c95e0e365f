"""WHIP and WHEP behind a front: a stream is published at a worker, and watched by its name alone."""

from __future__ import annotations

import os
import signal

import httpx

from app.cluster.streams import Names
from tests.app.cluster.cluster import PATTERN, Cluster, cluster
from tests.app.test_server import is_told
from tests.app.test_whip import FRAGMENT, PAGE, SDP, Player, Publisher, an_offer, posted


def test_a_stream_is_where_it_was_put_and_where_its_worker_says() -> None:
    names = Names()
    names.put("new", "one")
    names.hear("one", ["old"])  # sent before "new" was made
    assert [names.where(name) for name in ("new", "old", "none")] == ["one", "one", ""]
    names.hear("one", ["new", "old"])
    names.hear("two", ["other"])
    names.hear("one", ["new"])
    assert sorted(names) == ["new", "other"]
    assert (names.count("one"), names.count("two")) == (1, 1)
    names.drop("new", "one")  # a second publisher was refused, the first goes on
    assert names.where("new") == "one"
    names.put("failed", "two")
    names.drop("failed", "two")
    names.lose("one")
    assert list(names) == ["other"]


async def told_of(one: Cluster, count: int) -> None:
    """Wait until the workers have told of so many sessions."""
    views = one.desk.keeper.views
    assert await one.desk.keeper.until(lambda: sum(v.load.sessions for v in views()) == count, 10)


async def test_what_is_published_is_watched_by_its_name() -> None:
    async with cluster(server__stream_origins=[PAGE], cluster__drain_timeout_s=5) as one:
        await one.all_open(2)
        http = one.http
        is_told(await http.post("/whep/stage", content=await an_offer(Player()), headers=SDP), 404, "stage")
        first, second = Publisher(), Publisher()
        made = await posted(http, first, "/whip/stage", Origin=PAGE)
        assert made.status_code == 201, made.text
        assert made.headers["location"].startswith("/whip/stage/")
        assert "</watch/stage>" in made.headers["link"]
        assert made.headers["access-control-allow-origin"] == PAGE
        nameless = await posted(http, second, "/whip")  # goes to the other worker, which is less loaded
        name = nameless.headers["location"].split("/")[2]
        assert {one.desk.streams.where("stage"), one.desk.streams.where(name)} == {"worker-0", "worker-1"}
        await told_of(one, 2)
        is_told(await http.post("/whep", content=await an_offer(Player()), headers=SDP), 404, "2 streams")

        players = Player(), Player()
        for player, wanted in zip(players, ("stage", name), strict=True):
            seen = await posted(http, player, f"/whep/{wanted}")
            assert seen.status_code == 201
            await player.pictures(3)
        assert (await http.get("/watch/stage")).headers["content-type"].startswith("text/html")
        await refuses(http, made)

        assert (await http.delete(seen.headers["location"])).status_code == 200
        assert (await http.delete(nameless.headers["location"])).status_code == 200
        await told_of(one, 1)
        assert list(one.desk.streams) == ["stage"]

        victim = one.desk.streams.where("stage")
        os.kill(one.pid(victim), signal.SIGKILL)
        assert await one.desk.keeper.until(lambda: not list(one.desk.streams), 5)
        again = Publisher()
        assert (await posted(http, again, "/whip/stage")).status_code == 201  # at the one that is left
        assert one.desk.streams.where("stage") != victim
        for client in (first, second, *players, again):
            await client.close()


async def refuses(http: httpx.AsyncClient, made: httpx.Response) -> None:
    """Check that a worker's refusals and its answers to questions come through."""
    resource = made.headers["location"]
    other = await an_offer(Publisher())
    is_told(await http.post("/whip/stage", content=other, headers=SDP), 409, "publishes")
    is_told(await http.post("/whip/stage", content="hello", headers=SDP), 400, "SDP")
    is_told(await http.post("/whip/a b", content=other, headers=SDP), 422, "name")
    candidates = {"Content-Type": FRAGMENT, "If-Match": '"another"'}
    is_told(await http.patch(resource, content="a=end-of-candidates\r\n", headers=candidates), 412)
    asked = await http.options(
        "/whip/stage", headers={"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    )
    assert asked.status_code == 200
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert (await http.put("/whip/stage")).status_code == 405


async def test_a_session_that_the_page_made_is_watched_by_its_maker_alone() -> None:
    async with cluster(server__workers=1) as one:
        await one.all_open(1)
        await one.http.get("/api/sessions/none")  # brings the cookie
        session_id = await one.made(PATTERN)
        player = Player()
        async with httpx.AsyncClient(base_url=one.url, trust_env=False) as stranger:
            is_told(
                await stranger.post(f"/whep/{session_id}", content=await an_offer(Player()), headers=SDP),
                404,
            )
        assert (await posted(one.http, player, f"/whep/{session_id}")).status_code == 201
        await player.pictures(2)
        await player.close()
