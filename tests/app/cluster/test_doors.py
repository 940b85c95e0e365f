"""What stands before the front: the word, and whose a session is, also where a WebSocket passes through."""

from __future__ import annotations

import httpx
import pytest
import websockets

from tests.app.cluster.cluster import PATTERN, cluster


async def test_a_session_behind_the_front_is_its_visitor_s_own_and_the_word_is_asked_for() -> None:
    async with cluster(server__workers=1, server__token="open sesame") as one:
        await one.all_open(1)
        assert (await one.http.post("/api/sessions", json=PATTERN)).status_code == 401
        bearer = {"Authorization": "Bearer open sesame"}
        one.http.headers.update(bearer)
        await one.http.get("/api/sessions/none")
        assert one.http.cookies  # what it makes from now on is its own
        session_id = await one.made()
        path = f"/api/sessions/{session_id}"
        assert (await one.http.get(path)).status_code == 200
        async with httpx.AsyncClient(base_url=one.url, headers=bearer, trust_env=False) as stranger:
            for method, where in (("GET", path), ("PATCH", f"{path}/settings"), ("POST", f"{path}/offer")):
                body = None if method == "GET" else {"sdp": "v=0", "strength": 0.5}
                answer = await stranger.request(method, where, json=body)
                assert answer.status_code == 404, (method, where, answer.text)
            assert (await stranger.post(f"{path}/close")).status_code == 204
        socket = one.url.replace("http", "ws") + f"{path}/ws"
        assert (await one.http.get(path)).status_code == 200  # a stranger's goodbye ends nothing
        for headers, status in (({}, 401), (bearer, 404), ({**bearer, "Origin": "http://evil.example"}, 403)):
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with websockets.connect(socket, additional_headers=headers, proxy=None):
                    raise AssertionError("it was let in")
            assert refused.value.response.status_code == status
        cookies = "; ".join(f"{name}={value}" for name, value in one.http.cookies.items())
        async with websockets.connect(socket, additional_headers={**bearer, "Cookie": cookies}, proxy=None):
            pass
        assert (await one.http.delete(path)).status_code == 204


async def test_words_that_are_tried_over_sockets_are_counted() -> None:
    async with cluster(server__workers=1, server__token="open sesame") as one:
        await one.all_open(1)
        socket = one.url.replace("http", "ws") + "/api/sessions/none/ws"
        statuses = set()
        for number in range(40):
            headers = {"Authorization": f"Bearer {number}"}
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with websockets.connect(socket, additional_headers=headers, proxy=None):
                    raise AssertionError("it was let in")
            statuses.add(refused.value.response.status_code)
        assert statuses == {401, 429}
